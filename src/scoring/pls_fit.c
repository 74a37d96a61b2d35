/*
 * pls_fit.c
 *	  Counting won and lost deals per team, field and value: crm.deal_odds_fit.
 *
 * A won deal counts in every stage, a lost one in its stage and those before
 * it; values that are not set are not counted.  pls.c reads the
 * counts.
 */
#include "base/crm.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "base/sort.h"
#include "scoring/counts.h"
#include "scoring/model_sql.h"
#include "scoring/pls.h"

#define MAX_STAGES 1000

PG_FUNCTION_INFO_V1(crm_deal_odds_accum);
PG_FUNCTION_INFO_V1(crm_deal_odds_final);

typedef struct PlsState
{
	counts_hash *counts;		/* team \0 field \0 value */
	counts_hash *teams;			/* team: deals won; levels: lost */
	counts_hash *lists;			/* fields whose values stand in lists */
	int			stages;
	StringInfoData key;
} PlsState;

void
crm_pls_key(StringInfo key, const char *team, int team_len, const char *field,
	   int field_len, const char *value, int value_len)
{
	resetStringInfo(key);
	appendBinaryStringInfo(key, team, team_len);
	appendStringInfoChar(key, '\0');
	appendBinaryStringInfo(key, field, field_len);
	appendStringInfoChar(key, '\0');
	if (value != NULL)
		appendBinaryStringInfo(key, value, value_len);
}

void
crm_pls_walk(Jsonb *fields, FieldWalk *w)
{
	if (!JB_ROOT_IS_OBJECT(fields))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the fields of a deal are no JSON object"),
				 errhint("Pass for example jsonb_build_object('country', country, 'source', source).")));
	w->it = JsonbIteratorInit(&fields->root);
	w->list = false;
}

bool
crm_pls_next(FieldWalk *w)
{
	JsonbValue	v;
	JsonbIteratorToken t;

	while ((t = JsonbIteratorNext(&w->it, &v, false)) != WJB_DONE)
	{
		switch (t)
		{
			case WJB_KEY:
				w->key = v;
				break;
			case WJB_BEGIN_ARRAY:
				w->list = true;
				break;
			case WJB_END_ARRAY:
				w->list = false;
				break;
			case WJB_VALUE:
			case WJB_ELEM:
				w->value = crm_jsonb_scalar_text(&v, &w->len);
				if (w->value != NULL)
					return true;
				break;
			default:
				break;
		}
	}
	return false;
}

static void
count(PlsState *s, const char *team, int team_len, const char *field,
	  int field_len, const char *value, int value_len, bool won)
{
	CountEntry *e;

	crm_pls_key(&s->key, team, team_len, field, field_len, value, value_len);
	e = crm_counts_add(s->counts, s->key.data, s->key.len);
	if (won)
		e->won++;
	else
		e->lost++;
}

int
crm_pls_stage(int stage)
{
	if (stage < 1 || stage > MAX_STAGES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stage %d is no place from 1 to %d", stage, MAX_STAGES),
				 errhint("Number the stages of the pipeline from 1 in their order; the last one is where deals are won.")));
	return stage;
}

/* (state, team, stage, won, fields) */
Datum
crm_deal_odds_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext old;
	PlsState   *s;
	FieldWalk	w;
	text	   *team;
	const char *name = "";
	int			len = 0;
	int			stage;
	bool		won;
	CountEntry *e;

	crm_model_memory(fcinfo, &context, "crm.deal_odds_fit");
	if (PG_ARGISNULL(0))
	{
		old = MemoryContextSwitchTo(context);
		s = palloc0(sizeof(PlsState));
		s->counts = counts_create(context, 64, NULL);
		s->teams = counts_create(context, 8, NULL);
		s->lists = counts_create(context, 8, NULL);
		initStringInfo(&s->key);
		MemoryContextSwitchTo(old);
	}
	else
		s = (PlsState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		PG_RETURN_POINTER(s);	/* an open deal teaches nothing */
	if (!PG_ARGISNULL(1))
	{
		team = PG_GETARG_TEXT_PP(1);
		name = VARDATA_ANY(team);
		len = VARSIZE_ANY_EXHDR(team);
	}
	stage = crm_pls_stage(PG_GETARG_INT32(2));
	won = PG_GETARG_BOOL(3);
	e = crm_counts_add(s->teams, name, len);
	if (won)
		e->won++;
	else
	{
		e->lost++;
		/* losses by the stage reached; summed up at the end */
		count(s, name, len, STAGE_FIELD, 1, (char *) &stage, sizeof(int), false);
	}
	s->stages = Max(s->stages, stage);
	crm_pls_walk(PG_GETARG_JSONB_P(4), &w);
	while (crm_pls_next(&w))
	{
		count(s, name, len, w.key.val.string.val, w.key.val.string.len,
			  w.value, w.len, won);
		if (w.list)
			crm_counts_add(s->lists, w.key.val.string.val, w.key.val.string.len);
	}
	PG_RETURN_POINTER(s);
}

static int
key_cmp(const void *a, const void *b)
{
	const CountEntry *x = *(CountEntry *const *) a;
	const CountEntry *y = *(CountEntry *const *) b;
	int			c = memcmp(x->key + sizeof(uint32), y->key + sizeof(uint32), Min(x->len, y->len));

	return c != 0 ? c : (int) x->len - (int) y->len;
}

static void
push_pair(JsonbParseState **out, double lost, double won)
{
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	crm_jsonb_push_number(out, true, lost);
	crm_jsonb_push_number(out, true, won);
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

static CountEntry **
in_order(counts_hash *counts, int *n)
{
	CountEntry **sorted = palloc(sizeof(CountEntry *) * Max(counts->members, 1));
	counts_iterator it;
	CountEntry *e;

	*n = 0;
	counts_start_iterate(counts, &it);
	while ((e = counts_iterate(counts, &it)) != NULL)
		sorted[(*n)++] = e;
	crm_sort(sorted, *n, sizeof(CountEntry *), key_cmp);
	return sorted;
}

/* Won and lost in each stage: a lost deal counts in its stage and those before it. */
static void
push_stages(JsonbParseState **out, PlsState *s, const CountEntry *team)
{
	double		lost = team->lost;

	crm_jsonb_push_key(out, "stages", -1);
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	for (int stage = 1; stage <= s->stages; stage++)
	{
		CountEntry *e;

		push_pair(out, lost, team->won);
		crm_pls_key(&s->key, team->key + sizeof(uint32), team->len, STAGE_FIELD, 1,
					(char *) &stage, sizeof(int));
		e = crm_counts_find(s->counts, s->key.data, s->key.len);
		if (e != NULL)
			lost -= e->lost;
	}
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/* Counts of a team, in the order of their keys: fields stand together. */
static void
push_fields(JsonbParseState **out, const CountEntry *team, CountEntry **sorted, int n)
{
	const char *name = team->key + sizeof(uint32);
	const char *field = NULL;

	crm_jsonb_push_key(out, "fields", -1);
	pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		const char *k = sorted[i]->key + sizeof(uint32);
		const char *f;
		const char *v;

		if (sorted[i]->len <= team->len || memcmp(k, name, team->len) != 0 ||
			k[team->len] != '\0')
			continue;
		f = k + team->len + 1;
		if (*f == STAGE_FIELD[0])
			continue;
		v = f + strlen(f) + 1;
		if (field == NULL || strcmp(field, f) != 0)
		{
			if (field != NULL)
				pushJsonbValue(out, WJB_END_OBJECT, NULL);
			field = f;
			crm_jsonb_push_key(out, f, -1);
			pushJsonbValue(out, WJB_BEGIN_OBJECT, NULL);
		}
		crm_jsonb_push_key(out, v, k + sorted[i]->len - v);
		push_pair(out, sorted[i]->lost, sorted[i]->won);
	}
	if (field != NULL)
		pushJsonbValue(out, WJB_END_OBJECT, NULL);
	pushJsonbValue(out, WJB_END_OBJECT, NULL);
}

static void
push_lists(JsonbParseState **out, PlsState *s)
{
	int			n;
	CountEntry **sorted = in_order(s->lists, &n);

	if (n == 0)
		return;
	crm_jsonb_push_key(out, "lists", -1);
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
		crm_jsonb_push_string(out, true, sorted[i]->key + sizeof(uint32), sorted[i]->len);
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/*
 * The model: {"stages": n, "teams": {"team": {"stages": [[lost, won], ...],
 * "fields": {"field": {"value": [lost, won]}}}}, "lists": ["field", ...]}; deals
 * without a team stand under "", and fields whose values stand in lists are
 * named.
 */
Datum
crm_deal_odds_final(PG_FUNCTION_ARGS)
{
	PlsState   *s = PG_ARGISNULL(0) ? NULL : (PlsState *) PG_GETARG_POINTER(0);
	JsonbParseState *out = NULL;
	JsonbValue *result;
	counts_iterator it;
	CountEntry **sorted;
	CountEntry *team;
	int			n;

	if (s == NULL)
		crm_model_refuse_missing_class(0, 0);
	sorted = in_order(s->counts, &n);
	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	crm_jsonb_push_key(&out, "stages", -1);
	crm_jsonb_push_number(&out, false, s->stages);
	crm_jsonb_push_key(&out, "teams", -1);
	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	counts_start_iterate(s->teams, &it);
	while ((team = counts_iterate(s->teams, &it)) != NULL)
	{
		crm_jsonb_push_key(&out, team->key + sizeof(uint32), team->len);
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		push_stages(&out, s, team);
		push_fields(&out, team, sorted, n);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	push_lists(&out, s);
	result = pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	PG_RETURN_POINTER(JsonbValueToJsonb(result));
}
