/*
 * metrics.h
 *	  How good scores are, and calibrating them.
 */
#ifndef CRM_METRICS_H
#define CRM_METRICS_H

/* Scores with their outcomes, in the order they came. */
typedef struct Scored
{
	double	   *score;
	uint8	   *won;
	double	   *weight;			/* NULL: every row counts once */
	int64		n;
	int64		wins;
	int64		max;
	bool		whole;			/* all weights are whole numbers */
	double		mass;			/* of all rows; set by crm_weigh_scores */
	double		win_mass;		/* of the wins */
	double		unit;			/* what mass is measured in */
} Scored;

typedef struct RankMetrics
{
	double		auc;
	double		ks;
	double		average_precision;
} RankMetrics;

static inline double
crm_mass_of(const Scored *s, int64 i)
{
	return s->weight == NULL ? 1 : s->weight[i];
}

extern void crm_weigh_scores(Scored *s);
extern void crm_rank_metrics(const Scored *s, RankMetrics *out);
extern double crm_lift_of_top(const Scored *s, double fraction);
extern double crm_log_loss(const Scored *s);
extern double crm_brier_score(const Scored *s);
extern double crm_expected_calibration_error(const Scored *s);
extern bool crm_platt_fit(const Scored *s, double *intercept, double *slope);
extern int	crm_isotonic_fit(const Scored *s, double *x, double *y);

#endif							/* CRM_METRICS_H */
