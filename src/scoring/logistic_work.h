/*
 * logistic_work.h
 *	  Shared by the steps of a logistic regression.
 */
#ifndef CRM_LOGISTIC_WORK_H
#define CRM_LOGISTIC_WORK_H

#include "scoring/logistic.h"

#define LOGISTIC_BLOCK 128		/* rows worked on at a time */
#define LOGISTIC_ALIASED 1e-10	/* less than this of a column is its own */

typedef struct LogisticWork
{
	int			p;
	double	   *penalty;		/* of each scaled column, 0 for the intercept */
	double	   *h;				/* p * p */
	double	   *g;				/* p */
	double	   *part_h;
	double	   *part_g;
	double	   *z;				/* LOGISTIC_BLOCK * p */
	double	   *zw;
	double		loss;			/* minus log-likelihood */
	double		objective;
	double		top;			/* largest |eta| */
} LogisticWork;

static inline int
crm_logistic_chunk(const LogisticRows *rows, int chunk)
{
	int64		left = rows->n - (int64) chunk * rows->chunk_rows;

	return (int) Min(left, rows->chunk_rows);
}

/* logistic_rows.c */
extern void crm_logistic_weigh_rows(LogisticRows *rows);
extern void crm_logistic_standardise(LogisticRows *rows, double *mean, double *sd,
									 int *exponent);
extern void crm_logistic_restandardise(LogisticRows *rows, const double *m, const double *v,
									   double *mean, double *sd);

/* logistic_pass.c */
extern LogisticWork *crm_logistic_work(int p);
extern void crm_logistic_eta(const double *x, int k, int m, const double *beta,
							 double *eta);
extern void crm_logistic_pass(LogisticRows *rows, LogisticWork *w, const double *beta,
							  double *eta);
extern void crm_logistic_spread(LogisticRows *rows, LogisticWork *w, const double *eta,
								double *spread);

/* logistic_separation.c */
extern void crm_logistic_find_aliased(LogisticRows *rows, LogisticWork *w, const double *sd,
									  bool *aliased);
extern void crm_logistic_fix_aliased(LogisticWork *w, const bool *aliased);
extern bool crm_logistic_separates(LogisticRows *rows, const double *d);
extern bool crm_logistic_really_separates(LogisticRows *rows, const double *d,
										  const bool *aliased, double *mean, double *sd,
										  bool *restandardised);

#endif							/* CRM_LOGISTIC_WORK_H */
