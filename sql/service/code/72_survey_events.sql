-- What sends a survey by itself: the events there are, and no others.

CREATE OR REPLACE FUNCTION crm.survey_events()
RETURNS TABLE (event text, meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$ VALUES ('ticket.resolved', 'A ticket was solved.') $$;
COMMENT ON FUNCTION crm.survey_events() IS 'Events that crm.surveys.on_event may name.';

CREATE OR REPLACE FUNCTION crm_internal.check_survey_event()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.survey_events() AS e WHERE e.event = NEW.on_event) THEN
        RAISE EXCEPTION 'no event "%" sends a survey', NEW.on_event USING ERRCODE = 'invalid_parameter_value',
            HINT = (SELECT 'Known are: ' || string_agg(e.event, ', ') || '.' FROM crm.survey_events() AS e);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_survey_event() IS 'Trigger: a survey names an event that there is (crm.survey_events). Error 22023.';
CREATE OR REPLACE TRIGGER surveys_before_event BEFORE INSERT OR UPDATE ON crm.surveys
    FOR EACH ROW WHEN (NEW.on_event IS NOT NULL) EXECUTE FUNCTION crm_internal.check_survey_event();
