/*
 * metrics.c
 *	  AUC, KS, lift, log-loss, Brier score and calibration error of scores,
 *	  and the two ways to calibrate them: Platt's sigmoid and isotonic
 *	  regression.
 *
 * Ranking is a radix sort of the scores' bits: linear, and where the order of
 * equal scores matters, stable.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "scoring/logistic.h"
#include "scoring/metrics.h"

/* Bits of a score that ascend, as unsigned numbers, as the score does. */
static inline uint64
key_of(double score)
{
	union
	{
		double		d;
		uint64		u;
	}			bits;

	bits.d = score + 0.0;		/* -0 is 0 */
	return bits.u >> 63 ? ~bits.u : bits.u | UINT64CONST(1) << 63;
}

static inline double
score_of(uint64 key)
{
	union
	{
		double		d;
		uint64		u;
	}			bits;

	bits.u = key >> 63 ? key & ~(UINT64CONST(1) << 63) : ~key;
	return bits.d;
}

#define DIGITS 6
#define DIGIT 11
#define VALUES (1 << DIGIT)

/* Counts of the values of a digit become their places; false where all are the same. */
static bool
places(int64 *count, int64 n)
{
	int64		at = 0;
	bool		same = false;

	CHECK_FOR_INTERRUPTS();
	for (int v = 0; v < VALUES; v++)
	{
		int64		c = count[v];

		same = same || c == n;
		count[v] = at;
		at += c;
	}
	return !same;
}

/*
 * Order of the scores, best first; equal ones in the order given.  The first
 * pass counts all digits at once; digits that are the same in every score are
 * not sorted by.
 */
void
crm_rank_scores(const double *score, int64 n, uint32 *order)
{
	typedef struct Item
	{
		uint64		key;
		uint32		at;
	} Item;
	Item	   *a = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Item) * Max(n, 1));
	Item	   *b = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Item) * Max(n, 1));
	int64	  (*count)[VALUES] = palloc0(sizeof(int64) * VALUES * DIGITS);

	for (int64 i = 0; i < n; i++)
	{
		a[i].key = ~key_of(score[i]);	/* best first */
		a[i].at = (uint32) i;
		for (int d = 0; d < DIGITS; d++)
			count[d][(a[i].key >> (DIGIT * d)) & (VALUES - 1)]++;
	}
	for (int d = 0; d < DIGITS; d++)
	{
		Item	   *swap;

		if (!places(count[d], n))
			continue;
		for (int64 i = 0; i < n; i++)
			b[count[d][(a[i].key >> (DIGIT * d)) & (VALUES - 1)]++] = a[i];
		swap = a;
		a = b;
		b = swap;
	}
	for (int64 i = 0; i < n; i++)
		order[i] = a[i].at;
	pfree(a);
	pfree(b);
	pfree(count);
}

/* Sort keys in ascending order; gives the one of the two arrays they end in. */
static uint64 *
sort_keys(uint64 *a, uint64 *b, int64 n)
{
	int64	  (*count)[VALUES] = palloc0(sizeof(int64) * VALUES * DIGITS);

	for (int64 i = 0; i < n; i++)
		for (int d = 0; d < DIGITS; d++)
			count[d][(a[i] >> (DIGIT * d)) & (VALUES - 1)]++;
	for (int d = 0; d < DIGITS; d++)
	{
		uint64	   *swap;

		if (!places(count[d], n))
			continue;
		for (int64 i = 0; i < n; i++)
			b[count[d][(a[i] >> (DIGIT * d)) & (VALUES - 1)]++] = a[i];
		swap = a;
		a = b;
		b = swap;
	}
	pfree(count);
	return a;
}

/*
 * The scores of wins and of losses, each in ascending order.  What asks only
 * how many of each stand at a score needs no order among equals, so the
 * scores alone are sorted, without their places: half the memory is moved,
 * and what comes after reads it from one end to the other.
 */
typedef struct Sides
{
	uint64	   *room;
	uint64	   *win;
	uint64	   *loss;
	int64		wins;
	int64		losses;
} Sides;

static void
sort_sides(const double *score, const uint8 *won, int64 n, Sides *s)
{
	uint64	   *other;

	s->room = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * 2 * Max(n, 1));
	other = s->room + n;
	s->wins = s->losses = 0;
	/* wins from the beginning, losses from the end */
	for (int64 i = 0; i < n; i++)
	{
		uint64		k = key_of(score[i]);

		s->room[won[i] ? s->wins : n - 1 - s->losses] = k;
		s->wins += won[i];
		s->losses += !won[i];
	}
	s->win = sort_keys(s->room, other, s->wins);
	s->loss = sort_keys(s->room + s->wins, other + s->wins, s->losses);
}

/*
 * AUC as the share of (win, loss) pairs in the right order, ties counting
 * half; KS as the largest distance between true and false positive rate,
 * whichever of them is ahead;
 * average precision as the sum of precision over the steps of recall.  All
 * three only look between distinct scores.
 */
void
crm_rank_metrics(const double *score, const uint8 *won, int64 n, RankMetrics *out)
{
	Sides		s;
	int64		i,
				j,
				tp = 0,
				fp = 0;
	double		pairs = 0,
				ks = 0,
				ap = 0;

	sort_sides(score, won, n, &s);
	for (i = s.wins - 1, j = s.losses - 1; i >= 0 || j >= 0;)
	{
		uint64		k = j < 0 || (i >= 0 && s.win[i] > s.loss[j]) ? s.win[i] : s.loss[j];
		int64		w = 0,
					l = 0;

		for (; i >= 0 && s.win[i] == k; i--)
			w++;
		for (; j >= 0 && s.loss[j] == k; j--)
			l++;
		pairs += (double) l * tp + 0.5 * (double) l * w;
		tp += w;
		fp += l;
		if (w > 0)
			ap += (double) w / s.wins * ((double) tp / (tp + fp));
		ks = Max(ks, fabs((double) tp / s.wins - (double) fp / s.losses));
	}
	out->auc = pairs / ((double) s.wins * s.losses);
	out->ks = ks;
	out->average_precision = ap;
	pfree(s.room);
}

/*
 * Win rate of the best ceil(fraction * n) rows over that of all.  Where the
 * last of them share their score with rows left out, each of these rows counts
 * with the chance to be taken: the order of equal scores says nothing.
 */
double
crm_lift_of_top(const double *score, const uint8 *won, int64 n, int64 wins,
				const uint32 *order, double fraction)
{
	int64		top = (int64) ceil(fraction * n - 1e-9);
	int64		above,
				below;
	double		last;
	int64		hit = 0,
				tied = 0;

	top = Max(1, Min(top, n));
	last = score[order[top - 1]];
	for (above = 0; score[order[above]] != last; above++)
		hit += won[order[above]];
	for (below = above; below < n && score[order[below]] == last; below++)
		tied += won[order[below]];
	return ((hit + (double) tied * (top - above) / (below - above)) / top) /
		((double) wins / n);
}

/* Mean log-loss; probabilities are held 1e-15 away from 0 and 1. */
double
crm_log_loss(const double *p, const uint8 *won, int64 n)
{
	double		sum = 0,
				lost = 0;

	for (int64 i = 0; i < n; i++)
	{
		double		q = won[i] ? p[i] : 1 - p[i];
		double		v,
					t;

		q = Max(1e-15, Min(1 - 1e-15, q));
		v = -log(q) - lost;
		t = sum + v;
		lost = (t - sum) - v;
		sum = t;
	}
	return sum / n;
}

double
crm_brier_score(const double *p, const uint8 *won, int64 n)
{
	double		sum = 0,
				lost = 0;

	for (int64 i = 0; i < n; i++)
	{
		double		v = (p[i] - won[i]) * (p[i] - won[i]) - lost;
		double		t = sum + v;

		lost = (t - sum) - v;
		sum = t;
	}
	return sum / n;
}

/* Ten bins of equal width on [0, 1]. */
void
crm_calibration_bins(const double *p, const uint8 *won, int64 n,
					 CalibrationBins *out)
{
	memset(out, 0, sizeof(*out));
	for (int64 i = 0; i < n; i++)
	{
		int			b = (int) (p[i] * CALIBRATION_BINS);

		b = Max(0, Min(CALIBRATION_BINS - 1, b));
		out->n[b]++;
		out->wins[b] += won[i];
		out->sum[b] += p[i];
	}
}

double
crm_expected_calibration_error(const CalibrationBins *b, int64 n)
{
	double		sum = 0;

	for (int i = 0; i < CALIBRATION_BINS; i++)
		sum += fabs(b->wins[i] - b->sum[i]);
	return sum / n;
}

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
		f->mean += s->score[i] * f->unit / s->n;
	f->sd = 0;
	for (int64 i = 0; i < s->n; i++)
		f->sd += (s->score[i] * f->unit - f->mean) * (s->score[i] * f->unit - f->mean);
	f->sd = sqrt(f->sd / s->n);
	return f->sd > 1e-13 * fabs(f->mean);
}

static double
platt_loss(const Platt *f, double a, double b)
{
	double		loss = 0;

	for (int64 i = 0; i < f->s->n; i++)
	{
		double		eta = a + b * standardised(f, i);

		loss += crm_logistic_log1pexp(eta) - (f->s->won[i] ? f->hi : f->lo) * eta;
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
		double		w = p * crm_logistic_sigmoid(-eta);

		*loss += crm_logistic_log1pexp(eta) - t * eta;
		g0 += t - p;
		g1 += (t - p) * z;
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
	Platt		f = {s, (s->wins + 1.0) / (s->wins + 2.0), 1.0 / (s->n - s->wins + 2.0)};
	double		share = (s->wins * f.hi + (s->n - s->wins) * f.lo) / s->n;
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

/*
 * Isotonic regression of the outcome on the score: pool adjacent violators
 * over the distinct scores.  Only the ends of each level are kept as knots;
 * between knots the value runs straight.  x and y have room for 2 n values.
 */
int
crm_isotonic_fit(const Scored *s, double *x, double *y)
{
	typedef struct Pool
	{
		double		weight;
		double		wins;
		double		from;
		double		to;
	} Pool;
	Pool	   *pool = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Pool) * s->n);
	Sides		side;
	int64		pools = 0;
	int			knots = 0;

	sort_sides(s->score, s->won, s->n, &side);
	for (int64 i = 0, j = 0; i < side.wins || j < side.losses;)
	{
		uint64		k = j == side.losses || (i < side.wins && side.win[i] < side.loss[j]) ?
		side.win[i] : side.loss[j];
		Pool		next = {0, 0, score_of(k), score_of(k)};

		for (; i < side.wins && side.win[i] == k; i++)
			next.wins++;
		next.weight = next.wins;
		for (; j < side.losses && side.loss[j] == k; j++)
			next.weight++;
		/* counts are whole numbers: the comparison is exact */
		while (pools > 0 &&
			   pool[pools - 1].wins * next.weight >= next.wins * pool[pools - 1].weight)
		{
			pools--;
			next.from = pool[pools].from;
			next.weight += pool[pools].weight;
			next.wins += pool[pools].wins;
		}
		pool[pools++] = next;
	}
	for (int64 i = 0; i < pools; i++)
	{
		x[knots] = pool[i].from;
		y[knots++] = pool[i].wins / pool[i].weight;
		if (pool[i].to > pool[i].from)
		{
			x[knots] = pool[i].to;
			y[knots++] = pool[i].wins / pool[i].weight;
		}
	}
	pfree(side.room);
	pfree(pool);
	return knots;
}
