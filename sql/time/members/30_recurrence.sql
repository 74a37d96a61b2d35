-- Recurrence: rules of iCalendar, expanded.
CREATE FUNCTION crm.recurrence(rule text, starts_at timestamptz, from_at timestamptz, until_at timestamptz, zone text) RETURNS SETOF timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 50
AS 'MODULE_PATHNAME', 'crm_recurrence';
COMMENT ON FUNCTION crm.recurrence(text, timestamptz, timestamptz, timestamptz, text) IS
'Instants of a recurrence rule (RRULE of RFC 5545) that began at starts_at, from from_at on and before until_at, in order. The time of day is that of '
'starts_at in the zone, also when its clocks change: a time that is skipped is the one read without the change, of one that comes twice it is the first. '
'Parts: FREQ (DAILY, WEEKLY, MONTHLY, YEARLY), INTERVAL, COUNT, UNTIL, BYDAY (2TU, -1FR), BYMONTHDAY (-1: the last), BYMONTH, BYSETPOS, WKST; and of '
'RFC 7529 RSCALE (PERSIAN: months, days of them and years are Jalali) and SKIP (OMIT, BACKWARD, FORWARD: a day that a month lacks). starts_at is an '
'instant of the rule only where it fits. Errors: 22023 for what is no rule, or no zone, 22008 for a start outside of the years 1 to 9999, or Jalali 1178 '
'to 1634.';

CREATE FUNCTION crm.next_recurrence(rule text, starts_at timestamptz, after_at timestamptz, zone text) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_next_recurrence';
COMMENT ON FUNCTION crm.next_recurrence(text, timestamptz, timestamptz, text) IS
'The first instant of a recurrence rule after another instant, as crm.recurrence() has them; NULL where there is none. Errors as there.';
