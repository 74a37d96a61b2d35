/*
 * attribution.c
 *	  Crediting channels with what journeys brought: the functions that SQL
 *	  calls.
 *
 * All aggregates take a journey a row, its channels in the order of the
 * touches.  A touch without a channel is skipped; a journey without a touch
 * belongs to no channel, so it is counted and otherwise left out.  Sums are
 * compensated (Neumaier), so that credits add up to what was to be shared.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/sort.h"
#include "marketing/journeys.h"
#include "scoring/model_sql.h"

#define MAX_PRESENCE_CHANNELS 1000
#define MOST_WEIGHT 1e15		/* sums of many stay exact enough to be shared */
#define MOST_AMOUNT 1e100

PG_FUNCTION_INFO_V1(crm_touch_weights);
PG_FUNCTION_INFO_V1(crm_attribution_accum);
PG_FUNCTION_INFO_V1(crm_shapley_accum);
PG_FUNCTION_INFO_V1(crm_attribution_final);
PG_FUNCTION_INFO_V1(crm_markov_accum);
PG_FUNCTION_INFO_V1(crm_markov_final);
PG_FUNCTION_INFO_V1(crm_markov_steps_final);
PG_FUNCTION_INFO_V1(crm_presence_accum);
PG_FUNCTION_INFO_V1(crm_presence_final);

/* ---- one journey ---- */

/*
 * crm.touch_weights(model, channels, touched_at, converted_at, options) ->
 * the share of each touch.
 */
Datum
crm_touch_weights(PG_FUNCTION_ARGS)
{
	JourneyState s;
	TouchModel	model;
	ArrayType  *channels;
	Datum	   *elements;
	bool	   *isnull;
	int			n,
				m = 0;
	bool		aged;
	double	   *weights;
	TimestampTz converted = PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3);

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	model = crm_touch_model(PG_GETARG_TEXT_PP(0));
	channels = PG_GETARG_ARRAYTYPE_P(1);
	crm_journeys_begin(&s, CurrentMemoryContext);
	crm_touch_options(PG_ARGISNULL(4) ? NULL : PG_GETARG_JSONB_P(4), &s, model, &s.rules);
	if (!PG_ARGISNULL(3) && TIMESTAMP_NOT_FINITE(converted))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("converted_at is infinite")));
	aged = crm_read_touches(&s, channels, PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P(2),
						PG_ARGISNULL(3) ? NULL : &converted);
	(void) crm_weigh_touches(&s.rules, s.touches, s.channels, aged ? s.ages : NULL, s.weights);

	/* as many weights as elements: a touch without a channel has none */
	deconstruct_array(channels, TEXTOID, -1, false, TYPALIGN_INT, &elements, &isnull, &n);
	weights = palloc(sizeof(double) * Max(n, 1));
	for (int i = 0; i < n; i++)
		weights[i] = isnull[i] ? 0 : s.weights[m++];
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(weights, n, false));
}

/* ---- aggregates ---- */

static JourneyState *
journey_state(FunctionCallInfo fcinfo, const char *name, bool *fresh)
{
	MemoryContext context;
	JourneyState *s;

	crm_model_memory(fcinfo, &context, name);
	*fresh = PG_ARGISNULL(0);
	if (!*fresh)
		return (JourneyState *) PG_GETARG_POINTER(0);
	s = MemoryContextAlloc(context, sizeof(JourneyState));
	crm_journeys_begin(s, context);
	return s;
}

/* A weight of a journey: not negative, finite; NULL: otherwise. */
static double
journey_weight(FunctionCallInfo fcinfo, int i, const char *what, double otherwise)
{
	double		x = PG_ARGISNULL(i) ? otherwise : PG_GETARG_FLOAT8(i);

	if (!(x >= 0 && x <= MOST_WEIGHT))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("%s of a journey must be from 0 to %g", what, MOST_WEIGHT),
				 errdetail("They are %g.", x),
				 errhint("Correct the row, or leave it out with FILTER (WHERE ...).")));
	return x;
}

/* What a journey was worth; may be negative, as returns are. */
static double
journey_amount(FunctionCallInfo fcinfo, int i)
{
	double		x = PG_ARGISNULL(i) ? 0 : PG_GETARG_FLOAT8(i);

	if (!(fabs(x) <= MOST_AMOUNT))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("the amount of a journey is not a number up to %g", MOST_AMOUNT),
				 errdetail("It is %g.", x),
				 errhint("Correct the row, or make it null.")));
	return x;
}

static void
credit_touches(JourneyState *s, bool aged, double conversions, double amount)
{
	if (!crm_journey_take(s, conversions, amount))
		return;
	if (!crm_weigh_touches(&s->rules, s->touches, s->channels, aged ? s->ages : NULL, s->weights))
		return;
	crm_exact_add(&s->credited_conversions, conversions);
	crm_exact_add(&s->credited_amounts, amount);
	for (int i = 0; i < s->touches; i++)
		if (s->weights[i] != 0)
		{
			crm_exact_add(&s->conversions[s->channels[i]], s->weights[i] * conversions);
			crm_exact_add(&s->amounts[s->channels[i]], s->weights[i] * amount);
		}
}

/* (state, model, channels, touched_at, converted_at, conversions, amount, options) */
Datum
crm_attribution_accum(PG_FUNCTION_ARGS)
{
	bool		fresh,
				aged;
	JourneyState *s = journey_state(fcinfo, "crm.attribution", &fresh);
	TimestampTz converted = PG_ARGISNULL(4) ? 0 : PG_GETARG_TIMESTAMPTZ(4);

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the model of \"crm.attribution\" is null"),
				 errhint("Models are: %s.", CRM_TOUCH_MODELS)));
	/* the options of all rows are those of the first, but for the touch that made the lead */
	if (fresh || !crm_setting_is_fixed(fcinfo, 1) || !crm_setting_is_fixed(fcinfo, 7))
	{
		TouchModel	model = crm_touch_model(PG_GETARG_TEXT_PP(1));
		TouchRules	rules;

		crm_touch_options(PG_ARGISNULL(7) ? NULL : PG_GETARG_JSONB_P(7), s, model, &rules);
		if (!fresh && (s->rules.model != model || s->rules.direct != rules.direct ||
					   s->rules.window != rules.window ||
					   s->rules.half_life != rules.half_life ||
						s->rules.ties_share != rules.ties_share ||
					   s->rules.first_share != rules.first_share ||
						s->rules.last_share != rules.last_share ||
					   s->rules.key_share != rules.key_share))
			crm_setting_differs("crm.attribution", "model or an option other than key_touch");
		s->rules = rules;
	}
	if (PG_ARGISNULL(2) || PG_ARGISNULL(5))
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	aged = crm_read_touches(s, PG_GETARG_ARRAYTYPE_P(2), PG_ARGISNULL(3) ? NULL :
							PG_GETARG_ARRAYTYPE_P(3),
						PG_ARGISNULL(4) ? NULL : &converted);
	credit_touches(s, aged, journey_weight(fcinfo, 5, "conversions", 0), journey_amount(fcinfo,
																						6));
	PG_RETURN_POINTER(s);
}

/* (state, channels, conversions, amount) */
Datum
crm_shapley_accum(PG_FUNCTION_ARGS)
{
	bool		fresh;
	JourneyState *s = journey_state(fcinfo, "crm.shapley_attribution", &fresh);

	if (fresh)
		s->rules = (TouchRules) {.model = TOUCH_SHAPLEY, .window = INFINITY, .key = -1,
								 .direct = -1};
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	(void) crm_read_touches(s, PG_GETARG_ARRAYTYPE_P(1), NULL, NULL);
	credit_touches(s, false, journey_weight(fcinfo, 2, "conversions", 0), journey_amount(fcinfo,
																						 3));
	PG_RETURN_POINTER(s);
}

/* (state, channels, conversions, amount, nulls, markov_order) */
Datum
crm_markov_accum(PG_FUNCTION_ARGS)
{
	bool		fresh;
	JourneyState *s = journey_state(fcinfo, "crm.markov_attribution", &fresh);
	int			at = PG_NARGS() - 1;
	int			order = PG_ARGISNULL(at) ? 0 : PG_GETARG_INT32(at);
	double		conversions,
				amount;
	MemoryContext old;

	if (order < 1 || order > MARKOV_MAX_ORDER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the order of a Markov chain of channels must be from 1 to %d",
						MARKOV_MAX_ORDER)));
	if (!fresh && s->order != order)
		crm_setting_differs("crm.markov_attribution", "markov_order");
	old = MemoryContextSwitchTo(s->context);
	if (fresh)
	{
		s->order = order;
		s->chain = crm_markov_new(order);
	}
	MemoryContextSwitchTo(old);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	(void) crm_read_touches(s, PG_GETARG_ARRAYTYPE_P(1), NULL, NULL);
	conversions = journey_weight(fcinfo, 2, "conversions", 0);
	amount = PG_NARGS() > 5 ? journey_amount(fcinfo, 3) : 0;
	if (crm_journey_take(s, conversions, amount))
	{
		crm_exact_add(&s->credited_conversions, conversions);
		crm_exact_add(&s->credited_amounts, amount);
		old = MemoryContextSwitchTo(s->context);
		crm_markov_add(s->chain, s->touches, s->channels, conversions,
					   journey_weight(fcinfo, at - 1, "nulls", 0));
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_POINTER(s);
}

/* (state, channels, conversions, amount, nulls, lambda) */
Datum
crm_presence_accum(PG_FUNCTION_ARGS)
{
	bool		fresh;
	JourneyState *s = journey_state(fcinfo, "crm.logistic_attribution", &fresh);
	double		lambda = PG_ARGISNULL(5) ? -1 : PG_GETARG_FLOAT8(5);
	double		conversions,
				amount;
	MemoryContext old;

	if (!(lambda >= 0) || isinf(lambda))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the penalty of \"crm.logistic_attribution\" is not a number from 0 on")));
	if (!fresh && s->lambda != lambda)
		crm_setting_differs("crm.logistic_attribution", "lambda");
	old = MemoryContextSwitchTo(s->context);
	if (fresh)
	{
		s->lambda = lambda;
		s->presence = crm_presence_new();
	}
	MemoryContextSwitchTo(old);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	(void) crm_read_touches(s, PG_GETARG_ARRAYTYPE_P(1), NULL, NULL);
	conversions = journey_weight(fcinfo, 2, "conversions", 0);
	amount = journey_amount(fcinfo, 3);
	if (crm_journey_take(s, conversions, amount))
	{
		if (s->names.count > MAX_PRESENCE_CHANNELS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("more than %d channels", MAX_PRESENCE_CHANNELS),
					 errhint("Group rare channels together.")));
		crm_exact_add(&s->credited_conversions, conversions);
		crm_exact_add(&s->credited_amounts, amount);
		old = MemoryContextSwitchTo(s->context);
		crm_presence_add(s->presence, s->touches, s->channels, conversions,
						 journey_weight(fcinfo, 4, "nulls", 0), amount);
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_POINTER(s);
}

/* ---- answers ---- */

typedef struct NamedChannel
{
	int			channel;
	text	   *name;
} NamedChannel;

static int
compare_channel_names(const void *a, const void *b)
{
	const text *x = ((const NamedChannel *) a)->name,
			   *y = ((const NamedChannel *) b)->name;
	int			nx = VARSIZE_ANY_EXHDR(x),
				ny = VARSIZE_ANY_EXHDR(y),
				c = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(nx, ny));

	return c != 0 ? c : nx - ny;
}

/* Channels that were met, in the order of their names. */
static NamedChannel *
sorted_channels(const JourneyState *s, int *n)
{
	NamedChannel *list = palloc(sizeof(NamedChannel) * Max(s->names.count, 1));

	*n = 0;
	for (int i = 0; i < s->names.count; i++)
		if (i != s->rules.direct || s->direct_met)
			list[(*n)++] = (NamedChannel) {i, s->names.name[i]};
	crm_sort(list, *n, sizeof(NamedChannel), compare_channel_names);
	return list;
}

/* Values of channels in the order of the list. */
static Datum
listed(const NamedChannel *list, int n, const double *values)
{
	double	   *v = palloc(sizeof(double) * Max(n, 1));

	for (int i = 0; i < n; i++)
		v[i] = values[list[i].channel];
	return PointerGetDatum(crm_model_doubles(v, n, false));
}

static Datum
channel_names(const NamedChannel *list, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		d[i] = PointerGetDatum(list[i].name);
	return PointerGetDatum(construct_array(d, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* channels, conversions, amounts, journeys, left_out, unattributed conversions and amounts */
static void
put_credit(const JourneyState *s, const double *conversions, const double *amounts, Datum *values,
		   const NamedChannel *list, int n)
{
	values[0] = channel_names(list, n);
	values[1] = listed(list, n, conversions);
	values[2] = listed(list, n, amounts);
	values[3] = Int64GetDatum(s->journeys);
	values[4] = Int64GetDatum(s->left_out);
	values[5] = Float8GetDatum(crm_exact_value(&s->all_conversions) -
							   crm_exact_value(&s->credited_conversions));
	values[6] = Float8GetDatum(crm_exact_value(&s->all_amounts) -
							   crm_exact_value(&s->credited_amounts));
}

static Datum
result_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	return HeapTupleGetDatum(heap_form_tuple(crm_result_row(fcinfo), values, nulls));
}

Datum
crm_attribution_final(PG_FUNCTION_ARGS)
{
	JourneyState *s;
	NamedChannel *list;
	double	   *conversions,
			   *amounts;
	int			n;
	Datum		values[7];
	bool		nulls[7] = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (JourneyState *) PG_GETARG_POINTER(0);
	crm_channel_room(s);
	conversions = palloc(sizeof(double) * Max(s->names.count, 1));
	amounts = palloc(sizeof(double) * Max(s->names.count, 1));
	for (int i = 0; i < s->names.count; i++)
	{
		conversions[i] = crm_exact_value(&s->conversions[i]);
		amounts[i] = crm_exact_value(&s->amounts[i]);
	}
	list = sorted_channels(s, &n);
	put_credit(s, conversions, amounts, values, list, n);
	return result_row(fcinfo, values, nulls);
}

Datum
crm_markov_final(PG_FUNCTION_ARGS)
{
	JourneyState *s;
	MarkovAnswer answer;
	NamedChannel *list;
	double	   *conversions,
			   *amounts,
				sum = 0;
	int			n,
				m;
	Datum		values[9];
	bool		nulls[9] = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (JourneyState *) PG_GETARG_POINTER(0);
	crm_channel_room(s);
	m = s->names.count;
	answer.removal = palloc(sizeof(double) * Max(m, 1));
	conversions = palloc(sizeof(double) * Max(m, 1));
	amounts = palloc(sizeof(double) * Max(m, 1));
	crm_markov_solve(s->chain, m, &answer);
	for (int i = 0; i < m; i++)
		sum += answer.removal[i];
	for (int i = 0; i < m; i++)
	{
		conversions[i] = sum > 0 ?
			crm_exact_value(&s->credited_conversions) * (answer.removal[i] / sum) : 0;
		amounts[i] = sum > 0 ?
			crm_exact_value(&s->credited_amounts) * (answer.removal[i] / sum) : 0;
	}
	list = sorted_channels(s, &n);
	put_credit(s, conversions, amounts, values, list, n);
	values[7] = listed(list, n, answer.removal);
	values[8] = Float8GetDatum(answer.probability);
	return result_row(fcinfo, values, nulls);
}

Datum
crm_presence_final(PG_FUNCTION_ARGS)
{
	JourneyState *s;
	NamedChannel *list;
	double	   *b,
			   *conversions,
			   *amounts;
	int			n,
				m;
	Datum		values[9];
	bool		nulls[9] = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (JourneyState *) PG_GETARG_POINTER(0);
	m = s->names.count;
	b = palloc(sizeof(double) * (m + 1));
	conversions = palloc0(sizeof(double) * Max(m, 1));
	amounts = palloc0(sizeof(double) * Max(m, 1));
	if (!crm_presence_fit(s->presence, m, s->lambda, b))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("the journeys do not tell what a channel adds"),
				 errdetail("A fit needs journeys that converted and journeys that did not."),
				 errhint("Pass lost journeys as nulls, and a penalty lambda above 0.")));
	crm_presence_credit(s->presence, m, b, conversions, amounts);
	list = sorted_channels(s, &n);
	put_credit(s, conversions, amounts, values, list, n);
	values[7] = listed(list, n, b + 1);
	values[8] = Float8GetDatum(b[0]);
	return result_row(fcinfo, values, nulls);
}

/* A state in words: its channels, the oldest first. */
static text *
chain_state_name(const JourneyState *s, int state)
{
	StringInfoData name;
	const int  *channels;
	int			n;

	if (state < 0)
		return cstring_to_text(state == MARKOV_START ? "(start)" :
							   state == MARKOV_CONVERSION ? "(conversion)" : "(null)");
	initStringInfo(&name);
	n = crm_markov_state(s->chain, state, &channels);
	for (int i = 0; i < n; i++)
	{
		text	   *t = s->names.name[channels[i]];

		appendStringInfoString(&name, i > 0 ? " > " : "");
		appendBinaryStringInfo(&name, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
	}
	return cstring_to_text_with_len(name.data, name.len);
}

Datum
crm_markov_steps_final(PG_FUNCTION_ARGS)
{
	JourneyState *s;
	MarkovStep *steps;
	Datum	   *from,
			   *to;
	double	   *weight,
			   *probability;
	int			n;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (JourneyState *) PG_GETARG_POINTER(0);
	steps = crm_markov_steps(s->chain, &n);
	from = palloc(sizeof(Datum) * Max(n, 1));
	to = palloc(sizeof(Datum) * Max(n, 1));
	weight = palloc(sizeof(double) * Max(n, 1));
	probability = palloc(sizeof(double) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		from[i] = PointerGetDatum(chain_state_name(s, steps[i].from));
		to[i] = PointerGetDatum(chain_state_name(s, steps[i].to));
		weight[i] = steps[i].weight;
		probability[i] = steps[i].probability;
	}
	values[0] = PointerGetDatum(construct_array(from, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[1] = PointerGetDatum(construct_array(to, n, TEXTOID, -1, false, TYPALIGN_INT));
	values[2] = PointerGetDatum(crm_model_doubles(weight, n, false));
	values[3] = PointerGetDatum(crm_model_doubles(probability, n, false));
	return result_row(fcinfo, values, nulls);
}
