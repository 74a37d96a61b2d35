-- A generated company, 1: draws and days. Every draw is a hash of (seed, what is drawn, which row), so a row does not depend on how many others are made.
-- Instants are numbers on a line of working days: 17.5 is the middle of the 17th. What lasts so many days is added there, so nothing falls on a day of
-- rest, nothing gathers behind one, and the company looks the same whatever the day its history ends on.

CREATE OR REPLACE FUNCTION crm_internal.demo_uniform(seed bigint, what text, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((hashint8extended(n, hashtextextended(what, seed)) >> 11) & 9007199254740991)::double precision / 9007199254740992;
COMMENT ON FUNCTION crm_internal.demo_uniform(bigint, text, bigint) IS 'Uniform draw in [0, 1), the n-th of a named stream.';

CREATE OR REPLACE FUNCTION crm_internal.demo_normal(seed bigint, what text, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sqrt(-2 * ln(1 - crm_internal.demo_uniform(seed, what, n))) * cos(2 * pi() * crm_internal.demo_uniform(seed, what || '~', n));
COMMENT ON FUNCTION crm_internal.demo_normal(bigint, text, bigint) IS 'Standard normal draw (Box-Muller), the n-th of a named stream.';

CREATE OR REPLACE FUNCTION crm_internal.demo_label(list jsonb, u double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN list ->> floor(u * jsonb_array_length(list))::integer;
COMMENT ON FUNCTION crm_internal.demo_label(jsonb, double precision) IS 'The element of a list that a uniform draw falls on.';

CREATE OR REPLACE FUNCTION crm_internal.demo_bounds(list jsonb, place integer)
RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(o.upto ORDER BY o.n) FILTER (WHERE o.n < o.many)
    FROM (SELECT w.n, count(*) OVER () AS many,
                 sum((w.option ->> place)::double precision) OVER (ORDER BY w.n) / sum((w.option ->> place)::double precision) OVER () AS upto
          FROM jsonb_array_elements(list) WITH ORDINALITY AS w (option, n)) AS o
$$;
COMMENT ON FUNCTION crm_internal.demo_bounds(jsonb, integer) IS
'Where the options of a list end on the unit interval, by the weight at a place of each, the last one apart; width_bucket of a draw is the option.';

CREATE OR REPLACE FUNCTION crm_internal.demo_days(until date, weekend smallint[], words jsonb)
RETURNS date[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(d.day ORDER BY d.day)
    FROM (SELECT until + k AS day FROM generate_series(-1010, 400) AS k) AS d
    WHERE NOT extract(isodow FROM d.day)::smallint = ANY (weekend)
      AND NOT (words -> 'holidays') ? CASE words ->> 'calendar' WHEN 'jalali' THEN crm.format_jalali(d.day, 'MM-DD') ELSE to_char(d.day, 'MM-DD') END
$$;
COMMENT ON FUNCTION crm_internal.demo_days(date, smallint[], jsonb) IS 'Working days of a generated company, from 1,010 days before its end to 400 after it.';

CREATE OR REPLACE FUNCTION crm_internal.demo_pace(days date[], words jsonb)
RETURNS double precision[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(d.upto ORDER BY d.n)
    FROM (SELECT d.n, sum((words -> 'season' ->> (mod(crm_analytics.month_number(d.day, words ->> 'calendar') + 11, 12)))::double precision
                          * (words -> 'week' ->> (extract(isodow FROM d.day)::integer - 1))::double precision) OVER (ORDER BY d.n) AS upto
          FROM unnest(days) WITH ORDINALITY AS d (day, n)) AS d
$$;
COMMENT ON FUNCTION crm_internal.demo_pace(date[], jsonb) IS
'How much of the business has been done by the end of each working day: days of busy months and weekdays count for more than one, of quiet ones for less.';

CREATE OR REPLACE FUNCTION crm_internal.demo_when(done double precision, pace double precision[], u double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 1 + width_bucket(done, pace) + u;
COMMENT ON FUNCTION crm_internal.demo_when(double precision, double precision[], double precision) IS
'Working day on which so much of the business has been done, and the hour by a draw.';

CREATE OR REPLACE FUNCTION crm_internal.demo_at(x double precision, days date[], zone text)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (days[floor(x)::integer] + time '08:30' + (x - floor(x)) * interval '9 hours') AT TIME ZONE zone;
COMMENT ON FUNCTION crm_internal.demo_at(double precision, date[], text) IS 'The instant of a point on the line of working days: between 8:30 and 17:30.';

CREATE OR REPLACE FUNCTION crm_internal.demo_level(currency text)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE currency WHEN 'EUR' THEN 0.9 WHEN 'GBP' THEN 0.78 WHEN 'CAD' THEN 1.36 WHEN 'CHF' THEN 0.88 WHEN 'AED' THEN 3.67 WHEN 'TRY' THEN 40
                     WHEN 'IQD' THEN 1310 WHEN 'IRR' THEN 900000 WHEN 'JPY' THEN 150 WHEN 'INR' THEN 85 ELSE 1 END;
COMMENT ON FUNCTION crm_internal.demo_level(text) IS 'About what a US dollar costs in a currency: the level of prices and rates of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_price(amount double precision)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN round(amount::numeric, 1 - floor(log(amount))::integer);
COMMENT ON FUNCTION crm_internal.demo_price(double precision) IS 'An amount with two figures, as price lists have it.';
