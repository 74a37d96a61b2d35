/*
 * logistic.h
 *	  Logistic regression on rows kept in memory.
 */
#ifndef CRM_LOGISTIC_H
#define CRM_LOGISTIC_H

#define LOGISTIC_MAX_COLUMNS 1000

/* Rows in chunks, row by row, so that adding one never moves another. */
typedef struct LogisticRows
{
	int			k;				/* columns */
	int			chunk_rows;
	int64		n;
	int64		wins;
	int64		skipped;		/* rows with a null */
	double		lambda;
	int			nchunks;
	int			maxchunks;
	double	  **x;				/* chunk_rows * k values each */
	uint8	  **y;
} LogisticRows;

typedef struct LogisticFit
{
	double	   *coef;			/* k + 1: intercept first */
	double	   *se;				/* k + 1: NaN where not estimable */
	double	   *mean;			/* k */
	bool	   *aliased;		/* k */
	bool	   *separating;		/* k: columns along which the outcome separates */
	double	   *eta;			/* n: log-odds of the rows, in order */
	double		log_likelihood;
	double		objective;		/* minus log-likelihood plus penalty */
	double		lambda;			/* the one used */
	int			iterations;
	bool		converged;
	bool		separated;
} LogisticFit;

extern LogisticRows *crm_logistic_rows(int k, double lambda);
extern double *crm_logistic_add_row(LogisticRows *rows, bool won);
extern void crm_logistic_fit(LogisticRows *rows, LogisticFit *fit);
extern double crm_logistic_sigmoid(double eta);
extern double crm_logistic_log1pexp(double eta);

#endif							/* CRM_LOGISTIC_H */
