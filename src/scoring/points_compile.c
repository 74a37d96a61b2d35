/*
 * points_compile.c
 *	  A definition of a score model, as jsonb, checked and compiled.
 *
 * Every mistake is refused here, with the name of the rule: an unknown key, a
 * decay without a period, a cap of zero.
 */
#include "base/crm.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/jsonpath.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "scoring/counts.h"
#include "scoring/points.h"
#include "scoring/points_sql.h"

#define MIN_PERIOD 60.0

/* Where in the definition we are, for the error. */
typedef struct Place
{
	const char *kind;
	const char *name;
} Place;

static void
complain(const Place *p, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CRM_RULE),
			 p->name ? errmsg("%s \"%s\" of the score model: %s", p->kind, p->name, what) :
			 errmsg("%s of the score model: %s", p->kind, what),
			 errhint("%s", hint ? hint :
					 "The comment of crm.points_check() names the keys and what they hold.")));
}

static void
in_place(void *arg)
{
	const Place *p = arg;

	errcontext("%s \"%s\" of the score model", p->kind, p->name ? p->name : "");
}

static char *
text_of(JsonbContainer *o, const char *key, const Place *p)
{
	JsonbValue	v;
	JsonbValue *f = crm_json_member(o, key, &v);

	if (f == NULL || f->type == jbvNull)
		return NULL;
	if (f->type != jbvString)
		complain(p, psprintf("\"%s\" is no text", key), NULL);
	return pnstrdup(f->val.string.val, f->val.string.len);
}

static bool
number_of(JsonbContainer *o, const char *key, const Place *p, double *to)
{
	JsonbValue	v;
	JsonbValue *f = crm_json_member(o, key, &v);

	if (f == NULL || f->type == jbvNull)
		return false;
	if (f->type != jbvNumeric)
		complain(p, psprintf("\"%s\" is no number", key), NULL);
	*to = crm_jsonb_number(f, key);
	if (!(fabs(*to) <= POINTS_LIMIT))
		complain(p, psprintf("\"%s\" is not within -1e12 .. 1e12", key), NULL);
	return true;
}

/* Seconds, or an interval as text; a month counts 30 days. */
static bool
span_of(JsonbContainer *o, const char *key, const Place *p, double *to)
{
	JsonbValue	v;
	JsonbValue *f = crm_json_member(o, key, &v);

	if (f == NULL || f->type == jbvNull)
		return false;
	if (f->type == jbvString)
	{
		Interval   *i = DatumGetIntervalP(DirectFunctionCall3(interval_in,
															  CStringGetDatum(text_of(o, key, p)),
															  ObjectIdGetDatum(InvalidOid),
															  Int32GetDatum(-1)));

		*to = (double) i->time / USECS_PER_SEC + (i->day + 30.0 * i->month) * SECS_PER_DAY;
	}
	else
		*to = crm_jsonb_number(f, key);
	if (!(*to >= MIN_PERIOD && *to <= POINTS_LIMIT))
		complain(p, psprintf("\"%s\" is shorter than a minute, or no span of time", key),
				 "Give seconds, or an interval such as \"30 days\".");
	return true;
}

/* No keys but these. */
static void
only_keys(JsonbContainer *o, const Place *p, const char *const *allowed)
{
	JsonbIterator *it = JsonbIteratorInit(o);
	JsonbIteratorToken t;
	JsonbValue	v;

	while ((t = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
	{
		bool		known = false;

		if (t != WJB_KEY)
			continue;
		for (int i = 0; allowed[i]; i++)
			if (strlen(allowed[i]) == v.val.string.len &&
				memcmp(allowed[i], v.val.string.val, v.val.string.len) == 0)
				known = true;
		if (!known)
			complain(p, psprintf("there is no key \"%s\"",
								 pnstrdup(v.val.string.val, v.val.string.len)), NULL);
	}
}

static JsonbContainer *
container(JsonbValue *v, bool array, const Place *p, const char *key)
{
	if (v == NULL || v->type == jbvNull)
		return NULL;
	if (v->type != jbvBinary ||
		JsonContainerIsArray(v->val.binary.data) != array)
		complain(p, psprintf("\"%s\" is no %s", key, array ? "array" : "object"), NULL);
	return v->val.binary.data;
}

static int
group_of(PointsModel *m, const char *name, bool fit, const Place *p)
{
	for (int i = 0; i < m->ngroups; i++)
	{
		if (strcmp(m->groups[i].name, name) != 0)
			continue;
		if (m->groups[i].fit != fit)
			complain(p, psprintf("group \"%s\" holds rules of fit and of engagement", name),
					 "Use two groups: fit never decays.");
		return i;
	}
	m->groups[m->ngroups].name = pstrdup(name);
	m->groups[m->ngroups].fit = fit;
	m->groups[m->ngroups].cap = get_float8_infinity();
	return m->ngroups++;
}

static bool
is_predicate(struct varlena *path)
{
	JsonPathItem root;

	jspInit(&root, (JsonPath *) path);
	switch (root.type)
	{
		case jpiAnd:
		case jpiOr:
		case jpiNot:
		case jpiIsUnknown:
		case jpiEqual:
		case jpiNotEqual:
		case jpiLess:
		case jpiGreater:
		case jpiLessOrEqual:
		case jpiGreaterOrEqual:
		case jpiExists:
		case jpiStartsWith:
		case jpiLikeRegex:
			return true;
		default:
			return false;
	}
}

static void
compile_condition(PointsRule *r, JsonbContainer *o, Place *p)
{
	char	   *s = text_of(o, "when", p);

	if (s)
	{
		ErrorContextCallback context = {error_context_stack, in_place, p};

		error_context_stack = &context;
		r->when = (struct varlena *) DatumGetPointer(
			DirectFunctionCall1(jsonpath_in, CStringGetDatum(s)));
		error_context_stack = context.previous;
		r->predicate = is_predicate(r->when);
	}
	else if (r->event == NULL)
		complain(p, "it has neither an event nor a condition",
				 "Give \"event\" for points on an event, or \"when\" for points on what the lead is.");
}

static void
compile_decay(PointsRule *r, JsonbContainer *o, const Place *p)
{
	char	   *s = text_of(o, "decay", p);

	if (s == NULL || strcmp(s, "none") == 0)
		r->decay = DECAY_NONE;
	else if (strcmp(s, "half_life") == 0)
		r->decay = DECAY_HALF_LIFE;
	else if (strcmp(s, "linear") == 0)
		r->decay = DECAY_LINEAR;
	else if (strcmp(s, "step") == 0)
		r->decay = DECAY_STEP;
	else
		complain(p, psprintf("there is no decay \"%s\"", s), "Decays are none, half_life, linear and step.");
	if (span_of(o, "period", p, &r->period) != (r->decay != DECAY_NONE))
		complain(p, r->decay == DECAY_NONE ? "it has a period but no decay" : "its decay has no period", NULL);
	if (number_of(o, "share", p, &r->share) != (r->decay == DECAY_STEP))
		complain(p, "a share belongs to decay by steps, and only there",
				 "It is the part lost at each step, for example 0.25.");
	if (r->decay == DECAY_STEP && !(r->share > 0 && r->share <= 1))
		complain(p, "the share lost at a step is not above 0 and at most 1", NULL);
	if (r->event == NULL && r->decay != DECAY_NONE)
		complain(p, "what a lead is does not decay", "Leave \"decay\" out, or give an \"event\".");
}

static void
compile_repeat(PointsRule *r, JsonbContainer *o, const Place *p)
{
	char	   *s = text_of(o, "repeat", p);
	double		times;

	if (s == NULL || strcmp(s, "every") == 0)
		r->repeat = REPEAT_EVERY;
	else if (strcmp(s, "once") == 0)
		r->repeat = REPEAT_ONCE;
	else if (strcmp(s, "once_per_object") == 0)
		r->repeat = REPEAT_ONCE_PER_OBJECT;
	else if (strcmp(s, "limited") == 0)
		r->repeat = REPEAT_LIMITED;
	else
		complain(p, psprintf("there is no repeat policy \"%s\"", s),
				 "Policies are every, once, once_per_object and limited.");
	if (r->event == NULL && s != NULL)
		complain(p, "only events repeat", NULL);
	if (number_of(o, "times", p, &times) != (r->repeat == REPEAT_LIMITED) ||
		span_of(o, "window", p, &r->window) != (r->repeat == REPEAT_LIMITED))
		complain(p, "\"times\" and \"window\" belong to repeat policy limited, and only there", NULL);
	if (r->repeat == REPEAT_LIMITED)
	{
		if (!(times >= 1 && times <= POINTS_MAX_TIMES && times == floor(times)))
			complain(p, psprintf("\"times\" is no whole number from 1 to %d", POINTS_MAX_TIMES), NULL);
		r->times = (int) times;
	}
}

/* The rank index follows the slowest decay of all rules. */
static void
slow_down_rank(PointsModel *m, const PointsRule *r)
{
	if (r->decay == DECAY_HALF_LIFE)
		m->rank_half_life = Max(m->rank_half_life, r->period);
	else if (r->decay == DECAY_LINEAR)
		m->rank_half_life = Max(m->rank_half_life, r->period * M_LN2);
	else if (r->decay == DECAY_STEP)
		m->rank_half_life = Max(m->rank_half_life,
								r->share < 0.5 ? r->period * M_LN2 / -log1p(-r->share) : r->period);
}

static void
compile_rule(PointsModel *m, JsonbContainer *o)
{
	static const char *const keys[] = {"name", "group", "event", "when", "points", "cap", "decay",
		"period", "share", "repeat", "times", "window", NULL};
	PointsRule *r = &m->rules[m->nrules];
	Place		p = {"rule", NULL};
	char	   *s;

	p.name = r->name = text_of(o, "name", &p);
	if (r->name == NULL || r->name[0] == '\0')
	{
		p.name = NULL;
		complain(&p, psprintf("number %d has no name", m->nrules + 1), NULL);
	}
	for (int i = 0; i < m->nrules; i++)
		if (strcmp(m->rules[i].name, r->name) == 0)
			complain(&p, "the name is taken", NULL);
	only_keys(o, &p, keys);
	r->event = text_of(o, "event", &p);
	if (!number_of(o, "points", &p, &r->points) || r->points == 0)
		complain(&p, "it gives no points", NULL);
	s = text_of(o, "group", &p);
	r->group = group_of(m, s ? s : r->event ? "engagement" : "fit", r->event == NULL, &p);

	compile_condition(r, o, &p);
	r->cap = get_float8_infinity();
	if (number_of(o, "cap", &p, &r->cap) && r->cap <= 0)
		complain(&p, "the cap is not above 0", "A cap bounds the size of the rule's sum, of negative points too.");

	compile_decay(r, o, &p);
	compile_repeat(r, o, &p);
	slow_down_rank(m, r);
	m->nrules++;
}

/* Lower bounds of grades, best first. */
static int
levels_of(JsonbContainer *o, const char *key, double *to, const Place *p)
{
	JsonbValue	v;
	JsonbContainer *a = container(crm_json_member(o, key, &v), true, p, key);
	int			n = a ? JsonContainerSize(a) : 0;

	if (n > 3)
		complain(p, psprintf("\"%s\" has more than 3 bounds", key), "Four grades have three bounds between them.");
	for (int i = 0; i < n; i++)
	{
		JsonbValue *e = crm_json_element(a, i);

		if (e->type != jbvNumeric)
			complain(p, psprintf("\"%s\" holds what is no number", key), NULL);
		to[i] = crm_jsonb_number(e, key);
		if (i > 0 && !(to[i] < to[i - 1]))
			complain(p, psprintf("the bounds in \"%s\" do not fall", key), "Give the bound of the best grade first.");
	}
	return n;
}

static void
compile_point_rules(PointsModel *m, JsonbContainer *root, const Place *p)
{
	JsonbValue	v;
	JsonbContainer *list = container(crm_json_member(root, "rules", &v), true, p, "rules");
	int			n = list ? JsonContainerSize(list) : 0;

	if (n > POINTS_MAX_RULES)
		complain(p, psprintf("there are more than %d rules", POINTS_MAX_RULES), NULL);
	m->rules = palloc0(sizeof(PointsRule) * Max(n, 1));
	m->groups = palloc0(sizeof(PointsGroup) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *e = crm_json_element(list, i);

		if (e->type != jbvBinary || !JsonContainerIsObject(e->val.binary.data))
			complain(p, "a rule is no object", NULL);
		compile_rule(m, e->val.binary.data);
	}
}

static void
compile_groups(PointsModel *m, JsonbContainer *root, const Place *p)
{
	static const char *const keys[] = {"cap", NULL};
	JsonbValue	v;
	JsonbContainer *list = container(crm_json_member(root, "groups", &v), false, p, "groups");
	JsonbIterator *it;
	JsonbIteratorToken t;
	JsonbValue	g;
	Place		q = {"group", NULL};

	if (list == NULL)
		return;
	it = JsonbIteratorInit(list);
	while ((t = JsonbIteratorNext(&it, &g, true)) != WJB_DONE)
	{
		if (t == WJB_KEY)
			q.name = pnstrdup(g.val.string.val, g.val.string.len);
		if (t != WJB_VALUE)
			continue;
		list = container(&g, false, &q, "group");
		if (list == NULL)
			continue;
		only_keys(list, &q, keys);
		/* the cap of a group without rules does no harm */
		for (int i = 0; i < m->ngroups; i++)
			if (strcmp(m->groups[i].name, q.name) == 0 &&
				number_of(list, "cap", &q, &m->groups[i].cap) && m->groups[i].cap <= 0)
				complain(&q, "the cap is not above 0", NULL);
	}
}

static void
compile_thresholds(PointsModel *m, JsonbContainer *root, const Place *p)
{
	static const char *const keys[] = {"name", "enter", "leave", NULL};
	JsonbValue	v;
	JsonbContainer *list = container(crm_json_member(root, "thresholds", &v), true, p, "thresholds");
	int			n = list ? JsonContainerSize(list) : 0;

	if (n > POINTS_MAX_THRESHOLDS)
		complain(p, psprintf("there are more than %d thresholds", POINTS_MAX_THRESHOLDS), NULL);
	m->thresholds = palloc0(sizeof(PointsThreshold) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbValue *e = crm_json_element(list, i);
		PointsThreshold *t = &m->thresholds[i];
		Place		q = {"threshold", NULL};

		if (e->type != jbvBinary || !JsonContainerIsObject(e->val.binary.data))
			complain(p, "a threshold is no object", NULL);
		q.name = t->name = text_of(e->val.binary.data, "name", &q);
		if (t->name == NULL)
			complain(&q, "one has no name", NULL);
		only_keys(e->val.binary.data, &q, keys);
		for (int j = 0; j < i; j++)
			if (strcmp(m->thresholds[j].name, t->name) == 0)
				complain(&q, "the name is taken", NULL);
		if (!number_of(e->val.binary.data, "enter", &q, &t->enter))
			complain(&q, "it has no \"enter\"", NULL);
		t->leave = t->enter;
		number_of(e->val.binary.data, "leave", &q, &t->leave);
		if (t->leave > t->enter)
			complain(&q, "\"leave\" is above \"enter\"", "A lead would enter and leave at once.");
		m->nthresholds = i + 1;
	}
}

/* Of the definition as text: its bytes differ between machines. */
static uint64
fingerprint_of(Jsonb *definition)
{
	char	   *text = JsonbToCString(NULL, &definition->root, VARSIZE(definition));
	uint64		fingerprint = crm_points_hash(text, strlen(text), 1);

	pfree(text);
	return fingerprint;
}

PointsModel *
crm_points_compile(Jsonb *definition)
{
	static const char *const keys[] = {"name", "min", "max", "groups", "rules", "fit_grades", "engagement_grades",
		"hysteresis", "thresholds", NULL};
	PointsModel *m = palloc0(sizeof(PointsModel));
	Place		p = {"definition", NULL};
	JsonbContainer *root = &definition->root;

	if (!JB_ROOT_IS_OBJECT(definition))
		complain(&p, "it is no JSON object", NULL);
	only_keys(root, &p, keys);
	m->fingerprint = fingerprint_of(definition);
	m->min = -get_float8_infinity();
	m->max = get_float8_infinity();
	number_of(root, "min", &p, &m->min);
	number_of(root, "max", &p, &m->max);
	if (!(m->min < m->max))
		complain(&p, "\"min\" is not below \"max\"", NULL);
	number_of(root, "hysteresis", &p, &m->hysteresis);
	if (m->hysteresis < 0)
		complain(&p, "\"hysteresis\" is below 0", NULL);

	compile_point_rules(m, root, &p);
	compile_groups(m, root, &p);
	m->fit_levels = levels_of(root, "fit_grades", m->fit_level, &p);
	m->engagement_levels = levels_of(root, "engagement_grades", m->engagement_level, &p);

	compile_thresholds(m, root, &p);
	return m;
}
