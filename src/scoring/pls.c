/*
 * pls.c
 *	  Probability that an open deal is won, from counts per team, field and
 *	  value: crm.deal_odds and its explanation; pls_fit.c counts.
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

#include "funcapi.h"
#include "utils/builtins.h"

#include "scoring/counts.h"
#include "scoring/logistic.h"
#include "scoring/model_sql.h"
#include "scoring/pls.h"

#define START 0.1
#define LIST_SUPPORT 50
#define SHRINK 20.0
#define EVIDENCE 10.0

PG_FUNCTION_INFO_V1(crm_deal_odds_predict);
PG_FUNCTION_INFO_V1(crm_deal_odds_explain);

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
	crm_pls_key(&m->key, team, team_len, field, field_len, value, value_len);
	if (value == NULL)
		m->key.len--;			/* a total: one separator less */
	return add ? crm_counts_add(m->counts, m->key.data, m->key.len) :
		crm_counts_find(m->counts, m->key.data, m->key.len);
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
note_lists(JsonbContainer *root, counts_hash *lists)
{
	JsonbValue	v;
	JsonbValue *named = crm_json_member(root, "lists", &v);

	if (crm_json_array(named) == NULL)
		return;
	for (int i = 0; i < JsonContainerSize(named->val.binary.data); i++)
	{
		JsonbValue *name = crm_json_element(named->val.binary.data, i);

		if (name == NULL || name->type != jbvString)
			crm_jsonb_number(NULL, "lists");
		crm_counts_add(lists, name->val.string.val, name->val.string.len);
	}
}

static void
add_stages(PlsModel *m, const JsonbValue *team, JsonbContainer *counts)
{
	JsonbValue	part;
	JsonbValue *list = crm_json_member(counts, "stages", &part);
	double		c[2];

	if (list != NULL && crm_json_array(list) == NULL)
		crm_jsonb_number(NULL, "stages");
	for (int i = 0; list != NULL && i < JsonContainerSize(list->val.binary.data); i++)
	{
		int			stage = i + 1;

		crm_jsonb_counts(crm_json_element(list->val.binary.data, i), c);
		model_add(m, team->val.string.val, team->val.string.len, STAGE_FIELD, 1,
				  (char *) &stage, sizeof(int), c);
	}
}

/* The values of a field of a team; those of a list once more where deals are enough. */
static void
add_values(PlsModel *m, const JsonbValue *team, const JsonbValue *field, JsonbContainer *counts,
		   bool list)
{
	JsonbIterator *values = JsonbIteratorInit(counts);
	JsonbIteratorToken t;
	JsonbValue	v;
	JsonbValue	value = {0};
	StringInfoData supported;
	double		c[2];

	initStringInfo(&supported);
	appendStringInfoChar(&supported, SUPPORTED);
	appendBinaryStringInfo(&supported, field->val.string.val, field->val.string.len);
	while ((t = JsonbIteratorNext(&values, &v, true)) != WJB_DONE)
	{
		if (t == WJB_KEY)
			value = v;
		if (t != WJB_VALUE)
			continue;
		crm_jsonb_counts(&v, c);
		model_add(m, team->val.string.val, team->val.string.len,
				  field->val.string.val, field->val.string.len,
				  value.val.string.val, value.val.string.len, c);
		if (list && c[0] + c[1] + 2 * START >= LIST_SUPPORT)
			model_add(m, team->val.string.val, team->val.string.len,
					  supported.data, supported.len,
					  value.val.string.val, value.val.string.len, c);
	}
	pfree(supported.data);
}

static void
add_fields(PlsModel *m, const JsonbValue *team, JsonbContainer *counts, counts_hash *lists)
{
	JsonbValue	part;
	JsonbValue *list = crm_json_member(counts, "fields", &part);
	JsonbIterator *fields;
	JsonbIteratorToken t;
	JsonbValue	v;
	JsonbValue	field = {0};

	if (crm_json_object(list) == NULL)
		crm_jsonb_number(NULL, "fields");
	fields = JsonbIteratorInit(list->val.binary.data);
	while ((t = JsonbIteratorNext(&fields, &v, true)) != WJB_DONE)
	{
		if (t == WJB_KEY)
			field = v;
		if (t == WJB_VALUE && v.type == jbvBinary)
			add_values(m, team, &field, v.val.binary.data,
					   crm_counts_find(lists, field.val.string.val, field.val.string.len) != NULL);
	}
}

static void *
compile_pls(Jsonb *source)
{
	PlsModel   *m = palloc0(sizeof(PlsModel));
	JsonbValue	v,
				team = {0},
			   *teams;
	JsonbIterator *it;
	JsonbIteratorToken t;
	counts_hash *lists = counts_create(CurrentMemoryContext, 8, NULL);

	if (!JB_ROOT_IS_OBJECT(source))
		crm_jsonb_number(NULL, "the whole");
	m->counts = counts_create(CurrentMemoryContext, 256, NULL);
	initStringInfo(&m->key);
	note_lists(&source->root, lists);
	teams = crm_json_member(&source->root, "teams", &v);
	if (crm_json_object(teams) == NULL)
		crm_jsonb_number(NULL, "teams");
	it = JsonbIteratorInit(teams->val.binary.data);
	while ((t = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		if (t == WJB_KEY)
			team = v;
		if (t != WJB_VALUE || v.type != jbvBinary)
			continue;
		add_stages(m, &team, v.val.binary.data);
		add_fields(m, &team, v.val.binary.data, lists);
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

/* Start of the published mode: 0.1 for each (team, value) in the sum. */
static inline double
start_of(const CountEntry *e)
{
	return START * e->levels;
}

typedef struct Deal
{
	PlsModel   *model;
	const char *team;			/* NULL: none */
	int			team_len;
	int			stage;
	Jsonb	   *fields;
	bool		published;

	/* of its first stage, which every closed deal has been in */
	const CountEntry *all;		/* teams together */
	const CountEntry *first;	/* its team; NULL where nothing is known of it */
	double		scale;			/* of the evidence */
	StringInfoData supported;
} Deal;

/* A field's value of a deal, and how likely it is among won and lost deals. */
typedef struct DealValue
{
	const char *field;
	int			field_len;
	const char *value;
	int			value_len;
	bool		is_stage;
	bool		list;
	double		among_won;
	double		among_lost;
} DealValue;

static const CountEntry *
first_stage(const Deal *d, const char *team, int team_len)
{
	int			stage = 1;

	return model_entry(d->model, team, team_len, STAGE_FIELD, 1, (char *) &stage, sizeof(int),
					   false);
}

/* The odds before anything is known of the deal itself; false where nobody can tell. */
static bool
find_prior(Deal *d, PlsTerm *term)
{
	const CountEntry *basis;

	d->scale = 1;
	d->all = first_stage(d, ALL_TEAMS, 1);
	if (d->all == NULL)
		return false;
	d->first = d->team == NULL ? NULL : first_stage(d, d->team, d->team_len);
	if (d->published)
	{
		if (d->first == NULL)
		{
			d->team = ALL_TEAMS;
			d->team_len = 1;
			d->first = d->all;
		}
		basis = d->first;
		term->log_odds = log((basis->won + start_of(basis)) / (basis->lost + start_of(basis)));
	}
	else
	{
		double		share;
		double		n = Min(d->all->won, d->all->lost);

		if (d->all->won < 1 || d->all->lost < 1)
			return false;
		share = d->all->won / (d->all->won + d->all->lost);
		basis = d->first ? d->first : d->all;
		if (d->first)
			share = (basis->won + SHRINK * share) / (basis->won + basis->lost + SHRINK);
		term->log_odds = log(share / (1 - share));
		d->scale = n / (n + EVIDENCE);
	}
	term->won = basis->won;
	term->lost = basis->lost;
	term->field = "(base)";
	term->field_len = 6;
	return true;
}

/* As published; false where the value was never seen. */
static bool
judge_published(Deal *d, DealValue *v, PlsTerm *term)
{
	const char *sum = v->field;
	int			sum_len = v->field_len;
	const CountEntry *e;
	const CountEntry *t;

	if (v->list)
	{
		resetStringInfo(&d->supported);
		appendStringInfoChar(&d->supported, SUPPORTED);
		appendBinaryStringInfo(&d->supported, v->field, v->field_len);
		sum = d->supported.data;
		sum_len = d->supported.len;
	}
	e = model_entry(d->model, d->team, d->team_len, sum, sum_len, v->value, v->value_len, false);
	if (e == NULL)
		return false;
	t = v->is_stage ? d->first :
		model_entry(d->model, d->team, d->team_len, sum, sum_len, NULL, 0, false);
	v->among_won = (e->won + start_of(e)) / (t->won + start_of(t));
	v->among_lost = (e->lost + start_of(e)) / (t->lost + start_of(t));
	term->won = e->won;
	term->lost = e->lost;
	return true;
}

/* The mended mode; false where the value was never seen, or too rarely. */
static bool
judge_mended(Deal *d, DealValue *v, PlsTerm *term)
{
	const CountEntry *e;
	const CountEntry *t;

	e = model_entry(d->model, ALL_TEAMS, 1, v->field, v->field_len, v->value, v->value_len, false);
	if (e == NULL)
		return false;
	t = v->is_stage ? d->all :
		model_entry(d->model, ALL_TEAMS, 1, v->field, v->field_len, NULL, 0, false);
	if (v->list && e->won + e->lost < LIST_SUPPORT)
		return false;
	/* half a deal for this value, half for all the others */
	v->among_won = (e->won + 0.5) / (t->won + 1);
	v->among_lost = (e->lost + 0.5) / (t->lost + 1);
	term->won = e->won;
	term->lost = e->lost;
	if (d->first != NULL)
	{
		t = v->is_stage ? d->first :
			model_entry(d->model, d->team, d->team_len, v->field, v->field_len, NULL, 0, false);
		e = model_entry(d->model, d->team, d->team_len, v->field, v->field_len, v->value,
						v->value_len, false);
		term->won = e == NULL ? 0 : e->won;
		term->lost = e == NULL ? 0 : e->lost;
		v->among_won = (term->won + SHRINK * v->among_won) / ((t == NULL ? 0 : t->won) + SHRINK);
		v->among_lost =
			(term->lost + SHRINK * v->among_lost) / ((t == NULL ? 0 : t->lost) + SHRINK);
	}
	return true;
}

/* Add what a value says to the sum, and show it to who asked. */
static void
add_value(Deal *d, DealValue *v, double *sum, TakeTerm take, void *arg)
{
	PlsTerm		term = {0};
	char		number[16];

	if (!(d->published ? judge_published(d, v, &term) : judge_mended(d, v, &term)))
		return;
	term.log_odds = d->scale * log(v->among_won / v->among_lost);
	*sum += term.log_odds;
	if (take == NULL)
		return;
	snprintf(number, sizeof(number), "%d", d->stage);
	term.field = v->is_stage ? "stage" : v->field;
	term.field_len = v->is_stage ? 5 : v->field_len;
	term.value = v->is_stage ? number : v->value;
	term.value_len = v->is_stage ? (int) strlen(number) : v->value_len;
	term.score = d->published && v->is_stage ? 1 - v->among_lost :
		v->among_won / (v->among_won + v->among_lost);
	term.has_score = true;
	take(&term, arg);
}

/*
 * The log-odds of a deal; false where there is nothing to go by.  take is
 * called for the prior and for each value that counts.
 */
static bool
deal_log_odds(Deal *d, double *sum, TakeTerm take, void *arg)
{
	PlsTerm		prior = {0};
	DealValue	stage = {STAGE_FIELD, 1, (char *) &d->stage, sizeof(int), true};
	FieldWalk	w;

	initStringInfo(&d->supported);
	if (!find_prior(d, &prior))
		return false;
	*sum = prior.log_odds;
	if (take)
		take(&prior, arg);
	crm_pls_walk(d->fields, &w);
	add_value(d, &stage, sum, take, arg);
	while (crm_pls_next(&w))
	{
		DealValue	v = {w.key.val.string.val, w.key.val.string.len, w.value, w.len,
		w.key.val.string.len > 0 && w.key.val.string.val[0] == STAGE_FIELD[0], w.list};

		add_value(d, &v, sum, take, arg);
	}
	return true;
}

/* (model, team, stage, fields, published); false for a null */
static bool
deal_arguments(FunctionCallInfo fcinfo, Deal *c)
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
	c->stage = crm_pls_stage(PG_GETARG_INT32(2));
	c->fields = PG_GETARG_JSONB_P(3);
	c->model = crm_compiled_model(fcinfo, 0, compile_pls);
	return true;
}

Datum
crm_deal_odds_predict(PG_FUNCTION_ARGS)
{
	Deal		c;
	double		eta;
	double		p;

	if (!deal_arguments(fcinfo, &c) ||
		!deal_log_odds(&c, &eta, NULL, NULL))
		PG_RETURN_NULL();
	p = crm_logistic_sigmoid(eta);
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
	Deal		c;
	double		eta;

	InitMaterializedSRF(fcinfo, 0);
	if (deal_arguments(fcinfo, &c))
		deal_log_odds(&c, &eta, put_term, fcinfo->resultinfo);
	PG_RETURN_NULL();
}
