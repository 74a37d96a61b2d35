-- Recurring activities: each has the rule of its series, and the last of them makes the next.
--
-- The next one is made where recurred_at is set, and nowhere else: by the trigger when the activity is done, or by the worker when its
-- time has come. Whoever sets it holds the row's lock, so it is set once; the key of series and instant says the same.

-- security definer: the zone of the owner is looked up whoever writes
CREATE OR REPLACE FUNCTION crm_internal.start_recurrence()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NEW.recurrence IS NULL THEN
        NEW.recurrence_zone := NULL;
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' AND NEW.series IS NOT NULL THEN
        RETURN NEW;     -- the next of a series
    END IF;
    IF NEW.due_at IS NULL OR NOT isfinite(NEW.due_at) THEN
        RAISE EXCEPTION 'an activity that recurs needs a time from which it does' USING ERRCODE = 'not_null_violation', HINT = 'Set due_at, too.';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.recurrence IS NOT NULL AND OLD.recurred_at IS NOT NULL THEN
        RAISE EXCEPTION 'the next activity of this series has been made already' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Change the rule of the latest activity of the series: the one whose recurred_at is NULL.';
    END IF;
    NEW.recurrence_zone := coalesce(NEW.recurrence_zone,
        (SELECT u.time_zone FROM crm.users AS u WHERE u.tenant_id = NEW.tenant_id AND u.id = NEW.owner_id),
        (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id));
    -- the rule is read here: what is none is refused before it is stored
    PERFORM crm.next_recurrence(NEW.recurrence, NEW.due_at, NEW.due_at, NEW.recurrence_zone);
    NEW.series := NEW.id;
    NEW.recurs_from := NEW.due_at;
    NEW.recurs_at := NEW.due_at;
    NEW.recurred_at := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.start_recurrence() IS
'Row trigger of activities: a series begins where a rule is set. Errors: 22023 for what is no rule or zone, 23502 without due_at, 55000 where the next one has '
'been made.';
CREATE OR REPLACE TRIGGER activities_before_recurrence_insert BEFORE INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.recurrence IS NOT NULL OR NEW.recurrence_zone IS NOT NULL) EXECUTE FUNCTION crm_internal.start_recurrence();
CREATE OR REPLACE TRIGGER activities_before_recurrence_update BEFORE UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.recurrence IS DISTINCT FROM OLD.recurrence OR NEW.recurrence_zone IS DISTINCT FROM OLD.recurrence_zone
                       OR NEW.recurrence IS NOT NULL AND NEW.due_at IS NULL)
    EXECUTE FUNCTION crm_internal.start_recurrence();

CREATE OR REPLACE FUNCTION crm_internal.move_reminder()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    NEW.remind_at := NEW.remind_at + (NEW.due_at - OLD.due_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.move_reminder() IS 'Row trigger of activities: a reminder moves with the time for which it was set.';
CREATE OR REPLACE TRIGGER activities_before_move_reminder BEFORE UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.due_at <> OLD.due_at AND NEW.remind_at = OLD.remind_at AND isfinite(NEW.due_at) AND isfinite(OLD.due_at)
                       AND isfinite(NEW.remind_at))
    EXECUTE FUNCTION crm_internal.move_reminder();

CREATE OR REPLACE FUNCTION crm_internal.done_recurs()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    NEW.recurred_at := least(NEW.done_at, now());
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.done_recurs() IS 'Row trigger of activities: what is done makes room for the next of its series.';
CREATE OR REPLACE TRIGGER activities_before_done_recurs BEFORE UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.done_at IS NOT NULL AND OLD.done_at IS NULL AND NEW.recurrence IS NOT NULL AND OLD.recurred_at IS NULL)
    EXECUTE FUNCTION crm_internal.done_recurs();

-- security definer: the next one is the same people's, whoever did the last
CREATE OR REPLACE FUNCTION crm_internal.make_next_activity()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    next crm.activities;
    at timestamptz;
BEGIN
    -- of those that went by while nobody looked the newest is made, not all of them
    IF NEW.recurred_at > NEW.recurs_at THEN
        SELECT max(r) INTO at
        FROM crm.recurrence(NEW.recurrence, NEW.recurs_from, NEW.recurs_at + interval '1 microsecond', NEW.recurred_at + interval '1 microsecond',
                            NEW.recurrence_zone) AS r;
    END IF;
    at := coalesce(at, crm.next_recurrence(NEW.recurrence, NEW.recurs_from, NEW.recurs_at, NEW.recurrence_zone));
    IF at IS NOT NULL THEN
        next := crm.carry_owned(NULL::crm.activities, NEW, 'recur');
        -- keys are not carried
        next.series := NEW.series;
        next.recurs_at := at;
        next.due_at := at;
        next.remind_at := at + CASE WHEN isfinite(NEW.remind_at) AND isfinite(NEW.due_at) THEN NEW.remind_at - NEW.due_at END;
        next.ends_at := at + (NEW.ends_at - NEW.due_at);
        BEGIN
            next := crm.insert_row(next);
        EXCEPTION WHEN exclusion_violation THEN
            -- whoever is busy then decides: the series goes on
            next.shows_as := 'tentative';
            next := crm.insert_row(next);
        END;
        INSERT INTO crm.activity_participants (tenant_id, activity_id, user_id, contact_id, response)
        SELECT p.tenant_id, next.id, p.user_id, p.contact_id, CASE WHEN p.contact_id IS NULL THEN 'needed' ELSE p.response END
        FROM crm.activity_participants AS p WHERE p.tenant_id = NEW.tenant_id AND p.activity_id = NEW.id AND p.response <> 'declined';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.make_next_activity() IS
'Row trigger of activities whose recurred_at was set: the next of the series, with the columns of this one.';
CREATE OR REPLACE TRIGGER activities_after_recurred AFTER UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.recurred_at IS NOT NULL AND OLD.recurred_at IS NULL AND NEW.recurrence IS NOT NULL)
    EXECUTE FUNCTION crm_internal.make_next_activity();

-- ---- the worker ----

CREATE OR REPLACE FUNCTION crm_internal.repeat_some(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH repeated AS (
        UPDATE crm.activities AS a SET recurred_at = greatest(repeat_some.as_of, a.recurs_at)
        WHERE a.tenant_id = tenant AND a.id = ANY (items::bigint[]) AND a.recurred_at IS NULL
        RETURNING 1
    )
    SELECT count(*) FROM repeated
$$;
COMMENT ON FUNCTION crm_internal.repeat_some(bigint, text[], timestamptz) IS 'Makes the next ones of some activities of a company; returns of how many.';

CREATE OR REPLACE FUNCTION crm.repeat_activities(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.repeat_activities',
        'crm.activities AS x WHERE x.recurrence IS NOT NULL AND x.recurred_at IS NULL AND x.recurs_at <= $1', 'x.id', 'x.recurs_at', 'NO KEY UPDATE',
        'crm_internal.repeat_some', as_of, batch)
$$;
COMMENT ON FUNCTION crm.repeat_activities(timestamptz, integer) IS
'Makes the next activity of each series whose latest one has come to its time without being done, once however many callers there are; of those that went '
'by meanwhile the newest. Returns of how many series. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.repeat_activities', 'owner');

CREATE OR REPLACE FUNCTION crm.next_repeat_at() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.recurs_at FROM crm.activities AS a WHERE a.recurrence IS NOT NULL AND a.recurred_at IS NULL ORDER BY a.recurs_at LIMIT 1
$$;
COMMENT ON FUNCTION crm.next_repeat_at() IS 'When the next activity of a series is to be made; NULL where none is in sight.';
SELECT crm.declare_function('crm.next_repeat_at', 'owner');
