/*
 * silent.c
 *	  When P(alive) falls to a threshold if no purchase comes.
 *
 * Two questions sound alike.  How likely is the customer still alive at a
 * later time, given what is known today?  That is crm_*_time_to: purchases
 * may come in between.  On which day will P(alive), computed on that day,
 * have fallen to the threshold, if the customer stays silent until then?  That
 * is answered here: the age grows while x and t_x stay.
 *
 * Log odds of being alive are a straight line, or nearly one, in the logarithm
 * of time (exactly one for BG/NBD), so a secant finds the day in a few steps.
 */
#include "value/value_math.h"

#include <math.h>

/* e^40 times the scale is more than anybody waits */
#define FAR 40

/* P(alive) of one customer at an age */
typedef double (*AliveAt) (const void *model, double x, double t_x, double age);

static double
log_odds_of(double p)
{
	return log(p) - log1p(-p);
}

/*
 * Time from age on; 0 where it has come, INFINITY where it never comes.
 * scale is a time in which the model forgets: the line is straight in
 * log(scale + time).
 */
static double
silent_time(AliveAt alive, const void *model, double x, double t_x, double age,
			double scale, double threshold)
{
	double		goal,
				lo = 0,
				hi = 1,
				f_lo,
				f_hi;
	int			side = 0;

	f_lo = alive(model, x, t_x, age);
	if (f_lo <= threshold)
		return 0;
	/* who has bought once cannot have left, by BG/NBD */
	if (threshold <= 0 || f_lo >= 1)
		return INFINITY;
	goal = log_odds_of(threshold);
	f_lo = log_odds_of(f_lo) - goal;

	/* u = log((scale + time) / scale), doubled until P(alive) is low enough */
	for (;;)
	{
		double		p = alive(model, x, t_x, age + expm1(hi) * scale);

		f_hi = p <= 0 ? -INFINITY : log_odds_of(p) - goal;
		if (f_hi <= 0)
			break;
		if (hi >= FAR)
			return INFINITY;
		lo = hi;
		f_lo = f_hi;
		hi = fmin(hi * 2, FAR);
	}
	for (int i = 0; i < 200 && hi - lo > 1e-14 * hi; i++)
	{
		double		mid = (lo * f_hi - hi * f_lo) / (f_hi - f_lo),
					p,
					f;

		if (!(mid > lo && mid < hi))
			mid = (lo + hi) / 2;
		p = alive(model, x, t_x, age + expm1(mid) * scale);
		f = p <= 0 ? -INFINITY : log_odds_of(p) - goal;
		if (fabs(f) <= 1e-14 * fabs(goal))
			return expm1(mid) * scale;
		/* Illinois: an end that stays twice counts half */
		if (f > 0)
		{
			lo = mid;
			f_lo = f;
			if (side == 1)
				f_hi /= 2;
			side = 1;
		}
		else
		{
			hi = mid;
			f_hi = f;
			if (side == -1)
				f_lo /= 2;
			side = -1;
		}
	}
	return expm1(hi) * scale;
}

static double
bg_alive(const void *model, double x, double t_x, double age)
{
	return crm_bg_p_alive((const CrmBg *) model, x, t_x, age);
}

static double
pareto_alive(const void *model, double x, double t_x, double age)
{
	return crm_pareto_p_alive((const CrmPareto *) model, x, t_x, age);
}

double
crm_bg_silent_time_to(const CrmBg *m, double x, double t_x, double age,
					  double threshold)
{
	return silent_time(bg_alive, m, x, t_x, age, m->alpha + age, threshold);
}

double
crm_pareto_silent_time_to(const CrmPareto *m, double x, double t_x, double age,
						  double threshold)
{
	return silent_time(pareto_alive, m, x, t_x, age, m->beta + age, threshold);
}

/*
 * Smallest number of opportunities that pass without a purchase.  P(alive) is
 * that of crm.bgbb_p_alive: to be there at the opportunity after those.
 */
double
crm_bgbb_silent_time_to(const CrmBgbb *m, double x, double t_x, double n,
						double threshold)
{
	double		lo = 0,
				hi = 1;

	if (crm_bgbb_p_alive(m, x, t_x, n, 1) <= threshold)
		return 0;
	if (threshold <= 0)
		return INFINITY;
	while (crm_bgbb_p_alive(m, x, t_x, n + hi, 1) > threshold)
	{
		lo = hi;
		hi *= 2;
		/* the functions of BG/BB take no more than 1e7 opportunities */
		if (n + hi > 1e7)
			return INFINITY;
	}
	while (hi - lo > 1)
	{
		double		mid = floor((lo + hi) / 2);

		if (crm_bgbb_p_alive(m, x, t_x, n + mid, 1) > threshold)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}
