/*
 * platt.c
 *	  Calibration of scores by a sigmoid.
 *
 * Two numbers are fitted by Newton's method; scores are centred and scaled
 * first, so that it does not matter what they are measured in.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "scoring/logistic.h"
#include "scoring/metrics.h"

/* Scores centred and scaled, with the targets of wins and losses. */
typedef struct Platt
{
	const Scored *s;
	double		hi;
	double		lo;
	double		unit;			/* a power of two: it changes no digit */
	double		mean;
	double		sd;
} Platt;

static inline double
standardised(const Platt *f, int64 i)
{
	return (f->s->score[i] * f->unit - f->mean) / f->sd;
}

/* False where all scores are equal. */
static bool
scale_scores(Platt *f)
{
	const Scored *s = f->s;
	double		top = 0;

	/* a power of two keeps squares within range */
	for (int64 i = 0; i < s->n; i++)
		top = Max(top, fabs(s->score[i]));
	f->unit = 1;
	if (top > 1e100)
		f->unit = ldexp(1, -1000);
	else if (top > 0 && top < 1e-100)
		f->unit = ldexp(1, 1000);
	f->mean = 0;
	for (int64 i = 0; i < s->n; i++)
		f->mean += s->score[i] * f->unit * crm_mass_of(s, i) / s->mass;
	f->sd = 0;
	for (int64 i = 0; i < s->n; i++)
	{
		double		off = s->score[i] * f->unit - f->mean;

		f->sd += off * off * crm_mass_of(s, i);
	}
	f->sd = sqrt(f->sd / s->mass);
	return f->sd > 1e-13 * fabs(f->mean);
}

static double
platt_loss(const Platt *f, double a, double b)
{
	double		loss = 0;

	for (int64 i = 0; i < f->s->n; i++)
	{
		double		eta = a + b * standardised(f, i);

		loss += crm_mass_of(f->s, i) *
			(crm_logistic_log1pexp(eta) - (f->s->won[i] ? f->hi : f->lo) * eta);
	}
	return loss;
}

/* One Newton step (d0, d1) from (a, b) and the loss there; false at the end of the way. */
static bool
platt_step(const Platt *f, double a, double b, double *d0, double *d1, double *loss)
{
	double		g0 = 0,
				g1 = 0,
				h00 = 0,
				h01 = 0,
				h11 = 0,
				det;

	*loss = 0;
	for (int64 i = 0; i < f->s->n; i++)
	{
		double		z = standardised(f, i);
		double		eta = a + b * z;
		double		p = crm_logistic_sigmoid(eta);
		double		t = f->s->won[i] ? f->hi : f->lo;
		double		m = crm_mass_of(f->s, i);
		double		w = p * crm_logistic_sigmoid(-eta) * m;

		*loss += (crm_logistic_log1pexp(eta) - t * eta) * m;
		g0 += (t - p) * m;
		g1 += (t - p) * z * m;
		h00 += w;
		h01 += w * z;
		h11 += w * z * z;
	}
	det = h00 * h11 - h01 * h01;
	if (!(det > 0))
		return false;
	*d0 = (h11 * g0 - h01 * g1) / det;
	*d1 = (h00 * g1 - h01 * g0) / det;
	return !(*d0 * g0 + *d1 * g1 < 1e-22);
}

/*
 * Platt's sigmoid p = 1 / (1 + exp(-(a + b * score))) by Newton with step
 * halving, on his targets (n1+1)/(n1+2) and 1/(n0+2) (Platt 1999; Lin, Lin
 * and Weng 2007).  Scores are centred and scaled first.  False where all
 * scores are equal.
 */
bool
crm_platt_fit(const Scored *s, double *intercept, double *slope)
{
	double		wins = Min(s->win_mass * s->unit, 1e300);
	double		losses = (s->mass - s->win_mass) * s->unit;
	Platt		f = {s, (wins + 1) / (wins + 2), 1 / (losses + 2)};
	double		share = (s->win_mass * f.hi + (s->mass - s->win_mass) * f.lo) / s->mass;
	double		a = log(share / (1 - share)),
				b = 0,
				d0,
				d1,
				before;

	if (!scale_scores(&f))
		return false;
	for (int iteration = 0; iteration < 100; iteration++)
	{
		double		step = 1;

		CHECK_FOR_INTERRUPTS();
		if (!platt_step(&f, a, b, &d0, &d1, &before))
			break;
		while (step > 1e-9 &&
			   !(platt_loss(&f, a + step * d0, b + step * d1) <= before + 1e-12 * fabs(before)))
			step /= 2;
		a += step * d0;
		b += step * d1;
	}
	*intercept = a - b / f.sd * f.mean;
	*slope = b / f.sd * f.unit;
	return true;
}
