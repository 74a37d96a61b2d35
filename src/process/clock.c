/*
 * clock.c
 *	  The automaton behind service clocks: a fold over what happened.
 *
 * A clock is a function of the events of its subject and of nothing else: no
 * job, no "now".  The fold goes through the events in the order in which they
 * happened, whenever they were recorded, and keeps per clock the stretches of
 * time in which it ran.  Time used is the sum of business time over these
 * stretches; a clock is due at the instant at which that sum reaches its
 * target.  So a pause never has to be subtracted from anything, and another
 * target, calendar or pause leads to a due instant by the same rule.
 *
 * Before each event every running clock that was due earlier is marked as
 * breached: an event at the due instant itself is in time.
 */
#include "postgres.h"

#include "process/clock.h"

typedef struct FoldState
{
	ClockFold  *fold;
	const ClockTime *time;
	const ClockTerms *terms;
	const char *stage;
	const char *stage_type;
	bool		hold[CLOCK_METRICS];
	Clock	   *current[CLOCK_METRICS]; /* the latest cycle */
	bool		answered;		/* the company has spoken */
	bool		asked;			/* a customer's message has not been answered */
	int64		asked_at;		/* the oldest such */
	bool		answered_early; /* an agent's message is older than the opening */
	int64		early_first;
	int64		early_last;
} FoldState;

static const ClockTerms no_terms = {0};

/* ---- one clock ---- */

static bool
is_open(const Clock *c)
{
	return c != NULL && (c->state == CLOCK_RUNNING || c->state == CLOCK_PAUSED);
}

static void
set_due(FoldState *s, Clock *c)
{
	if (c->pinned)
		return;
	c->has_due = c->term.usecs > 0 &&
		crm_clock_reaches(s->time, c->term.usecs, c->nstretches, c->stretches,
						  c->state == CLOCK_RUNNING, c->running_since,
						  c->term.calendar, &c->due_at);
}

static void
close_stretch(Clock *c, int64 at)
{
	ClockStretch *s;

	if (c->state != CLOCK_RUNNING || at <= c->running_since)
		return;
	if (c->nstretches == c->space)
	{
		c->space = c->space ? c->space * 2 : 4;
		c->stretches = c->stretches ?
			(ClockStretch *) repalloc(c->stretches, c->space * sizeof(ClockStretch)) :
			(ClockStretch *) palloc(c->space * sizeof(ClockStretch));
	}
	s = &c->stretches[c->nstretches++];
	s->from = c->running_since;
	s->to = at;
	s->calendar = c->term.calendar;
}

static bool
rests(const FoldState *s, const Clock *c)
{
	if (c->metric == CLOCK_TOTAL)
		return false;
	if (s->hold[c->metric])
		return true;
	for (int i = 0; i < c->term.npause; i++)
		if ((s->stage && strcmp(s->stage, c->term.pause[i]) == 0) ||
			(s->stage_type && strcmp(s->stage_type, c->term.pause[i]) == 0))
			return true;
	return false;
}

/* Let an open clock run or rest, as stage and holds say. */
static void
run_or_rest(FoldState *s, Clock *c, int64 at)
{
	bool		rest = rests(s, c);

	if (rest && c->state == CLOCK_RUNNING)
	{
		close_stretch(c, at);
		c->state = CLOCK_PAUSED;
		c->paused_since = at;
		set_due(s, c);
	}
	else if (!rest && c->state == CLOCK_PAUSED)
	{
		c->state = CLOCK_RUNNING;
		c->running_since = at;
		set_due(s, c);
	}
}

static void
take_term(FoldState *s, Clock *c)
{
	c->policy_id = s->terms->policy_id;
	c->term = s->terms->metric[c->metric];
	if (c->term.usecs > 0)
		c->promised = true;
}

static void
start_clock(FoldState *s, ClockMetric metric, int64 at)
{
	Clock	   *c = (Clock *) palloc0(sizeof(Clock));
	ClockFold  *f = s->fold;

	c->metric = metric;
	c->cycle = s->current[metric] ? s->current[metric]->cycle + 1 : 1;
	c->started_at = c->counted_from = at;
	take_term(s, c);
	if (rests(s, c))
	{
		c->state = CLOCK_PAUSED;
		c->paused_since = at;
	}
	else
	{
		c->state = CLOCK_RUNNING;
		c->running_since = at;
	}
	set_due(s, c);
	s->current[metric] = c;
	f->clocks = (Clock **) repalloc(f->clocks, (f->nclocks + 1) * sizeof(Clock *));
	f->clocks[f->nclocks++] = c;
}

static void
stop_clock(FoldState *s, Clock *c, int64 at, ClockState state)
{
	int64		left;

	if (!is_open(c))
		return;
	close_stretch(c, at);
	/* where it rested: when it would have been due, had it gone on */
	if (!c->has_due && state == CLOCK_DONE && c->term.usecs > 0)
	{
		left = c->term.usecs - crm_clock_used(s->time, c->nstretches, c->stretches,
											  false, 0, 0, at);
		c->has_due = crm_clock_reaches(s->time, left, 0, NULL, true, at,
									   c->term.calendar, &c->due_at);
	}
	c->state = state;
	c->stopped_at = at;
}

/* Set an ended clock going again. */
static void
resume_clock(FoldState *s, Clock *c, int64 at)
{
	c->state = CLOCK_PAUSED;
	c->paused_since = c->stopped_at;
	take_term(s, c);
	if (c->metric == CLOCK_TOTAL)
	{
		/* the time in between counts: as if it had never been stopped */
		ClockStretch *last = c->nstretches ? &c->stretches[c->nstretches - 1] : NULL;

		if (last && last->to == c->stopped_at && last->calendar == c->term.calendar)
		{
			at = last->from;
			c->nstretches--;
		}
		else
			at = c->stopped_at;
	}
	run_or_rest(s, c, at);
	set_due(s, c);
}

/* ---- what happened ---- */

/* Running clocks that were due before an instant are breached. */
static void
mark_breaches(FoldState *s, int64 at, bool inclusive)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		Clock	   *c = s->current[m];

		if (is_open(c) && !c->breached && c->has_due &&
			(c->state == CLOCK_RUNNING || c->pinned) &&
			(c->due_at < at || (inclusive && c->due_at == at)))
		{
			c->breached = true;
			c->breached_at = c->due_at;
		}
	}
}

static void
apply_terms(FoldState *s, const ClockEvent *e)
{
	s->terms = e->terms;
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		Clock	   *c = s->current[m];
		int64		old_calendar;
		bool		was_late;

		if (!is_open(c))
			continue;
		old_calendar = c->term.calendar;
		was_late = c->has_due && c->due_at < e->at;
		if (e->from_change)
		{
			c->nstretches = 0;
			c->counted_from = e->at;
			if (c->state == CLOCK_RUNNING)
				c->running_since = e->at;
		}
		else if (e->sum_calendars && old_calendar != s->terms->metric[m].calendar)
		{
			close_stretch(c, e->at);
			if (c->state == CLOCK_RUNNING)
				c->running_since = e->at;
		}
		else if (!e->sum_calendars)
		{
			for (int i = 0; i < c->nstretches; i++)
				c->stretches[i].calendar = s->terms->metric[m].calendar;
		}
		take_term(s, c);
		set_due(s, c);
		c->due_before_change = !c->pinned && c->has_due && c->due_at < e->at &&
			(!was_late || c->due_before_change);
		run_or_rest(s, c, e->at);
	}
}

static void
end_subject(FoldState *s, int64 at, ClockState state)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		Clock	   *c = s->current[m];
		/*
		 * Solved without a word is not answered: a response that is not late
		 * yet is neither met nor missed, and still owed after a reopening.
		 */
		if (state == CLOCK_DONE && m <= CLOCK_NEXT_RESPONSE && is_open(c))
		{
			bool		late = c->has_due && c->due_at < at;

			stop_clock(s, c, at, late ? CLOCK_DONE : CLOCK_CANCELLED);
			c->unanswered = true;
		}
		else
			stop_clock(s, c, at, state);
	}
	s->fold->open = false;
}

/* A response that was owed when the subject was closed runs again. */
static bool
owe_again(FoldState *s, ClockMetric metric, int64 at)
{
	Clock	   *c = s->current[metric];

	if (c == NULL || !c->unanswered)
		return false;
	c->unanswered = false;
	if (s->terms->reopen == REOPEN_NEW_CYCLE)
		start_clock(s, metric, at);
	else
		resume_clock(s, c, at);
	return true;
}

/* What was closed without a word is answered by one that comes after it. */
static void
stop_response(FoldState *s, ClockMetric metric, int64 at)
{
	Clock	   *c = s->current[metric];

	if (c != NULL && c->unanswered)
	{
		c->unanswered = false;
		if (c->state == CLOCK_CANCELLED)
		{
			int64		since = c->stopped_at;

			c->state = CLOCK_PAUSED;
			c->paused_since = since;
			run_or_rest(s, c, since);
			set_due(s, c);
			mark_breaches(s, at, false);
		}
	}
	stop_clock(s, c, at, CLOCK_DONE);
}

static void
reopen_subject(FoldState *s, int64 at)
{
	static const ClockMetric lasting[] = {CLOCK_RESOLUTION, CLOCK_TOTAL};

	s->fold->open = true;
	for (int i = 0; i < 2; i++)
	{
		Clock	   *c = s->current[lasting[i]];

		if (c == NULL || s->terms->reopen == REOPEN_NEW_CYCLE)
			start_clock(s, lasting[i], at);
		else if (s->terms->reopen == REOPEN_RESUME)
			resume_clock(s, c, at);
	}
	owe_again(s, CLOCK_FIRST_RESPONSE, at);
	if (s->answered)
	{
		start_clock(s, CLOCK_PERIODIC_UPDATE, at);
		if (!owe_again(s, CLOCK_NEXT_RESPONSE, at) && s->asked)
			start_clock(s, CLOCK_NEXT_RESPONSE, at);
	}
}

/* The subject took over another one that had been waiting for longer. */
static void
start_earlier(FoldState *s, int64 at)
{
	static const ClockMetric from_opening[] = {CLOCK_FIRST_RESPONSE, CLOCK_RESOLUTION, CLOCK_TOTAL};

	for (int i = 0; i < 3; i++)
	{
		Clock	   *c = s->current[from_opening[i]];

		if (!is_open(c) || c->cycle != 1 || at >= c->started_at)
			continue;
		if (c->counted_from == c->started_at)
		{
			if (c->nstretches > 0 && c->stretches[0].from == c->started_at)
				c->stretches[0].from = at;
			else if (c->nstretches == 0 && c->state == CLOCK_RUNNING &&
					 c->running_since == c->started_at)
				c->running_since = at;
			c->counted_from = at;
		}
		c->started_at = at;
		set_due(s, c);
	}
}

/* From before the opening: of another subject, which may be absorbed later. */
static void
hear_early(FoldState *s, const ClockEvent *e)
{
	if (e->kind == EVENT_CUSTOMER_MESSAGE && !s->asked)
	{
		s->asked = true;
		s->asked_at = e->at;
	}
	else if (e->kind == EVENT_AGENT_MESSAGE)
	{
		if (!s->answered_early)
			s->early_first = e->at;
		s->early_last = e->at;
		s->answered_early = true;
		s->asked = false;
	}
}

/* The first response of a subject may have been given in the one it took over. */
static void
answer_earlier(FoldState *s, int64 opened_at, int64 now)
{
	Clock	   *c = s->current[CLOCK_FIRST_RESPONSE];

	if (!s->answered_early || s->answered || s->early_first < opened_at || !is_open(c))
		return;
	c->nstretches = 0;
	c->state = CLOCK_RUNNING;
	c->running_since = c->started_at;
	set_due(s, c);
	c->breached = c->has_due && c->due_at < s->early_first;
	c->breached_at = c->breached ? c->due_at : 0;
	stop_clock(s, c, s->early_first, CLOCK_DONE);
	s->answered = true;
	if (!s->fold->open)
		return;
	start_clock(s, CLOCK_PERIODIC_UPDATE, s->early_last);
	if (s->asked)
		start_clock(s, CLOCK_NEXT_RESPONSE, s->asked_at);
	mark_breaches(s, now, false);
}

static void
pin_due(FoldState *s, const ClockEvent *e)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		Clock	   *c = s->current[m];

		if (!is_open(c) || (e->metric >= 0 ? e->metric != m : m != CLOCK_RESOLUTION))
			continue;
		c->pinned = e->has_time;
		c->promised |= e->has_time;
		if (e->has_time)
		{
			c->has_due = true;
			c->due_at = e->time;
			c->due_before_change = e->time < e->at;
		}
		else
			set_due(s, c);
	}
}

static void
hold(FoldState *s, const ClockEvent *e, bool on)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
	{
		if (e->metric >= 0 ? e->metric != m : m == CLOCK_FIRST_RESPONSE)
			continue;
		s->hold[m] = on;
		if (is_open(s->current[m]))
			run_or_rest(s, s->current[m], e->at);
	}
}

/*
 * A breach was recorded at its time.  It stays as history even where today's
 * hours would give a later due instant, unless the clock, as we know it now,
 * was not running then in the way it was believed to be.
 */
static void
recorded_breach(FoldState *s, const ClockEvent *e)
{
	ClockFold  *f = s->fold;
	Clock	   *c = NULL;

	for (int i = 0; i < f->nclocks; i++)
		if (f->clocks[i]->metric == e->metric && f->clocks[i]->cycle == e->cycle)
			c = f->clocks[i];
	if (c != NULL && c->breached)
		return;
	if (c != NULL && is_open(c) &&
		(c->pinned ? c->due_at == e->at :
		 c->state == CLOCK_RUNNING && e->has_time && c->running_since == e->time))
	{
		c->breached = true;
		c->breached_at = e->at;
	}
}

static void
hear_customer(FoldState *s, int64 at)
{
	if (!s->asked)
		s->asked_at = at;
	s->asked = true;
	if (s->fold->open && s->answered && !is_open(s->current[CLOCK_NEXT_RESPONSE]))
		start_clock(s, CLOCK_NEXT_RESPONSE, at);
}

static void
hear_agent(FoldState *s, int64 at)
{
	stop_response(s, CLOCK_FIRST_RESPONSE, at);
	stop_response(s, CLOCK_NEXT_RESPONSE, at);
	stop_clock(s, s->current[CLOCK_PERIODIC_UPDATE], at, CLOCK_DONE);
	s->answered = true;
	s->asked = false;
	if (s->fold->open)
		start_clock(s, CLOCK_PERIODIC_UPDATE, at);
}

static void
open_subject(FoldState *s, const ClockEvent *e)
{
	if (s->fold->opened)
		return;
	s->fold->opened = s->fold->open = true;
	s->answered = e->outbound;
	start_clock(s, e->outbound ? CLOCK_PERIODIC_UPDATE : CLOCK_FIRST_RESPONSE, e->at);
	start_clock(s, CLOCK_RESOLUTION, e->at);
	start_clock(s, CLOCK_TOTAL, e->at);
}

static void
apply_event(FoldState *s, const ClockEvent *e)
{
	ClockFold  *f = s->fold;

	if (!f->opened && e->kind != EVENT_OPENED)
	{
		hear_early(s, e);
		return;
	}
	mark_breaches(s, e->at, false);
	if (e->stage != NULL)
	{
		s->stage = e->stage;
		s->stage_type = e->stage_type;
	}
	if (e->terms != NULL)
		apply_terms(s, e);

	switch (e->kind)
	{
		case EVENT_OPENED:
			open_subject(s, e);
			break;
		case EVENT_CUSTOMER_MESSAGE:
			hear_customer(s, e->at);
			break;
		case EVENT_AGENT_MESSAGE:
			hear_agent(s, e->at);
			break;
		case EVENT_RESOLVED:
		case EVENT_CLOSED:
			if (f->open)
				end_subject(s, e->at, CLOCK_DONE);
			break;
		case EVENT_REOPENED:
			if (!f->open)
				reopen_subject(s, e->at);
			break;
		case EVENT_CANCELLED:
			end_subject(s, e->at, CLOCK_CANCELLED);
			break;
		case EVENT_MERGED:
			for (int m = 0; m < CLOCK_METRICS; m++)
				if (is_open(s->current[m]))
					s->current[m]->breached = false;
			end_subject(s, e->at, CLOCK_MERGED);
			break;
		case EVENT_ABSORBED:
			if (e->has_time)
			{
				start_earlier(s, e->time);
				answer_earlier(s, e->time, e->at);
			}
			break;
		case EVENT_DUE:
			pin_due(s, e);
			break;
		case EVENT_PAUSED:
			hold(s, e, true);
			break;
		case EVENT_RESUMED:
			hold(s, e, false);
			break;
		case EVENT_BREACHED:
			recorded_breach(s, e);
			break;
		case EVENT_CHANGED:
		case EVENT_STAGE:
		case EVENT_OTHER:
			break;
	}
	if (e->stage != NULL)
	{
		for (int m = 0; m < CLOCK_METRICS; m++)
			if (is_open(s->current[m]))
				run_or_rest(s, s->current[m], e->at);
	}
}

/*
 * Fold events, which must be in the order in which they happened, into
 * clocks.  With settle, clocks that are due at as_of are marked as breached.
 */
ClockFold *
crm_clock_fold(const ClockEvent *events, int nevents, const ClockTime *time,
			   bool settle, int64 as_of)
{
	FoldState	s = {0};

	s.fold = (ClockFold *) palloc0(sizeof(ClockFold));
	s.fold->clocks = (Clock **) palloc(sizeof(Clock *));
	s.time = time;
	s.terms = &no_terms;
	for (int i = 0; i < nevents; i++)
		apply_event(&s, &events[i]);
	if (settle)
		mark_breaches(&s, as_of, true);
	return s.fold;
}
