/*
 * markov.c
 *	  Removal effects of channels in an absorbing Markov chain, exactly.
 *
 * A state is the last channels of a journey, as many as the order says, fewer
 * at its beginning.  From each state a journey goes on to the next one, to the
 * conversion, or to nothing.  The removal effect of a channel is the share of
 * conversions lost when everybody who comes to it is lost there
 * (Anderl, Becker, von Wangenheim, Schumann 2016).
 *
 * In a chain of order 1 with transient part Q and conversions r, one inverse
 * N = (I - Q)^-1 answers for all channels: a journey ever comes to c with
 * probability (s N)_c / N_cc, and converts from there with (N r)_c, so the
 * product is what is lost, no further system has to be solved.  For higher
 * orders a channel stands in many states, and the system without them is
 * solved by Gauss-Seidel sweeps: its matrix is a substochastic one, for which
 * they converge from above.
 *
 * No journey is simulated, so the answer is the same every time.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "marketing/attribution_math.h"

#define DENSE_STATES 1500		/* up to so many, order 1 is solved by elimination */
#define MAX_SWEEPS 1000000

typedef struct MarkovState
{
	int			nchannels;
	int			channels[MARKOV_MAX_ORDER];
	double		conversion;		/* weight of steps to the conversion */
	double		null;
	double		total;
} MarkovState;

typedef struct MarkovEdge
{
	int			from;			/* MARKOV_START or a state */
	int			to;
	double		weight;
} MarkovEdge;

struct MarkovChain
{
	MemoryContext context;
	int			order;
	double		started;		/* weight of all journeys */
	MarkovState *states;
	int			nstates,
				states_room;
	int		   *state_slot;		/* hash of states; -1: empty */
	uint32		state_mask;
	MarkovEdge *edges;
	int			nedges,
				edges_room;
	int		   *edge_slot;
	uint32		edge_mask;
};

MarkovChain *
crm_markov_new(int order)
{
	MarkovChain *c = palloc0(sizeof(MarkovChain));

	c->context = CurrentMemoryContext;
	c->order = order;
	c->states_room = 64;
	c->states = palloc(sizeof(MarkovState) * c->states_room);
	c->state_mask = 255;
	c->state_slot = palloc(sizeof(int) * (c->state_mask + 1));
	memset(c->state_slot, 0xff, sizeof(int) * (c->state_mask + 1));
	c->edges_room = 256;
	c->edges = palloc(sizeof(MarkovEdge) * c->edges_room);
	c->edge_mask = 1023;
	c->edge_slot = palloc(sizeof(int) * (c->edge_mask + 1));
	memset(c->edge_slot, 0xff, sizeof(int) * (c->edge_mask + 1));
	return c;
}

static uint32
state_hash(int n, const int *channels)
{
	return hash_bytes((const unsigned char *) channels, sizeof(int) * n);
}

static uint32
edge_hash(int from, int to)
{
	return murmurhash32((uint32) from * 2654435761u ^ (uint32) to);
}

static int *
wider_slots(MarkovChain *c, int *slots, uint32 *mask)
{
	pfree(slots);
	*mask = *mask * 2 + 1;
	slots = MemoryContextAllocHuge(c->context, sizeof(int) * ((Size) *mask + 1));
	memset(slots, 0xff, sizeof(int) * ((Size) *mask + 1));
	return slots;
}

/* The number of the state that is a tuple of channels; made where it is new. */
static int
find_state(MarkovChain *c, int n, const int *channels)
{
	uint32		at = state_hash(n, channels) & c->state_mask;
	MarkovState *s;

	for (; c->state_slot[at] >= 0; at = (at + 1) & c->state_mask)
	{
		s = &c->states[c->state_slot[at]];
		if (s->nchannels == n && memcmp(s->channels, channels, sizeof(int) * n) == 0)
			return c->state_slot[at];
	}
	if (c->nstates == c->states_room)
	{
		c->states_room *= 2;
		c->states = repalloc_huge(c->states, sizeof(MarkovState) * c->states_room);
	}
	s = &c->states[c->nstates];
	memset(s, 0, sizeof(MarkovState));
	s->nchannels = n;
	memcpy(s->channels, channels, sizeof(int) * n);
	c->state_slot[at] = c->nstates++;
	if ((uint32) c->nstates * 2 > c->state_mask)
	{
		c->state_slot = wider_slots(c, c->state_slot, &c->state_mask);
		for (int i = 0; i < c->nstates; i++)
		{
			at = state_hash(c->states[i].nchannels, c->states[i].channels) & c->state_mask;
			while (c->state_slot[at] >= 0)
				at = (at + 1) & c->state_mask;
			c->state_slot[at] = i;
		}
	}
	return c->nstates - 1;
}

static void
add_edge(MarkovChain *c, int from, int to, double weight)
{
	uint32		at = edge_hash(from, to) & c->edge_mask;

	for (; c->edge_slot[at] >= 0; at = (at + 1) & c->edge_mask)
	{
		MarkovEdge *e = &c->edges[c->edge_slot[at]];

		if (e->from == from && e->to == to)
		{
			e->weight += weight;
			return;
		}
	}
	if (c->nedges == c->edges_room)
	{
		c->edges_room *= 2;
		c->edges = repalloc_huge(c->edges, sizeof(MarkovEdge) * c->edges_room);
	}
	c->edges[c->nedges].from = from;
	c->edges[c->nedges].to = to;
	c->edges[c->nedges].weight = weight;
	c->edge_slot[at] = c->nedges++;
	if ((uint32) c->nedges * 2 > c->edge_mask)
	{
		c->edge_slot = wider_slots(c, c->edge_slot, &c->edge_mask);
		for (int i = 0; i < c->nedges; i++)
		{
			at = edge_hash(c->edges[i].from, c->edges[i].to) & c->edge_mask;
			while (c->edge_slot[at] >= 0)
				at = (at + 1) & c->edge_mask;
			c->edge_slot[at] = i;
		}
	}
}

/* So many journeys of one path that converted, and that did not. */
void
crm_markov_add(MarkovChain *c, int n, const int *channels, double conversions, double nulls)
{
	double		weight = conversions + nulls;
	int			from = MARKOV_START;

	if (n == 0 || weight == 0)
		return;
	c->started += weight;
	for (int i = 0; i < n; i++)
	{
		int			length = Min(i + 1, c->order);
		int			to = find_state(c, length, channels + i + 1 - length);

		CHECK_FOR_INTERRUPTS();
		add_edge(c, from, to, weight);
		if (from >= 0)
			c->states[from].total += weight;
		from = to;
	}
	c->states[from].total += weight;
	c->states[from].conversion += conversions;
	c->states[from].null += nulls;
}

/* ---- solving ---- */

/* Steps out of each state, row by row. */
typedef struct Rows
{
	int			n;
	int		   *begin;			/* n + 1 */
	int		   *to;
	double	   *p;
	double	   *self;			/* probability of staying */
	double	   *convert;
	double	   *start;			/* probability of beginning there */
} Rows;

static Rows *
make_rows(const MarkovChain *c)
{
	Rows	   *r = palloc0(sizeof(Rows));
	int		   *place;

	r->n = c->nstates;
	r->begin = palloc0(sizeof(int) * (r->n + 1));
	r->to = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int) * Max(c->nedges, 1));
	r->p = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * Max(c->nedges, 1));
	r->self = palloc0(sizeof(double) * Max(r->n, 1));
	r->convert = palloc0(sizeof(double) * Max(r->n, 1));
	r->start = palloc0(sizeof(double) * Max(r->n, 1));
	place = palloc0(sizeof(int) * Max(r->n, 1));
	for (int i = 0; i < c->nedges; i++)
		if (c->edges[i].from >= 0 && c->edges[i].from != c->edges[i].to)
			r->begin[c->edges[i].from + 1]++;
	for (int i = 0; i < r->n; i++)
	{
		r->begin[i + 1] += r->begin[i];
		place[i] = r->begin[i];
		r->convert[i] = c->states[i].conversion / c->states[i].total;
	}
	for (int i = 0; i < c->nedges; i++)
	{
		const MarkovEdge *e = &c->edges[i];

		if (e->from == MARKOV_START)
			r->start[e->to] = e->weight / c->started;
		else if (e->from == e->to)
			r->self[e->from] = e->weight / c->states[e->from].total;
		else
		{
			r->to[place[e->from]] = e->to;
			r->p[place[e->from]++] = e->weight / c->states[e->from].total;
		}
	}
	return r;
}

/*
 * The probability of converting from each state, where states marked gone
 * lose everybody.  p: where to begin, from above; then the answer.
 */
static void
sweep(const Rows *r, const bool *gone, double *p)
{
	for (int turn = 0; turn < MAX_SWEEPS; turn++)
	{
		double		most = 0;

		CHECK_FOR_INTERRUPTS();
		for (int i = r->n - 1; i >= 0; i--)
		{
			double		sum = r->convert[i];

			if (gone && gone[i])
			{
				p[i] = 0;
				continue;
			}
			for (int e = r->begin[i]; e < r->begin[i + 1]; e++)
				sum += r->p[e] * p[r->to[e]];
			/* who stays for ever never converts */
			sum = r->self[i] < 1 ? sum / (1 - r->self[i]) : 0;
			most = Max(most, fabs(sum - p[i]));
			p[i] = sum;
		}
		if (most < 1e-15)
			return;
	}
}

/* The inverse of I - Q in place of a, n x n by rows,
	by Gauss-Jordan with pivots; false: singular. */
static bool
invert(double *a, int n)
{
	int		   *row = palloc(sizeof(int) * n);

	for (int k = 0; k < n; k++)
	{
		int			best = k;
		double		pivot;

		CHECK_FOR_INTERRUPTS();
		for (int i = k + 1; i < n; i++)
			if (fabs(a[(Size) i * n + k]) > fabs(a[(Size) best * n + k]))
				best = i;
		row[k] = best;
		pivot = a[(Size) best * n + k];
		if (!(fabs(pivot) > 1e-300))
			return false;
		if (best != k)
			for (int j = 0; j < n; j++)
			{
				double		x = a[(Size) k * n + j];

				a[(Size) k * n + j] = a[(Size) best * n + j];
				a[(Size) best * n + j] = x;
			}
		a[(Size) k * n + k] = 1;
		for (int j = 0; j < n; j++)
			a[(Size) k * n + j] /= pivot;
		for (int i = 0; i < n; i++)
		{
			double		x = a[(Size) i * n + k];

			if (i == k || x == 0)
				continue;
			a[(Size) i * n + k] = 0;
			for (int j = 0; j < n; j++)
				a[(Size) i * n + j] -= x * a[(Size) k * n + j];
		}
	}
	for (int k = n - 1; k >= 0; k--)
		if (row[k] != k)
			for (int i = 0; i < n; i++)
			{
				double		x = a[(Size) i * n + k];

				a[(Size) i * n + k] = a[(Size) i * n + row[k]];
				a[(Size) i * n + row[k]] = x;
			}
	pfree(row);
	return true;
}

/* Order 1, few states: one inverse for all channels. */
static bool
solve_dense(const MarkovChain *c, const Rows *r, MarkovAnswer *answer)
{
	int			n = r->n;
	double	   *a = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * n * n);
	double		whole = 0;

	memset(a, 0, sizeof(double) * n * n);
	for (int i = 0; i < n; i++)
	{
		a[(Size) i * n + i] = 1 - r->self[i];
		for (int e = r->begin[i]; e < r->begin[i + 1]; e++)
			a[(Size) i * n + r->to[e]] = -r->p[e];
	}
	if (!invert(a, n))
		return false;
	for (int i = 0; i < n; i++)
	{
		double		converts = 0,
					visits = 0,
					lost;

		for (int j = 0; j < n; j++)
		{
			converts += a[(Size) i * n + j] * r->convert[j];
			visits += r->start[j] * a[(Size) j * n + i];
		}
		whole += r->start[i] * converts;
		lost = visits / a[(Size) i * n + i] * converts;
		answer->removal[c->states[i].channels[0]] = Max(lost, 0);
	}
	answer->probability = whole;
	for (int i = 0; i < n; i++)
	{
		double	   *share = &answer->removal[c->states[i].channels[0]];

		*share = whole > 0 ? Min(*share / whole, 1) : 0;
	}
	pfree(a);
	return true;
}

static double
begun(const Rows *r, const double *p)
{
	double		sum = 0;

	for (int i = 0; i < r->n; i++)
		sum += r->start[i] * p[i];
	return sum;
}

/* answer->removal has room for every channel. */
void
crm_markov_solve(MarkovChain *c, int nchannels, MarkovAnswer *answer)
{
	Rows	   *r = make_rows(c);
	double	   *p,
			   *without;
	bool	   *gone,
			   *seen;

	memset(answer->removal, 0, sizeof(double) * nchannels);
	answer->probability = 0;
	if (r->n == 0)
		return;
	if (c->order == 1 && r->n <= DENSE_STATES && solve_dense(c, r, answer))
		return;
	p = palloc(sizeof(double) * r->n);
	without = palloc(sizeof(double) * r->n);
	gone = palloc(sizeof(bool) * r->n);
	seen = palloc0(sizeof(bool) * nchannels);
	for (int i = 0; i < r->n; i++)
	{
		p[i] = 1;
		for (int j = 0; j < c->states[i].nchannels; j++)
			seen[c->states[i].channels[j]] = true;
	}
	sweep(r, NULL, p);
	answer->probability = begun(r, p);
	for (int k = 0; k < nchannels; k++)
	{
		if (!seen[k] || !(answer->probability > 0))
			continue;
		for (int i = 0; i < r->n; i++)
		{
			gone[i] = false;
			for (int j = 0; j < c->states[i].nchannels; j++)
				gone[i] |= c->states[i].channels[j] == k;
		}
		memcpy(without, p, sizeof(double) * r->n);
		sweep(r, gone, without);
		answer->removal[k] = Min(Max(1 - begun(r, without) / answer->probability, 0), 1);
	}
}

/* ---- looking at the chain ---- */

/* Every step with its weight and its probability among the steps from the same state. */
MarkovStep *
crm_markov_steps(MarkovChain *c, int *n)
{
	Size		most = c->nedges + 2 * (Size) c->nstates + 1;
	MarkovStep *steps = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(MarkovStep) * most);

	*n = 0;
	for (int i = 0; i < c->nedges; i++)
	{
		const MarkovEdge *e = &c->edges[i];
		double		all = e->from >= 0 ? c->states[e->from].total : c->started;

		steps[(*n)++] = (MarkovStep) {e->from, e->to, e->weight, e->weight / all};
	}
	for (int i = 0; i < c->nstates; i++)
	{
		const MarkovState *s = &c->states[i];

		if (s->conversion > 0)
			steps[(*n)++] = (MarkovStep) {i, MARKOV_CONVERSION, s->conversion,
										  s->conversion / s->total};
		if (s->null > 0)
			steps[(*n)++] = (MarkovStep) {i, MARKOV_NULL, s->null, s->null / s->total};
	}
	return steps;
}

/* The channels of a state, the oldest first. */
int
crm_markov_state(const MarkovChain *c, int state, const int **channels)
{
	*channels = c->states[state].channels;
	return c->states[state].nchannels;
}
