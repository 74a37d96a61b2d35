/*
 * experiment_math.h
 *	  What an experiment says of a difference: the mathematics, without SQL.
 */
#ifndef CRM_EXPERIMENT_MATH_H
#define CRM_EXPERIMENT_MATH_H

typedef struct Difference
{
	double		estimate;
	double		low;
	double		high;
} Difference;

/* hits among trials in one group */
typedef struct Share
{
	double		hits;
	double		trials;
} Share;

extern Difference crm_newcombe(Share a, Share b, double level);
extern Difference crm_sequential_difference(Share a, Share b, double tau,
											double level, double *p_value);
extern double crm_sequential_allocation(int n, const double *counts,
										const double *shares);
extern Difference crm_bootstrap_difference(int na, const double *a, int nb,
										   const double *b, double level,
										   int resamples, uint64 seed);

#endif							/* CRM_EXPERIMENT_MATH_H */
