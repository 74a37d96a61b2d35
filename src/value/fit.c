/*
 * fit.c
 *	  Likelihoods of a whole customer base over its distinct histories.
 *
 * Terms that depend on one statistic alone (log gamma of r + x, log of
 * alpha + age ...) are computed once per distinct value and evaluation, so
 * that a history costs one exponential and one logarithm.  Sums are kept in
 * blocks and compensated, because the optimiser stops on a gradient of 1e-8.
 */
#include "value/value_math.h"

#include <math.h>
#include <string.h>

#define BLOCK 512

/* The distinct values of one statistic */
typedef struct Distinct
{
	uint32_t   *of;				/* per pattern: which */
	double	   *value;
	size_t		count;
	double	   *table[7];		/* per value: what the model keeps there */
} Distinct;

typedef struct Problem
{
	CrmValueModel model;
	const CrmPatterns *p;
	const CrmFitHost *host;
	double		customers;
	Distinct	x,
				t_x,
				age;
	double		scale[CRM_FIT_MAX]; /* of covariate effects */
	size_t		bytes;
} Problem;

/* Compensated sum */
typedef struct Sum
{
	double		value,
				lost;
} Sum;

static void
add_to_sum(Sum *s, double v)
{
	double		t = s->value + v;

	if (fabs(s->value) >= fabs(v))
		s->lost += (s->value - t) + v;
	else
		s->lost += (v - t) + s->value;
	s->value = t;
}

int
crm_value_parameters(CrmValueModel model)
{
	switch (model)
	{
		case CRM_NBD:
			return 2;
		case CRM_GAMMA_GAMMA:
			return 3;
		default:
			return 4;
	}
}

static void *
take_memory(Problem *p, size_t bytes)
{
	p->bytes += bytes;
	return p->host->alloc(bytes > 0 ? bytes : 8);
}

/* Finds the distinct values of a column by hashing, and makes its tables */
static void
find_distinct(Problem *p, int column, int ntables, Distinct *d)
{
	size_t		n = p->p->count,
				size = 64,
				i;
	uint32_t   *slot;
	double	   *value;

	while (size < n * 2)
		size *= 2;
	slot = take_memory(p, size * sizeof(uint32_t));
	memset(slot, 0xff, size * sizeof(uint32_t));
	value = take_memory(p, n * sizeof(double));
	d->of = take_memory(p, n * sizeof(uint32_t));
	d->count = 0;
	for (i = 0; i < n; i++)
	{
		double		v = p->p->row[i * p->p->width + column];
		uint64_t	bits;
		size_t		at;

		if (i % 8192 == 0)
			p->host->poll();
		memcpy(&bits, &v, sizeof(bits));
		bits *= UINT64_C(0x9E3779B97F4A7C15);
		bits ^= bits >> 29;
		at = bits & (size - 1);
		while (slot[at] != UINT32_MAX && value[slot[at]] != v)
			at = (at + 1) & (size - 1);
		if (slot[at] == UINT32_MAX)
		{
			slot[at] = d->count;
			value[d->count++] = v;
		}
		d->of[i] = slot[at];
	}
	d->value = value;
	for (i = 0; i < ntables; i++)
		d->table[i] = take_memory(p, d->count * sizeof(double));
}

/* log(base + v) for every distinct value */
static void
tabulate_log(Problem *p, Distinct *d, int table, double base)
{
	size_t		i;

	for (i = 0; i < d->count; i++)
	{
		if (i % 16384 == 0)
			p->host->poll();
		d->table[table][i] = log(base + d->value[i]);
	}
}

static void
tabulate_rising(Problem *p, Distinct *d, int table, double base, double more)
{
	size_t		i;

	for (i = 0; i < d->count; i++)
	{
		if (i % 4096 == 0)
			p->host->poll();
		d->table[table][i] = crm_log_rising(base, d->value[i] + more);
		d->table[table + 1][i] = crm_digamma_rise(base, d->value[i] + more);
	}
}

/* BG/NBD and MBG/NBD from the tables */
static void
sum_bg(Problem *p, const double *k, Sum *total)
{
	bool		modified = p->model == CRM_MBGNBD;
	double		r = k[0],
				alpha = k[1],
				a = k[2],
				b = k[3],
				log_alpha = log(alpha),
				more = modified ? 1 : 0;
	size_t		n = p->p->count,
				i = 0,
				j;

	tabulate_rising(p, &p->x, 0, r, 0);
	tabulate_rising(p, &p->x, 2, b, more);
	tabulate_rising(p, &p->x, 4, a + b, more);
	tabulate_log(p, &p->age, 0, alpha);
	tabulate_log(p, &p->t_x, 0, alpha);
	for (j = 0; j < p->x.count; j++)
		if (modified || p->x.value[j] > 0)
			p->x.table[6][j] = log(a / (b + p->x.value[j] - 1 + more));
	while (i < n)
	{
		size_t		end = i + BLOCK < n ? i + BLOCK : n;
		double		part[5] = {0, 0, 0, 0, 0};

		if (i % (BLOCK * 16) == 0)
			p->host->poll();
		for (; i < end; i++)
		{
			const double *row = p->p->row + i * p->p->width;
			double		w = p->p->weight[i],
						x = row[0],
						A = alpha + row[2],
						log_A = p->age.table[0][p->age.of[i]],
						since = log_alpha - log_A,
						g_r,
						g_alpha,
						g_a,
						g_b,
						value;

			j = p->x.of[i];
			g_r = p->x.table[1][j] + since;
			g_alpha = r * row[2] / (alpha * A) - x / A;
			g_a = -p->x.table[5][j];
			g_b = p->x.table[3][j] - p->x.table[5][j];
			value = p->x.table[0][j] + p->x.table[2][j] - p->x.table[4][j] +
				r * since - x * log_A;
			if (modified || x > 0)
			{
				double		from = alpha + row[1],
							gap = log_A - p->t_x.table[0][p->t_x.of[i]],
							trial = b + x - 1 + more,
							d = p->x.table[6][j] + (r + x) * gap,
							e = exp(-fabs(d)),
							gone = (d >= 0 ? 1 : e) / (1 + e);

				value += (d > 0 ? d : 0) + log1p(e);
				g_r += gone * gap;
				g_alpha += gone * (r + x) * (1 / A - 1 / from);
				g_a += gone / a;
				g_b -= gone / trial;
			}
			part[0] += w * value;
			part[1] += w * g_r;
			part[2] += w * g_alpha;
			part[3] += w * g_a;
			part[4] += w * g_b;
		}
		for (j = 0; j < 5; j++)
			add_to_sum(&total[j], part[j]);
	}
}

/* What one history adds: value, gradient, and slopes along the covariates. */
typedef struct OneHistory
{
	double		value;
	double		g[4];
	double		of_dropout;		/* factors that the covariates make */
	double		of_purchase;
	double		slope_dropout;
	double		slope_purchase;
} OneHistory;

static void
covariate_factors(const Problem *p, const double *k, const double *row, OneHistory *h)
{
	int			np = crm_value_parameters(p->model),
				nd = p->p->ndropout,
				nc = nd + p->p->npurchase,
				c;
	double		sum = 0;

	h->of_dropout = h->of_purchase = 1;
	if (nc == 0)
		return;
	for (c = 0; c < nd; c++)
		sum += k[np + c] * row[3 + c];
	h->of_dropout = exp(sum);
	for (sum = 0; c < nc; c++)
		sum += k[np + c] * row[3 + c];
	h->of_purchase = exp(-sum);
}

static void
history_bg(const Problem *p, const double *k, const double *row, OneHistory *h)
{
	CrmBg		m = {p->model == CRM_MBGNBD, k[0], k[1] * h->of_purchase,
	k[2] * h->of_dropout, k[3] * h->of_dropout};

	h->value = crm_bg_log_likelihood(&m, row[0], row[1], row[2], h->g);
	h->slope_dropout = m.a * h->g[2] + m.b * h->g[3];
	h->slope_purchase = -m.alpha * h->g[1];
	h->g[1] *= h->of_purchase;
	h->g[2] *= h->of_dropout;
	h->g[3] *= h->of_dropout;
}

/* i: place of the history; without covariates what depends on x is in a table */
static void
history_pareto(const Problem *p, const double *k, const double *row, size_t i, OneHistory *h)
{
	CrmPareto	m = {k[0], k[1] * h->of_purchase, k[2], k[3] / h->of_dropout};

	h->value = crm_pareto_bracket(&m, row[0], row[1], row[2], h->g);
	if (p->p->ndropout + p->p->npurchase == 0)
	{
		h->value += p->x.table[0][p->x.of[i]];
		h->g[0] += p->x.table[1][p->x.of[i]];
	}
	else
	{
		h->value += crm_log_rising(k[0], row[0]);
		h->g[0] += crm_digamma_rise(k[0], row[0]);
	}
	h->slope_dropout = -m.beta * h->g[3];
	h->slope_purchase = -m.alpha * h->g[1];
	h->g[1] *= h->of_purchase;
	h->g[3] /= h->of_dropout;
}

static void
judge_history(const Problem *p, const double *k, const double *row, size_t i, OneHistory *h)
{
	CrmBgbb		bgbb = {k[0], k[1], k[2], k[3]};

	h->value = h->slope_dropout = h->slope_purchase = 0;
	covariate_factors(p, k, row, h);
	switch (p->model)
	{
		case CRM_BGNBD:
		case CRM_MBGNBD:
			history_bg(p, k, row, h);
			break;
		case CRM_PARETONBD:
			history_pareto(p, k, row, i, h);
			break;
		case CRM_NBD:
			h->value = crm_nbd_log_likelihood(k[0], k[1], row[0], row[2], h->g);
			break;
		case CRM_BGBB:
			h->value = crm_bgbb_log_likelihood(&bgbb, row[0], row[1], row[2], h->g);
			break;
		case CRM_GAMMA_GAMMA:
			h->value = crm_gg_log_likelihood(k[0], k[1], k[2], row[0], row[1], h->g);
			break;
	}
}

/* All other models: one history at a time */
static void
sum_each(Problem *p, const double *k, Sum *total)
{
	int			np = crm_value_parameters(p->model),
				nd = p->p->ndropout,
				nc = nd + p->p->npurchase,
				c;
	size_t		n = p->p->count,
				i = 0;

	if (p->model == CRM_PARETONBD && nc == 0)
		tabulate_rising(p, &p->x, 0, k[0], 0);
	while (i < n)
	{
		size_t		end = i + BLOCK < n ? i + BLOCK : n;
		double		part[CRM_FIT_MAX + 1] = {0};

		p->host->poll();
		for (; i < end; i++)
		{
			const double *row = p->p->row + i * p->p->width;
			double		w = p->p->weight[i];
			OneHistory	h;

			judge_history(p, k, row, i, &h);
			part[0] += w * h.value;
			for (c = 0; c < np; c++)
				part[1 + c] += w * h.g[c];
			for (c = 0; c < nc; c++)
				part[1 + np + c] += w * row[3 + c] *
					(c < nd ? h.slope_dropout : h.slope_purchase);
		}
		for (c = 0; c < 1 + np + nc; c++)
			add_to_sum(&total[c], part[c]);
	}
}

static double
objective(const double *theta, double *gradient, void *arg)
{
	Problem    *p = arg;
	int			np = crm_value_parameters(p->model),
				nc = p->p->ndropout + p->p->npurchase,
				i;
	double		k[CRM_FIT_MAX];
	Sum			total[CRM_FIT_MAX + 1];

	for (i = 0; i < np; i++)
		k[i] = exp(theta[i]);
	for (; i < np + nc; i++)
		k[i] = theta[i] * p->scale[i];
	memset(total, 0, sizeof(total));
	if (nc == 0 && (p->model == CRM_BGNBD || p->model == CRM_MBGNBD))
		sum_bg(p, k, total);
	else
		sum_each(p, k, total);
	for (i = 0; gradient && i < np + nc; i++)
		gradient[i] = -(total[i + 1].value + total[i + 1].lost) *
			(i < np ? k[i] : p->scale[i]) / p->customers;
	return -(total[0].value + total[0].lost) / p->customers;
}

/* Three starts around the moments of the data, in natural parameters */
static void
starts(const Problem *p, double *start)
{
	static const double bg[3][4] = {
		{1, 1, 1, 3}, {0.3, 0.3, 0.5, 1}, {3, 3, 1, 12}
	};
	static const double pareto[3][4] = {
		{1, 1, 0.6, 0.4}, {0.4, 0.4, 0.3, 0.1}, {3, 3, 1.5, 2}
	};
	static const double bgbb[3][4] = {
		{1, 1, 0.5, 3}, {0.5, 0.5, 1, 6}, {2, 1, 0.2, 2}
	};
	static const double spend[3][3] = {
		{5, 4, 0.6}, {1, 2, 1}, {20, 10, 0.45}
	};
	int			np = crm_value_parameters(p->model),
				n = np + p->p->ndropout + p->p->npurchase,
				i,
				j;
	double		x = 0,
				age = 0,
				money = 0,
				per_purchase;
	size_t		row;

	for (row = 0; row < p->p->count; row++)
	{
		const double *v = p->p->row + row * p->p->width;

		x += p->p->weight[row] * v[0];
		money += p->p->weight[row] * v[1];
		age += p->p->weight[row] * v[2];
	}
	age = fmax(age / p->customers, 1e-12);
	money /= p->customers;
	per_purchase = age / fmax(x / p->customers, 1e-3);
	for (i = 0; i < 3; i++)
		for (j = 0; j < n; j++)
		{
			double		v = 1;

			if (j < np)
				switch (p->model)
				{
					case CRM_BGNBD:
					case CRM_MBGNBD:
						v = bg[i][j] * (j == 1 ? per_purchase : 1);
						break;
					case CRM_PARETONBD:
						v = pareto[i][j] * (j == 1 ? per_purchase :
											j == 3 ? age : 1);
						break;
					case CRM_NBD:
						v = pareto[i][j] * (j == 1 ? per_purchase : 1);
						break;
					case CRM_BGBB:
						v = bgbb[i][j];
						break;
					case CRM_GAMMA_GAMMA:
						v = spend[i][j] * (j == 2 ? money : 1);
						break;
				}
			start[i * n + j] = j < np ? log(v) : 0;
		}
}

/* Tables of one set of patterns */
static void
prepare(Problem *p)
{
	int			nc = p->p->ndropout + p->p->npurchase;

	if (nc > 0 || p->model == CRM_BGBB || p->model == CRM_GAMMA_GAMMA ||
		p->model == CRM_NBD)
		return;
	find_distinct(p, 0, 7, &p->x);
	if (p->model != CRM_PARETONBD)
	{
		find_distinct(p, 1, 1, &p->t_x);
		find_distinct(p, 2, 1, &p->age);
	}
}

/*
 * The optimum of every k-th pattern: a start so near, and a curvature so
 * like, that all the patterns need a quarter of the evaluations.
 */
#define MANY_PATTERNS 20000
#define SAMPLE_PATTERNS 5000

static CrmOptimum *
fit_sample(const Problem *full, const double *start, const double *half_width,
		   int n, int *evaluations)
{
	const CrmPatterns *all = full->p;
	size_t		stride = all->count / SAMPLE_PATTERNS,
				count = all->count / stride,
				i;
	Problem		p = *full;
	CrmPatterns some = *all;
	CrmOptimum *optimum = take_memory(&p, sizeof(*optimum));
	double	   *row = take_memory(&p, count * all->width * sizeof(double)),
			   *weight = take_memory(&p, count * sizeof(double));

	p.customers = 0;
	for (i = 0; i < count; i++)
	{
		memcpy(row + i * all->width, all->row + i * stride * all->width,
			   all->width * sizeof(double));
		weight[i] = all->weight[i * stride];
		p.customers += weight[i];
	}
	some.count = count;
	some.row = row;
	some.weight = weight;
	p.p = &some;
	prepare(&p);
	crm_optimise(n, objective, &p, start, 3, half_width, NULL, full->host,
				 optimum);
	*evaluations = optimum->evaluations;
	return optimum->state == CRM_FIT_CONVERGED ? optimum : NULL;
}

void
crm_value_fit(CrmValueModel model, const CrmPatterns *patterns,
			  const CrmFitHost *host, CrmValueFit *fit)
{
	Problem		p;
	int			np = crm_value_parameters(model),
				nc = patterns->ndropout + patterns->npurchase,
				n = np + nc,
				i,
				j;
	double		start[3 * CRM_FIT_MAX],
				half_width[CRM_FIT_MAX],
				slope[CRM_FIT_MAX];
	size_t		row;
	CrmOptimum *best,
			   *near = NULL;
	int			tried = 0;

	memset(fit, 0, sizeof(*fit));
	memset(&p, 0, sizeof(p));
	p.model = model;
	p.p = patterns;
	p.host = host;
	best = take_memory(&p, sizeof(*best));
	for (row = 0; row < patterns->count; row++)
		p.customers += patterns->weight[row];
	fit->n = n;
	fit->customers = p.customers;
	if (patterns->count <= n)
	{
		fit->state = CRM_FIT_TOO_FEW;
		return;
	}
	prepare(&p);

	/* an effect counts per standard deviation of its covariate */
	for (i = 0; i < nc; i++)
	{
		double		mean = 0,
					square = 0;

		for (row = 0; row < patterns->count; row++)
			mean += patterns->weight[row] *
				patterns->row[row * patterns->width + 3 + i];
		mean /= p.customers;
		for (row = 0; row < patterns->count; row++)
		{
			double		v = patterns->row[row * patterns->width + 3 + i] - mean;

			square += patterns->weight[row] * v * v;
		}
		p.scale[np + i] = square > 0 ? 1 / sqrt(square / p.customers) : 1;
	}
	starts(&p, start);
	for (i = 0; i < n; i++)
		half_width[i] = i < np ? 14 : 20;
	if (patterns->count >= MANY_PATTERNS)
		near = fit_sample(&p, start, half_width, n, &tried);
	crm_optimise(n, objective, &p, start, 3, half_width, near, host, best);

	for (i = 0; i < n; i++)
	{
		fit->estimate[i] = i < np ? exp(best->theta[i]) :
			best->theta[i] * p.scale[i];
		slope[i] = i < np ? fit->estimate[i] : p.scale[i];
	}
	fit->state = best->state;
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			fit->covariance[i * n + j] = best->smallest_eigenvalue > 0 ?
				best->covariance[i * n + j] / p.customers * slope[i] * slope[j] :
				NAN;
	for (i = 0; i < n; i++)
		fit->se[i] = sqrt(fit->covariance[i * n + i]);
	fit->log_likelihood = -best->value * p.customers;
	fit->gradient_norm = best->gradient_norm;
	fit->smallest_eigenvalue = best->smallest_eigenvalue;
	fit->iterations = best->iterations;
	fit->evaluations = best->evaluations + tried;
	fit->bytes = p.bytes;
}
