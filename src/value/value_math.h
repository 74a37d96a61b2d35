/*
 * value_math.h
 *	  Purchase and spend models: the mathematics, without a server.
 *
 * Nothing here knows PostgreSQL.  A function that can take long calls a
 * poll the caller gave it; memory for fits comes from the caller as well.
 * Domain errors are the caller's to find: the functions below expect
 * parameters > 0 and a history that is possible.
 */
#ifndef CRM_VALUE_MATH_H
#define CRM_VALUE_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- special.c ---- */
#define CRM_GAUSS_HALF 8
extern const double crm_gauss_node[CRM_GAUSS_HALF];
extern const double crm_gauss_weight[CRM_GAUSS_HALF];

extern double crm_log_rising(double a, double n);
extern double crm_digamma(double x);
extern double crm_digamma_rise(double a, double n);
extern double crm_scaled_expint(double s, double y);
extern double crm_beta_tail(double x, double a, double b);
extern double crm_softplus(double d);
extern double crm_logistic(double d);

/*
 * A function of p, with q = 1 - p given apart, so that neither end loses
 * digits; fall is (f(0) - f(p)) / p, without cancellation.
 */
typedef double (*CrmUnitFunction) (double p, double q, void *arg);
typedef struct CrmUnitMean
{
	CrmUnitFunction f,
				fall;
} CrmUnitMean;
extern void crm_beta_means(double a, double b, const CrmUnitMean *mean,
						   int count, void *const *arg, double f0,
						   double *result);
extern double crm_beta_mean(double a, double b, const CrmUnitMean *mean,
							double f0, void *arg);

/*
 * A test counts the work of a point function: evaluations of an integrand,
 * each as much as some ten terms of a series.
 */
#ifdef CRM_COUNT_EVALUATIONS
extern unsigned long crm_evaluations;
#define CRM_COUNT_EVALUATION() (crm_evaluations += 10)
#define CRM_COUNT_STEP() (crm_evaluations++)
#else
#define CRM_COUNT_EVALUATION() ((void) 0)
#define CRM_COUNT_STEP() ((void) 0)
#endif

/* ---- bgnbd.c: BG/NBD and, with modified, MBG/NBD ---- */
typedef struct CrmBg
{
	bool		modified;
	double		r,
				alpha,
				a,
				b;
} CrmBg;

extern double crm_bg_log_likelihood(const CrmBg *m, double x, double t_x,
									double age, double *gradient);
extern double crm_bg_p_alive(const CrmBg *m, double x, double t_x, double age);
extern double crm_bg_expected(const CrmBg *m, double x, double t_x,
							  double age, double horizon);
extern void crm_bg_expected_steps(const CrmBg *m, double x, double t_x,
								  double age, double step, int n,
								  double *expected);
extern double crm_bg_survival(const CrmBg *m, double x, double t_x,
							  double age, double horizon);
extern double crm_bg_time_to(const CrmBg *m, double x, double t_x,
							 double age, double threshold);
extern double crm_bg_any(const CrmBg *m, double x, double t_x, double age,
						 double horizon);
extern double crm_bg_pmf(const CrmBg *m, double n, double horizon);
extern double crm_bg_dert(const CrmBg *m, double x, double t_x, double age,
						  double discount);

/* ---- paretonbd.c: Pareto/NBD, and NBD without dropout ---- */
typedef struct CrmPareto
{
	double		r,
				alpha,
				s,
				beta;
} CrmPareto;

extern double crm_pareto_log_likelihood(const CrmPareto *m, double x,
										double t_x, double age,
										double *gradient);
extern double crm_pareto_bracket(const CrmPareto *m, double x, double t_x,
								 double age, double *gradient);
extern double crm_pareto_p_alive(const CrmPareto *m, double x, double t_x,
								 double age);
extern double crm_pareto_expected_alive(const CrmPareto *m, double x,
										double age, double horizon);
extern double crm_pareto_expected(const CrmPareto *m, double x, double t_x,
								  double age, double horizon);
extern double crm_pareto_survival(const CrmPareto *m, double x, double t_x,
								  double age, double horizon);
extern double crm_pareto_time_to(const CrmPareto *m, double x, double t_x,
								 double age, double threshold);
extern double crm_pareto_any(const CrmPareto *m, double x, double t_x,
							 double age, double horizon);
extern double crm_pareto_pmf(const CrmPareto *m, double n, double horizon);
extern double crm_pareto_dert(const CrmPareto *m, double x, double t_x,
							  double age, double discount);

extern double crm_nbd_log_likelihood(double r, double alpha, double x,
									 double age, double *gradient);
extern double crm_nbd_pmf(double r, double alpha, double n, double horizon);

/* ---- bgbb.c ---- */
typedef struct CrmBgbb
{
	double		alpha,
				beta,
				gamma,
				delta;
} CrmBgbb;

extern double crm_bgbb_log_likelihood(const CrmBgbb *m, double x, double t_x,
									  double n, double *gradient);
extern double crm_bgbb_p_alive(const CrmBgbb *m, double x, double t_x,
							   double n, double ahead);
extern double crm_bgbb_expected(const CrmBgbb *m, double x, double t_x,
								double n, double ahead);
extern double crm_bgbb_any(const CrmBgbb *m, double x, double t_x, double n,
						   double ahead);
extern double crm_bgbb_time_to(const CrmBgbb *m, double x, double t_x,
							   double n, double threshold);
extern double crm_bgbb_dert(const CrmBgbb *m, double x, double t_x, double n,
							double discount);
extern double crm_bgbb_pmf(const CrmBgbb *m, double x, double n);

/* ---- silent.c: until P(alive) has fallen to a threshold, if no purchase comes ---- */
extern double crm_bg_silent_time_to(const CrmBg *m, double x, double t_x,
									double age, double threshold);
extern double crm_pareto_silent_time_to(const CrmPareto *m, double x,
										double t_x, double age,
										double threshold);
extern double crm_bgbb_silent_time_to(const CrmBgbb *m, double x, double t_x,
									  double n, double threshold);

/* ---- gammagamma.c ---- */
extern double crm_gg_log_likelihood(double p, double q, double g, double x,
									double spend, double *gradient);

/* ---- optimise.c ---- */
#define CRM_FIT_MAX 40			/* parameters of a fit, covariates included */

typedef struct CrmFitHost
{
	void	   *(*alloc) (size_t bytes);
	void		(*release) (void *memory);
	void		(*poll) (void);
} CrmFitHost;

/* mean minus log-likelihood at log parameters, and its gradient */
typedef double (*CrmObjective) (const double *theta, double *gradient,
								void *arg);

typedef enum CrmFitState
{
	CRM_FIT_CONVERGED,
	CRM_FIT_NO_INTERIOR,		/* a parameter runs to its bound, or is flat */
	CRM_FIT_NOT_CONVERGED,
	CRM_FIT_TOO_FEW
} CrmFitState;

typedef struct CrmOptimum
{
	double		theta[CRM_FIT_MAX];
	double		value;
	double		gradient_norm;
	double		covariance[CRM_FIT_MAX * CRM_FIT_MAX];	/* of theta, times n */
	double		smallest_eigenvalue;
	int			iterations;
	int			evaluations;
	CrmFitState state;
} CrmOptimum;

extern void crm_optimise(int n, CrmObjective f, void *arg,
						 const double *starts, int nstarts,
						 const double *half_width, const CrmOptimum *near,
						 const CrmFitHost *host, CrmOptimum *result);

/* ---- fit.c ---- */
typedef enum CrmValueModel
{
	CRM_BGNBD,
	CRM_MBGNBD,
	CRM_PARETONBD,
	CRM_NBD,
	CRM_BGBB,
	CRM_GAMMA_GAMMA
} CrmValueModel;

/*
 * Distinct histories: row i holds width doubles, the three statistics
 * (x, t_x, age; for spend x, mean spend, 0), covariates of dropout, then
 * of purchasing; weight[i] customers share it.
 */
typedef struct CrmPatterns
{
	size_t		count;
	int			width;
	int			ndropout;
	int			npurchase;
	const double *row;
	const double *weight;
} CrmPatterns;

typedef struct CrmValueFit
{
	int			n;				/* parameters, then covariate effects */
	double		estimate[CRM_FIT_MAX];
	double		se[CRM_FIT_MAX];	/* NaN where there is none */
	double		covariance[CRM_FIT_MAX * CRM_FIT_MAX];	/* natural scale */
	double		log_likelihood;
	double		gradient_norm;
	double		smallest_eigenvalue;
	double		customers;
	int			iterations;
	int			evaluations;
	size_t		bytes;
	CrmFitState state;
} CrmValueFit;

extern int	crm_value_parameters(CrmValueModel model);
extern void crm_value_fit(CrmValueModel model, const CrmPatterns *patterns,
						  const CrmFitHost *host, CrmValueFit *fit);

#endif							/* CRM_VALUE_MATH_H */
