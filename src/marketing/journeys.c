/*
 * journeys.c
 *	  Reading journeys: models, options, touches and their ages.
 *
 * A touch without a channel is skipped; a journey without a touch belongs to
 * no channel, so it is counted and otherwise left out.  Sums are compensated
 * (Neumaier), so that credits add up to what was to be shared.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "marketing/journeys.h"

static const char *const model_names[TOUCH_MODELS] = {
	"first", "last", "last_non_direct", "linear", "position", "w_shaped", "time_decay", "shapley"
};

void
crm_exact_add(ExactSum *s, double x)
{
	double		t = s->sum + x;

	s->lost += fabs(s->sum) >= fabs(x) ? (s->sum - t) + x : (x - t) + s->sum;
	s->sum = t;
}

double
crm_exact_value(const ExactSum *s)
{
	return s->sum + s->lost;
}

/* ---- reading arguments ---- */

TouchModel
crm_touch_model(text *name)
{
	for (int i = 0; i < TOUCH_MODELS; i++)
		if (strlen(model_names[i]) == VARSIZE_ANY_EXHDR(name) &&
			memcmp(model_names[i], VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
			return (TouchModel) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no attribution model \"%s\"", text_to_cstring(name)),
			 errhint("Models are: %s.", CRM_TOUCH_MODELS)));
}

static double
number_option(const char *key, const JsonbValue *v, double least, double most)
{
	double		x = v->type == jbvNumeric ?
		DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
										   NumericGetDatum(v->val.numeric))) : get_float8_nan();

	if (!(x >= least && x <= most))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"%s\" must be a number from %g to %g", key, least, most)));
	return x;
}

static bool
ties_option(const JsonbValue *v)
{
	if (v->type == jbvString && v->val.string.len == 5 && memcmp(v->val.string.val, "share",
																 5) == 0)
		return true;
	if (v->type == jbvString && v->val.string.len == 5 && memcmp(v->val.string.val, "order",
																 5) == 0)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("option \"same_instant\" must be \"order\" or \"share\"")));
}

/* Options of a model; the direct channel gets its number where the model asks for it. */
void
crm_touch_options(Jsonb *options, JourneyState *s, TouchModel model, TouchRules *rules)
{
	text	   *direct = cstring_to_text("direct");
	JsonbIterator *it;
	JsonbValue	k,
				v;
	JsonbIteratorToken token;

	*rules = (TouchRules) {
		.model = model, .half_life = 7, .window = INFINITY, .key = -1, .direct = -1,
			.key_share = 0.3,
		.first_share = model == TOUCH_W ? 0.3 : 0.4, .last_share = model == TOUCH_W ? 0.3 : 0.4
	};
	if (options != NULL && !JB_ROOT_IS_OBJECT(options))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("options must be a JSON object")));
	it = options ? JsonbIteratorInit(&options->root) : NULL;
	while (it != NULL && (token = JsonbIteratorNext(&it, &k, true)) != WJB_DONE)
	{
		char	   *key;

		if (token != WJB_KEY)
			continue;
		key = pnstrdup(k.val.string.val, k.val.string.len);
		(void) JsonbIteratorNext(&it, &v, true);
		if (strcmp(key, "half_life") == 0)
			rules->half_life = number_option(key, &v, 1e-6, 1e6);
		else if (strcmp(key, "window") == 0)
			rules->window = number_option(key, &v, 0, 1e6);
		else if (strcmp(key, "first_share") == 0)
			rules->first_share = number_option(key, &v, 0, 1);
		else if (strcmp(key, "last_share") == 0)
			rules->last_share = number_option(key, &v, 0, 1);
		else if (strcmp(key, "key_share") == 0)
			rules->key_share = number_option(key, &v, 0, 1);
		else if (strcmp(key, "key_touch") == 0)
			rules->key = (int) number_option(key, &v, 1, 1e6) - 1;
		else if (strcmp(key, "same_instant") == 0)
			rules->ties_share = ties_option(&v);
		else if (strcmp(key, "direct") == 0 && v.type == jbvString)
			direct = cstring_to_text_with_len(v.val.string.val, v.val.string.len);
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("there is no option \"%s\" of attribution, or its value has another type",
							key),
					 errhint("Options are half_life, window, first_share, last_share, key_share, "
							 "key_touch, same_instant and direct.")));
	}
	if (rules->first_share + rules->last_share + (model == TOUCH_W ? rules->key_share :
												  0) > 1 + 1e-12)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the shares of first, last and key touch are more than 1 together")));
	if (model == TOUCH_LAST_NON_DIRECT)
		rules->direct = crm_name_number(&s->names, direct);
}

static void
touch_room(JourneyState *s, int n)
{
	if (n <= s->touch_room)
		return;
	s->touch_room = Max(n, s->touch_room * 2);
	s->channels = s->channels ? repalloc_huge(s->channels, sizeof(int) * s->touch_room) :
		MemoryContextAllocHuge(s->context, sizeof(int) * s->touch_room);
	s->ages = s->ages ? repalloc_huge(s->ages, sizeof(double) * s->touch_room) :
		MemoryContextAllocHuge(s->context, sizeof(double) * s->touch_room);
	s->weights = s->weights ? repalloc_huge(s->weights, sizeof(double) * s->touch_room) :
		MemoryContextAllocHuge(s->context, sizeof(double) * s->touch_room);
}

static void
refuse_dimensions(ArrayType *a)
{
	if (ARR_NDIM(a) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("an array of one dimension is expected, not of %d", ARR_NDIM(a))));
}

/*
 * The touches of a journey into the state.  at: when they were, or NULL;
 * converted: when the journey ended, or NULL: at its last touch.  Answers
 * whether touches have ages.
 */
bool
crm_read_touches(JourneyState *s, ArrayType *channels, ArrayType *at, const TimestampTz *converted)
{
	Datum	   *names,
			   *times = NULL;
	bool	   *no_name,
			   *no_time = NULL;
	int			n,
				ntimes = 0;
	TimestampTz end = converted ? *converted : PG_INT64_MIN;

	refuse_dimensions(channels);
	deconstruct_array(channels, TEXTOID, -1, false, TYPALIGN_INT, &names, &no_name, &n);
	if (at != NULL)
	{
		refuse_dimensions(at);
		deconstruct_array(at, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &times,
						  &no_time, &ntimes);
		if (ntimes != n)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("%d touches have %d instants", n, ntimes),
					 errhint("Aggregate both with the same ORDER BY and the same FILTER.")));
	}
	touch_room(s, n);
	s->touches = 0;
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (no_name[i])
			continue;
		if (at != NULL && (no_time[i] || TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(times[i]))))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("touch %d has no finite instant", i + 1)));
		if (at != NULL && converted == NULL)
			end = Max(end, DatumGetTimestampTz(times[i]));
		s->channels[s->touches] = crm_name_number(&s->names, DatumGetTextPP(names[i]));
		s->direct_met |= s->channels[s->touches++] == s->rules.direct;
	}
	if (at != NULL)
	{
		int			m = 0;

		for (int i = 0; i < n; i++)
			if (!no_name[i])
				s->ages[m++] = ((double) end - DatumGetTimestampTz(times[i])) / USECS_PER_DAY;
		/* an order that contradicts the instants would credit the wrong touch */
		for (int i = 1; i < m; i++)
			if (s->ages[i] > s->ages[i - 1])
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("touches do not stand in the order of their instants"),
						 errhint("Aggregate them with ORDER BY the instant.")));
	}
	pfree(names);
	pfree(no_name);
	return at != NULL;
}

void
crm_journeys_begin(JourneyState *s, MemoryContext context)
{
	memset(s, 0, sizeof(JourneyState));
	s->context = context;
	crm_names_begin(&s->names, context);
	s->rules.direct = -1;
}

void
crm_channel_room(JourneyState *s)
{
	int			n = s->names.count;

	if (n <= s->room)
		return;
	n = Max(n, s->room * 2);
	s->conversions = s->conversions ? repalloc_huge(s->conversions, sizeof(ExactSum) * n) :
		MemoryContextAllocHuge(s->context, sizeof(ExactSum) * n);
	s->amounts = s->amounts ? repalloc_huge(s->amounts, sizeof(ExactSum) * n) :
		MemoryContextAllocHuge(s->context, sizeof(ExactSum) * n);
	memset(s->conversions + s->room, 0, sizeof(ExactSum) * (n - s->room));
	memset(s->amounts + s->room, 0, sizeof(ExactSum) * (n - s->room));
	s->room = n;
}

/* Whether the journey counts at all; its totals are taken then. */
bool
crm_journey_take(JourneyState *s, double conversions, double amount)
{
	crm_exact_add(&s->all_conversions, conversions);
	crm_exact_add(&s->all_amounts, amount);
	if (s->touches == 0)
	{
		s->left_out++;
		return false;
	}
	s->journeys++;
	crm_channel_room(s);
	return true;
}

