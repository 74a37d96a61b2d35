/*
 * kmeans.c
 *	  k-means: k-means++ starts, then Lloyd's iteration with Hamerly's bounds.
 *
 * Each point keeps an upper bound of the distance to its centre and a lower
 * bound of that to any other; only where they meet are distances computed.
 * The same points in the same order with the same seed give the same bits.
 */
#include "value/cluster_math.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define POLL_EVERY 16384

/*
 * From so many points on, a start also ends when its centres move by less
 * than this share of the mean variance (squares): the last points to change
 * sides of a border would take most of the time.
 */
#define MANY_POINTS 100000
#define STILL 1e-4

static uint64_t
next_random(uint64_t *state)
{
	uint64_t	z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* in [0, 1) */
static double
uniform(uint64_t *state)
{
	return (next_random(state) >> 11) * 0x1p-53;
}

static inline double
distance2(const double *a, const double *b, int d)
{
	double		sum = (a[0] - b[0]) * (a[0] - b[0]);
	int			j;

	/* the usual widths without a loop */
	if (d <= 4)
	{
		if (d > 1)
			sum += (a[1] - b[1]) * (a[1] - b[1]);
		if (d > 2)
			sum += (a[2] - b[2]) * (a[2] - b[2]);
		if (d > 3)
			sum += (a[3] - b[3]) * (a[3] - b[3]);
		return sum;
	}
	for (j = 1; j < d; j++)
		sum += (a[j] - b[j]) * (a[j] - b[j]);
	return sum;
}

/* Nearest centre, and the square of the distance to it */
int
crm_kmeans_nearest(const double *centre, int k, int d, const double *point,
				   double *square)
{
	int			best = 0,
				c;
	double		least = INFINITY;

	for (c = 0; c < k; c++)
	{
		double		s = distance2(point, centre + (size_t) c * d, d);

		if (s < least)
		{
			least = s;
			best = c;
		}
	}
	*square = least;
	return best;
}

/* k-means++: each further centre with probability by squared distance */
static int
plus_plus(const double *point, size_t n, int d, int k, uint64_t *random,
		  double *nearest, double *centre, const CrmFitHost *host)
{
	size_t		i,
				chosen = (size_t) (uniform(random) * n);
	int			c;

	memcpy(centre, point + chosen * d, d * sizeof(double));
	for (i = 0; i < n; i++)
		nearest[i] = INFINITY;
	for (c = 1; c <= k; c++)
	{
		double		total = 0,
					mark;

		for (i = 0; i < n; i++)
		{
			double		s = distance2(point + i * d,
									  centre + (size_t) (c - 1) * d, d);

			if (i % POLL_EVERY == 0)
				host->poll();
			if (s < nearest[i])
				nearest[i] = s;
			total += nearest[i];
		}
		if (c == k || !(total > 0))
			return c;
		mark = uniform(random) * total;
		chosen = n;
		for (i = 0; i < n; i++)
		{
			if (nearest[i] <= 0)
				continue;
			chosen = i;
			mark -= nearest[i];
			if (mark < 0)
				break;
		}
		memcpy(centre + (size_t) c * d, point + chosen * d,
			   d * sizeof(double));
	}
	return k;
}

typedef struct Work
{
	double	   *centre,
			   *moved,			/* how far each centre moved */
			   *half,			/* half the distance to the nearest other */
			   *sum,
			   *upper,
			   *lower;
	int64_t    *size;
	int		   *of;
} Work;

/* Sums and sizes anew, so that rounding does not build up */
static void
recount(const double *point, size_t n, int d, int k, Work *w,
		const CrmFitHost *host)
{
	size_t		i;
	int			j;

	memset(w->sum, 0, (size_t) k * d * sizeof(double));
	memset(w->size, 0, k * sizeof(int64_t));
	for (i = 0; i < n; i++)
	{
		double	   *s = w->sum + (size_t) w->of[i] * d;

		if (i % POLL_EVERY == 0)
			host->poll();
		w->size[w->of[i]]++;
		for (j = 0; j < d; j++)
			s[j] += point[i * d + j];
	}
}

/* An empty cluster takes the point farthest from its centre */
static bool
fill_empty(const double *point, size_t n, int d, int k, Work *w,
		   const CrmFitHost *host)
{
	bool		filled = false;
	int			c;

	for (c = 0; c < k; c++)
	{
		size_t		i,
					far = 0;
		double		most = -1;

		if (w->size[c] > 0)
			continue;
		for (i = 0; i < n; i++)
		{
			double		s = distance2(point + i * d, w->centre +
									  (size_t) w->of[i] * d, d);

			if (i % POLL_EVERY == 0)
				host->poll();
			if (s > most && w->size[w->of[i]] > 1)
			{
				most = s;
				far = i;
			}
		}
		if (most < 0)
			continue;
		w->size[w->of[far]]--;
		w->size[c] = 1;
		w->of[far] = c;
		memcpy(w->centre + (size_t) c * d, point + far * d,
			   d * sizeof(double));
		filled = true;
	}
	return filled;
}

/* The two nearest centres of each point, as bounds; its cluster is the nearest. */
static void
first_bounds(const double *point, size_t n, int d, int k, Work *w, const CrmFitHost *host)
{
	for (size_t i = 0; i < n; i++)
	{
		double		first = INFINITY,
					second = INFINITY;

		if (i % POLL_EVERY == 0)
			host->poll();
		for (int c = 0; c < k; c++)
		{
			double		s = distance2(point + i * d, w->centre + (size_t) c * d, d);

			if (s < first)
			{
				second = first;
				first = s;
				w->of[i] = c;
			}
			else if (s < second)
				second = s;
		}
		w->upper[i] = sqrt(first);
		w->lower[i] = sqrt(second);
	}
}

/* Of a coordinate, on average: what a shift of the centres is small against. */
static double
mean_variance(const double *point, size_t n, int d)
{
	double		variance = 0;

	for (int j = 0; j < d; j++)
	{
		double		mean = 0,
					square = 0;

		for (size_t i = 0; i < n; i++)
			mean += point[i * d + j];
		mean /= n;
		for (size_t i = 0; i < n; i++)
			square += (point[i * d + j] - mean) * (point[i * d + j] - mean);
		variance += square / n / d;
	}
	return variance;
}

/* How far centres moved: the farthest, the farthest but one. */
typedef struct Moves
{
	double		most;
	double		next;
	int			most_of;
} Moves;

/* Centres to the means of their clusters; gives the sum of squared shifts. */
static double
move_centres(int d, int k, Work *w, Moves *moves)
{
	double		shift = 0;

	moves->most = moves->next = 0;
	moves->most_of = 0;
	for (int c = 0; c < k; c++)
	{
		double		s = 0;

		for (int j = 0; j < d; j++)
		{
			double		v = w->sum[(size_t) c * d + j] / w->size[c],
						m = v - w->centre[(size_t) c * d + j];

			s += m * m;
			w->centre[(size_t) c * d + j] = v;
		}
		shift += s;
		w->moved[c] = sqrt(s);
		if (w->moved[c] >= moves->most)
		{
			moves->next = moves->most;
			moves->most = w->moved[c];
			moves->most_of = c;
		}
		else if (w->moved[c] > moves->next)
			moves->next = w->moved[c];
	}
	for (int c = 0; c < k; c++)
	{
		double		least = INFINITY;

		for (int e = 0; e < k; e++)
			if (e != c)
				least = fmin(least, distance2(w->centre + (size_t) c * d,
											  w->centre + (size_t) e * d, d));
		w->half[c] = sqrt(least) / 2;
	}
	return shift;
}

/* Give a point to its nearest centre, which its bounds leave open; true if that is another one. */
static bool
assign_point(const double *point, size_t i, int d, int k, Work *w)
{
	int			old = w->of[i],
				now = old;
	double		bound = fmax(w->half[old], w->lower[i]),
				first,
				second = INFINITY;

	if (w->upper[i] < bound)
		return false;
	first = distance2(point + i * d, w->centre + (size_t) old * d, d);
	w->upper[i] = sqrt(first);
	if (w->upper[i] < bound)
		return false;
	for (int c = 0; c < k; c++)
	{
		double		s;

		if (c == old)
			continue;
		s = distance2(point + i * d, w->centre + (size_t) c * d, d);
		if (s < first)
		{
			second = first;
			first = s;
			now = c;
		}
		else if (s < second)
			second = s;
	}
	w->lower[i] = sqrt(second);
	if (now == old)
		return false;
	w->upper[i] = sqrt(first);
	w->of[i] = now;
	w->size[old]--;
	w->size[now]++;
	for (int j = 0; j < d; j++)
	{
		w->sum[(size_t) old * d + j] -= point[i * d + j];
		w->sum[(size_t) now * d + j] += point[i * d + j];
	}
	return true;
}

/* Lloyd's iteration from the centres in w; settled: no point changes its cluster any more. */
static int
lloyd(const double *point, size_t n, int d, int k, Work *w,
	  const CrmFitHost *host, bool *settled)
{
	int			iteration;
	double		variance;

	first_bounds(point, n, d, k, w, host);
	recount(point, n, d, k, w, host);
	if (fill_empty(point, n, d, k, w, host))
		recount(point, n, d, k, w, host);
	variance = n >= MANY_POINTS ? mean_variance(point, n, d) : 0;

	*settled = false;
	for (iteration = 1; iteration <= 1000; iteration++)
	{
		Moves		moves;
		double		shift = move_centres(d, k, w, &moves);
		int64_t		changed = 0;

		for (size_t i = 0; i < n; i++)
		{
			if (i % POLL_EVERY == 0)
				host->poll();
			w->upper[i] += w->moved[w->of[i]];
			w->lower[i] -= w->of[i] == moves.most_of ? moves.next : moves.most;
			changed += assign_point(point, i, d, k, w);
		}
		if (fill_empty(point, n, d, k, w, host))
		{
			/* bounds of all points are void */
			recount(point, n, d, k, w, host);
			for (size_t i = 0; i < n; i++)
			{
				w->upper[i] = INFINITY;
				w->lower[i] = 0;
			}
			changed++;
		}
		if (shift < STILL * variance)
			break;
		if (changed == 0)
		{
			*settled = true;
			break;
		}
	}
	return iteration;
}

static void
run_starts(const double *point, size_t n, int d, int k, uint64_t seed,
		   int starts, const CrmFitHost *host, CrmKmeans *result)
{
	Work		w;
	uint64_t	random = seed;
	int			start;
	size_t		i;
	int			j;

	if ((size_t) k > n)
		k = n;
	w.centre = host->alloc((size_t) k * d * sizeof(double));
	w.sum = host->alloc((size_t) k * d * sizeof(double));
	w.moved = host->alloc(k * sizeof(double));
	w.half = host->alloc(k * sizeof(double));
	w.size = host->alloc(k * sizeof(int64_t));
	w.of = host->alloc(n * sizeof(int));
	w.upper = host->alloc(n * sizeof(double));
	w.lower = host->alloc(n * sizeof(double));
	result->centre = host->alloc((size_t) k * d * sizeof(double));
	result->size = host->alloc(k * sizeof(int64_t));
	result->inertia = INFINITY;
	for (start = 0; start < starts; start++)
	{
		bool		settled;
		int			found = plus_plus(point, n, d, k, &random, w.upper,
									  w.centre, host),
					iterations = lloyd(point, n, d, found, &w, host, &settled);
		double		inertia = 0,
					lost = 0;

		recount(point, n, d, found, &w, host);
		for (j = 0; j < found * d; j++)
			w.centre[j] = w.sum[j] / w.size[j / d];
		for (i = 0; i < n; i++)
		{
			double		y = distance2(point + i * d, w.centre +
									  (size_t) w.of[i] * d, d) - lost,
						t = inertia + y;

			lost = (t - inertia) - y;
			inertia = t;
		}
		if (inertia < result->inertia)
		{
			result->k = found;
			result->iterations = iterations;
			result->settled = settled;
			result->inertia = inertia;
			memcpy(result->centre, w.centre,
				   (size_t) found * d * sizeof(double));
			memcpy(result->size, w.size, found * sizeof(int64_t));
		}
	}
}

/*
 * Where squares of the coordinates would vanish, clusters are looked for in
 * coordinates multiplied by a power of two, which changes no digit.
 */
void
crm_kmeans_run(const double *point, size_t n, int d, int k, uint64_t seed,
			   int starts, const CrmFitHost *host, CrmKmeans *result)
{
	double		top = 0;
	double	   *large;
	int			exponent;

	for (size_t i = 0; i < n * d; i++)
		top = fmax(top, fabs(point[i]));
	if (top == 0 || top > 1e-100)
	{
		run_starts(point, n, d, k, seed, starts, host, result);
		return;
	}
	(void) frexp(top, &exponent);
	large = host->alloc(n * d * sizeof(double));
	for (size_t i = 0; i < n * d; i++)
		large[i] = ldexp(point[i], -exponent);
	run_starts(large, n, d, k, seed, starts, host, result);
	for (size_t i = 0; i < (size_t) result->k * d; i++)
		result->centre[i] = ldexp(result->centre[i], exponent);
	result->inertia = ldexp(result->inertia, 2 * exponent);
}
