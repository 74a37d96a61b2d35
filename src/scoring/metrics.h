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
	int64		n;
	int64		wins;
	int64		max;
} Scored;

typedef struct RankMetrics
{
	double		auc;
	double		ks;
	double		average_precision;
} RankMetrics;

#define CALIBRATION_BINS 10

typedef struct CalibrationBins
{
	int64		n[CALIBRATION_BINS];
	int64		wins[CALIBRATION_BINS];
	double		sum[CALIBRATION_BINS];
} CalibrationBins;

extern void crm_rank_scores(const double *score, int64 n, uint32 *order);
extern void crm_rank_metrics(const double *score, const uint8 *won, int64 n,
							 RankMetrics *out);
extern double crm_lift_of_top(const double *score, const uint8 *won, int64 n,
							  int64 wins, const uint32 *order, double fraction);
extern double crm_log_loss(const double *p, const uint8 *won, int64 n);
extern double crm_brier_score(const double *p, const uint8 *won, int64 n);
extern void crm_calibration_bins(const double *p, const uint8 *won, int64 n,
								 CalibrationBins *out);
extern double crm_expected_calibration_error(const CalibrationBins *b, int64 n);
extern bool crm_platt_fit(const Scored *s, double *intercept, double *slope);
extern int	crm_isotonic_fit(const Scored *s, double *x, double *y);

#endif							/* CRM_METRICS_H */
