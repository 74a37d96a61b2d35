-- Life cycles: what is kept with a move, moves by hand, and whose a life cycle is when people are converted, merged or deleted.

CREATE OR REPLACE FUNCTION crm_internal.keep_lifecycle()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    SELECT s.code INTO NEW.kind FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
    IF TG_OP = 'UPDATE' THEN
        NEW.entered_at := now();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_lifecycle() IS 'Row trigger of crm.lifecycles, after the guard of stages: the code of the stage, and since when.';
CREATE OR REPLACE TRIGGER lifecycles_before_zz_insert_kind BEFORE INSERT ON crm.lifecycles
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_lifecycle();
CREATE OR REPLACE TRIGGER lifecycles_before_zz_update_kind BEFORE UPDATE ON crm.lifecycles
    FOR EACH ROW WHEN (NEW.stage_id IS DISTINCT FROM OLD.stage_id) EXECUTE FUNCTION crm_internal.keep_lifecycle();

-- Of two life cycles of one person the one that has come further goes on, with its history; of two that have come as far the one that was there earlier.
CREATE OR REPLACE FUNCTION crm_internal.join_lifecycles()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    other crm.lifecycles;
    ahead boolean;
BEGIN
    NEW.review_at := now();
    SELECT l.* INTO other FROM crm.lifecycles AS l
    WHERE l.tenant_id = NEW.tenant_id AND l.subject_table = NEW.subject_table AND l.subject_id = NEW.subject_id AND l.id <> NEW.id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NEW;
    END IF;
    SELECT b.position > a.position OR b.position = a.position AND (other.entered_at, other.id) < (OLD.entered_at, OLD.id) INTO ahead
    FROM crm.stages AS a, crm.stages AS b
    WHERE a.tenant_id = NEW.tenant_id AND a.id = NEW.stage_id AND b.tenant_id = NEW.tenant_id AND b.id = other.stage_id;
    IF ahead THEN
        UPDATE crm.lifecycles AS l SET review_at = now(), pinned = l.pinned OR OLD.pinned WHERE l.tenant_id = other.tenant_id AND l.id = other.id;
        DELETE FROM crm.lifecycles AS l WHERE l.tenant_id = OLD.tenant_id AND l.id = OLD.id;
        RETURN NULL;
    END IF;
    NEW.pinned := NEW.pinned OR other.pinned;
    DELETE FROM crm.lifecycles AS l WHERE l.tenant_id = other.tenant_id AND l.id = other.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.join_lifecycles() IS
'Row trigger of crm.lifecycles whose person goes on as another one: of two life cycles the one that has come further stays, and is reviewed.';
CREATE OR REPLACE TRIGGER lifecycles_before_join BEFORE UPDATE ON crm.lifecycles
    FOR EACH ROW WHEN (NEW.subject_table <> OLD.subject_table OR NEW.subject_id <> OLD.subject_id) EXECUTE FUNCTION crm_internal.join_lifecycles();

CREATE OR REPLACE FUNCTION crm_internal.carry_lifecycle()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.lifecycles AS l SET subject_table = 'contacts', subject_id = NEW.contact_id
    WHERE l.tenant_id = NEW.tenant_id AND l.subject_table = 'leads' AND l.subject_id = NEW.lead_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.carry_lifecycle() IS 'Row trigger of crm.lead_conversions: the contact takes the life cycle of the lead over.';
CREATE OR REPLACE TRIGGER lead_conversions_after_insert_lifecycle AFTER INSERT ON crm.lead_conversions
    FOR EACH ROW EXECUTE FUNCTION crm_internal.carry_lifecycle();

CREATE OR REPLACE FUNCTION crm_internal.end_lifecycle()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM crm.lifecycles AS l WHERE l.tenant_id = OLD.tenant_id AND l.subject_table = TG_TABLE_NAME AND l.subject_id = OLD.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.end_lifecycle() IS 'Row trigger of contacts and leads: whoever is gone has no life cycle.';
CREATE OR REPLACE TRIGGER leads_after_delete_lifecycle AFTER DELETE ON crm.leads FOR EACH ROW EXECUTE FUNCTION crm_internal.end_lifecycle();
CREATE OR REPLACE TRIGGER contacts_after_delete_lifecycle AFTER DELETE ON crm.contacts FOR EACH ROW EXECUTE FUNCTION crm_internal.end_lifecycle();

-- ---- by hand ----

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_of(subject_table text, subject_id bigint, as_of timestamptz)
RETURNS crm.lifecycles
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    answer crm.lifecycles;
    goes_on text;
BEGIN
    FOR i IN 1 .. 2 LOOP
        SELECT l.* INTO answer FROM crm.lifecycles AS l
        WHERE l.tenant_id = mine AND l.subject_table = lifecycle_of.subject_table AND l.subject_id = lifecycle_of.subject_id FOR NO KEY UPDATE;
        EXIT WHEN answer.id IS NOT NULL OR i = 2;
        IF subject_table = 'leads' THEN
            SELECT CASE WHEN l.merged_into_id IS NOT NULL THEN 'lead ' || l.merged_into_id WHEN l.converted_at IS NOT NULL THEN 'contact ' || l.contact_id END
            INTO goes_on FROM crm.leads AS l WHERE l.tenant_id = mine AND l.id = subject_id;
            IF goes_on IS NOT NULL THEN
                RAISE EXCEPTION 'lead % goes on as %', subject_id, goes_on USING ERRCODE = 'object_not_in_prerequisite_state',
                    HINT = 'The life cycle is there.';
            END IF;
        END IF;
        IF NOT EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = mine AND p.subject_table = 'lifecycles' AND p.is_default AND p.active) THEN
            RAISE EXCEPTION 'the company has no life cycle of people, or it is not active' USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'An admin makes one with crm.define_pipeline(): subject_table lifecycles, is_default true.';
        END IF;
        PERFORM crm_internal.begin_lifecycles(mine, ARRAY[subject_table || ' ' || subject_id], as_of);
    END LOOP;
    IF answer.id IS NULL THEN
        RAISE EXCEPTION 'row % of "%" does not exist', subject_id, subject_table USING ERRCODE = 'no_data_found',
            HINT = 'Name a contact or lead that is there.';
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_of(text, bigint, timestamptz) IS
'The life cycle of a person, locked; whoever is not in it yet is taken in. Errors: P0002 nobody, 55000 somebody who goes on as another, or no life cycle.';

-- security definer in the two below: life cycles are the CRM's to write
CREATE OR REPLACE FUNCTION crm.review_lifecycle(subject_table text, subject_id bigint)
RETURNS crm.lifecycles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    l crm.lifecycles;
BEGIN
    PERFORM crm_internal.check_person(subject_table, subject_id);
    PERFORM crm_internal.require(subject_table, subject_id, 'change');
    l := crm_internal.lifecycle_of(subject_table, subject_id, now());
    PERFORM crm_internal.review_people(mine, ARRAY[l.id::text], now());
    SELECT x.* INTO l FROM crm.lifecycles AS x WHERE x.tenant_id = mine AND x.id = l.id;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.review_lifecycle(text, bigint) IS
'Reviews at once where a contact or lead stands in the life cycle, as crm.review_lifecycles() does. Returns the life cycle. Errors: 22023 no contact or lead, '
'P0002 or 42501 a person the caller does not see or may not change, 55000 a lead that goes on as a contact or another lead, or a company without a life cycle.';
SELECT crm.declare_function('crm.review_lifecycle', 'agent');

CREATE OR REPLACE FUNCTION crm.set_lifecycle(subject_table text, subject_id bigint, stage text, pinned boolean DEFAULT false)
RETURNS crm.lifecycles
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    l crm.lifecycles;
BEGIN
    PERFORM crm_internal.check_person(subject_table, subject_id);
    PERFORM crm_internal.require(subject_table, subject_id, 'change');
    PERFORM crm.because('set_lifecycle');
    l := crm_internal.lifecycle_of(subject_table, subject_id, now());
    IF l.kind IS DISTINCT FROM stage THEN
        l := crm.move_row(l, l.id, stage);
    END IF;
    UPDATE crm.lifecycles AS x SET pinned = coalesce(set_lifecycle.pinned, false) WHERE x.tenant_id = mine AND x.id = l.id RETURNING x.* INTO l;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.set_lifecycle(text, bigint, text, boolean) IS
'Puts a contact or lead into a stage of the life cycle by hand, forward or back, as a move of the process: guards and transitions of the pipeline are asked. '
'Reviews move the person on from there, unless pinned. Returns the life cycle. Errors: CR107 an unknown stage, and those of crm.review_lifecycle() and of the '
'guard of stages.';
SELECT crm.declare_function('crm.set_lifecycle', 'agent');
