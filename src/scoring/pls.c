/*
 * pls.c
 *	  Probability that an open deal is won, from counts per team, field and
 *	  value: crm.deal_odds_fit and its readers.
 *
 * The published rules of Odoo's predictive lead scoring (crm_lead.py), whose
 * figures the published mode gives to the digit, and a mended mode.
 *
 * Counting, in both: a won deal counts in every stage, a lost one in its
 * stage and those before it; values that are not set are not counted.
 *
 * Published: every (team, field, value) starts at 0.1 won and 0.1 lost; a
 * team that was never seen, or none, uses the sum over all teams, each with
 * its 0.1; shares are of the field's total, of the first stage's for stages;
 * a value of a list (tags) needs 50 closed deals in the team, or it is in no
 * sum either; the result is rounded to four digits and held within
 * 0.0001 .. 0.9999.
 *
 * Mended: counts start at 0; a team's shares are shrunk towards those of all
 * teams by 20 pseudo-deals rather than all or nothing, the prior too, so that
 * a team without wins inherits no certainty; levels are smoothed by one
 * pseudo-deal per field; evidence is scaled by n / (n + 10), n being the
 * deals of the rarer outcome, since fields are not independent and few deals
 * prove little; without a win and a loss there is no probability, not 100 %.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "scoring/counts.h"
#include "scoring/logistic.h"
#include "scoring/model_sql.h"

#define START 0.1
#define LIST_SUPPORT 50
#define SHRINK 20.0
#define EVIDENCE 10.0
#define MAX_STAGES 1000

PG_FUNCTION_INFO_V1(crm_deal_odds_accum);
PG_FUNCTION_INFO_V1(crm_deal_odds_final);
PG_FUNCTION_INFO_V1(crm_deal_odds_predict);
PG_FUNCTION_INFO_V1(crm_deal_odds_explain);

typedef struct PlsState
{
	counts_hash *counts;		/* team \0 field \0 value */
	counts_hash *teams;			/* team: deals won; levels: lost */
	counts_hash *lists;			/* fields whose values stand in lists */
	int			stages;
	StringInfoData key;
} PlsState;

/* A stage is kept below a field name that no jsonb key can be confused with. */
#define STAGE_FIELD "\1"

static void
key_of(StringInfo key, const char *team, int team_len, const char *field,
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

/* Walks over the set values of a fields object. */
typedef struct FieldWalk
{
	JsonbIterator *it;
	JsonbValue	key;
	bool		list;			/* the value stands in a list */
	char	   *value;
	int			len;
} FieldWalk;

static void
field_walk(Jsonb *fields, FieldWalk *w)
{
	if (!JB_ROOT_IS_OBJECT(fields))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the fields of a deal are no JSON object"),
				 errhint("Pass for example jsonb_build_object('country', country, 'source', source).")));
	w->it = JsonbIteratorInit(&fields->root);
	w->list = false;
}

static bool
field_next(FieldWalk *w)
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
				w->value = jsonb_scalar_text(&v, &w->len);
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

	key_of(&s->key, team, team_len, field, field_len, value, value_len);
	e = counts_add(s->counts, s->key.data, s->key.len);
	if (won)
		e->won++;
	else
		e->lost++;
}

static int
stage_argument(int stage)
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

	model_memory(fcinfo, &context, "crm.deal_odds_fit");
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
	stage = stage_argument(PG_GETARG_INT32(2));
	won = PG_GETARG_BOOL(3);
	e = counts_add(s->teams, name, len);
	if (won)
		e->won++;
	else
	{
		e->lost++;
		/* losses by the stage reached; summed up at the end */
		count(s, name, len, STAGE_FIELD, 1, (char *) &stage, sizeof(int), false);
	}
	s->stages = Max(s->stages, stage);
	field_walk(PG_GETARG_JSONB_P(4), &w);
	while (field_next(&w))
	{
		count(s, name, len, w.key.val.string.val, w.key.val.string.len,
			  w.value, w.len, won);
		if (w.list)
			counts_add(s->lists, w.key.val.string.val, w.key.val.string.len);
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
	jsonb_push_number(out, true, lost);
	jsonb_push_number(out, true, won);
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
	CountEntry *e;
	int			n = 0;

	if (s == NULL)
		model_refuse_missing_class(0, 0);
	sorted = palloc(sizeof(CountEntry *) * Max(s->counts->members, 1));
	counts_start_iterate(s->counts, &it);
	while ((e = counts_iterate(s->counts, &it)) != NULL)
		sorted[n++] = e;
	qsort(sorted, n, sizeof(CountEntry *), key_cmp);

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	jsonb_push_key(&out, "stages", -1);
	jsonb_push_number(&out, false, s->stages);
	jsonb_push_key(&out, "teams", -1);
	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	counts_start_iterate(s->teams, &it);
	while ((team = counts_iterate(s->teams, &it)) != NULL)
	{
		const char *name = team->key + sizeof(uint32);
		double		lost = team->lost;
		const char *field = NULL;

		jsonb_push_key(&out, name, team->len);
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		jsonb_push_key(&out, "stages", -1);
		pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
		for (int stage = 1; stage <= s->stages; stage++)
		{
			push_pair(&out, lost, team->won);
			key_of(&s->key, name, team->len, STAGE_FIELD, 1, (char *) &stage, sizeof(int));
			e = counts_find(s->counts, s->key.data, s->key.len);
			if (e != NULL)
				lost -= e->lost;
		}
		pushJsonbValue(&out, WJB_END_ARRAY, NULL);
		jsonb_push_key(&out, "fields", -1);
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
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
					pushJsonbValue(&out, WJB_END_OBJECT, NULL);
				field = f;
				jsonb_push_key(&out, f, -1);
				pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
			}
			jsonb_push_key(&out, v, k + sorted[i]->len - v);
			push_pair(&out, sorted[i]->lost, sorted[i]->won);
		}
		if (field != NULL)
			pushJsonbValue(&out, WJB_END_OBJECT, NULL);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	if (s->lists->members > 0)
	{
		n = 0;
		sorted = palloc(sizeof(CountEntry *) * s->lists->members);
		counts_start_iterate(s->lists, &it);
		while ((e = counts_iterate(s->lists, &it)) != NULL)
			sorted[n++] = e;
		qsort(sorted, n, sizeof(CountEntry *), key_cmp);
		jsonb_push_key(&out, "lists", -1);
		pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < n; i++)
			jsonb_push_string(&out, true, sorted[i]->key + sizeof(uint32), sorted[i]->len);
		pushJsonbValue(&out, WJB_END_ARRAY, NULL);
	}
	result = pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	PG_RETURN_POINTER(JsonbValueToJsonb(result));
}

/*
 * Compiled: entries of (team, field, value) and totals of (team, field).
 * Sums over all teams stand under the team "\1"; levels counts how many
 * (team, value) pairs went into a sum, for the published start values.
 */
#define ALL_TEAMS "\1"

/* In front of a field of lists: of each team only values with enough deals. */
#define SUPPORTED '\2'

typedef struct PlsModel
{
	counts_hash *counts;
	StringInfoData key;
} PlsModel;

static CountEntry *
model_entry(PlsModel *m, const char *team, int team_len, const char *field,
			int field_len, const char *value, int value_len, bool add)
{
	key_of(&m->key, team, team_len, field, field_len, value, value_len);
	if (value == NULL)
		m->key.len--;			/* a total: one separator less */
	return add ? counts_add(m->counts, m->key.data, m->key.len) :
		counts_find(m->counts, m->key.data, m->key.len);
}

static void
model_add(PlsModel *m, const char *team, int team_len, const char *field,
		  int field_len, const char *value, int value_len, const double *c)
{
	CountEntry *e;

	for (int all = 0; all < 2; all++)
	{
		const char *t = all ? ALL_TEAMS : team;
		int			tl = all ? 1 : team_len;

		for (int total = 0; total < 2; total++)
		{
			e = model_entry(m, t, tl, field, field_len, total ? NULL : value, value_len, true);
			e->lost += c[0];
			e->won += c[1];
			e->levels++;
		}
	}
}

static void
read_pair(const JsonbValue *v, double *c)
{
	if (v == NULL || v->type != jbvBinary)
		jsonb_number(NULL, "a count");
	for (int j = 0; j < 2; j++)
		c[j] = jsonb_number(getIthJsonbValueFromContainer(v->val.binary.data, j), "a count");
}

static void *
compile_pls(Jsonb *source)
{
	PlsModel   *m = palloc0(sizeof(PlsModel));
	JsonbValue	v,
				team = {0},
				field = {0},
				*teams;
	JsonbIterator *it;
	JsonbIteratorToken t;
	counts_hash *lists = counts_create(CurrentMemoryContext, 8, NULL);
	StringInfoData supported;
	JsonbValue *named;

	if (!JB_ROOT_IS_OBJECT(source))
		jsonb_number(NULL, "the whole");
	m->counts = counts_create(CurrentMemoryContext, 256, NULL);
	initStringInfo(&m->key);
	initStringInfo(&supported);
	named = jsonb_child(&source->root, "lists", &v);
	for (int i = 0; named != NULL && named->type == jbvBinary && i < JsonContainerSize(named->val.binary.data); i++)
	{
		JsonbValue *name = getIthJsonbValueFromContainer(named->val.binary.data, i);

		if (name == NULL || name->type != jbvString)
			jsonb_number(NULL, "lists");
		counts_add(lists, name->val.string.val, name->val.string.len);
	}
	teams = jsonb_child(&source->root, "teams", &v);
	if (teams == NULL || teams->type != jbvBinary)
		jsonb_number(NULL, "teams");
	it = JsonbIteratorInit(teams->val.binary.data);
	while ((t = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		JsonbValue	part;
		JsonbValue *list;
		JsonbIterator *fields;
		double		c[2];

		if (t == WJB_KEY)
			team = v;
		if (t != WJB_VALUE || v.type != jbvBinary)
			continue;
		list = jsonb_child(v.val.binary.data, "stages", &part);
		for (int i = 0; list != NULL && i < JsonContainerSize(list->val.binary.data); i++)
		{
			int			stage = i + 1;

			read_pair(getIthJsonbValueFromContainer(list->val.binary.data, i), c);
			model_add(m, team.val.string.val, team.val.string.len, STAGE_FIELD, 1,
					  (char *) &stage, sizeof(int), c);
		}
		list = jsonb_child(v.val.binary.data, "fields", &part);
		if (list == NULL || list->type != jbvBinary)
			jsonb_number(NULL, "fields");
		fields = JsonbIteratorInit(list->val.binary.data);
		while ((t = JsonbIteratorNext(&fields, &v, true)) != WJB_DONE)
		{
			JsonbIterator *values;
			JsonbValue	value = {0};
			JsonbIteratorToken u;

			if (t == WJB_KEY)
				field = v;
			if (t != WJB_VALUE || v.type != jbvBinary)
				continue;
			values = JsonbIteratorInit(v.val.binary.data);
			while ((u = JsonbIteratorNext(&values, &v, true)) != WJB_DONE)
			{
				if (u == WJB_KEY)
					value = v;
				if (u != WJB_VALUE)
					continue;
				read_pair(&v, c);
				model_add(m, team.val.string.val, team.val.string.len,
						  field.val.string.val, field.val.string.len,
						  value.val.string.val, value.val.string.len, c);
				if (c[0] + c[1] + 2 * START >= LIST_SUPPORT &&
					counts_find(lists, field.val.string.val, field.val.string.len) != NULL)
				{
					resetStringInfo(&supported);
					appendStringInfoChar(&supported, SUPPORTED);
					appendBinaryStringInfo(&supported, field.val.string.val, field.val.string.len);
					model_add(m, team.val.string.val, team.val.string.len,
							  supported.data, supported.len,
							  value.val.string.val, value.val.string.len, c);
				}
			}
		}
	}
	return m;
}

/* One step of the sum, for whoever wants to see it. */
typedef struct PlsTerm
{
	const char *field;
	int			field_len;
	const char *value;
	int			value_len;
	double		won;			/* closed deals behind it */
	double		lost;
	double		log_odds;
	double		score;			/* p(value|won) / (p(value|won) + p(value|lost)) */
	bool		has_score;
} PlsTerm;

typedef void (*TakeTerm) (const PlsTerm *term, void *arg);

static inline double
start_of(const CountEntry *e, bool published)
{
	return published ? START * e->levels : 0;
}

/*
 * The log-odds of a deal; false where there is nothing to go by.  take is
 * called for the prior and for each value that counts.
 */
static bool
deal_log_odds(PlsModel *m, const char *team, int team_len, int stage,
			  Jsonb *fields, bool published, double *sum, TakeTerm take, void *arg)
{
	static const int first_stage = 1;
	CountEntry *all;
	CountEntry *first = NULL;
	double		prior;
	double		scale = 1;
	FieldWalk	w;
	PlsTerm		term = {0};
	bool		stage_done = false;
	StringInfoData supported;

	initStringInfo(&supported);
	all = model_entry(m, ALL_TEAMS, 1, STAGE_FIELD, 1, (char *) &first_stage, sizeof(int), false);
	if (all == NULL)
		return false;
	if (team != NULL)
		first = model_entry(m, team, team_len, STAGE_FIELD, 1, (char *) &first_stage, sizeof(int), false);
	if (published)
	{
		if (first == NULL)
		{
			team = ALL_TEAMS;
			team_len = 1;
			first = all;
		}
		prior = log((first->won + start_of(first, true)) / (first->lost + start_of(first, true)));
		term.won = first->won;
		term.lost = first->lost;
	}
	else
	{
		double		share;
		double		n;

		if (all->won < 1 || all->lost < 1)
			return false;
		share = all->won / (all->won + all->lost);
		term.won = all->won;
		term.lost = all->lost;
		if (first != NULL)
		{
			share = (first->won + SHRINK * share) / (first->won + first->lost + SHRINK);
			term.won = first->won;
			term.lost = first->lost;
		}
		prior = log(share / (1 - share));
		n = Min(all->won, all->lost);
		scale = n / (n + EVIDENCE);
	}
	*sum = prior;
	if (take)
	{
		term.field = "(base)";
		term.field_len = 6;
		term.log_odds = prior;
		take(&term, arg);
	}

	field_walk(fields, &w);
	for (;;)
	{
		const char *f;
		const char *v;
		int			fl;
		int			vl;
		CountEntry *e = NULL;
		CountEntry *t = NULL;
		double		pw,
					pl;

		if (!stage_done)
		{
			stage_done = true;
			f = STAGE_FIELD;
			fl = 1;
			v = (char *) &stage;
			vl = sizeof(int);
			w.list = false;
		}
		else if (field_next(&w))
		{
			f = w.key.val.string.val;
			fl = w.key.val.string.len;
			v = w.value;
			vl = w.len;
		}
		else
			break;

		if (published)
		{
			const char *sum = f;
			int			suml = fl;

			if (w.list)
			{
				resetStringInfo(&supported);
				appendStringInfoChar(&supported, SUPPORTED);
				appendBinaryStringInfo(&supported, f, fl);
				sum = supported.data;
				suml = supported.len;
			}
			e = model_entry(m, team, team_len, sum, suml, v, vl, false);
			if (e == NULL)
				continue;
			t = f[0] == STAGE_FIELD[0] ? first :
				model_entry(m, team, team_len, sum, suml, NULL, 0, false);
			pw = (e->won + start_of(e, true)) / (t->won + start_of(t, true));
			pl = (e->lost + start_of(e, true)) / (t->lost + start_of(t, true));
			term.won = e->won;
			term.lost = e->lost;
		}
		else
		{
			CountEntry *ge = model_entry(m, ALL_TEAMS, 1, f, fl, v, vl, false);
			CountEntry *gt;

			if (ge == NULL)
				continue;
			gt = f[0] == STAGE_FIELD[0] ? all :
				model_entry(m, ALL_TEAMS, 1, f, fl, NULL, 0, false);
			if (w.list && ge->won + ge->lost < LIST_SUPPORT)
				continue;
			/* half a deal for this value, half for all the others */
			pw = (ge->won + 0.5) / (gt->won + 1);
			pl = (ge->lost + 0.5) / (gt->lost + 1);
			term.won = ge->won;
			term.lost = ge->lost;
			if (first != NULL)
			{
				double		tw = first->won;
				double		tl = first->lost;

				e = model_entry(m, team, team_len, f, fl, v, vl, false);
				if (f[0] != STAGE_FIELD[0])
				{
					t = model_entry(m, team, team_len, f, fl, NULL, 0, false);
					tw = t == NULL ? 0 : t->won;
					tl = t == NULL ? 0 : t->lost;
				}
				pw = ((e == NULL ? 0 : e->won) + SHRINK * pw) / (tw + SHRINK);
				pl = ((e == NULL ? 0 : e->lost) + SHRINK * pl) / (tl + SHRINK);
				term.won = e == NULL ? 0 : e->won;
				term.lost = e == NULL ? 0 : e->lost;
			}
		}
		term.log_odds = scale * log(pw / pl);
		*sum += term.log_odds;
		if (take)
		{
			char		number[16];
			bool		is_stage = f[0] == STAGE_FIELD[0];

			snprintf(number, sizeof(number), "%d", stage);
			term.field = is_stage ? "stage" : f;
			term.field_len = is_stage ? 5 : fl;
			term.value = is_stage ? number : v;
			term.value_len = is_stage ? (int) strlen(number) : vl;
			term.score = published && is_stage ? 1 - pl : pw / (pw + pl);
			term.has_score = true;
			take(&term, arg);
		}
	}
	return true;
}

typedef struct DealCall
{
	const char *team;
	int			team_len;
	int			stage;
	Jsonb	   *fields;
	bool		published;
	PlsModel   *model;
} DealCall;

/* (model, team, stage, fields, published); false for a null */
static bool
deal_arguments(FunctionCallInfo fcinfo, DealCall *c)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return false;
	c->published = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
	c->team = NULL;
	c->team_len = 0;
	if (!PG_ARGISNULL(1))
	{
		text	   *team = PG_GETARG_TEXT_PP(1);

		c->team = VARDATA_ANY(team);
		c->team_len = VARSIZE_ANY_EXHDR(team);
	}
	c->stage = stage_argument(PG_GETARG_INT32(2));
	c->fields = PG_GETARG_JSONB_P(3);
	c->model = compiled_model(fcinfo, 0, compile_pls);
	return true;
}

Datum
crm_deal_odds_predict(PG_FUNCTION_ARGS)
{
	DealCall	c;
	double		eta;
	double		p;

	if (!deal_arguments(fcinfo, &c) ||
		!deal_log_odds(c.model, c.team, c.team_len, c.stage, c.fields, c.published, &eta, NULL, NULL))
		PG_RETURN_NULL();
	p = logistic_sigmoid(eta);
	if (c.published)
		p = Max(0.0001, Min(0.9999, rint(p * 10000) / 10000));
	PG_RETURN_FLOAT8(p);
}

static void
put_term(const PlsTerm *t, void *arg)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = PointerGetDatum(cstring_to_text_with_len(t->field, t->field_len));
	nulls[1] = t->value == NULL;
	if (t->value != NULL)
		values[1] = PointerGetDatum(cstring_to_text_with_len(t->value, t->value_len));
	values[2] = Int64GetDatum((int64) t->won);
	values[3] = Int64GetDatum((int64) t->lost);
	values[4] = Float8GetDatum(t->log_odds);
	nulls[5] = !t->has_score;
	values[5] = Float8GetDatum(t->score);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
crm_deal_odds_explain(PG_FUNCTION_ARGS)
{
	DealCall	c;
	double		eta;

	InitMaterializedSRF(fcinfo, 0);
	if (deal_arguments(fcinfo, &c))
		deal_log_odds(c.model, c.team, c.team_len, c.stage, c.fields, c.published, &eta,
					  put_term, fcinfo->resultinfo);
	PG_RETURN_NULL();
}
