/*
 * points_sql.c
 *	  The points engine as SQL functions on plain values.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "scoring/counts.h"
#include "scoring/model_sql.h"
#include "scoring/points_sql.h"

PG_FUNCTION_INFO_V1(crm_points_check);
PG_FUNCTION_INFO_V1(crm_points_accum);
PG_FUNCTION_INFO_V1(crm_points_fold_final);
PG_FUNCTION_INFO_V1(crm_points_replay_accum);
PG_FUNCTION_INFO_V1(crm_points_replay_final);
PG_FUNCTION_INFO_V1(crm_points_fit);
PG_FUNCTION_INFO_V1(crm_points_advance);
PG_FUNCTION_INFO_V1(crm_points_score);
PG_FUNCTION_INFO_V1(crm_points_explain);
PG_FUNCTION_INFO_V1(crm_points_leaves);
PG_FUNCTION_INFO_V1(crm_decayed_points);

/*
 * Does the condition of a rule hold?  One that cannot be worked out, such as
 * text where a number was expected, says no and is remembered as failed.
 */
static bool
rule_holds(const PointsModel *m, PointsState *s, int rule, Jsonb *attributes)
{
	const PointsRule *r = &m->rules[rule];
	Datum		result;
	bool		isnull;

	if (r->when == NULL)
		return true;
	if (attributes == NULL)
		return false;
	result = crm_path_call(r->predicate ? jsonb_path_match_tz : jsonb_path_exists_tz,
						   JsonbPGetDatum(attributes), PointerGetDatum(r->when), &isnull);
	if (isnull)
		s->failed[rule] = true;
	return !isnull && DatumGetBool(result);
}

static TimestampTz
finite_time(FunctionCallInfo fcinfo, int argno)
{
	TimestampTz t;

	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an instant is null")));
	t = PG_GETARG_TIMESTAMPTZ(argno);
	if (TIMESTAMP_NOT_FINITE(t))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an instant is infinite")));
	return t;
}

static void
need_definition(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the definition of a score model is null")));
}

Datum
crm_points_check(PG_FUNCTION_ARGS)
{
	(void) crm_points_compile(PG_GETARG_JSONB_P(0));
	PG_RETURN_VOID();
}

Datum
crm_decayed_points(PG_FUNCTION_ARGS)
{
	char	   *decay;
	double		points;
	double		age;
	double		period = PG_ARGISNULL(3) ? 0 : PG_GETARG_FLOAT8(3);
	double		share = PG_ARGISNULL(4) ? 0 : PG_GETARG_FLOAT8(4);
	static const char *const decay_names[] = {"none", "half_life", "linear", "step"};
	int			d;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	points = PG_GETARG_FLOAT8(0);
	age = PG_GETARG_FLOAT8(1);
	decay = text_to_cstring(PG_GETARG_TEXT_PP(2));
	for (d = DECAY_NONE; d <= DECAY_STEP; d++)
		if (strcmp(decay, decay_names[d]) == 0)
			break;
	if (d > DECAY_STEP)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_RULE),
				 errmsg("there is no decay \"%s\"", decay),
				 errhint("Decays are none, half_life, linear and step.")));
	if (!isfinite(points) || !isfinite(age))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN), errmsg("points or age are not finite"),
				 errhint("Pass finite numbers.")));
	if (d != DECAY_NONE && !(period > 0 && isfinite(period)))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_RULE),
				 errmsg("decay \"%s\" needs a period above 0", decay),
				 errhint("Pass the period in the unit of age: the half-life, the time to 0, or the length of a step.")));
	if (d == DECAY_STEP && !(share > 0 && share <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_RULE),
				 errmsg("the share lost at a step is not above 0 and at most 1"),
				 errhint("Pass a share, such as 0.25 for a quarter.")));
	PG_RETURN_FLOAT8(crm_points_decayed(points, age, (PointsDecay) d, period, share));
}

/* The row type of the call, looked up once per backend and type. */
static TupleDesc
result_type(FunctionCallInfo fcinfo)
{
	static Oid	known_function = InvalidOid;
	static uint64 known_type = 0;
	static TupleDesc known = NULL;
	TypeCacheEntry *type = known ? lookup_type_cache(known->tdtypeid, TYPECACHE_TUPDESC) : NULL;

	if (type == NULL || known_function != fcinfo->flinfo->fn_oid ||
		type->tupDesc_identifier != known_type)
	{
		TupleDesc	desc = crm_result_row(fcinfo);
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		if (known)
			FreeTupleDesc(known);
		known = CreateTupleDescCopy(desc);
		MemoryContextSwitchTo(old);
		known_function = fcinfo->flinfo->fn_oid;
		type = lookup_type_cache(known->tdtypeid, TYPECACHE_TUPDESC);
		known_type = type->tupDesc_identifier;
	}
	return known;
}

void
crm_points_keep(const PointsModel *m, PointsState *s, int64 basis, PointsKept *kept)
{
	kept->state = crm_points_pack(m, s);
	crm_points_rank_key(m, s, basis, &kept->ceiling, &kept->rank_key);
	kept->crosses = s->clock != PG_INT64_MIN &&
		crm_points_next_crossing(m, s, s->clock, s->clock + INT64CONST(100) * 366 * USECS_PER_DAY,
								 &kept->next_crossing);
}

/*
 * Where a lead's ceiling is as it was, so is its rank key as long as it bounds
 * to 1 %: the row then needs no new entry in any index.
 */
void
crm_points_keep_rank(PointsKept *now, double ceiling, double rank_key)
{
	if (ceiling == now->ceiling && rank_key >= now->rank_key && rank_key <= now->rank_key + 0.0144)
		now->rank_key = rank_key;
}

/* Names of the thresholds a lead is above. */
ArrayType *
crm_points_inside(const PointsModel *m, const PointsState *s)
{
	Datum		names[POINTS_MAX_THRESHOLDS];
	int			n = 0;

	for (int i = 0; i < m->nthresholds; i++)
		if (s->inside & (1u << i))
			names[n++] = CStringGetTextDatum(m->thresholds[i].name);
	return construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* The other way round: names that are not the model's are left out. */
static void
set_inside(const PointsModel *m, PointsState *s, ArrayType *array)
{
	Datum	   *names;
	int			n;
	bool	   *isnull;

	s->inside = 0;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &isnull, &n);
	for (int i = 0; i < n; i++)
		for (int j = 0; !isnull[i] && j < m->nthresholds; j++)
			if (strcmp(TextDatumGetCString(names[i]), m->thresholds[j].name) == 0)
				s->inside |= 1u << j;
}

/* Names of the rules that could not be worked out just now; NULL for none. */
ArrayType *
crm_points_failed(const PointsModel *m, const PointsState *s)
{
	Datum	   *names;
	int			n = 0;

	if (memchr(s->failed, true, m->nrules) == NULL)
		return NULL;
	names = palloc(sizeof(Datum) * m->nrules);
	for (int i = 0; i < m->nrules; i++)
		if (s->failed[i])
			names[n++] = CStringGetTextDatum(m->rules[i].name);
	return construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT);
}

static Datum
crossings_jsonb(const PointsModel *m, const PointsCrossing *crossings)
{
	JsonbParseState *out = NULL;
	int			utc = 0;

	pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
	for (const PointsCrossing *c = crossings; c; c = c->next)
	{
		JsonbValue	v;

		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		crm_jsonb_push_key(&out, "threshold", -1);
		crm_jsonb_push_string(&out, false, m->thresholds[c->threshold].name, -1);
		crm_jsonb_push_key(&out, "direction", -1);
		crm_jsonb_push_string(&out, false, c->up ? "up" : "down", -1);
		crm_jsonb_push_key(&out, "at", -1);
		crm_jsonb_push_string(&out, false,
							  JsonEncodeDateTime(NULL, TimestampTzGetDatum(c->at),
												 TIMESTAMPTZOID, &utc),
							  -1);
		crm_jsonb_push_key(&out, "score", -1);
		v.type = jbvNumeric;
		v.val.numeric = DatumGetNumeric(crm_points_rounded(c->score));
		pushJsonbValue(&out, WJB_VALUE, &v);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	return PointerGetDatum(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_ARRAY, NULL)));
}

/* The score as crm.points_result: what a row of lead_scores keeps, and what happened. */
static Datum
result(FunctionCallInfo fcinfo, const PointsModel *m, PointsState *s,
	   PointsCrossing *crossings, int64 basis)
{
	TupleDesc	desc = result_type(fcinfo);
	PointsScore score;
	PointsKept	kept;
	Datum		values[8];
	bool		nulls[8] = {0};

	crm_points_score_memory(m, &score);
	crm_points_evaluate(m, s, s->clock, &score);
	crm_points_keep(m, s, basis, &kept);
	values[0] = PointerGetDatum(kept.state);
	values[1] = crm_points_rounded(score.total);
	values[2] = Float8GetDatum(kept.ceiling);
	values[3] = Float8GetDatum(kept.rank_key);
	values[4] = TimestampTzGetDatum(kept.next_crossing);
	nulls[4] = !kept.crosses;
	values[5] = PointerGetDatum(crm_points_inside(m, s));
	nulls[6] = crossings == NULL;
	if (crossings)
		values[6] = crossings_jsonb(m, crossings);
	values[7] = PointerGetDatum(crm_points_failed(m, s));
	nulls[7] = values[7] == (Datum) 0;
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* ---- folding events ---- */

PointsFolding *
crm_points_begin_folding(const PointsModel *m, bytea *base)
{
	PointsFolding *f = palloc0(sizeof(PointsFolding));

	f->model = m;
	f->state = crm_points_unpack(m, base);
	for (int i = 0; i < m->nrules; i++)
		f->counted |= m->rules[i].event && f->state->rules[i].count > 0;
	f->end = &f->crossings;
	return f;
}

/*
 * One event, at which thresholds may be crossed when notice is wanted.
 * object, attributes: NULL for none.  context: where the folding lives.
 */
void
crm_points_fold_event(PointsFolding *f, MemoryContext context, text *kind, text *object,
					  TimestampTz at, Jsonb *attributes, bool notice)
{
	const PointsModel *m = f->model;
	int64		hash = 0;
	bool	   *holds = NULL;
	MemoryContext old;

	for (int i = 0; i < m->nrules; i++)
	{
		const PointsRule *r = &m->rules[i];

		if (r->event == NULL || strlen(r->event) != VARSIZE_ANY_EXHDR(kind) ||
			memcmp(r->event, VARDATA_ANY(kind), VARSIZE_ANY_EXHDR(kind)) != 0)
			continue;
		/* in the short-lived context: paths allocate */
		if (!rule_holds(m, f->state, i, attributes))
			continue;
		if (holds == NULL)
			holds = palloc0(m->nrules);
		holds[i] = true;
	}
	if (object)
		hash = (int64) crm_points_hash(VARDATA_ANY(object), VARSIZE_ANY_EXHDR(object), 7);
	old = MemoryContextSwitchTo(context);
	if (notice)
	{
		*f->end = crm_points_bring_to(m, f->state, Max(at, f->state->clock));
		while (*f->end)
			f->end = &(*f->end)->next;
	}
	if (holds)
	{
		/* without hysteresis a grade needs no memory */
		bool		graded = m->engagement_levels > 0 && m->hysteresis > 0;

		if (graded && f->work.rule == NULL)
			crm_points_score_memory(m, &f->work);
		if (graded && f->counted)
			crm_points_keep_engagement(m, f->state, at, &f->work);
		for (int i = 0; i < m->nrules; i++)
			if (holds[i])
				f->counted |= crm_points_fold(m, f->state, i, at, hash, object != NULL);
		if (graded)
			crm_points_keep_engagement(m, f->state, at, &f->work);
	}
	if (notice)
	{
		*f->end = crm_points_settle(m, f->state);
		while (*f->end)
			f->end = &(*f->end)->next;
	}
	MemoryContextSwitchTo(old);
}

/* One row of an aggregate, whose event begins at argument first. */
static void
take_event(FunctionCallInfo fcinfo, PointsFolding *f, int first, MemoryContext context, bool notice)
{
	if (PG_ARGISNULL(first))
		return;					/* a lead without events, from an outer join */
	crm_points_fold_event(f, context, PG_GETARG_TEXT_PP(first),
						  PG_ARGISNULL(first + 1) ? NULL : PG_GETARG_TEXT_PP(first + 1),
						  finite_time(fcinfo, first + 2),
						  PG_ARGISNULL(first + 3) ? NULL : PG_GETARG_JSONB_P(first + 3), notice);
}

static PointsFolding *
folding(FunctionCallInfo fcinfo, MemoryContext *context, bytea *base)
{
	PointsFolding *f;
	MemoryContext old;

	crm_model_memory(fcinfo, context, "crm.points_fold");
	if (!PG_ARGISNULL(0))
		return (PointsFolding *) PG_GETARG_POINTER(0);
	need_definition(fcinfo, 1);
	old = MemoryContextSwitchTo(*context);
	f = crm_points_begin_folding(crm_points_model(fcinfo, 1), base);
	MemoryContextSwitchTo(old);
	return f;
}

/* (state, definition, base, kind, object, occurred_at, attributes) */
Datum
crm_points_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	PointsFolding *f = folding(fcinfo, &context, PG_ARGISNULL(2) ? NULL : PG_GETARG_BYTEA_PP(2));

	take_event(fcinfo, f, 3, context, true);
	PG_RETURN_POINTER(f);
}

Datum
crm_points_fold_final(PG_FUNCTION_ARGS)
{
	PointsFolding *f = PG_ARGISNULL(0) ? NULL : (PointsFolding *) PG_GETARG_POINTER(0);

	if (f == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result(fcinfo, f->model, f->state, f->crossings, PG_INT64_MIN));
}

/* (state, definition, kind, object, occurred_at, attributes) */
Datum
crm_points_replay_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	PointsFolding *f = folding(fcinfo, &context, NULL);

	take_event(fcinfo, f, 2, context, false);
	PG_RETURN_POINTER(f);
}

Datum
crm_points_replay_final(PG_FUNCTION_ARGS)
{
	PointsFolding *f = PG_ARGISNULL(0) ? NULL : (PointsFolding *) PG_GETARG_POINTER(0);

	if (f == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(crm_points_pack(f->model, f->state));
}

/*
 * The fit rules evaluated anew at an instant; what time and they take the lead
 * across is noted.  attributes: NULL where nothing is known.  before, where
 * it is not NULL, is the state that a replayed one takes the place of; its grade of
 * fit goes on, as what a lead was is in no ledger.
 */
static PointsCrossing *
fit(const PointsModel *m, PointsState *s, Jsonb *attributes, int64 at, bytea *before)
{
	PointsCrossing *crossings = crm_points_bring_to(m, s, Max(at, s->clock));
	PointsCrossing **end = &crossings;

	while (*end)
		end = &(*end)->next;
	for (int i = 0; i < m->nrules; i++)
		if (m->rules[i].event == NULL)
			s->rules[i].value = rule_holds(m, s, i, attributes);
	if (before)
		crm_points_go_on_from(m, s, before);
	if (m->fit_levels > 0)
		crm_points_keep_fit(m, s);
	*end = crm_points_settle(m, s);
	return crossings;
}

/*
 * A packed state with the fit rules evaluated anew.  For one that comes from a
 * replay inside, where it is not NULL, says by name above which thresholds the
 * lead has been so far, and before is the state it takes the place of.
 */
PointsState *
crm_points_refit(const PointsModel *m, bytea *packed, ArrayType *inside, Jsonb *attributes,
				 int64 at, bytea *before, PointsCrossing **crossings)
{
	PointsState *s = crm_points_unpack(m, packed);

	if (inside)
	{
		set_inside(m, s, inside);
		s->clock = at;
	}
	*crossings = fit(m, s, attributes, at, before);
	return s;
}

/* (definition, state, attributes, at, inside, previous) */
Datum
crm_points_fit(PG_FUNCTION_ARGS)
{
	const PointsModel *m;
	PointsState *s;
	PointsCrossing *crossings;
	TimestampTz at;

	need_definition(fcinfo, 0);
	m = crm_points_model(fcinfo, 0);
	at = finite_time(fcinfo, 3);
	s = crm_points_refit(m, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1),
						 PG_ARGISNULL(4) ? NULL : PG_GETARG_ARRAYTYPE_P(4),
						 PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2), at,
						 PG_ARGISNULL(5) ? NULL : PG_GETARG_BYTEA_PP(5), &crossings);
	PG_RETURN_DATUM(result(fcinfo, m, s, crossings, at));
}

/* (definition, state, until): what time alone crosses. */
Datum
crm_points_advance(PG_FUNCTION_ARGS)
{
	const PointsModel *m;
	PointsState *s;
	PointsCrossing *crossings;

	need_definition(fcinfo, 0);
	m = crm_points_model(fcinfo, 0);
	s = crm_points_unpack(m, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1));
	crossings = crm_points_bring_to(m, s, finite_time(fcinfo, 2));
	PG_RETURN_DATUM(result(fcinfo, m, s, crossings, PG_INT64_MIN));
}

/* "B2"; NULL where the model has no grades */
char *
crm_points_grade_text(const PointsModel *m, const PointsState *s, const PointsScore *score)
{
	char		fit[2] = "";
	char		engagement[2] = "";
	int			f;
	int			e;

	if (m->fit_levels + m->engagement_levels == 0)
		return NULL;
	crm_points_grade(m, s, score, &f, &e);
	if (m->fit_levels > 0)
		fit[0] = 'A' + f;
	if (m->engagement_levels > 0)
		engagement[0] = '1' + e;
	return psprintf("%s%s", fit, engagement);
}

/* (definition, state, as_of) */
Datum
crm_points_score(PG_FUNCTION_ARGS)
{
	const PointsModel *m;
	PointsState *s;
	PointsScore score;
	Datum		values[4];
	bool		nulls[4] = {0};
	char	   *grade;

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	need_definition(fcinfo, 0);
	m = crm_points_model(fcinfo, 0);
	s = crm_points_unpack(m, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1));
	crm_points_score_memory(m, &score);
	crm_points_evaluate(m, s, finite_time(fcinfo, 2), &score);
	values[0] = crm_points_rounded(score.fit);
	values[1] = crm_points_rounded(score.engagement);
	values[2] = crm_points_rounded(score.total);
	grade = crm_points_grade_text(m, s, &score);
	nulls[3] = grade == NULL;
	if (grade)
		values[3] = CStringGetTextDatum(grade);
	PG_RETURN_DATUM(
		HeapTupleGetDatum(heap_form_tuple(crm_result_row(fcinfo), values, nulls)));
}

/*
 * (definition, state, as_of): one row per rule that has something to say, per
 * group cap and for the limits of the total; their points sum to the score.
 */
Datum
crm_points_explain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const PointsModel *m;
	PointsState *s;
	PointsScore score;
	double	   *part;
	double	   *grouped;
	int128	   *units;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	need_definition(fcinfo, 0);
	m = crm_points_model(fcinfo, 0);
	s = crm_points_unpack(m, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1));
	crm_points_score_memory(m, &score);
	crm_points_evaluate(m, s, finite_time(fcinfo, 2), &score);

	n = m->nrules + m->ngroups + 1;
	part = palloc(sizeof(double) * n);
	units = palloc(sizeof(int128) * n);
	grouped = palloc0(sizeof(double) * Max(m->ngroups, 1));
	for (int i = 0; i < m->nrules; i++)
	{
		part[i] = score.rule[i];
		grouped[m->rules[i].group] += score.rule[i];
	}
	for (int i = 0; i < m->ngroups; i++)
		part[m->nrules + i] = score.group[i] - grouped[i];
	part[n - 1] = score.total - score.unclamped;
	crm_points_apportion(part, n, score.total, units);

	for (int i = 0; i < n; i++)
	{
		Datum		values[8];
		bool		nulls[8] = {0};
		const PointsRule *r = i < m->nrules ? &m->rules[i] : NULL;
		const PointsRuleState *rs = r ? &s->rules[i] : NULL;
		int			group = r ? r->group : i - m->nrules;

		if (units[i] == 0 && !(r && r->event && rs->count > 0))
			continue;
		if (r)
		{
			values[0] = CStringGetTextDatum(r->event ? "engagement" : "fit");
			values[1] = CStringGetTextDatum(r->name);
		}
		else
		{
			values[0] = CStringGetTextDatum(i == n - 1 ? "limit of the total" : "cap of the group");
			values[1] = i == n - 1 ? (Datum) 0 : CStringGetTextDatum(m->groups[group].name);
			nulls[1] = i == n - 1;
		}
		nulls[2] = i == n - 1;
		if (i < n - 1)
			values[2] = CStringGetTextDatum(m->groups[group].name);
		nulls[3] = nulls[4] = !(r && r->event);
		if (!nulls[3])
		{
			values[3] = Int64GetDatum(rs->count);
			values[4] = TimestampTzGetDatum(rs->as_of);
			nulls[4] = rs->count == 0;
		}
		nulls[5] = nulls[6] = r == NULL;
		if (r)
		{
			values[5] = crm_points_rounded(score.raw[i]);
			values[6] = crm_points_rounded(score.raw[i] - score.rule[i]);
		}
		values[7] = crm_points_numeric(units[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/*
 * (definition, state, as_of, low, high): when time alone takes the score
 * into or out of bounds that are not the model's own thresholds.
 */
Datum
crm_points_leaves(PG_FUNCTION_ARGS)
{
	PointsModel m;
	PointsState *s;
	PointsThreshold bounds[2] = {{"least"}, {"most"}};
	PointsScore score;
	TimestampTz at;
	int64		next;

	if (PG_ARGISNULL(2))
		PG_RETURN_NULL();
	need_definition(fcinfo, 0);
	m = *crm_points_model(fcinfo, 0);
	s = crm_points_unpack(&m, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1));
	at = finite_time(fcinfo, 2);
	m.thresholds = bounds;
	m.nthresholds = 0;
	if (!PG_ARGISNULL(3))
		bounds[m.nthresholds++].enter = PG_GETARG_FLOAT8(3);
	/* out of bounds is above the most by a unit of the score's last digit */
	if (!PG_ARGISNULL(4))
		bounds[m.nthresholds++].enter = PG_GETARG_FLOAT8(4) + 1e-10;
	crm_points_score_memory(&m, &score);
	crm_points_evaluate(&m, s, at, &score);
	s->inside = 0;
	for (int i = 0; i < m.nthresholds; i++)
	{
		bounds[i].leave = bounds[i].enter;
		if (score.total >= bounds[i].enter)
			s->inside |= 1u << i;
	}
	if (!crm_points_next_crossing(&m, s, at, at + INT64CONST(100) * 366 * USECS_PER_DAY, &next))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(next);
}
