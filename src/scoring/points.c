/*
 * points.c
 *	  Points with decay: state, score at any instant, thresholds, rank.
 *
 * The score at an instant t, in this order:
 *   1. every event's points decay by the event's own age;
 *   2. they are summed per rule, and the sum held within the rule's cap;
 *   3. rules are summed per group, and the sum held within the group's cap;
 *   4. groups are summed, and the total held within the model's limits.
 *
 * Half-life decay needs one pair a rule: a sum of p * 2^(-(t - t_e) / h) is
 * value * 2^(-(t - as_of) / h), whatever the events were.  Linear and step
 * decay depend on the age of each event, so those still alive are kept.
 * Nothing ever has to be recomputed because time went by.
 *
 * Rank.  For t from a basis on, at least the last event, a lead's score is at most
 *     ceiling + 2^(key - t / H)
 * where ceiling holds what does not decay and H is the longest half-life of
 * the model: the key does not change with time (forward decay; Cormode et
 * al. 2009), so an index on (ceiling, key) gives the best leads of any
 * instant.  With one half-life and no cap in force the bound is the score.
 */
#include "postgres.h"

#include <math.h>

#include "common/int.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "scoring/points.h"

#define SECOND 1000000.0
#define HORIZON (INT64CONST(100) * 366 * 86400 * 1000000)
#define RESOLUTION 1000000		/* microseconds: how exactly a crossing is dated */
#define SEARCH_BUDGET 4000

static inline double
hold_within(double v, double cap)
{
	return v > cap ? cap : v < -cap ? -cap : v;
}

double
crm_points_decayed(double points, double age, PointsDecay decay, double period,
				   double share)
{
	if (age < 0)
		age = 0;
	switch (decay)
	{
		case DECAY_NONE:
			return points;
		case DECAY_HALF_LIFE:
			return points * exp2(-age / period);
		case DECAY_LINEAR:
			return age >= period ? 0 : points * (1 - age / period);
		case DECAY_STEP:
			/* a hair of slack: 3 * (1/3) is a whole step */
			return points * pow(1 - share, floor(age / period + 1e-12));
	}
	return 0;
}

PointsState *
crm_points_new_state(const PointsModel *m)
{
	PointsState *s = palloc0(sizeof(PointsState));

	s->rules = palloc0(sizeof(PointsRuleState) * Max(m->nrules, 1));
	s->failed = palloc0(Max(m->nrules, 1));
	s->clock = PG_INT64_MIN;
	s->fit_grade = s->engagement_grade = -1;
	return s;
}

/* Instants lie up to 292,000 years apart: more than a signed number holds. */
static inline uint64
since(int64 then, int64 at)
{
	return (uint64) at - (uint64) then;
}

static inline double
age_of(int64 at, int64 then)
{
	return at <= then ? 0 : (double) since(then, at) / SECOND;
}

static double
rule_value(const PointsRule *r, const PointsRuleState *s, int64 at)
{
	double		sum = 0;

	if (r->event == NULL)
		return s->value != 0 ? r->points : 0;
	switch (r->decay)
	{
		case DECAY_NONE:
			return s->value;
		case DECAY_HALF_LIFE:
			return s->value == 0 ? 0 : s->value * exp2(-age_of(at, s->as_of) / r->period);
		default:
			for (int i = 0; i < s->times.n; i++)
				sum += crm_points_decayed(r->points, age_of(at, s->times.at[i]),
										  r->decay, r->period, r->share);
			return sum;
	}
}

static void
push(PointsList *list, int64 v)
{
	if (list->n == list->room)
	{
		list->room = list->room == 0 ? 4 : 2 * list->room;
		list->at = list->at == NULL ? palloc(sizeof(int64) * list->room) :
			repalloc_huge(list->at, sizeof(int64) * list->room);
	}
	list->at[list->n++] = v;
}

/*
 * Would an event make more than the rule's times within one window?  Windows
 * that matter begin at the event or at one before it.
 */
static bool
crowded(const PointsRule *r, const PointsRuleState *s, int64 at)
{
	int			before = 0;
	bool		late = false;

	if (s->recent.n < r->times)
		return false;
	for (int i = 0; i < s->recent.n; i++)
	{
		if (s->recent.at[i] > at)
			late = true;
		else if (since(s->recent.at[i], at) / SECOND < r->window)
			before++;
	}
	/* usually the event is the last one, and so is the window that ends with it */
	if (before >= r->times || !late)
		return before >= r->times;
	for (int i = -1; i < s->recent.n; i++)
	{
		int64		from = i < 0 ? at : s->recent.at[i];
		int			inside = 0;

		if (from > at || since(from, at) / SECOND >= r->window)
			continue;
		for (int j = 0; j < s->recent.n; j++)
			if (s->recent.at[j] >= from && since(from, s->recent.at[j]) / SECOND < r->window)
				inside++;
		if (inside >= r->times)
			return true;
	}
	return false;
}

/*
 * Does an event count by the repeat policy?  If so the policy remembers it.
 */
static bool
admit(const PointsRule *r, PointsRuleState *s, int64 at, int64 object, bool has_object)
{
	int			oldest = 0;

	switch (r->repeat)
	{
		case REPEAT_EVERY:
			break;
		case REPEAT_ONCE:
			return s->count == 0;
		case REPEAT_ONCE_PER_OBJECT:
			/* events without an object are taken as of one object */
			if (!has_object)
				object = 0;
			for (int i = 0; i < s->objects.n; i++)
				if (s->objects.at[i] == object)
					return false;
			push(&s->objects, object);
			break;
		case REPEAT_LIMITED:
			if (crowded(r, s, at))
				return false;
			for (int i = 1; i < s->recent.n; i++)
				if (s->recent.at[i] < s->recent.at[oldest])
					oldest = i;

			/*
			 * For events in order the last ones that counted suffice; more
			 * are kept for those that come late.
			 */
			if (s->recent.n < Max(2 * r->times, POINTS_KEPT_TIMES))
				push(&s->recent, at);
			else if (at > s->recent.at[oldest])
				s->recent.at[oldest] = at;
			break;
	}
	return true;
}

/*
 * Take in one event of a rule; false where the repeat policy says that it does
 * not count.  Cost does not depend on the events before, but for policies and
 * decays that must look at some of them.
 */
bool
crm_points_fold(const PointsModel *m, PointsState *state, int rule, int64 at,
				int64 object, bool has_object)
{
	const PointsRule *r = &m->rules[rule];
	PointsRuleState *s = &state->rules[rule];

	if (!admit(r, s, at, object, has_object))
		return false;
	s->count++;
	switch (r->decay)
	{
		case DECAY_NONE:
			s->value += r->points;
			s->as_of = Max(s->as_of, at);
			break;
		case DECAY_HALF_LIFE:
			if (s->count == 1)
			{
				s->value = r->points;
				s->as_of = at;
			}
			else if (at >= s->as_of)
			{
				s->value = s->value * exp2(-age_of(at, s->as_of) / r->period) + r->points;
				s->as_of = at;
			}
			else				/* it comes late: it has decayed since */
				s->value += r->points * exp2(-age_of(s->as_of, at) / r->period);
			break;
		case DECAY_LINEAR:
		case DECAY_STEP:
			s->as_of = s->count == 1 ? at : Max(s->as_of, at);
			push(&s->times, at);
			/* forget what is worth nothing by now */
			for (int i = 0; i < s->times.n;)
			{
				if (crm_points_decayed(1, age_of(s->as_of, s->times.at[i]), r->decay, r->period,
									   r->share) < 1e-15)
					s->times.at[i] = s->times.at[--s->times.n];
				else
					i++;
			}
			break;
	}
	return true;
}

void
crm_points_score_memory(const PointsModel *m, PointsScore *out)
{
	out->rule = palloc(sizeof(double) * Max(m->nrules, 1));
	out->raw = palloc(sizeof(double) * Max(m->nrules, 1));
	out->group = palloc(sizeof(double) * Max(m->ngroups, 1));
}

/* Steps 2 to 4, from the raw sums of the rules. */
static void
sum_up(const PointsModel *m, PointsScore *out)
{
	memset(out->group, 0, sizeof(double) * m->ngroups);
	for (int i = 0; i < m->nrules; i++)
	{
		out->rule[i] = hold_within(out->raw[i], m->rules[i].cap);
		out->group[m->rules[i].group] += out->rule[i];
	}
	out->fit = out->engagement = 0;
	for (int i = 0; i < m->ngroups; i++)
	{
		out->group[i] = hold_within(out->group[i], m->groups[i].cap);
		if (m->groups[i].fit)
			out->fit += out->group[i];
		else
			out->engagement += out->group[i];
	}
	out->unclamped = out->fit + out->engagement;
	out->total = Max(m->min, Min(m->max, out->unclamped));
}

void
crm_points_evaluate(const PointsModel *m, const PointsState *s, int64 at,
					PointsScore *out)
{
	for (int i = 0; i < m->nrules; i++)
		out->raw[i] = rule_value(&m->rules[i], &s->rules[i], at);
	sum_up(m, out);
}

/*
 * A bound of the score over a span: gains only fade and losses only heal, so
 * gains at one end with losses at the other bound it from below or above.
 */
static double
bound(const PointsModel *m, const PointsState *s, int64 gains_at,
	  int64 losses_at, PointsScore *work)
{
	for (int i = 0; i < m->nrules; i++)
		work->raw[i] = rule_value(&m->rules[i], &s->rules[i],
								  m->rules[i].points >= 0 ? gains_at : losses_at);
	sum_up(m, work);
	return work->total;
}

typedef struct Search
{
	const PointsModel *m;
	const PointsState *s;
	PointsScore work;
	int			budget;
} Search;

/* Is a threshold on its other side, with the score somewhere in [low, high]? */
static bool
may_cross(const PointsModel *m, uint32 inside, double low, double high)
{
	for (int i = 0; i < m->nthresholds; i++)
	{
		if (inside & (1u << i))
		{
			if (low < m->thresholds[i].leave)
				return true;
		}
		else if (high >= m->thresholds[i].enter)
			return true;
	}
	return false;
}

/*
 * The first instant in (from, to] at which some threshold is crossed, dated
 * to the resolution; the left half is searched first.
 */
static bool
first_crossing(Search *f, int64 from, int64 to, int64 *at)
{
	int64		middle;

	CHECK_FOR_INTERRUPTS();
	if (f->budget-- <= 0)
	{
		*at = to;				/* hardly ever: look again then */
		return true;
	}
	if (!may_cross(f->m, f->s->inside,
				   bound(f->m, f->s, to, from, &f->work),
				   bound(f->m, f->s, from, to, &f->work)))
		return false;
	if (since(from, to) <= RESOLUTION)
	{
		double		score = bound(f->m, f->s, to, to, &f->work);

		*at = to;
		return may_cross(f->m, f->s->inside, score, score);
	}
	middle = from + (int64) (since(from, to) / 2);
	return first_crossing(f, from, middle, at) || first_crossing(f, middle, to, at);
}

bool
crm_points_next_crossing(const PointsModel *m, const PointsState *s, int64 after,
						 int64 until, int64 *at)
{
	Search		f = {.m = m, .s = s, .budget = SEARCH_BUDGET};
	int64		from = after;
	int64		span = INT64CONST(86400) * 1000000;
	bool		found = false;
	bool		moves = false;

	if (m->nthresholds == 0)
		return false;
	/* what does not change crosses nothing: true of most leads */
	for (int i = 0; i < m->nrules && !moves; i++)
		moves = m->rules[i].decay != DECAY_NONE && s->rules[i].count > 0 &&
			rule_value(&m->rules[i], &s->rules[i], after) != 0;
	if (!moves)
		return false;
	crm_points_score_memory(m, &f.work);
	/*
	 * In growing spans, since most crossings are near. The spans do not depend
	 * on until, so that whoever asks gets the same instant.
	 */
	while (!found && from < until)
	{
		int64		to;

		if (pg_add_s64_overflow(from, span, &to))
			to = PG_INT64_MAX;	/* the end of time */
		found = first_crossing(&f, from, to, at);
		from = to;
		if (span < PG_INT64_MAX / 4)
			span *= 4;
	}
	found = found && *at <= until;
	pfree(f.work.rule);
	pfree(f.work.raw);
	pfree(f.work.group);
	return found;
}

/* Note the crossings at the clock. */
PointsCrossing *
crm_points_settle(const PointsModel *m, PointsState *s)
{
	PointsCrossing *list = NULL;
	PointsCrossing **end = &list;
	PointsScore score;

	crm_points_score_memory(m, &score);
	crm_points_evaluate(m, s, s->clock, &score);
	for (int i = 0; i < m->nthresholds; i++)
	{
		bool		in = (s->inside & (1u << i)) != 0;
		bool		now = in ? score.total >= m->thresholds[i].leave :
			score.total >= m->thresholds[i].enter;

		if (now == in)
			continue;
		s->inside ^= 1u << i;
		*end = palloc0(sizeof(PointsCrossing));
		(*end)->threshold = i;
		(*end)->up = now;
		(*end)->at = s->clock;
		(*end)->score = score.total;
		end = &(*end)->next;
	}
	pfree(score.rule);
	pfree(score.raw);
	pfree(score.group);
	return list;
}

/* Move the clock on, noting what time alone crosses on the way. */
PointsCrossing *
crm_points_bring_to(const PointsModel *m, PointsState *s, int64 until)
{
	PointsCrossing *list = NULL;
	PointsCrossing **end = &list;
	int64		at;

	if (s->clock == PG_INT64_MIN)
	{
		s->clock = until;
		return NULL;
	}
	while (s->clock < until && crm_points_next_crossing(m, s, s->clock, until, &at))
	{
		CHECK_FOR_INTERRUPTS();
		s->clock = at;
		*end = crm_points_settle(m, s);
		while (*end)
			end = &(*end)->next;
	}
	s->clock = Max(s->clock, until);
	return list;
}

/*
 * By how much more than its present value a rule may be worth under the
 * half-life that the rank counts it with: decay in steps lags behind.
 */
static double
lag_of(const PointsRule *r)
{
	if (r->decay != DECAY_STEP)
		return 1;				/* for linear decay as 1 - x <= e^-x */
	return r->share < 0.5 ? 1 / (1 - r->share) : 2;
}

void
crm_points_rank_key(const PointsModel *m, const PointsState *s, int64 basis,
					double *ceiling, double *key)
{
	PointsScore w;
	double		sum = 0;
	int64		newest = basis;

	for (int i = 0; i < m->nrules; i++)
		if (m->rules[i].event && s->rules[i].count > 0)
			newest = Max(newest, s->rules[i].as_of);
	crm_points_score_memory(m, &w);
	for (int i = 0; i < m->nrules; i++)
	{
		const PointsRule *r = &m->rules[i];
		double		v = rule_value(r, &s->rules[i], newest);

		w.raw[i] = v;
		if (r->event == NULL || r->decay == DECAY_NONE)
			continue;
		w.raw[i] = 0;
		if (r->points < 0)
			continue;			/* it heals: the bound must hold when it has */
		/* far above its cap the cap is the better bound */
		if (v > 4 * r->cap)
			w.raw[i] = r->cap;
		else
			sum += lag_of(r) * v;
	}
	sum_up(m, &w);
	*ceiling = w.unclamped;
	*key = sum > 0 ? log2(sum) + (double) newest / SECOND / m->rank_half_life : POINTS_NO_KEY;
	pfree(w.rule);
	pfree(w.raw);
	pfree(w.group);
}

/* The most a row of (ceiling, key) can be worth, with slack for rounding. */
double
crm_points_rank_bound(const PointsModel *m, double ceiling, double key, int64 at)
{
	double		fading = 0;

	if (key > POINTS_NO_KEY && m->rank_half_life > 0)
		fading = exp2(key - (double) at / SECOND / m->rank_half_life);
	return ceiling + fading + 1e-7 * (1 + fabs(ceiling) + fading);
}
