/*
 * value_extremes.c
 *	  Point functions of the purchase models over extreme parameters: every
 *	  answer is in its range, and none takes more than a bounded number of
 *	  steps.  Work is counted, not timed: an integrand counts as ten steps.
 */
#include "value/value_math.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LENGTH(a) ((int) (sizeof(a) / sizeof((a)[0])))

static const char *name;
static char at[256];
static int	failed = 0;
static long calls = 0;

/* an answer between lo and hi, within so many steps */
static void
check(const char *what, double v, double lo, double hi, unsigned long most)
{
	calls++;
	if ((!(v >= lo && v <= hi) || crm_evaluations > most) && failed++ < 20)
		printf("%s_%s(%s) = %.17g after %lu steps of at most %lu\n",
			   name, what, at, v, crm_evaluations, most);
	crm_evaluations = 0;
}

static void
bg(bool modified, double r, double alpha, double a, double b, double x,
   double t_x, double age, double horizon)
{
	CrmBg		m = {modified, r, alpha, a, b};
	double		all = (r + x) * horizon / (alpha + age) * (1 + 1e-9),
				steps[12],
				alive = crm_bg_p_alive(&m, x, t_x, age);

	name = modified ? "mbgnbd" : "bgnbd";
	snprintf(at, sizeof(at), "%g, %g, %g, %g, %g, %g, %g, %g", r, alpha, a, b,
			 x, t_x, age, horizon);
	check("p_alive", alive, 0, 1, 0);
	check("log_likelihood", crm_bg_log_likelihood(&m, x, t_x, age, NULL),
		  -1e9, 1e9, 0);
	check("expected_purchases", crm_bg_expected(&m, x, t_x, age, horizon),
		  0, all, 5000);
	check("survival", crm_bg_survival(&m, x, t_x, age, horizon), 0,
		  alive * (1 + 1e-9), 20000);
	check("time_to_p_alive", crm_bg_time_to(&m, x, t_x, age, 0.5), 0,
		  INFINITY, 60000);
	check("time_to_p_alive", crm_bg_time_to(&m, x, t_x, age, 0.9 * alive), 0,
		  INFINITY, 60000);
	check("p_any_purchase", crm_bg_any(&m, x, t_x, age, horizon), 0, 1, 0);
	check("pmf", crm_bg_pmf(&m, x, horizon), 0, 1, 1000);
	check("dert", crm_bg_dert(&m, x, t_x, age, 0.001), 0,
		  (r + x) / (alpha + age) / 0.001 * (1 + 1e-9), 20000);
	crm_bg_expected_steps(&m, x, t_x, age, horizon / 12, 12, steps);
	check("clv_by_period", steps[11], 0, all, 60000);
}

static void
pareto(double r, double alpha, double s, double beta, double x, double t_x,
	   double age, double horizon)
{
	CrmPareto	m = {r, alpha, s, beta};

	name = "paretonbd";
	snprintf(at, sizeof(at), "%g, %g, %g, %g, %g, %g, %g, %g", r, alpha, s,
			 beta, x, t_x, age, horizon);
	check("p_alive", crm_pareto_p_alive(&m, x, t_x, age), 0, 1, 3000);
	check("log_likelihood", crm_pareto_log_likelihood(&m, x, t_x, age, NULL),
		  -1e9, 1e9, 3000);
	check("expected_purchases", crm_pareto_expected(&m, x, t_x, age, horizon),
		  0, (r + x) * horizon / (alpha + age) * (1 + 1e-9), 3000);
	check("time_to_p_alive", crm_pareto_time_to(&m, x, t_x, age, 0.5), 0,
		  INFINITY, 3000);
	check("p_any_purchase", crm_pareto_any(&m, x, t_x, age, horizon), 0,
		  1 + 1e-12, 6000);
	check("pmf", crm_pareto_pmf(&m, x, horizon), 0, 1 + 1e-12, 16000);
	check("dert", crm_pareto_dert(&m, x, t_x, age, 0.001), 0,
		  (r + x) / (alpha + age) / 0.001 * (1 + 1e-9), 4000);
}

static void
bgbb(double alpha, double beta, double gamma, double delta, double x,
	 double t_x, double n, double horizon)
{
	CrmBgbb		m = {alpha, beta, gamma, delta};

	name = "bgbb";
	snprintf(at, sizeof(at), "%g, %g, %g, %g, %g, %g, %g, %g", alpha, beta,
			 gamma, delta, x, t_x, n, horizon);
	check("p_alive", crm_bgbb_p_alive(&m, x, t_x, n, 1), 0, 1, 10000);
	check("expected_purchases", crm_bgbb_expected(&m, x, t_x, n, horizon), 0,
		  horizon, 20000);
	check("p_any_purchase", crm_bgbb_any(&m, x, t_x, n, horizon), 0, 1,
		  20000);
	check("pmf", crm_bgbb_pmf(&m, x, n), 0, 1 + 1e-9, 10000);
	check("time_to_p_alive", crm_bgbb_time_to(&m, x, t_x, n, 0.5), 0,
		  INFINITY, 10000);
	check("dert", crm_bgbb_dert(&m, x, t_x, n, 1e-9), 0, 1e9, 20000);
	check("dert", crm_bgbb_dert(&m, x, t_x, n, 0.01), 0, 100 + 1e-6, 20000);
}

int
main(void)
{
	static const double dropout[] = {1e-9, 8.837441528694072e-07, 0.01, 0.6,
	1, 30, 1e6};
	static const double other[] = {1e-3, 0.4, 2.5, 16302.55802482207, 1e6};
	static const double rate[] = {0.05, 0.8275585239839289, 60};
	static const double scale[] = {0.1, 9.870364582765943, 1e4};
	static const double bought[] = {0, 1, 40, 10000};
	static const double ages[] = {1, 300, 10000};
	static const double horizons[] = {0.5, 30, 10000};
	int			a,
				b,
				r,
				l,
				x,
				g,
				h;

	for (a = 0; a < LENGTH(dropout); a++)
		for (b = 0; b < LENGTH(other); b++)
			for (r = 0; r < LENGTH(rate); r++)
				for (l = 0; l < LENGTH(scale); l++)
					for (x = 0; x < LENGTH(bought); x++)
						for (g = 0; g < LENGTH(ages); g++)
						{
							double		t = bought[x] == 0 ? 0 :
								ages[g] * ((a + b + g) % 2 ? 0.98 : 0.2);

							h = (a + b + r + l + x) % 3;
							bg(false, rate[r], scale[l], dropout[a],
							   other[b], bought[x], t, ages[g], horizons[h]);
							bg(true, rate[r], scale[l], dropout[a],
							   other[b], bought[x], t, ages[g], horizons[h]);
							pareto(rate[r], scale[l], dropout[a],
								   other[b], bought[x], t, ages[g],
								   horizons[h]);
						}
	for (a = 0; a < LENGTH(dropout); a++)
		for (b = 0; b < LENGTH(dropout); b++)
			for (r = 0; r < LENGTH(dropout); r++)
				for (l = 0; l < LENGTH(dropout); l++)
				{
					double		n = ages[(a + b) % 3],
								t = floor(n * ((r + l) % 3) / 2);

					bgbb(dropout[a], dropout[b], dropout[r], dropout[l],
						 t == 0 ? 0 : ceil(t * 0.4), t, n,
						 ceil(horizons[(a + r) % 3]));
				}
	printf("%ld answers, %d out of bounds\n", calls, failed);
	return failed > 0 || calls == 0;
}
