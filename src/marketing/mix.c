/*
 * mix.c
 *	  Marketing mix models: the functions that SQL calls.
 *
 * The aggregate keeps its rows as they come and sorts them by period at the
 * end, so their order does not count.  A model is a JSON document: what was
 * found, named by channel, for the functions that answer from it.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "marketing/mix_math.h"
#include "marketing/mix_rows.h"
#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_adstock);
PG_FUNCTION_INFO_V1(crm_adstock_weibull);
PG_FUNCTION_INFO_V1(crm_hill_saturation);
PG_FUNCTION_INFO_V1(crm_mix_accum);
PG_FUNCTION_INFO_V1(crm_mix_final);
PG_FUNCTION_INFO_V1(crm_mix_effect);
PG_FUNCTION_INFO_V1(crm_mix_spend);

/* ---- series ---- */

static const double *
series(FunctionCallInfo fcinfo, int i, int *n)
{
	bool		has_null;
	const double *x = crm_model_double_array(PG_GETARG_DATUM(i), n, &has_null);

	for (int t = 0; !has_null && t < *n; t++)
		if (!isfinite(x[t]) || x[t] < 0)
			has_null = true;
	if (has_null)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a value of the series is null, negative or not finite"),
				 errhint("Spend and pressure are numbers from 0 on; put 0 where there was none.")));
	return x;
}

/* A parameter between bounds. */
static double
within_bounds(double x, const char *name, double least, double most)
{
	if (!(x >= least && x <= most))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("%s is %g, not from %g to %g", name, x, least, most),
				 errhint("See the comment of the function for what it means.")));
	return x;
}

Datum
crm_adstock(PG_FUNCTION_ARGS)
{
	int			n;
	const double *x = series(fcinfo, 0, &n);
	double		theta = within_bounds(PG_GETARG_FLOAT8(1), "theta", 0, 0.999999);
	double	   *out = palloc(sizeof(double) * Max(n, 1));

	crm_mix_geometric(x, n, theta, out);
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(out, n, false));
}

Datum
crm_adstock_weibull(PG_FUNCTION_ARGS)
{
	int			n;
	const double *x = series(fcinfo, 0, &n);
	double		shape = within_bounds(PG_GETARG_FLOAT8(1), "shape", 0, 100);
	double		scale = within_bounds(PG_GETARG_FLOAT8(2), "scale", 0, 1);
	double	   *out = palloc(sizeof(double) * Max(n, 1));

	crm_mix_weibull(x, n, shape, scale, !PG_GETARG_BOOL(3), out);
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(out, n, false));
}

Datum
crm_hill_saturation(PG_FUNCTION_ARGS)
{
	int			n;
	const double *x = series(fcinfo, 0, &n);
	double		alpha = within_bounds(PG_GETARG_FLOAT8(1), "alpha", 1e-6, 100);
	double		inflexion = within_bounds(PG_GETARG_FLOAT8(2), "gamma", 1e-9,
										  1e9) * crm_mix_most(x,
																							  n);
	double	   *out = palloc(sizeof(double) * Max(n, 1));

	for (int t = 0; t < n; t++)
		out[t] = crm_mix_hill(x[t], alpha, inflexion);
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(out, n, false));
}

/* ---- the fit ---- */

/* (state, period, y, spend, controls, options) */
Datum
crm_mix_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context,
				old;
	MixRows    *rows;

	crm_model_memory(fcinfo, &context, "crm.mix_model_fit");
	old = MemoryContextSwitchTo(context);
	rows = PG_ARGISNULL(0) ? crm_mix_rows_new(PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P_COPY(5)) :
		(MixRows *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(0) && !crm_setting_is_fixed(fcinfo, 5) &&
		!crm_mix_same_options(rows, PG_ARGISNULL(5) ? NULL : PG_GETARG_JSONB_P(5)))
		crm_setting_differs("crm.mix_model_fit", "options");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		rows->left_out++;
	else
		crm_mix_rows_add(rows, PG_GETARG_DATEADT(1), PG_GETARG_FLOAT8(2),
						 PG_GETARG_JSONB_P_COPY(3),
						 PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P_COPY(4));
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(rows);
}

/* "name": value, with null for what is no number */
static void
put_number(StringInfo to, const char *name, double value)
{
	if (name != NULL)
		appendStringInfo(to, "%s\"%s\": ", to->data[to->len - 1] == '{' ? "" : ", ", name);
	if (isfinite(value))
		appendStringInfoString(to, float8out_internal(value));
	else
		appendStringInfoString(to, "null");
}

static void
put_flag(StringInfo to, const char *name, bool value)
{
	appendStringInfo(to, ", \"%s\": %s", name, value ? "true" : "false");
}

static void
put_name(StringInfo to, const char *key, const char *name)
{
	appendStringInfo(to, "{\"%s\": ", key);
	escape_json(to, name);
}

static void
put_column(StringInfo to, const MixFit *fit, int j)
{
	put_number(to, "coefficient", fit->coefficient[j]);
	put_number(to, "standardised", fit->standardised[j]);
	put_number(to, "standard_error", fit->std_error[j]);
	put_number(to, "low", fit->low[j]);
	put_number(to, "high", fit->high[j]);
	put_number(to, "vif", fit->vif[j]);
	put_flag(to, "aliased", fit->aliased[j]);
}

static void
put_channels(StringInfo to, const MixProblem *p, const MixFit *fit)
{
	double		all = 0;

	for (int t = 0; t < p->data.n; t++)
		all += p->data.y[t];
	appendStringInfoString(to, ", \"channels\": [");
	for (int c = 0; c < p->data.nchannels; c++)
	{
		double		spent = 0;

		for (int t = 0; t < p->data.n; t++)
			spent += p->data.spend[c][t];
		appendStringInfoString(to, c > 0 ? ", " : "");
		put_name(to, "channel", p->channel[c]);
		put_column(to, fit, c);
		put_flag(to, "held_at_zero", fit->held[c]);
		if (p->settings.adstock == MIX_GEOMETRIC)
			put_number(to, "theta", fit->shapes[c].theta);
		else if (p->settings.adstock != MIX_NO_ADSTOCK)
		{
			put_number(to, "shape", fit->shapes[c].shape);
			put_number(to, "scale", fit->shapes[c].scale);
		}
		if (p->settings.saturation)
		{
			put_number(to, "alpha", fit->shapes[c].alpha);
			put_number(to, "gamma", fit->shapes[c].gamma);
			put_number(to, "inflexion", fit->shapes[c].gamma * fit->most[c]);
		}
		put_number(to, "gain", crm_mix_kernel_sum(p->settings.adstock, &fit->shapes[c],
												  p->data.n));
		put_number(to, "last_pressure", fit->last[c]);
		put_number(to, "spend", spent);
		put_number(to, "contribution", fit->contribution[c]);
		put_number(to, "share", all > 0 ? fit->contribution[c] / all : get_float8_nan());
		put_number(to, "return", spent > 0 ? fit->contribution[c] / spent : get_float8_nan());
		appendStringInfoChar(to, '}');
	}
	appendStringInfoChar(to, ']');
}

/* Sentences about what the figures cannot say. */
static void
put_advice(StringInfo to, const MixProblem *p, const MixFit *fit)
{
	int			columns = p->data.nchannels + p->data.nothers;
	const char *comma = "";

	appendStringInfoString(to, ", \"advice\": [");
	for (int j = 0; j < columns; j++)
	{
		StringInfoData s;
		const char *name = j < p->data.nchannels ? p->channel[j] : p->other[j - p->data.nchannels];

		initStringInfo(&s);
		if (fit->aliased[j])
			appendStringInfo(&s,
				"%s does not vary, or is a combination of columns before it: it was left out.",
					name);
		else if (j < p->data.nchannels && fit->held[j])
			appendStringInfo(&s, "%s would have a negative effect: it is held at zero.", name);
		else if (fit->vif[j] > 10)
			appendStringInfo(&s,
				"%s moves with other columns (variance inflation %.0f): its effect cannot be told from theirs.",
							 name, fit->vif[j]);
		if (s.len > 0)
		{
			appendStringInfoString(to, comma);
			escape_json(to, s.data);
			comma = ", ";
		}
	}
	if (isfinite(fit->durbin_watson) && fabs(fit->durbin_watson - 2) > 0.5)
	{
		appendStringInfo(to,
			"%s\"Residuals follow each other (Durbin-Watson %.2f): a trend, a season or a control is missing.\"",
						 comma, fit->durbin_watson);
		comma = ", ";
	}
	if (p->data.n < 10 * columns)
		appendStringInfo(to,
			"%s\"%d periods are few for %d columns: trust the ranking more than the figures.\"",
						 comma, p->data.n, columns);
	appendStringInfoChar(to, ']');
}

static MixFit *
fit_room(int columns, int channels)
{
	MixFit	   *fit = palloc0(sizeof(MixFit));

	fit->coefficient = palloc0(sizeof(double) * columns);
	fit->standardised = palloc0(sizeof(double) * columns);
	fit->std_error = palloc0(sizeof(double) * columns);
	fit->low = palloc0(sizeof(double) * columns);
	fit->high = palloc0(sizeof(double) * columns);
	fit->vif = palloc0(sizeof(double) * columns);
	fit->aliased = palloc0(sizeof(bool) * columns);
	fit->held = palloc0(sizeof(bool) * columns);
	fit->most = palloc0(sizeof(double) * channels);
	fit->last = palloc0(sizeof(double) * channels);
	fit->contribution = palloc0(sizeof(double) * channels);
	return fit;
}

Datum
crm_mix_final(PG_FUNCTION_ARGS)
{
	MixProblem *p;
	MixFit	   *fit;
	StringInfoData to;
	int			columns;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	p = crm_mix_problem((MixRows *) PG_GETARG_POINTER(0));
	columns = p->data.nchannels + p->data.nothers;
	fit = fit_room(columns + 1, p->data.nchannels + 1);
	fit->shapes = p->shapes;
	if (!crm_mix_fit(&p->data, &p->settings, fit))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("the effects are not finite numbers"),
				 errhint("Scale the columns: their values are too large or too small.")));
	initStringInfo(&to);
	appendStringInfoString(&to, "{");
	put_number(&to, "periods", p->data.n);
	put_number(&to, "left_out", (double) p->left_out);
	appendStringInfo(&to, ", \"adstock\": \"%s\", \"saturation\": \"%s\"",
					 crm_mix_adstock_name(p->settings.adstock), p->settings.saturation ? "hill" :
						"none");
	put_number(&to, "lambda", fit->lambda);
	put_number(&to, "intercept", fit->intercept);
	put_number(&to, "intercept_standard_error", fit->intercept_error);
	put_number(&to, "r2", fit->r2);
	put_number(&to, "residual_se", fit->residual_se);
	put_number(&to, "durbin_watson", fit->durbin_watson);
	put_number(&to, "season", p->season);
	put_number(&to, "holdout", p->settings.holdout);
	put_number(&to, "holdout_r2", fit->holdout_r2);
	put_number(&to, "holdout_mape", fit->holdout_mape);
	put_number(&to, "baseline_mape", fit->baseline_mape);
	put_channels(&to, p, fit);
	appendStringInfoString(&to, ", \"others\": [");
	for (int k = 0; k < p->data.nothers; k++)
	{
		appendStringInfoString(&to, k > 0 ? ", " : "");
		put_name(&to, "name", p->other[k]);
		put_column(&to, fit, p->data.nchannels + k);
		put_number(&to, "last", p->data.other[k][p->data.n - 1]);
		appendStringInfoChar(&to, '}');
	}
	appendStringInfoChar(&to, ']');
	put_advice(&to, p, fit);
	appendStringInfoChar(&to, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(to.data)));
}

/* ---- answers from a model, by arrays ---- */

/* (coefficient, alpha, inflexion, pressure): alpha null: no saturation */
Datum
crm_mix_effect(PG_FUNCTION_ARGS)
{
	double		coefficient,
				alpha,
				inflexion,
				pressure;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	coefficient = within_bounds(PG_GETARG_FLOAT8(0), "the coefficient", -1e100, 1e100);
	alpha = PG_ARGISNULL(1) ? 0 : within_bounds(PG_GETARG_FLOAT8(1), "alpha", 0, 100);
	inflexion = PG_ARGISNULL(2) ? 0 : within_bounds(PG_GETARG_FLOAT8(2), "the inflexion", 0, 1e100);
	pressure = within_bounds(PG_GETARG_FLOAT8(3), "the pressure", 0, 1e100);
	PG_RETURN_FLOAT8(coefficient * crm_mix_hill(pressure, alpha, inflexion));
}

/* (coefficients, alphas, inflexions, gains, total, least, most): the best spend of each channel */
Datum
crm_mix_spend(PG_FUNCTION_ARGS)
{
	const double *v[6];
	static const int place[6] = {0, 1, 2, 3, 5, 6};
	int			n = 0;
	double		total = within_bounds(PG_GETARG_FLOAT8(4), "the total", 0, 1e18);
	double		least = 0,
				most = 0;
	double	   *spend;

	for (int i = 0; i < 6; i++)
	{
		bool		has_null;
		int			m;

		v[i] = crm_model_double_array(PG_GETARG_DATUM(place[i]), &m, &has_null);
		if (has_null || (i > 0 && m != n) || m > 1000)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("arrays of a budget must have one length, at most 1000, and no nulls")));
		n = m;
		for (int j = 0; j < n; j++)
			if (!(v[i][j] >= (i == 0 ? -1e100 : 0) && v[i][j] <= (i == 1 ? 100 : 1e100)))
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DOMAIN),
						 errmsg("a value of a channel is negative, NaN or too large"),
						 errhint("Bounds and shapes are numbers from 0 on.")));
	}
	for (int j = 0; j < n; j++)
	{
		if (v[4][j] > v[5][j])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a channel's least spend %g is above its most %g", v[4][j], v[5][j])));
		least += v[4][j];
		most += v[5][j];
	}
	if (n == 0 || least > total * (1 + 1e-12) || most < total * (1 - 1e-12))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a total of %g cannot be divided within the bounds", total),
				 errdetail("The least together are %g, the most %g.", least, most),
				 errhint("Change the total, or the bounds.")));
	spend = palloc(sizeof(double) * n);
	crm_mix_divide(n, v[0], v[1], v[2], v[3], total, v[4], v[5], spend);
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(spend, n, false));
}
