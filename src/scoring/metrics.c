/*
 * metrics.c
 *	  AUC, KS, lift, log-loss, Brier score and calibration error of scores,
 *	  and calibrating them by isotonic regression.
 *
 * Ranking is a radix sort of the scores' bits: linear, and where the order of
 * equal scores matters, stable.  Whatever looks at ranks asks how much of wins
 * and losses stands at each score, from the best down; how much is a count, or
 * a sum of weights.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
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

/*
 * Weights of mean 1, in room of their own since the rows may go on growing;
 * the sums of a measure are then counts, or what takes their place.
 */
void
crm_weigh_scores(Scored *s)
{
	double	   *weight;
	double		top = 0,
				sum = 0;

	s->unit = 1;
	s->mass = s->n;
	s->win_mass = s->wins;
	if (s->weight == NULL || s->n == 0)
		return;
	weight = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * s->n);
	for (int64 i = 0; i < s->n; i++)
		top = Max(top, s->weight[i]);
	for (int64 i = 0; i < s->n; i++)
		sum += s->weight[i] / top;
	s->unit = top * (sum / s->n);
	s->win_mass = 0;
	s->mass = 0;
	for (int64 i = 0; i < s->n; i++)
	{
		weight[i] = s->weight[i] / top / (sum / s->n);
		s->mass += weight[i];
		if (s->won[i])
			s->win_mass += weight[i];
	}
	s->weight = weight;
}

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
static void
rank_scores(const double *score, int64 n, uint32 *order)
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

/* The distinct scores, best first, with what stands at each. */
typedef struct Levels
{
	const Scored *s;
	Sides		side;			/* without weights */
	int64		i,
				j;
	uint32	   *order;			/* with them */
	double		score;
	double		wins;
	double		losses;
} Levels;

static void
start_levels(Levels *at, const Scored *s)
{
	at->s = s;
	at->order = NULL;
	if (s->weight == NULL)
	{
		sort_sides(s->score, s->won, s->n, &at->side);
		at->i = at->side.wins - 1;
		at->j = at->side.losses - 1;
		return;
	}
	at->order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * Max(s->n, 1));
	rank_scores(s->score, s->n, at->order);
	at->i = 0;
}

/* The next one; false after the last. */
static bool
next_level(Levels *at)
{
	const Scored *s = at->s;

	if (at->order != NULL)
	{
		if (at->i == s->n)
			return false;
		at->score = s->score[at->order[at->i]];
		at->wins = at->losses = 0;
		for (; at->i < s->n && s->score[at->order[at->i]] == at->score; at->i++)
			*(s->won[at->order[at->i]] ? &at->wins : &at->losses) += s->weight[at->order[at->i]];
	}
	else
	{
		const uint64 *win = at->side.win;
		const uint64 *loss = at->side.loss;
		int64		i = at->i,
					j = at->j;
		uint64		k;

		if (i < 0 && j < 0)
			return false;
		k = j < 0 || (i >= 0 && win[i] > loss[j]) ? win[i] : loss[j];
		while (i >= 0 && win[i] == k)
			i--;
		while (j >= 0 && loss[j] == k)
			j--;
		at->score = score_of(k);
		at->wins = at->i - i;
		at->losses = at->j - j;
		at->i = i;
		at->j = j;
	}
	return true;
}

static void
end_levels(Levels *at)
{
	if (at->order != NULL)
		pfree(at->order);
	else
		pfree(at->side.room);
}

/*
 * AUC as the share of (win, loss) pairs in the right order, ties counting
 * half; KS as the largest distance between true and false positive rate,
 * whichever of them is ahead;
 * average precision as the sum of precision over the steps of recall.  All
 * three only look between distinct scores.
 */
void
crm_rank_metrics(const Scored *s, RankMetrics *out)
{
	Levels		at;
	double		wins = s->win_mass;
	double		losses = s->mass - s->win_mass;
	double		tp = 0,
				fp = 0,
				pairs = 0,
				ks = 0,
				ap = 0;

	start_levels(&at, s);
	while (next_level(&at))
	{
		pairs += at.losses * tp + 0.5 * at.losses * at.wins;
		tp += at.wins;
		fp += at.losses;
		if (at.wins > 0)
			ap += at.wins / wins * (tp / (tp + fp));
		ks = Max(ks, fabs(tp / wins - fp / losses));
	}
	end_levels(&at);
	out->auc = pairs / (wins * losses);
	out->ks = ks;
	out->average_precision = ap;
}

/*
 * Win rate of the best ceil(fraction * n) rows over that of all.  Where the
 * last of them share their score with rows left out, each of these rows counts
 * with the chance to be taken: the order of equal scores says nothing.  Weights
 * that are whole numbers count rows; others have no next whole row to round to.
 */
double
crm_lift_of_top(const Scored *s, double fraction)
{
	double		rows = s->mass * s->unit;
	double		top = fraction * s->mass;
	double		above = 0,
				hit = 0;
	Levels		at;

	if (s->weight == NULL || (s->whole && rows < 1e15))
		top = Max(1, Min(ceil(fraction * rows - 1e-9), rows)) / s->unit;
	start_levels(&at, s);
	while (next_level(&at))
	{
		double		here = at.wins + at.losses;

		if (above + here >= top * (1 - 1e-14))
		{
			hit += here > 0 ? at.wins * Min((top - above) / here, 1) : 0;
			break;
		}
		above += here;
		hit += at.wins;
	}
	end_levels(&at);
	return (hit / top) / (s->win_mass / s->mass);
}

/* Mean log-loss; probabilities are held 1e-15 away from 0 and 1. */
double
crm_log_loss(const Scored *s)
{
	double		sum = 0,
				lost = 0;

	for (int64 i = 0; i < s->n; i++)
	{
		double		q = s->won[i] ? s->score[i] : 1 - s->score[i];
		double		v,
					t;

		q = Max(1e-15, Min(1 - 1e-15, q));
		v = -log(q) * crm_mass_of(s, i) - lost;
		t = sum + v;
		lost = (t - sum) - v;
		sum = t;
	}
	return sum / s->mass;
}

double
crm_brier_score(const Scored *s)
{
	double		sum = 0,
				lost = 0;

	for (int64 i = 0; i < s->n; i++)
	{
		double		d = s->score[i] - s->won[i];
		double		v = d * d * crm_mass_of(s, i) - lost;
		double		t = sum + v;

		lost = (t - sum) - v;
		sum = t;
	}
	return sum / s->mass;
}

#define CALIBRATION_BINS 10

/* Ten bins of equal width on [0, 1]. */
double
crm_expected_calibration_error(const Scored *s)
{
	double		wins[CALIBRATION_BINS] = {0};
	double		sum[CALIBRATION_BINS] = {0};
	double		error = 0;

	for (int64 i = 0; i < s->n; i++)
	{
		int			b = (int) (s->score[i] * CALIBRATION_BINS);

		b = Max(0, Min(CALIBRATION_BINS - 1, b));
		wins[b] += s->won[i] ? crm_mass_of(s, i) : 0;
		sum[b] += s->score[i] * crm_mass_of(s, i);
	}
	for (int i = 0; i < CALIBRATION_BINS; i++)
		error += fabs(wins[i] - sum[i]);
	return error / s->mass;
}

/*
 * Isotonic regression of the outcome on the score: pool adjacent violators
 * over the distinct scores, from the best down.  Only the ends of each level are kept as knots;
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
	Levels		at;
	int64		pools = 0;
	int			knots = 0;

	start_levels(&at, s);
	while (next_level(&at))
	{
		Pool		next = {at.wins + at.losses, at.wins, at.score, at.score};

		/* counts are whole numbers: the comparison is exact */
		while (pools > 0 &&
			   pool[pools - 1].wins * next.weight <= next.wins * pool[pools - 1].weight)
		{
			pools--;
			next.to = pool[pools].to;
			next.weight += pool[pools].weight;
			next.wins += pool[pools].wins;
		}
		pool[pools++] = next;
	}
	end_levels(&at);
	for (int64 i = pools - 1; i >= 0; i--)
	{
		x[knots] = pool[i].from;
		y[knots++] = pool[i].wins / pool[i].weight;
		if (pool[i].to > pool[i].from)
		{
			x[knots] = pool[i].to;
			y[knots++] = pool[i].wins / pool[i].weight;
		}
	}
	pfree(pool);
	return knots;
}
