-- Business calendars: what stores them.
CREATE OR REPLACE TRIGGER calendar_versions_before_check
    BEFORE INSERT OR UPDATE ON crm.calendar_versions
    FOR EACH ROW EXECUTE FUNCTION crm.calendar_guard();

CREATE OR REPLACE FUNCTION crm.define_calendar(code text, definition jsonb)
RETURNS crm.calendars
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    calendar crm.calendars;
    since date;
BEGIN
    IF code IS NULL OR code = '' OR definition IS NULL THEN
        RAISE EXCEPTION 'a calendar needs a code and a definition'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    INSERT INTO crm.calendars AS c (code, name)
    VALUES (code, definition ->> 'name')
    ON CONFLICT ON CONSTRAINT calendars_code_key
        DO UPDATE SET name = coalesce(excluded.name, c.name), updated_at = now()
    RETURNING c.* INTO calendar;

    -- the day is read only once the definition has passed its checks
    INSERT INTO crm.calendar_versions AS v (calendar_id, valid_from, definition)
    VALUES (calendar.id,
            CASE WHEN definition ->> 'valid_from' IS NULL
                      OR EXISTS (SELECT FROM crm.check_calendar(definition)) THEN '-infinity'
                 ELSE (definition ->> 'valid_from')::date END,
            definition)
    ON CONFLICT ON CONSTRAINT calendar_versions_pkey
        DO UPDATE SET definition = excluded.definition, created_at = now()
    RETURNING v.valid_from INTO since;
    IF since = '-infinity' THEN
        DELETE FROM crm.calendar_versions AS v
        WHERE v.tenant_id = calendar.tenant_id AND v.calendar_id = calendar.id AND v.valid_from > since;
    END IF;
    RETURN calendar;
END
$$;
COMMENT ON FUNCTION crm.define_calendar(text, jsonb) IS
'Makes a calendar, or gives an existing one other hours; returns its row. A definition with valid_from adds a version from that day on, in its own zone, and '
'leaves earlier hours as they were; one without replaces all versions. Errors: CR302 where the calendar has no open hours, CR301 for any other fault; the '
'detail lists all faults.';
SELECT crm.declare_function('crm.define_calendar', 'admin');

CREATE OR REPLACE FUNCTION crm.import_holidays(calendar_id bigint, source text, holidays jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    WITH kept AS (
        INSERT INTO crm.calendar_holidays AS h (calendar_id, source, holiday_on, name)
        SELECT DISTINCT ON (f.date) import_holidays.calendar_id, import_holidays.source, f.date, f.name
        FROM jsonb_to_recordset(import_holidays.holidays) AS f (date date, name text)
        ORDER BY f.date
        ON CONFLICT ON CONSTRAINT calendar_holidays_pkey
            DO UPDATE SET name = coalesce(excluded.name, h.name)
        RETURNING 1
    )
    SELECT count(*) INTO n FROM kept;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.import_holidays(bigint, text, jsonb) IS
'Takes over the holidays of a feed, a list of {"date": ..., "name": ...}; returns how many there are. Running it again changes names only: a holiday that was '
'switched off stays off.';
SELECT crm.declare_function('crm.import_holidays', 'admin');

CREATE OR REPLACE FUNCTION crm.switch_holiday(calendar_id bigint, holiday_on date, active boolean)
RETURNS SETOF crm.calendar_holidays
LANGUAGE sql VOLATILE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.calendar_holidays AS h
    SET active = switch_holiday.active
    WHERE h.tenant_id = crm.tenant_id()
      AND h.calendar_id = switch_holiday.calendar_id
      AND h.holiday_on = switch_holiday.holiday_on
    RETURNING h.*
$$;
COMMENT ON FUNCTION crm.switch_holiday(bigint, date, boolean) IS
'Switches the imported holidays of a date on or off; returns the rows, none where no feed knows the date.';
SELECT crm.declare_function('crm.switch_holiday', 'admin');
