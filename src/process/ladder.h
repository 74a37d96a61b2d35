/*
 * ladder.h
 *	  What ladder.c, which says when a step is due, and escalate.c, which does
 *	  what is due, share.
 */
#ifndef CRM_LADDER_H
#define CRM_LADDER_H

#include "base/crm.h"

typedef struct Step
{
	int64		id;
	int64		policy;			/* 0: every policy */
	char	   *subject_type;
	char	   *metric;
	int			position;
	double		share;			/* of the target; 0: by offset */
	int64		offset;			/* microseconds of business time */
	int64		repeat;
	int			repeat_max;
	bool		changes;		/* its action writes to the subject */
} Step;

/* The active steps of a tenant, in their order */
typedef struct Ladder
{
	int			nsteps;
	Step	   *steps;
} Ladder;

/* A clock, as a row of crm.sla_clocks says */
typedef struct LadderClock
{
	int64		tenant;
	char	   *subject_type;
	int64		subject_id;
	char	   *metric;
	int			cycle;
	bool		running;
	int64		policy;			/* 0: none */
	bool		has_target;
	double		target;			/* seconds */
	bool		has_calendar;
	int64		calendar;
	TimestampTz counted_from;
	NullableDatum since;
	bool		has_due;
	TimestampTz due;
	bool		pinned;
	NullableDatum stretches;
	NullableDatum calendars;
	int64	   *done;			/* pairs: step, times */
	int			ndone;			/* pairs */
} LadderClock;

/* columns of crm.sla_clocks that a clock is read from, in this order */
#define LADDER_CLOCK_COLUMNS \
	"c.tenant_id, c.subject_type, c.subject_id, c.metric, c.cycle, c.state, c.policy_id, " \
	"c.target_seconds, c.calendar_id, c.counted_from, c.running_since, c.due_at, c.due_pinned, " \
	"c.stretches, c.stretch_calendars, c.escalated"

/* ladder.c */
extern const Ladder *crm_ladder(int64 tenant);
extern void crm_ladder_read_clock(LadderClock *c, HeapTuple row, TupleDesc desc);
extern int64 *crm_ladder_done(LadderClock *c, int64 step, bool grow);
extern const Step *crm_ladder_next(const Ladder *ladder, LadderClock *c, int *repeat_no,
								   TimestampTz *at);
extern bool crm_ladder_repeat(const LadderClock *c, const Step *s, int repeat_no,
							  TimestampTz *at);

#endif							/* CRM_LADDER_H */
