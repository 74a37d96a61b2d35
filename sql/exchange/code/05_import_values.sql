-- Values of imports: text, numbers and instants as exports write them.

-- a value of the source row: empty is NULL, renamed by "values" where it is named there
CREATE OR REPLACE FUNCTION crm.import_text(data jsonb, spec jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT CASE WHEN spec -> 'values' ? v.v THEN spec -> 'values' ->> v.v ELSE v.v END
        FROM (SELECT nullif(btrim(coalesce(spec ->> 'value',
                                   data ->> CASE jsonb_typeof(spec) WHEN 'string' THEN spec #>> '{}' ELSE spec ->> 'column' END)), '') AS v) AS v);
COMMENT ON FUNCTION crm.import_text(jsonb, jsonb) IS 'Text of a source row that a column of a mapping names.';

-- Persian and Arabic digits and separators, thousands separators, a leading currency sign
CREATE OR REPLACE FUNCTION crm.import_number(value text)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(translate(value, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬$€£﷼ ', '01234567890123456789.,'), ',(?=\d{3}(\D|$))', '', 'g')::numeric;
COMMENT ON FUNCTION crm.import_number(text) IS 'A number as exports write it: digits in three scripts, thousands separators, a currency sign.';

CREATE OR REPLACE FUNCTION crm.import_other_timestamp(value text, date_order text, zone text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    folded text := translate(value, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩', '01234567890123456789');
    m text[];
    y int;
    mo int;
    d int;
    rest text;
BEGIN
    m := regexp_match(folded, '^(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})(?:[ T](.*))?$');
    IF m IS NULL THEN
        -- an ISO instant with zone, or nothing we know
        IF folded ~ '^\d{4}-\d{2}-\d{2}' THEN
            RETURN folded::timestamptz;
        END IF;
        RAISE EXCEPTION 'not a date: "%"', value USING ERRCODE = 'invalid_datetime_format',
            HINT = 'Dates are three numbers; say their order with "date_order": ymd, dmy, mdy or jalali.';
    END IF;
    IF length(m[1]) = 4 OR date_order IN ('ymd', 'jalali') THEN
        y := m[1]; mo := m[2]; d := m[3];
    ELSIF date_order = 'dmy' THEN
        d := m[1]; mo := m[2]; y := m[3];
    ELSIF date_order = 'mdy' THEN
        mo := m[1]; d := m[2]; y := m[3];
    END IF;
    IF y < 100 THEN
        RAISE EXCEPTION 'year of two digits in date "%"', value USING ERRCODE = 'invalid_datetime_format';
    END IF;
    rest := coalesce(m[4], '00:00');
    IF rest ~ '([+-]\d{2}(:?\d{2})?|Z)$' THEN
        RETURN (CASE WHEN y BETWEEN 1200 AND 1599 OR date_order = 'jalali' THEN crm.from_jalali(y, mo, d) ELSE make_date(y, mo, d) END::text
                || ' ' || rest)::timestamptz;
    END IF;
    RETURN (CASE WHEN y BETWEEN 1200 AND 1599 OR date_order = 'jalali' THEN crm.from_jalali(y, mo, d) ELSE make_date(y, mo, d) END
            + rest::time) AT TIME ZONE zone;
END
$$;
COMMENT ON FUNCTION crm.import_other_timestamp(text, text, text) IS 'crm.import_timestamp for what is not a plain ISO date.';

-- plain ISO dates are what most exports hold: they take the short way
CREATE OR REPLACE FUNCTION crm.import_timestamp(value text, date_order text, zone text)
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN value ~ '^(1[6-9]\d{2}|2\d{3})-\d{2}-\d{2}$' THEN value::date::timestamp AT TIME ZONE zone
            ELSE crm.import_other_timestamp(value, date_order, zone) END;
COMMENT ON FUNCTION crm.import_timestamp(text, text, text) IS
'An instant or date as exports write it, in the given order (ymd, dmy, mdy, jalali); Jalali years are recognised by themselves. Date alone: midnight in the '
'zone.';
