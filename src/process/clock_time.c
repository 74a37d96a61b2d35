/*
 * clock_time.c
 *	  Time that a clock uses: the sum over the stretches in which it ran.
 *
 * Calendar 0 counts all time; any other one is asked of the caller.
 */
#include "postgres.h"

#include "process/clock.h"

static int64
elapsed(const ClockTime *time, int64 calendar, int64 from, int64 to)
{
	return calendar == 0 ? to - from : time->elapsed(time->arg, calendar, from, to);
}

static bool
add(const ClockTime *time, int64 calendar, int64 at, int64 usecs, int64 *result)
{
	if (calendar == 0)
	{
		*result = at + usecs;
		return true;
	}
	return time->add(time->arg, calendar, at, usecs, result);
}

/*
 * The instant at which a clock has used that much: in one of its closed
 * stretches, or in the running one.  False where it does not come to that.
 */
bool
crm_clock_reaches(const ClockTime *time, int64 usecs, int nstretches,
				  const ClockStretch *stretches, bool running, int64 since,
				  int64 calendar, int64 *at)
{
	int64		left = usecs;

	for (int i = 0; i < nstretches; i++)
	{
		const ClockStretch *s = &stretches[i];
		int64		used = elapsed(time, s->calendar, s->from, s->to);

		if (used >= left)
			return add(time, s->calendar, s->from, left, at);
		left -= used;
	}
	return running && add(time, calendar, since, left, at);
}

/* Time used up to as_of. */
int64
crm_clock_used(const ClockTime *time, int nstretches, const ClockStretch *stretches,
			   bool running, int64 since, int64 calendar, int64 as_of)
{
	int64		used = 0;

	for (int i = 0; i < nstretches; i++)
	{
		const ClockStretch *s = &stretches[i];

		if (s->from >= as_of)
			return used;
		used += elapsed(time, s->calendar, s->from, Min(s->to, as_of));
	}
	if (running && since < as_of)
		used += elapsed(time, calendar, since, as_of);
	return used;
}
