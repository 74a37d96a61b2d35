/*
 * mix_rows.c
 *	  From rows of JSON to the columns of a mix model, and its options.
 *
 * Carry-over only means something between periods of one length, so a missing
 * period is refused and not closed up.
 */
#include "base/crm.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/json.h"
#include "base/names.h"
#include "base/sort.h"
#include "marketing/mix_rows.h"

#define MAX_COLUMNS 200
#define MAX_PERIODS 20000

static const char *const adstock_names[] = {"none", "geometric", "weibull_cdf", "weibull_pdf"};

const char *
crm_mix_adstock_name(MixAdstock adstock)
{
	return adstock_names[adstock];
}

/* ---- collecting ---- */

MixRows *
crm_mix_rows_new(Jsonb *options)
{
	MixRows    *rows = palloc0(sizeof(MixRows));

	rows->context = CurrentMemoryContext;
	rows->options = options;
	rows->room = 64;
	rows->rows = palloc(sizeof(MixRow) * rows->room);
	return rows;
}

bool
crm_mix_same_options(const MixRows *rows, Jsonb *options)
{
	if (rows->options == NULL || options == NULL)
		return rows->options == options;
	return compareJsonbContainers(&rows->options->root, &options->root) == 0;
}

void
crm_mix_rows_add(MixRows *rows, DateADT period, double y, Jsonb *spend, Jsonb *controls)
{
	if (!(fabs(y) <= 1e100))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("what is explained is %s in a period", isnan(y) ? "NaN" : "too large"),
				 errhint("Correct the row, or make it null to leave the period out.")));
	if (DATE_NOT_FINITE(period))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a period is infinite"),
				 errhint("Give each period the day on which it begins.")));
	if (!JB_ROOT_IS_OBJECT(spend) || (controls != NULL && !JB_ROOT_IS_OBJECT(controls)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("spend and controls must be JSON objects of numbers"),
				 errhint("For example jsonb_build_object('tv', tv, 'search', search).")));
	if (rows->n >= MAX_PERIODS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a mix model has at most %d periods", MAX_PERIODS)));
	if (rows->n == rows->room)
	{
		rows->room *= 2;
		rows->rows = repalloc(rows->rows, sizeof(MixRow) * rows->room);
	}
	rows->rows[rows->n++] = (MixRow) {period, y, spend, controls};
}

/* ---- sorting out ---- */

static int
compare_periods(const void *a, const void *b)
{
	DateADT		x = ((const MixRow *) a)->period,
				y = ((const MixRow *) b)->period;

	return (x > y) - (x < y);
}

static char *
day_text(DateADT day)
{
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)));
}

/* Periods must be there once and follow each other at about one distance. */
static void
check_periods(const MixRows *rows)
{
	int			least = INT_MAX;

	for (int t = 1; t < rows->n; t++)
	{
		if (rows->rows[t].period == rows->rows[t - 1].period)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DATA),
					 errmsg("period %s is there twice", day_text(rows->rows[t].period)),
					 errhint("Sum the rows of a period first.")));
		least = Min(least, rows->rows[t].period - rows->rows[t - 1].period);
	}
	for (int t = 1; t < rows->n; t++)
		if (rows->rows[t].period - rows->rows[t - 1].period > least * 1.5)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DATA),
					 errmsg("a period is missing between %s and %s",
							day_text(rows->rows[t - 1].period),
							day_text(rows->rows[t].period)),
					 errhint("Give every period a row, with a spend of 0 where there was none.")));
}

static void
collect_names(Jsonb *object, CrmNames *names)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	if (object == NULL)
		return;
	it = JsonbIteratorInit(&object->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
		if (token == WJB_KEY)
			(void) crm_name_number(names, cstring_to_text_with_len(v.val.string.val,
																   v.val.string.len));
	if (names->count > MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a mix model has at most %d columns", MAX_COLUMNS)));
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* The names as sorted strings, so that their order is not that of the rows. */
static char **
sorted_columns(const CrmNames *names)
{
	char	  **list = palloc(sizeof(char *) * Max(names->count, 1));

	for (int i = 0; i < names->count; i++)
		list[i] = text_to_cstring(names->name[i]);
	crm_sort(list, names->count, sizeof(char *), compare_strings);
	return list;
}

/* A number of an object; false: it is not there, or null. */
static bool
read_number(Jsonb *object, const char *key, const char *where, double *to)
{
	JsonbValue *v = object == NULL ? NULL : crm_json_member(&object->root, key, NULL);

	if (v == NULL || v->type == jbvNull)
		return false;
	if (v->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" %s is not a number", key, where)));
	*to = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											 NumericGetDatum(v->val.numeric)));
	if (!isfinite(*to) || fabs(*to) > 1e100)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("\"%s\" %s is too large", key, where),
				 errhint("Count it in larger units.")));
	return true;
}

/* ---- options ---- */

static const char *const known_options[] = {
	"adstock", "saturation", "theta", "shape", "scale", "alpha", "gamma", "lambda", "not_negative",
	"trend", "season", "harmonics", "holdout", "bootstrap", "block", "seed"
};

static void
check_options(Jsonb *options)
{
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	v;

	if (options == NULL)
		return;
	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	it = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		bool		known = token != WJB_KEY;

		for (int i = 0; !known && i < lengthof(known_options); i++)
			known = strlen(known_options[i]) == v.val.string.len &&
				memcmp(known_options[i], v.val.string.val, v.val.string.len) == 0;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there is no option \"%s\" of a mix model",
							pnstrdup(v.val.string.val, v.val.string.len)),
					 errhint("Options are adstock, saturation, theta, shape, scale, alpha, gamma, lambda, "
							 "not_negative, trend, season, harmonics, holdout, bootstrap, block and seed.")));
	}
}

/* Which of some words an option is. */
static int
word_option(Jsonb *options, const char *key, const char *const *words, int n, int otherwise)
{
	JsonbValue *v = options == NULL ? NULL : crm_json_member(&options->root, key, NULL);
	StringInfoData list;

	if (v == NULL || v->type == jbvNull)
		return otherwise;
	initStringInfo(&list);
	for (int i = 0; i < n; i++)
	{
		if (v->type == jbvString && v->val.string.len == strlen(words[i]) &&
			memcmp(v->val.string.val, words[i], v->val.string.len) == 0)
			return i;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"%s\" of a mix model is none of: %s", key, list.data)));
}

static bool
flag_option(Jsonb *options, const char *key, bool otherwise)
{
	JsonbValue *v = options == NULL ? NULL : crm_json_member(&options->root, key, NULL);

	if (v == NULL || v->type == jbvNull)
		return otherwise;
	if (v->type != jbvBool)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of a mix model must be true or false", key)));
	return v->val.boolean;
}

static double
bounded_option(Jsonb *options, const char *key, double otherwise, double least, double most)
{
	double		x = otherwise;

	(void) read_number(options, key, "of the options", &x);
	if (!(x >= least && x <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of a mix model is %g, not from %g to %g", key, x, least,
						most)));
	return x;
}

/* A parameter of every channel: one number, or an object by channel.  False: it is not given. */
static bool
channel_option(Jsonb *options, const char *key, const char *channel, double least, double most,
			   double *to)
{
	JsonbValue *v = options == NULL ? NULL : crm_json_member(&options->root, key, NULL);
	JsonbValue *one = v;

	if (crm_json_object(v) != NULL)
		one = crm_json_member(crm_json_object(v), channel, NULL);
	if (one == NULL || one->type == jbvNull)
	{
		if (v != NULL && v->type != jbvNull && one == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" of a mix model says nothing of channel \"%s\"", key,
							channel),
					 errhint("Give it for every channel, or leave it out: then it is looked for.")));
		return false;
	}
	if (one->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of a mix model is not a number for channel \"%s\"", key,
						channel)));
	*to = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											 NumericGetDatum(one->val.numeric)));
	if (!(*to >= least && *to <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" of a mix model is %g, not from %g to %g", key, *to, least,
						most)));
	return true;
}

static void
read_settings(MixProblem *p, Jsonb *options)
{
	static const char *const curves[] = {"none", "hill"};
	static const char *const automatic[] = {"auto"};
	MixSettings *s = &p->settings;
	JsonbValue *lambda = options == NULL ? NULL : crm_json_member(&options->root, "lambda", NULL);
	bool		carry = false,
				hill = false;

	s->adstock = (MixAdstock) word_option(options, "adstock", adstock_names,
										  lengthof(adstock_names),
										  MIX_GEOMETRIC);
	s->saturation = word_option(options, "saturation", curves, lengthof(curves), 1) == 1;
	s->not_negative = flag_option(options, "not_negative", true);
	s->search_lambda = lambda == NULL || lambda->type == jbvNull || lambda->type == jbvString;
	if (s->search_lambda)
		(void) word_option(options, "lambda", automatic, 1, 0);
	else
		s->lambda = bounded_option(options, "lambda", 0, 0, 1e12);
	s->holdout = (int) bounded_option(options, "holdout", 0, 0, p->data.n / 2);
	s->draws = (int) bounded_option(options, "bootstrap", 0, 0, 10000);
	s->block = (int) bounded_option(options, "block", rint(cbrt(p->data.n)), 1, 1000);
	s->seed = (uint64) bounded_option(options, "seed", 1, 0, 1e15);
	for (int c = 0; c < p->data.nchannels; c++)
	{
		MixShape   *x = &p->shapes[c];

		*x = (MixShape) {.theta = 0.3, .shape = 1, .scale = 0.04, .alpha = 1, .gamma = 0.5};
		carry |= channel_option(options, "theta", p->channel[c], 0, 0.99, &x->theta);
		carry |= channel_option(options, "shape", p->channel[c], 0, 100, &x->shape);
		carry |= channel_option(options, "scale", p->channel[c], 0, 1, &x->scale);
		hill |= channel_option(options, "alpha", p->channel[c], 0.1, 20, &x->alpha);
		hill |= channel_option(options, "gamma", p->channel[c], 0.01, 10, &x->gamma);
		if (!s->saturation)
			x->alpha = 0;
	}
	s->search_carry = !carry && s->adstock != MIX_NO_ADSTOCK;
	s->search_hill = !hill;
}

/* ---- columns ---- */

static void
put_other(MixProblem *p, const char *name, double *column)
{
	p->other[p->data.nothers] = pstrdup(name);
	p->data.other[p->data.nothers++] = column;
}

static void
add_seasons(MixProblem *p, Jsonb *options)
{
	int			n = p->data.n;
	double		season = p->season = bounded_option(options, "season", 0, 0, MAX_PERIODS);
	int			harmonics = (int) bounded_option(options, "harmonics", 2, 1, 10);

	if (flag_option(options, "trend", false))
	{
		double	   *x = palloc(sizeof(double) * n);

		for (int t = 0; t < n; t++)
			x[t] = t;
		put_other(p, "(trend)", x);
	}
	if (season > 0 && season < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a season of %g periods is shorter than two", season),
				 errhint("Give its length in periods: 52.18 for a year of weeks, 12 for one of months.")));
	for (int h = 1; season > 0 && h <= harmonics; h++)
		for (int k = 0; k < 2; k++)
		{
			double	   *x = palloc(sizeof(double) * n);

			for (int t = 0; t < n; t++)
				x[t] = k == 0 ? sin(2 * M_PI * h * t / season) : cos(2 * M_PI * h * t / season);
			put_other(p, psprintf("(season %s %d)", k == 0 ? "sine" : "cosine", h), x);
		}
}

static void
read_columns(MixProblem *p, const MixRows *rows, char **controls, int ncontrols)
{
	int			n = p->data.n;

	for (int c = 0; c < p->data.nchannels; c++)
	{
		p->data.spend[c] = palloc0(sizeof(double) * n);
		for (int t = 0; t < n; t++)
			if (read_number(rows->rows[t].spend, p->channel[c], "of the spend",
							&p->data.spend[c][t]) &&
				p->data.spend[c][t] < 0)
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DOMAIN),
						 errmsg("the spend of channel \"%s\" is %g in period %s", p->channel[c],
								p->data.spend[c][t],
								day_text(rows->rows[t].period)),
						 errhint("Spend is a number from 0 on; put what may be negative among the controls.")));
	}
	for (int k = 0; k < ncontrols; k++)
	{
		double	   *x = palloc0(sizeof(double) * n);

		for (int t = 0; t < n; t++)
			if (!read_number(rows->rows[t].controls, controls[k], "of the controls", &x[t]))
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DATA),
						 errmsg("control \"%s\" is not known in period %s", controls[k],
								day_text(rows->rows[t].period)),
						 errhint("Give every control in every period, or leave it out of all.")));
		put_other(p, controls[k], x);
	}
}

/* The rows as a problem to be solved; errors say which row is wrong. */
MixProblem *
crm_mix_problem(MixRows *rows)
{
	MixProblem *p = palloc0(sizeof(MixProblem));
	CrmNames	channels,
				controls;
	double	   *y;

	check_options(rows->options);
	crm_sort(rows->rows, rows->n, sizeof(MixRow), compare_periods);
	check_periods(rows);
	crm_names_begin(&channels, CurrentMemoryContext);
	crm_names_begin(&controls, CurrentMemoryContext);
	for (int t = 0; t < rows->n; t++)
	{
		CHECK_FOR_INTERRUPTS();
		collect_names(rows->rows[t].spend, &channels);
		collect_names(rows->rows[t].controls, &controls);
	}
	if (channels.count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("there is no channel to learn about"),
				 errhint("Give spend as an object: jsonb_build_object('tv', tv).")));
	p->left_out = rows->left_out;
	p->data.n = rows->n;
	p->data.nchannels = channels.count;
	p->channel = sorted_columns(&channels);
	p->data.spend = palloc(sizeof(double *) * channels.count);
	p->data.other = palloc(sizeof(double *) * (controls.count + 32));
	p->other = palloc(sizeof(char *) * (controls.count + 32));
	p->shapes = palloc(sizeof(MixShape) * channels.count);
	p->data.y = y = palloc(sizeof(double) * Max(rows->n, 1));
	for (int t = 0; t < rows->n; t++)
		y[t] = rows->rows[t].y;
	read_settings(p, rows->options);
	read_columns(p, rows, sorted_columns(&controls), controls.count);
	add_seasons(p, rows->options);
	if (p->data.n - p->settings.holdout < p->data.nchannels + p->data.nothers + 3)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("%d periods are too few for %d columns", p->data.n - p->settings.holdout,
						p->data.nchannels + p->data.nothers),
				 errhint("Take shorter periods, a longer history, or fewer columns.")));
	return p;
}
