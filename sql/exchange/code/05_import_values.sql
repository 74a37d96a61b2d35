-- Values of imports that are not numbers or dates (members/05_values.sql has those): lists, ranges, and types that only PostgreSQL can read.

CREATE OR REPLACE FUNCTION crm.import_list(value text, separator text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- without a declared separator: { } of PostgreSQL, [ ] of JSON, or the one of ; and | that is there; a comma may belong to a name
    SELECT CASE
        WHEN value IS NULL THEN NULL
        WHEN separator IS NOT NULL THEN (SELECT coalesce(array_agg(btrim(x) ORDER BY n), '{}') FROM unnest(string_to_array(value, separator)) WITH ORDINALITY
            AS u(x, n)
                                         WHERE btrim(x) <> '')
        WHEN value ~ '^\{[^{}"\\]*\}$' THEN (SELECT coalesce(array_agg(btrim(x) ORDER BY n), '{}') FROM unnest(string_to_array(btrim(value, '{}'), ',')) WITH
            ORDINALITY AS u(x, n)
                                             WHERE btrim(x) <> '')
        WHEN (value LIKE '%;%')::integer + (value LIKE '%|%')::integer + (value LIKE '%,%')::integer + (value LIKE E'%\n%')::integer > 1 OR value LIKE '%,%'
            THEN NULL
        ELSE (SELECT coalesce(array_agg(btrim(x) ORDER BY n), '{}') FROM unnest(regexp_split_to_array(value, '[;|\n]')) WITH ORDINALITY AS u(x, n) WHERE
            btrim(x) <> '')
    END
$$;
COMMENT ON FUNCTION crm.import_list(text, text) IS
'The items of a list: cut at the declared separator; without one at ; or | or ends of lines, where only one of them is there. NULL for what holds a comma '
'without a declared separator, or several kinds of them.';

CREATE OR REPLACE FUNCTION crm.import_readable(value text, type_name text)
RETURNS boolean
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    type CONSTANT regtype := type_name::regtype;
BEGIN
    EXECUTE format('SELECT %L::%s', value, type::regtype);
    RETURN true;
EXCEPTION WHEN data_exception OR invalid_parameter_value OR object_not_in_prerequisite_state OR undefined_object THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION crm.import_readable(text, text) IS 'Whether PostgreSQL can read a text as a value of a type.';

CREATE OR REPLACE FUNCTION crm.import_period(from_value text, to_value text, date_order text, zone text)
RETURNS daterange
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    first date := crm.import_date(from_value, date_order, zone);
    last date := crm.import_date(to_value, date_order, zone);
    m text[];
BEGIN
    IF to_value IS NOT NULL THEN
        RETURN CASE WHEN first <= last THEN daterange(first, last, '[]') END;
    END IF;
    m := regexp_match(crm.fold_text(from_value), '^(\d{4})(?:[-/ ]?(?:q(\d)|(\d{1,2})))?$');
    IF m IS NULL THEN
        m := regexp_match(from_value, '^([\[(])\s*(\d{4}-\d\d-\d\d)\s*,\s*(\d{4}-\d\d-\d\d)\s*([\])])$');
        first := crm.import_date(m[2], 'ymd', zone);
        last := crm.import_date(m[3], 'ymd', zone);
        RETURN CASE WHEN first <= last THEN daterange(first, last, m[1] || m[4]) END;
    END IF;
    -- a year, a quarter or a month of it; Jalali years by their number
    IF m[2] NOT IN ('1', '2', '3', '4') OR m[3]::integer NOT BETWEEN 1 AND 12 THEN
        RETURN NULL;
    END IF;
    IF date_order = 'jalali' OR m[1]::integer BETWEEN 1200 AND 1599 THEN
        first := crm.from_jalali(m[1]::integer, coalesce((m[2]::integer - 1) * 3 + 1, m[3]::integer, 1), 1);
        RETURN daterange(first, crm.jalali_add_months(first, CASE WHEN m[2] IS NOT NULL THEN 3 WHEN m[3] IS NOT NULL THEN 1 ELSE 12 END));
    END IF;
    first := make_date(m[1]::integer, coalesce((m[2]::integer - 1) * 3 + 1, m[3]::integer, 1), 1);
    RETURN daterange(first, (first + make_interval(months => CASE WHEN m[2] IS NOT NULL THEN 3 WHEN m[3] IS NOT NULL THEN 1 ELSE 12 END))::date);
END
$$;
COMMENT ON FUNCTION crm.import_period(text, text, text, text) IS
'Days from one to another, both included; with one text the year, quarter or month that it names (2026, 2026-Q1, 2026-03, Jalali years too), or a range as '
'PostgreSQL writes it. NULL for what cannot be read.';
