-- Business time and Jalali dates: the engines.
CREATE FUNCTION crm.business_add(calendar_id bigint, start_at timestamptz, seconds double precision) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_business_add';
COMMENT ON FUNCTION crm.business_add(bigint, timestamptz, double precision) IS
'Deadline: the earliest instant with exactly that many open seconds of the calendar since start_at (it stays on a closing instant). 0 gives start_at itself, open or not; a negative number gives the latest instant with as many open seconds before start_at. Seconds are exact to the microsecond. Errors: CR303 where there is not so much open time, 22008 outside the years 1 to 9999, 42704 for an unknown calendar.';

CREATE FUNCTION crm.business_elapsed(calendar_id bigint, from_at timestamptz, to_at timestamptz) RETURNS double precision
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_business_elapsed';
COMMENT ON FUNCTION crm.business_elapsed(bigint, timestamptz, timestamptz) IS
'Open seconds of the calendar from one instant to another, not rounded; negative where to_at is before from_at.';

CREATE FUNCTION crm.is_open(calendar_id bigint, at timestamptz) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_is_open';
COMMENT ON FUNCTION crm.is_open(bigint, timestamptz) IS
'Is the calendar open at an instant? Open at the opening instant, closed at the closing one.';

CREATE FUNCTION crm.next_open(calendar_id bigint, at timestamptz) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_next_open';
COMMENT ON FUNCTION crm.next_open(bigint, timestamptz) IS
'The instant itself where the calendar is open, else its next opening. Error CR303 where it never opens again.';

CREATE FUNCTION crm.prev_open(calendar_id bigint, at timestamptz) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_prev_open';
COMMENT ON FUNCTION crm.prev_open(bigint, timestamptz) IS
'The latest instant, not after the given one, just before which the calendar is open: the instant itself within open hours and at a closing, else the last closing. Error CR303 where it was never open before.';

CREATE FUNCTION crm.next_close(calendar_id bigint, at timestamptz) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_next_close';
COMMENT ON FUNCTION crm.next_close(bigint, timestamptz) IS
'End of the open stretch that is running, else of the next one; hours that touch are one stretch. NULL where the calendar never closes again; error CR303 where it never opens again.';

CREATE FUNCTION crm.business_days_add(calendar_id bigint, start_at timestamptz, days integer) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_business_days_add';
COMMENT ON FUNCTION crm.business_days_add(bigint, timestamptz, integer) IS
'The same time of day on the n-th business date after that of start_at (before it where days is negative), moved on to the next opening where that time is closed.'
    ' Days back stay on the date that was counted: a time after its last hours becomes their end. A business date is one with any open hours.';

CREATE FUNCTION crm.check_calendar(definition jsonb)
RETURNS TABLE (reason text, place text, message text)
LANGUAGE c STABLE PARALLEL SAFE ROWS 10
AS 'MODULE_PATHNAME', 'crm_check_calendar';
COMMENT ON FUNCTION crm.check_calendar(jsonb) IS
'Everything that is wrong with the definition of a calendar, one row a fault; no row means that it can be stored. Reasons: shape, key, zone, weekday, time, date, number, wrong_order, overlap, outside_of_day, no_hours.';

CREATE FUNCTION crm.calendar_guard() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_calendar_guard';
COMMENT ON FUNCTION crm.calendar_guard() IS
'Row trigger of crm.calendar_versions: refuses a definition that has a fault.';
