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
	bool		weighted;
	bool		whole;			/* all weights are whole numbers */
	double		unit;			/* mean weight; the fit works in units of it */
	double		win_share;		/* of the weight, in wins */
	int			nchunks;
	int			maxchunks;
	double	  **x;				/* chunk_rows * k values each */
	uint8	  **y;
	double	  **w;				/* weights, where rows have them; of mean 1 from the fit on */
} LogisticRows;

typedef struct LogisticFit
{
	double	   *coef;			/* k + 1: intercept first */
	double	   *se;				/* k + 1: NaN where not estimable */
	double	   *robust;			/* k + 1: the same by the sandwich, NULL without weights */
	double	   *mean;			/* k */
	bool	   *aliased;		/* k */
	bool	   *separating;		/* k: columns along which the outcome separates */
	double	   *eta;			/* n: log-odds of the rows, in order */
	double		log_likelihood;
	double		log_loss;		/* mean of the rows, by weight */
	double		objective;		/* minus log-likelihood plus penalty */
	double		lambda;			/* the one used */
	int			iterations;
	bool		converged;
	bool		separated;
} LogisticFit;

extern LogisticRows *crm_logistic_rows(int k, double lambda, bool weighted);
extern double *crm_logistic_add_row(LogisticRows *rows, bool won, double weight);
extern void crm_logistic_fit(LogisticRows *rows, LogisticFit *fit);
extern double crm_logistic_sigmoid(double eta);
extern double crm_logistic_log1pexp(double eta);

#endif							/* CRM_LOGISTIC_H */
