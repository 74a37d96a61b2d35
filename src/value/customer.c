/*
 * customer.c
 *	  SQL functions of the purchase models for one customer.
 *
 * Arguments are always: the model's parameters, then x, t_x, age, then the
 * question (a horizon, a threshold, a discount).  Everything is checked here,
 * so that the mathematics may rely on it.
 */
#include "base/crm.h"

#include <float.h>
#include <math.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "value/value_face.h"
#include "value/value_math.h"

/* ---- what the mathematics needs of a server ---- */

static void *
host_alloc(size_t bytes)
{
	return MemoryContextAllocHuge(CurrentMemoryContext, Max(bytes, 8));
}

static void
host_release(void *memory)
{
	pfree(memory);
}

static void
host_poll(void)
{
	CHECK_FOR_INTERRUPTS();
}

const CrmFitHost crm_value_host = {host_alloc, host_release, host_poll};

#define ARG(i) PG_GETARG_FLOAT8(i)
#define RESULT(v) return crm_value_result(fcinfo, v)

static double
discount_arg(FunctionCallInfo fcinfo, int i, bool finite_without,
			 const char *why)
{
	double		d = crm_value_not_negative(ARG(i), "discount");

	if (d == 0 && !finite_without)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("without a discount the expected residual purchases are infinite"),
				 errdetail("%s", why),
				 errhint("Give a discount greater than zero.")));
	return d;
}

/*
 * Sum over periods of spend times the purchases expected in the period,
 * discounted by (1 + rate)^-i.
 */
#define MOST_AT_ONCE 16
#define MOST_PERIODS 100000		/* days of 270 years */
typedef void (*Expected) (const void *model, double x, double t_x,
						  double age, double step, int n, double *expected);

static double
by_period(FunctionCallInfo fcinfo, Expected expected, const void *model,
		  double x, double t_x, double age)
{
	double		spend = ARG(7),
				step = crm_value_not_negative(ARG(9), "step"),
				rate = crm_value_not_negative(ARG(10), "rate"),
				now[MOST_AT_ONCE],
				before = 0,
				factor = 1,
				sum = 0;
	int32		periods = PG_GETARG_INT32(8);

	(void) crm_value_finite(spend, "spend");
	if (periods < 0 || periods > MOST_PERIODS)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("number of periods must be from zero to %d", MOST_PERIODS),
				 errhint("Take longer periods, or look less far ahead.")));
	if (periods <= MOST_AT_ONCE && periods > 0)
		expected(model, x, t_x, age, step, periods, now);
	for (int i = 0; i < periods; i++)
	{
		if (periods > MOST_AT_ONCE)
		{
			CHECK_FOR_INTERRUPTS();
			expected(model, x, t_x, age, (i + 1) * step, 1, now);
		}
		factor /= 1 + rate;
		sum += (now[periods > MOST_AT_ONCE ? 0 : i] - before) * factor;
		before = now[periods > MOST_AT_ONCE ? 0 : i];
	}
	return spend * sum;
}

/* ---- BG/NBD and MBG/NBD ---- */

static CrmBg
bg_model(FunctionCallInfo fcinfo, bool modified)
{
	CrmBg		m;

	m.modified = modified;
	m.r = crm_value_positive(ARG(0), "r");
	m.alpha = crm_value_positive(ARG(1), "alpha");
	m.a = crm_value_positive(ARG(2), "a");
	m.b = crm_value_positive(ARG(3), "b");
	return m;
}

static void
bg_expected(const void *m, double x, double t_x, double age, double step,
			int n, double *expected)
{
	crm_bg_expected_steps(m, x, t_x, age, step, n, expected);
}

#define BG_HISTORY(modified) \
	CrmBg		m = bg_model(fcinfo, modified); \
	double		x = ARG(4), \
				t_x = ARG(5), \
				age = ARG(6); \
	crm_value_history(x, &t_x, age)

#define BG_FUNCTIONS(name, modified) \
PG_FUNCTION_INFO_V1(crm_##name##_log_likelihood); \
Datum \
crm_##name##_log_likelihood(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_log_likelihood(&m, x, t_x, age, NULL)); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_p_alive); \
Datum \
crm_##name##_p_alive(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_p_alive(&m, x, t_x, age)); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_expected_purchases); \
Datum \
crm_##name##_expected_purchases(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_expected(&m, x, t_x, age, \
						   crm_value_not_negative(ARG(7), "horizon"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_expected_new); \
Datum \
crm_##name##_expected_new(PG_FUNCTION_ARGS) \
{ \
	CrmBg		m = bg_model(fcinfo, modified); \
	RESULT(crm_bg_expected(&m, 0, 0, 0, \
						   crm_value_not_negative(ARG(4), "horizon"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_survival); \
Datum \
crm_##name##_survival(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_survival(&m, x, t_x, age, \
						   crm_value_not_negative(ARG(7), "horizon"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_time_to_p_alive); \
Datum \
crm_##name##_time_to_p_alive(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_time_to(&m, x, t_x, age, \
						  crm_value_not_negative(ARG(7), "threshold"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_silent_time_to_p_alive); \
Datum \
crm_##name##_silent_time_to_p_alive(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_silent_time_to(&m, x, t_x, age, \
								 crm_value_not_negative(ARG(7), "threshold"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_p_any_purchase); \
Datum \
crm_##name##_p_any_purchase(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_any(&m, x, t_x, age, \
					  crm_value_not_negative(ARG(7), "horizon"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_pmf); \
Datum \
crm_##name##_pmf(PG_FUNCTION_ARGS) \
{ \
	CrmBg		m = bg_model(fcinfo, modified); \
	RESULT(crm_bg_pmf(&m, crm_value_whole(ARG(4), "n"), \
					  crm_value_not_negative(ARG(5), "horizon"))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_dert); \
Datum \
crm_##name##_dert(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(crm_bg_dert(&m, x, t_x, age, \
					   discount_arg(fcinfo, 7, m.a > 1, \
									"They are finite only for a > 1."))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_clv); \
Datum \
crm_##name##_clv(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(ARG(7) * \
		   crm_bg_dert(&m, x, t_x, age, \
					   discount_arg(fcinfo, 8, m.a > 1, \
									"They are finite only for a > 1."))); \
} \
PG_FUNCTION_INFO_V1(crm_##name##_clv_by_period); \
Datum \
crm_##name##_clv_by_period(PG_FUNCTION_ARGS) \
{ \
	BG_HISTORY(modified); \
	RESULT(by_period(fcinfo, bg_expected, &m, x, t_x, age)); \
}

BG_FUNCTIONS(bgnbd, false)
BG_FUNCTIONS(mbgnbd, true)

/* ---- Pareto/NBD ---- */

static CrmPareto
pareto_model(FunctionCallInfo fcinfo)
{
	CrmPareto	m;

	m.r = crm_value_positive(ARG(0), "r");
	m.alpha = crm_value_positive(ARG(1), "alpha");
	m.s = crm_value_positive(ARG(2), "s");
	m.beta = crm_value_positive(ARG(3), "beta");
	return m;
}

static void
pareto_expected(const void *model, double x, double t_x, double age,
				double step, int n, double *expected)
{
	const CrmPareto *m = model;
	double		alive = crm_pareto_p_alive(m, x, t_x, age);
	int			i;

	for (i = 0; i < n; i++)
		expected[i] = alive *
			crm_pareto_expected_alive(m, x, age, (i + 1) * step);
}

#define PARETO_HISTORY \
	CrmPareto	m = pareto_model(fcinfo); \
	double		x = ARG(4), \
				t_x = ARG(5), \
				age = ARG(6); \
	crm_value_history(x, &t_x, age)

PG_FUNCTION_INFO_V1(crm_paretonbd_log_likelihood);
Datum
crm_paretonbd_log_likelihood(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_log_likelihood(&m, x, t_x, age, NULL));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_p_alive);
Datum
crm_paretonbd_p_alive(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_p_alive(&m, x, t_x, age));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_expected_purchases);
Datum
crm_paretonbd_expected_purchases(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_expected(&m, x, t_x, age,
							   crm_value_not_negative(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_expected_new);
Datum
crm_paretonbd_expected_new(PG_FUNCTION_ARGS)
{
	CrmPareto	m = pareto_model(fcinfo);

	RESULT(crm_pareto_expected(&m, 0, 0, 0,
							   crm_value_not_negative(ARG(4), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_survival);
Datum
crm_paretonbd_survival(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_survival(&m, x, t_x, age,
							   crm_value_not_negative(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_time_to_p_alive);
Datum
crm_paretonbd_time_to_p_alive(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_time_to(&m, x, t_x, age,
							  crm_value_not_negative(ARG(7), "threshold")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_silent_time_to_p_alive);
Datum
crm_paretonbd_silent_time_to_p_alive(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_silent_time_to(&m, x, t_x, age,
									 crm_value_not_negative(ARG(7), "threshold")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_p_any_purchase);
Datum
crm_paretonbd_p_any_purchase(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_any(&m, x, t_x, age,
						  crm_value_not_negative(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_pmf);
Datum
crm_paretonbd_pmf(PG_FUNCTION_ARGS)
{
	CrmPareto	m = pareto_model(fcinfo);

	RESULT(crm_pareto_pmf(&m, crm_value_whole(ARG(4), "n"),
						  crm_value_not_negative(ARG(5), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_dert);
Datum
crm_paretonbd_dert(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(crm_pareto_dert(&m, x, t_x, age,
						   discount_arg(fcinfo, 7, m.s > 1,
										"They are finite only for s > 1.")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_clv);
Datum
crm_paretonbd_clv(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(ARG(7) *
		   crm_pareto_dert(&m, x, t_x, age,
						   discount_arg(fcinfo, 8, m.s > 1,
										"They are finite only for s > 1.")));
}

PG_FUNCTION_INFO_V1(crm_paretonbd_clv_by_period);
Datum
crm_paretonbd_clv_by_period(PG_FUNCTION_ARGS)
{
	PARETO_HISTORY;
	RESULT(by_period(fcinfo, pareto_expected, &m, x, t_x, age));
}

/* ---- NBD: purchases without dropout ---- */

PG_FUNCTION_INFO_V1(crm_nbd_log_likelihood_sql);
Datum
crm_nbd_log_likelihood_sql(PG_FUNCTION_ARGS)
{
	double		t_x = ARG(3);

	crm_value_positive(ARG(0), "r");
	crm_value_positive(ARG(1), "alpha");
	crm_value_history(ARG(2), &t_x, ARG(4));
	RESULT(crm_nbd_log_likelihood(ARG(0), ARG(1), ARG(2), ARG(4), NULL));
}

PG_FUNCTION_INFO_V1(crm_nbd_expected_purchases);
Datum
crm_nbd_expected_purchases(PG_FUNCTION_ARGS)
{
	double		t_x = ARG(3);

	crm_value_positive(ARG(0), "r");
	crm_value_positive(ARG(1), "alpha");
	crm_value_history(ARG(2), &t_x, ARG(4));
	RESULT((ARG(0) + ARG(2)) *
		   (crm_value_not_negative(ARG(5), "horizon") / (ARG(1) + ARG(4))));
}

PG_FUNCTION_INFO_V1(crm_nbd_pmf_sql);
Datum
crm_nbd_pmf_sql(PG_FUNCTION_ARGS)
{
	crm_value_positive(ARG(0), "r");
	crm_value_positive(ARG(1), "alpha");
	RESULT(crm_nbd_pmf(ARG(0), ARG(1), crm_value_whole(ARG(2), "n"),
					   crm_value_not_negative(ARG(3), "horizon")));
}

/* ---- BG/BB ---- */

static CrmBgbb
bgbb_model(FunctionCallInfo fcinfo)
{
	CrmBgbb		m;

	m.alpha = crm_value_positive(ARG(0), "alpha");
	m.beta = crm_value_positive(ARG(1), "beta");
	m.gamma = crm_value_positive(ARG(2), "gamma");
	m.delta = crm_value_positive(ARG(3), "delta");
	return m;
}

static double
ahead_arg(double ahead, const char *name)
{
	crm_value_whole(ahead, name);
	if (ahead > 1e7)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("too many opportunities: %g", ahead),
				 errhint("Look less far ahead, or fit the model on longer periods.")));
	return ahead;
}

#define BGBB_HISTORY \
	CrmBgbb		m = bgbb_model(fcinfo); \
	double		x = ARG(4), \
				t_x = ARG(5), \
				n = ARG(6); \
	crm_value_opportunities(x, t_x, n)

PG_FUNCTION_INFO_V1(crm_bgbb_log_likelihood_sql);
Datum
crm_bgbb_log_likelihood_sql(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_log_likelihood(&m, x, t_x, n, NULL));
}

PG_FUNCTION_INFO_V1(crm_bgbb_p_alive_sql);
Datum
crm_bgbb_p_alive_sql(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_p_alive(&m, x, t_x, n, 1));
}

PG_FUNCTION_INFO_V1(crm_bgbb_survival);
Datum
crm_bgbb_survival(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_p_alive(&m, x, t_x, n, ahead_arg(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_expected_purchases);
Datum
crm_bgbb_expected_purchases(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_expected(&m, x, t_x, n, ahead_arg(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_expected_new);
Datum
crm_bgbb_expected_new(PG_FUNCTION_ARGS)
{
	CrmBgbb		m = bgbb_model(fcinfo);

	RESULT(crm_bgbb_expected(&m, 0, 0, 0, ahead_arg(ARG(4), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_p_any_purchase);
Datum
crm_bgbb_p_any_purchase(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_any(&m, x, t_x, n, ahead_arg(ARG(7), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_time_to_p_alive);
Datum
crm_bgbb_time_to_p_alive(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_time_to(&m, x, t_x, n,
							crm_value_not_negative(ARG(7), "threshold")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_silent_time_to_p_alive);
Datum
crm_bgbb_silent_time_to_p_alive(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_silent_time_to(&m, x, t_x, n,
								   crm_value_not_negative(ARG(7), "threshold")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_pmf_sql);
Datum
crm_bgbb_pmf_sql(PG_FUNCTION_ARGS)
{
	CrmBgbb		m = bgbb_model(fcinfo);

	RESULT(crm_bgbb_pmf(&m, crm_value_whole(ARG(4), "n"),
						ahead_arg(ARG(5), "horizon")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_dert_sql);
Datum
crm_bgbb_dert_sql(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(crm_bgbb_dert(&m, x, t_x, n,
						 discount_arg(fcinfo, 7, m.gamma > 1,
									  "They are finite only for gamma > 1.")));
}

PG_FUNCTION_INFO_V1(crm_bgbb_clv);
Datum
crm_bgbb_clv(PG_FUNCTION_ARGS)
{
	BGBB_HISTORY;
	RESULT(ARG(7) *
		   crm_bgbb_dert(&m, x, t_x, n,
						 discount_arg(fcinfo, 8, m.gamma > 1,
									  "They are finite only for gamma > 1.")));
}

/* ---- Gamma-Gamma ---- */

PG_FUNCTION_INFO_V1(crm_gamma_gamma_log_likelihood);
Datum
crm_gamma_gamma_log_likelihood(PG_FUNCTION_ARGS)
{
	double		p = crm_value_positive(ARG(0), "p"),
				q = crm_value_positive(ARG(1), "q"),
				g = crm_value_positive(ARG(2), "gamma"),
				x = crm_value_whole(ARG(3), "x"),
				spend = crm_value_not_negative(ARG(4), "mean_spend");

	/* no purchase says nothing; a mean of zero is outside the model */
	if (x == 0)
		PG_RETURN_FLOAT8(0);
	if (spend == 0)
		PG_RETURN_NULL();
	RESULT(crm_gg_log_likelihood(p, q, g, x, spend, NULL));
}

PG_FUNCTION_INFO_V1(crm_gamma_gamma_expected_spend);
Datum
crm_gamma_gamma_expected_spend(PG_FUNCTION_ARGS)
{
	double		p = crm_value_positive(ARG(0), "p"),
				q = crm_value_positive(ARG(1), "q"),
				g = crm_value_positive(ARG(2), "gamma"),
				x = crm_value_whole(ARG(3), "x"),
				spend = crm_value_not_negative(ARG(4), "mean_spend");

	/* the mean of the population is infinite for q <= 1 */
	if (p * x + q <= 1)
		PG_RETURN_NULL();
	RESULT(p * (g + x * spend) / (p * x + q - 1));
}

/* ---- value without a purchase model ---- */

/*
 * A customer under contract: margin m at the end of each period while
 * retained with probability r, discounted by d.
 */
PG_FUNCTION_INFO_V1(crm_contractual_clv);
Datum
crm_contractual_clv(PG_FUNCTION_ARGS)
{
	double		margin = ARG(0),
				retention = ARG(1),
				discount = crm_value_not_negative(ARG(2), "discount");

	(void) crm_value_finite(margin, "margin");
	if (!(retention >= 0 && retention <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("retention must lie between 0 and 1"),
				 errdetail("It is %g.", retention),
				 errhint("Pass a share, such as 0.8 for four of five.")));
	if (discount == 0 && retention == 1)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a customer who never leaves has no finite value without a discount"),
				 errhint("Give a discount above 0, or a retention below 1.")));
	RESULT(margin * retention / (1 + discount - retention));
}
