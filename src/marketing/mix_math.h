/*
 * mix_math.h
 *	  Marketing mix models: the mathematics, without SQL.
 */
#ifndef CRM_MIX_MATH_H
#define CRM_MIX_MATH_H

typedef enum MixAdstock
{
	MIX_NO_ADSTOCK,
	MIX_GEOMETRIC,
	MIX_WEIBULL_CDF,
	MIX_WEIBULL_PDF
} MixAdstock;

/* How a channel's spend becomes pressure, and pressure effect. */
typedef struct MixShape
{
	double		theta;			/* geometric: what is left after a period */
	double		shape;			/* Weibull */
	double		scale;			/* Weibull: share of the periods */
	double		alpha;			/* Hill; 0: no saturation */
	double		gamma;			/* Hill: inflexion as a share of the most pressure */
} MixShape;

/* ---- mix_shape.c ---- */
extern void crm_mix_geometric(const double *x, int n, double theta, double *out);
extern void crm_mix_weibull(const double *x, int n, double shape, double scale, bool cdf,
							double *out);
extern double crm_mix_kernel_sum(MixAdstock adstock, const MixShape *shape, int n);
extern double crm_mix_most(const double *x, int n);
extern double crm_mix_hill(double x, double alpha, double inflexion);
extern void crm_mix_divide(int n, const double *coefficient, const double *alpha,
						   const double *inflexion, const double *gain, double total,
						   const double *least, const double *most, double *spend);

/* ---- mix_fit.c ---- */

typedef struct MixData
{
	int			n;				/* periods, in their order */
	int			nchannels;
	int			nothers;		/* controls, trend and season */
	const double *y;
	double	  **spend;			/* nchannels columns of n */
	double	  **other;			/* nothers columns of n */
} MixData;

typedef struct MixSettings
{
	MixAdstock	adstock;
	bool		saturation;
	bool		not_negative;	/* effects of channels */
	bool		search_carry;	/* theta or shape and scale are looked for */
	bool		search_hill;
	bool		search_lambda;
	double		lambda;			/* ridge on z-scored columns */
	int			holdout;		/* last periods on which the model is tested; 0: none */
	int			draws;			/* of the bootstrap; 0: none */
	int			block;			/* periods in a block of it */
	uint64		seed;
} MixSettings;

typedef struct MixFit
{
	MixShape   *shapes;			/* nchannels: given or found */
	double		lambda;
	double		intercept;
	double		intercept_error;	/* its standard error */
	double	   *coefficient;	/* channels, then others */
	double	   *standardised;	/* the same for z-scored columns */
	double	   *std_error;		/* NaN where there is none */
	double	   *low;			/* NaN without a bootstrap */
	double	   *high;
	double	   *vif;
	bool	   *aliased;
	bool	   *held;			/* at zero, as its effect would be negative */
	double	   *most;			/* pressure of each channel at its most */
	double	   *last;			/* pressure of each channel in the last period */
	double	   *contribution;	/* sum over periods, by channel */
	double		r2;
	double		residual_se;
	double		durbin_watson;
	double		holdout_r2;		/* NaN without a holdout */
	double		holdout_mape;
	double		baseline_mape;	/* of the mean before the holdout */
} MixFit;

extern bool crm_mix_fit(const MixData *data, const MixSettings *settings, MixFit *fit);

#endif							/* CRM_MIX_MATH_H */
