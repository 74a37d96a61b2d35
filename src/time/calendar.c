/*
 * calendar.c
 *	  Open hours compiled into cumulative tables, and arithmetic on them.
 *
 * An instant is open if the wall clock of the calendar's zone reads an open
 * time of that civil day.  So hours are never converted to UTC one by one, which
 * would have to choose a side at every change of the clocks: the zone comes in
 * as stretches of constant offset, and in each stretch the hours of its civil
 * days are shifted by the offset and cut at the stretch's ends.  Hours inside a
 * skipped hour vanish, hours inside a repeated one count twice, and a date the
 * zone skipped has none; none of these cases needs code of its own.
 *
 * Time is divided into chunks of 400 days, compiled when first asked for.  A
 * chunk holds its open pieces in order, each with the open time before it; a
 * second table holds the open time before each chunk.  Every question is then
 * two binary searches:  F(t), the open time before t, gives elapsed time as a
 * difference, and the inverse of F gives deadlines.  The chunks that were
 * compiled are always one contiguous run, which grows to both sides on demand
 * within the years 1 to 9999.  Pieces far from the rest are dropped again,
 * their sums stay, so a stray date in a far century costs no lasting memory.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "time/calendar.h"
#include "time/jalali.h"
#include "utils/memutils.h"

#define CHUNK_DAYS 400
#define CHUNK_USECS (CHUNK_DAYS * INT64CONST(86400) * CRM_USECS)
#define CHUNKS ((CRM_CALENDAR_LAST_DAY - CRM_CALENDAR_FIRST_DAY) / CHUNK_DAYS + 1)
#define MAX_DETAILED 250

/* after so many chunks without an explicit date every yearly rule has come round */
#define SETTLED_CHUNKS 12

typedef struct Piece
{
	int64		start;			/* [start, end) is open */
	int64		end;
	int64		before;			/* open time of the chunk before start */
} Piece;

typedef struct Chunk
{
	int			npieces;
	Piece	   *pieces;			/* NULL when dropped, or when there are none */
} Chunk;

struct Calendar
{
	MemoryContext context;
	int			nrules;
	CalRules   *rules;			/* by valid_from, without gaps */
	int			open_from;		/* no chunk outside [open_from, open_to) holds open time */
	int			open_to;
	int			last_date_chunk;	/* chunk of the last explicit date */
	int			lo;				/* chunks [lo, hi) are compiled */
	int			hi;
	int			detailed;		/* chunks with pieces in memory */
	Chunk		chunks[CHUNKS];
	int64		before[CHUNKS + 1]; /* open time from an origin to each chunk */
};

/* pieces of the chunk being compiled */
typedef struct Builder
{
	Piece	   *pieces;
	int			n;
	int			size;
	int64		open;
	int64		lo;				/* everything is cut to [lo, hi) */
	int64		hi;
} Builder;

static int
chunk_of(int64 at)
{
	return (int) ((at - CRM_CALENDAR_BEGIN) / CHUNK_USECS);
}

static int64
chunk_start(int chunk)
{
	return CRM_CALENDAR_BEGIN + chunk * CHUNK_USECS;
}

static int
chunk_of_date(int32 date)
{
	int			chunk = (date - CRM_CALENDAR_FIRST_DAY) / CHUNK_DAYS;

	return Max(0, Min(chunk, CHUNKS - 1));
}

static bool
in_range(int64 at)
{
	return at >= CRM_CALENDAR_BEGIN && at < CRM_CALENDAR_END;
}

/* ---- compiling ---- */

typedef struct EmitState
{
	Builder    *b;
	int64		midnight;		/* instant at which the day's wall clock would read 00:00 */
	int64		lo;
	int64		hi;
} EmitState;

static void
emit_piece(void *arg, int32 from, int32 to)
{
	EmitState  *e = (EmitState *) arg;
	Builder    *b = e->b;
	int64		start = Max(e->midnight + from * CRM_USECS, e->lo);
	int64		end = Min(e->midnight + to * CRM_USECS, e->hi);

	if (start >= end)
		return;
	if (b->n > 0 && b->pieces[b->n - 1].end == start)
	{
		b->pieces[b->n - 1].end = end;
		b->open += end - start;
		return;
	}
	if (b->n == b->size)
	{
		b->size *= 2;
		b->pieces = (Piece *) repalloc(b->pieces, b->size * sizeof(Piece));
	}
	b->pieces[b->n].start = start;
	b->pieces[b->n].end = end;
	b->pieces[b->n].before = b->open;
	b->open += end - start;
	b->n++;
}

/* Add the open pieces of one version of the rules, inside [b->lo, b->hi). */
static void
compile_rules(Builder *b, const CalRules *rules)
{
	int64		lo = Max(b->lo, rules->valid_from);
	int64		hi = Min(b->hi, rules->valid_to);
	int64		at = lo;

	while (at < hi)
	{
		int64		secs = crm_floor_div(at, CRM_USECS);
		int64		until;
		int32		offset = rules->stretch(rules->zone, secs, &until);
		int64		end = (until >= hi / CRM_USECS + 1) ? hi : Min(hi, until * CRM_USECS);
		int32		first = (int32) crm_floor_div(secs + offset, CRM_DAY_SECONDS);
		int32		last = (int32) crm_floor_div(crm_floor_div(end - 1, CRM_USECS) + offset, CRM_DAY_SECONDS);
		EmitState	e;

		e.b = b;
		e.lo = at;
		e.hi = end;
		for (int32 date = first; date <= last; date++)
		{
			e.midnight = (date * INT64CONST(86400) - offset) * CRM_USECS;
			crm_calendar_day_spans(rules, date, emit_piece, &e);
		}
		at = end;
	}
}

/* Forget the pieces of all chunks; their sums stay. */
static void
drop_details(Calendar *cal)
{
	for (int k = cal->lo; k < cal->hi; k++)
	{
		if (cal->chunks[k].pieces != NULL)
			pfree(cal->chunks[k].pieces);
		cal->chunks[k].pieces = NULL;
	}
	cal->detailed = 0;
}

/* Compile a chunk; returns its open time. */
static int64
compile_chunk(Calendar *cal, int k)
{
	Builder		b;
	Chunk	   *chunk = &cal->chunks[k];

	CHECK_FOR_INTERRUPTS();
	if (cal->detailed >= MAX_DETAILED)
		drop_details(cal);

	b.size = 64;
	b.n = 0;
	b.open = 0;
	b.lo = chunk_start(k);
	b.hi = Min(b.lo + CHUNK_USECS, CRM_CALENDAR_END);
	b.pieces = (Piece *) MemoryContextAlloc(cal->context, b.size * sizeof(Piece));
	if (k >= cal->open_from && k < cal->open_to)
		for (int i = 0; i < cal->nrules; i++)
			compile_rules(&b, &cal->rules[i]);
	chunk->npieces = b.n;
	if (b.n == 0)
	{
		pfree(b.pieces);
		chunk->pieces = NULL;
	}
	else
	{
		chunk->pieces = (Piece *) repalloc(b.pieces, b.n * sizeof(Piece));
		cal->detailed++;
	}
	return b.open;
}

/* Have every chunk between the compiled ones and k compiled. */
static void
reach_chunk(Calendar *cal, int k)
{
	if (cal->lo == cal->hi)
	{
		cal->lo = cal->hi = k;
		cal->before[k] = 0;
	}
	while (k >= cal->hi)
	{
		int64		open = compile_chunk(cal, cal->hi);

		cal->before[cal->hi + 1] = cal->before[cal->hi] + open;
		cal->hi++;
	}
	while (k < cal->lo)
	{
		int64		open = compile_chunk(cal, cal->lo - 1);

		cal->before[cal->lo - 1] = cal->before[cal->lo] - open;
		cal->lo--;
	}
}

/* A chunk with its pieces. */
static inline Chunk *
get_chunk(Calendar *cal, int k)
{
	Chunk	   *chunk;

	if (unlikely(k < cal->lo || k >= cal->hi))
		reach_chunk(cal, k);
	chunk = &cal->chunks[k];
	if (unlikely(chunk->pieces == NULL && chunk->npieces > 0))
		compile_chunk(cal, k);
	return chunk;
}

/*
 * A calendar from the versions of its rules, ordered by valid_from.  The rules
 * must live in the context.
 */
Calendar *
crm_calendar_create(MemoryContext context, int nrules, CalRules *rules)
{
	Calendar   *cal = (Calendar *) MemoryContextAllocExtended(context, sizeof(Calendar),
															  MCXT_ALLOC_HUGE);
	int			first = CHUNKS;
	int			last = 0;
	int			explicit = 0;

	cal->context = context;
	cal->nrules = nrules;
	cal->rules = rules;
	cal->lo = cal->hi = 0;
	cal->detailed = 0;
	for (int i = 0; i < nrules; i++)
	{
		const CalRules *r = &rules[i];

		if (r->has_weekly)
		{
			first = Min(first, chunk_of(Max(r->valid_from, CRM_CALENDAR_BEGIN)));
			last = Max(last, chunk_of(Min(r->valid_to, CRM_CALENDAR_END) - 1));
		}
		else if (r->nspecial > 0)
		{
			/* a zone's date may begin or end in the neighbouring chunk */
			first = Min(first, chunk_of_date(r->special[0].date - 2));
			last = Max(last, chunk_of_date(r->special[r->nspecial - 1].date + 2));
		}
		if (r->valid_from > CRM_CALENDAR_BEGIN)
			explicit = Max(explicit, chunk_of(r->valid_from));
		if (r->nspecial > 0)
			explicit = Max(explicit, chunk_of_date(r->special[r->nspecial - 1].date));
		if (r->nbreaks > 0)
			explicit = Max(explicit, chunk_of_date(r->breaks[r->nbreaks - 1].date));
		if (r->nholidays > 0)
			explicit = Max(explicit, chunk_of_date(r->holidays[r->nholidays - 1]));
		for (int y = 0; y < r->nyearly; y++)
		{
			int			year = r->yearly[y].from_year + (r->yearly[y].jalali ? 622 : 0);

			if (year > 1 && year <= 9999)
				explicit = Max(explicit, chunk_of_date(crm_gregorian_to_days(year, 1, 1)));
		}
	}
	cal->open_from = first;
	cal->open_to = last + 1;
	cal->last_date_chunk = explicit;
	return cal;
}

/* The version of the rules in force at an instant. */
static const CalRules *
rules_at(const Calendar *cal, int64 at)
{
	int			i = cal->nrules - 1;

	while (i > 0 && cal->rules[i].valid_from > at)
		i--;
	return &cal->rules[i];
}

/* ---- asking ---- */

/* The last piece that starts at or before an instant, or -1. */
static inline int
piece_at(const Chunk *chunk, int64 at)
{
	int			lo = 0;
	int			hi = chunk->npieces;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (chunk->pieces[mid].start <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - 1;
}

/* F(t): open time before an instant, from the calendar's origin. */
static inline int64
open_before(Calendar *cal, int64 at)
{
	int			k = chunk_of(at);
	Chunk	   *chunk = get_chunk(cal, k);
	int			i = piece_at(chunk, at);

	if (i < 0)
		return cal->before[k];
	return cal->before[k] + chunk->pieces[i].before +
		Min(at, chunk->pieces[i].end) - chunk->pieces[i].start;
}

CalAnswer
crm_calendar_elapsed(Calendar *cal, int64 from, int64 to, int64 *usecs)
{
	int64		f;

	if (!in_range(from) || !in_range(to))
		return CAL_OUT_OF_RANGE;
	f = open_before(cal, from);
	/* the origin is fixed once a chunk is compiled, so both are comparable */
	*usecs = open_before(cal, to) - f;
	return CAL_OK;
}

/* The earliest instant by which open time has reached goal. */
static CalAnswer
reach_forward(Calendar *cal, int k, int64 goal, int64 *result)
{
	int			lo = k;
	int			hi;
	Chunk	   *chunk;
	int64		rest;

	while (cal->before[cal->hi] < goal)
	{
		if (cal->hi >= cal->open_to ||
			(goal - cal->before[cal->hi]) / CHUNK_USECS > cal->open_to - cal->hi)
			return CAL_NO_OPEN_TIME;
		reach_chunk(cal, cal->hi);
	}
	/* the first chunk at whose end the goal is reached; mostly the first looked at */
	if (cal->before[k + 1] < goal)
	{
		lo = k + 1;
		hi = cal->hi - 1;
		while (lo < hi)
		{
			int			mid = (lo + hi) / 2;

			if (cal->before[mid + 1] < goal)
				lo = mid + 1;
			else
				hi = mid;
		}
	}
	chunk = get_chunk(cal, lo);
	rest = goal - cal->before[lo];
	/* the last piece with less open time before it than the rest */
	{
		int			a = 0;
		int			b = chunk->npieces;

		while (a < b)
		{
			int			mid = (a + b) / 2;

			if (chunk->pieces[mid].before < rest)
				a = mid + 1;
			else
				b = mid;
		}
		*result = chunk->pieces[a - 1].start + rest - chunk->pieces[a - 1].before;
	}
	return CAL_OK;
}

/* The latest instant at which open time has not gone beyond goal. */
static CalAnswer
reach_backward(Calendar *cal, int k, int64 goal, int64 *result)
{
	int			lo;
	int			hi;
	Chunk	   *chunk;
	int64		rest;

	while (cal->before[cal->lo] > goal)
	{
		if (cal->lo <= cal->open_from ||
			(cal->before[cal->lo] - goal) / CHUNK_USECS > cal->lo - cal->open_from)
			return CAL_NO_OPEN_TIME;
		reach_chunk(cal, cal->lo - 1);
	}
	/* the last chunk with open time whose beginning is not beyond the goal: the
	 * one before the first chunk that ends beyond it, or that one itself */
	lo = cal->lo;
	hi = k;
	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (cal->before[mid + 1] > goal)
			hi = mid;
		else
			lo = mid + 1;
	}
	chunk = get_chunk(cal, lo);
	rest = goal - cal->before[lo];
	{
		int			a = 0;
		int			b = chunk->npieces;

		while (a < b)
		{
			int			mid = (a + b) / 2;

			if (chunk->pieces[mid].before <= rest)
				a = mid + 1;
			else
				b = mid;
		}
		*result = chunk->pieces[a - 1].start + rest - chunk->pieces[a - 1].before;
	}
	return CAL_OK;
}

/*
 * The deadline: the earliest instant with exactly that much open time since
 * start, or the latest with as much before it where usecs is negative.
 */
CalAnswer
crm_calendar_add(Calendar *cal, int64 start, int64 usecs, int64 *result)
{
	int64		here;
	int			k;

	if (!in_range(start))
		return CAL_OUT_OF_RANGE;
	if (usecs == 0)
	{
		*result = start;
		return CAL_OK;
	}
	if (usecs > CRM_CALENDAR_END - start || usecs < CRM_CALENDAR_BEGIN - start)
		return CAL_NO_OPEN_TIME;
	k = chunk_of(start);
	here = open_before(cal, start);
	if (usecs > 0)
		return reach_forward(cal, k, here + usecs, result);
	return reach_backward(cal, k, here + usecs, result);
}

CalAnswer
crm_calendar_is_open(Calendar *cal, int64 at, bool *open)
{
	Chunk	   *chunk;
	int			i;

	if (!in_range(at))
		return CAL_OUT_OF_RANGE;
	chunk = get_chunk(cal, chunk_of(at));
	i = piece_at(chunk, at);
	*open = (i >= 0 && at < chunk->pieces[i].end);
	return CAL_OK;
}

CalAnswer
crm_calendar_next_open(Calendar *cal, int64 at, int64 *result)
{
	int			k;
	Chunk	   *chunk;
	int			i;

	if (!in_range(at))
		return CAL_OUT_OF_RANGE;
	k = chunk_of(at);
	chunk = get_chunk(cal, k);
	i = piece_at(chunk, at);
	if (i >= 0 && at < chunk->pieces[i].end)
	{
		*result = at;
		return CAL_OK;
	}
	i++;
	while (i >= chunk->npieces)
	{
		if (++k >= cal->open_to)
			return CAL_NO_OPEN_TIME;
		chunk = get_chunk(cal, k);
		i = 0;
	}
	*result = chunk->pieces[i].start;
	return CAL_OK;
}

/* The latest instant at or before which the moment just past is open. */
CalAnswer
crm_calendar_prev_open(Calendar *cal, int64 at, int64 *result)
{
	int			k;
	Chunk	   *chunk;
	int			i;

	if (!in_range(at))
		return CAL_OUT_OF_RANGE;
	k = chunk_of(at);
	chunk = get_chunk(cal, k);
	i = piece_at(chunk, at - 1);
	while (i < 0)
	{
		if (--k < cal->open_from || k < 0)
			return CAL_NO_OPEN_TIME;
		chunk = get_chunk(cal, k);
		i = chunk->npieces - 1;
	}
	*result = Min(at, chunk->pieces[i].end);
	return CAL_OK;
}

/* The end of the running or else the next open stretch. */
CalAnswer
crm_calendar_next_close(Calendar *cal, int64 at, int64 *result)
{
	int64		open;
	CalAnswer	answer = crm_calendar_next_open(cal, at, &open);
	int			k;
	int			settled;

	if (answer != CAL_OK)
		return answer;
	k = chunk_of(open);
	settled = Max(k, cal->last_date_chunk) + SETTLED_CHUNKS;
	for (;;)
	{
		Chunk	   *chunk = get_chunk(cal, k);
		int			i = piece_at(chunk, open);

		if (i < 0 || chunk->pieces[i].end <= open)
			break;
		open = chunk->pieces[i].end;
		/* a piece is cut only at the end of its chunk */
		if (open < chunk_start(k + 1))
			break;
		if (k + 1 >= CHUNKS || k + 1 > settled)
			return CAL_NEVER_CLOSES;
		k++;
	}
	*result = open;
	return CAL_OK;
}

/* Has a civil day any open hours, by the rules in force at its beginning? */
static bool
date_is_open(const Calendar *cal, int32 date)
{
	const CalRules *rules = &cal->rules[0];

	for (int i = cal->nrules - 1; i > 0; i--)
	{
		if (cal->rules[i].valid_from <= crm_calendar_date_start(&cal->rules[i], date))
		{
			rules = &cal->rules[i];
			break;
		}
	}
	return crm_calendar_day_spans(rules, date, NULL, NULL);
}

/*
 * The same time of day on the n-th business date after (or before) that of
 * start, moved on to the next open instant where that time is closed.  Days
 * back never leave the date that was counted: there, a time after the last
 * hours becomes their end.
 */
CalAnswer
crm_calendar_add_days(Calendar *cal, int64 start, int32 days, int64 *result)
{
	const CalRules *rules;
	int32		date;
	int32		second;
	int32		step = days < 0 ? -1 : 1;
	int32		left = days < 0 ? -days : days;
	int64		at;

	if (!in_range(start))
		return CAL_OUT_OF_RANGE;
	if (days == 0)
		return crm_calendar_next_open(cal, start, result);
	date = crm_calendar_local(rules_at(cal, start), start, &second);
	while (left > 0)
	{
		int			k;

		date += step;
		if (date <= CRM_CALENDAR_FIRST_DAY + 2 || date >= CRM_CALENDAR_LAST_DAY - 2)
			return CAL_NO_OPEN_TIME;
		k = chunk_of_date(date);
		if (k < cal->open_from - 1 || k > cal->open_to)
		{
			if ((step > 0) == (k > cal->open_to))
				return CAL_NO_OPEN_TIME;
			continue;
		}
		if (date_is_open(cal, date))
			left--;
		if ((date & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
	}
	at = crm_calendar_date_start(rules_at(cal, start), date);
	rules = rules_at(cal, at);
	/* the instant at which the wall clock of that date reads the same time */
	{
		int64		midnight = crm_calendar_date_start(rules, date) / CRM_USECS;
		int64		wall = date * INT64CONST(86400) + second;
		int64		from = midnight;

		for (;;)
		{
			int64		end;
			int32		offset = rules->stretch(rules->zone, from, &end);

			if (wall - offset < end)
			{
				at = Max(wall - offset, from) * CRM_USECS;
				break;
			}
			from = end;
		}
	}
	at += start - crm_floor_div(start, CRM_USECS) * CRM_USECS;
	if (days > 0)
		return crm_calendar_next_open(cal, at, result);

	/* backwards: the date stays, so what lies after its last hours goes back */
	if (crm_calendar_next_open(cal, at, result) == CAL_OK &&
		crm_calendar_local(rules_at(cal, *result), *result, &second) == date)
		return CAL_OK;
	return crm_calendar_prev_open(cal, at, result);
}
