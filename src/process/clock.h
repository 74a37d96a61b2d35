/*
 * clock.h
 *	  Service clocks: what happened to a subject in, states of its clocks out.
 *
 * Instants are microseconds since 2000-01-01 UTC, durations microseconds.
 */
#ifndef CRM_CLOCK_H
#define CRM_CLOCK_H

typedef enum ClockMetric
{
	CLOCK_FIRST_RESPONSE,
	CLOCK_NEXT_RESPONSE,
	CLOCK_PERIODIC_UPDATE,
	CLOCK_RESOLUTION,
	CLOCK_TOTAL
} ClockMetric;

#define CLOCK_METRICS 5

typedef enum ClockState
{
	CLOCK_RUNNING,
	CLOCK_PAUSED,
	CLOCK_DONE,
	CLOCK_CANCELLED,
	CLOCK_MERGED
} ClockState;

typedef enum ClockReopen
{
	REOPEN_RESUME,				/* the clock goes on, the closed time is a pause */
	REOPEN_NEW_CYCLE,			/* another clock starts */
	REOPEN_NEVER				/* the first resolution counts */
} ClockReopen;

typedef enum ClockEventKind
{
	EVENT_OPENED,
	EVENT_CHANGED,
	EVENT_STAGE,
	EVENT_CUSTOMER_MESSAGE,
	EVENT_AGENT_MESSAGE,
	EVENT_RESOLVED,
	EVENT_REOPENED,
	EVENT_CLOSED,
	EVENT_CANCELLED,
	EVENT_MERGED,
	EVENT_ABSORBED,
	EVENT_DUE,
	EVENT_PAUSED,
	EVENT_RESUMED,
	EVENT_BREACHED,
	EVENT_OTHER					/* of no consequence here */
} ClockEventKind;

/* A promise: what holds for one metric. */
typedef struct ClockTerm
{
	int64		target_id;
	int64		usecs;			/* 0: nothing is promised */
	int64		calendar;		/* 0: calendar time */
	int			npause;
	char	  **pause;			/* stages, or types of stages, in which the clock rests */
} ClockTerm;

typedef struct ClockTerms
{
	int64		policy_id;		/* 0: none */
	ClockReopen reopen;
	ClockTerm	metric[CLOCK_METRICS];
} ClockTerms;

typedef struct ClockEvent
{
	ClockEventKind kind;
	int64		id;
	int64		at;
	const char *stage;			/* NULL: as before */
	const char *stage_type;
	int			metric;			/* -1: all that it concerns */
	int			cycle;
	bool		has_time;
	int64		time;			/* due: pinned instant; absorbed: earliest start;
								 * breached: since when the clock had been running */
	bool		outbound;		/* opened by the company itself: nobody waits for an answer */
	bool		from_change;	/* changed: the new target counts from now on */
	bool		sum_calendars;	/* changed: earlier time stays counted by the earlier calendar */
	const ClockTerms *terms;	/* NULL: as before */
} ClockEvent;

/* Time in which a clock ran, and the calendar that counts it. */
typedef struct ClockStretch
{
	int64		from;
	int64		to;
	int64		calendar;
} ClockStretch;

typedef struct Clock
{
	ClockMetric metric;
	int			cycle;
	ClockState	state;
	int64		policy_id;
	ClockTerm	term;
	bool		promised;		/* there was a target at some time */
	int64		started_at;
	int64		counted_from;	/* differs from started_at where a change started anew */
	int64		running_since;	/* where running */
	int64		paused_since;	/* where paused */
	int64		stopped_at;		/* where neither */
	bool		has_due;
	int64		due_at;
	bool		pinned;
	bool		due_before_change;	/* a change made it due in the past */
	bool		breached;
	int64		breached_at;
	bool		unanswered;		/* a response that the closing left owed */
	int			nstretches;
	int			space;
	ClockStretch *stretches;	/* closed ones; the running one is running_since */
} Clock;

/* Business time, as the caller provides it; calendar 0 is not asked for. */
typedef struct ClockTime
{
	bool		(*add) (void *arg, int64 calendar, int64 at, int64 usecs, int64 *result);
	int64		(*elapsed) (void *arg, int64 calendar, int64 from, int64 to);
	void	   *arg;
} ClockTime;

typedef struct ClockFold
{
	int			nclocks;
	Clock	  **clocks;
	bool		opened;
	bool		open;
} ClockFold;

extern const char *const crm_clock_metric_names[CLOCK_METRICS];
extern ClockFold *crm_clock_fold(const ClockEvent *events, int nevents,
								 const ClockTime *time, bool settle, int64 as_of);
extern bool crm_clock_reaches(const ClockTime *time, int64 usecs, int nstretches,
							  const ClockStretch *stretches, bool running, int64 since,
							  int64 calendar, int64 *at);
extern int64 crm_clock_used(const ClockTime *time, int nstretches,
							const ClockStretch *stretches, bool running, int64 since,
							int64 calendar, int64 as_of);

#endif							/* CRM_CLOCK_H */
