-- Activities are seen on the account and the contact of the record they are about: filled in when they are written, moved with
-- the record, and let go when it is deleted. Whose account a record is of follows from the links of its table (crm.table_links).

CREATE OR REPLACE FUNCTION crm_internal.place_query(subject text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(subject);
    account text;
    contact text;
BEGIN
    SELECT min(l.column_name) FILTER (WHERE l.target = 'accounts'), min(l.column_name) FILTER (WHERE l.target = 'contacts') INTO account, contact
    FROM crm.table_links(relation) AS l WHERE l.column_name IN ('account_id', 'contact_id');
    IF NOT crm.column_exists(relation, 'tenant_id') OR NOT crm.column_exists(relation, 'id') THEN
        RETURN NULL;
    END IF;
    RETURN format('SELECT jsonb_build_object(''account'', %s, ''contact'', %s) FROM %s AS r WHERE r.tenant_id = $1 AND r.id = $2',
                  CASE WHEN subject = 'accounts' THEN 'r.id' WHEN account IS NULL THEN 'NULL::bigint' ELSE 'r.account_id' END,
                  CASE WHEN subject = 'contacts' THEN 'r.id' WHEN contact IS NULL THEN 'NULL::bigint' ELSE 'r.contact_id' END, relation);
END
$$;
COMMENT ON FUNCTION crm_internal.place_query(text) IS
'Query of account and contact of a record of a registered table: tenant $1, number $2; NULL for a table whose rows have none.';

-- security definer: what an activity is about does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.place_activity()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    query text;
    place jsonb;
BEGIN
    IF NEW.related_id IS NOT NULL THEN
        query := crm.kept_text('place_query', NEW.related_table);
        IF query IS NULL THEN
            RETURN NEW;     -- the check of the name speaks
        END IF;
        place := crm.kept_value(query, NEW.tenant_id, NEW.related_id);
        IF place IS NULL AND (TG_OP = 'INSERT' OR (NEW.related_table, NEW.related_id) IS DISTINCT FROM (OLD.related_table, OLD.related_id)) THEN
            RAISE EXCEPTION 'there is no % in table "%" that an activity could be about', NEW.related_id, NEW.related_table
                USING ERRCODE = 'foreign_key_violation', HINT = 'Give related_id the id of a record of that table, or leave both columns empty.';
        END IF;
        IF TG_OP = 'UPDATE' AND (NEW.related_table, NEW.related_id) IS DISTINCT FROM (OLD.related_table, OLD.related_id) THEN
            -- about something else now: seen there, unless it is said where
            NEW.account_id := CASE WHEN NEW.account_id IS DISTINCT FROM OLD.account_id THEN NEW.account_id
                                   ELSE coalesce((place ->> 'account')::bigint, NEW.account_id) END;
            NEW.contact_id := CASE WHEN NEW.contact_id IS DISTINCT FROM OLD.contact_id THEN NEW.contact_id
                                   ELSE coalesce((place ->> 'contact')::bigint, NEW.contact_id) END;
        END IF;
        NEW.account_id := coalesce(NEW.account_id, (place ->> 'account')::bigint);
        NEW.contact_id := coalesce(NEW.contact_id, (place ->> 'contact')::bigint);
    END IF;
    IF NEW.account_id IS NULL AND NEW.contact_id IS NOT NULL THEN
        NEW.account_id := (SELECT c.account_id FROM crm.contacts AS c WHERE c.tenant_id = NEW.tenant_id AND c.id = NEW.contact_id);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.place_activity() IS
'Row trigger of activities: the record they are about must be there (23503); account and contact that nobody gave are the record''s, the contact''s account.';
CREATE OR REPLACE TRIGGER activities_before_place_insert BEFORE INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.related_id IS NOT NULL OR NEW.contact_id IS NOT NULL AND NEW.account_id IS NULL)
    EXECUTE FUNCTION crm_internal.place_activity();
CREATE OR REPLACE TRIGGER activities_before_place_update BEFORE UPDATE ON crm.activities
    FOR EACH ROW WHEN ((NEW.related_table IS DISTINCT FROM OLD.related_table OR NEW.related_id IS DISTINCT FROM OLD.related_id
                        OR NEW.contact_id IS DISTINCT FROM OLD.contact_id OR NEW.account_id IS DISTINCT FROM OLD.account_id)
                       AND (NEW.related_id IS NOT NULL OR NEW.contact_id IS NOT NULL AND NEW.account_id IS NULL))
    EXECUTE FUNCTION crm_internal.place_activity();

-- security definer: whoever moves a record moves what was said on it
CREATE OR REPLACE FUNCTION crm_internal.move_activities()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT jsonb := to_jsonb(OLD);
    now_is CONSTANT jsonb := to_jsonb(NEW);
    old_account CONSTANT bigint := (was ->> 'account_id')::bigint;
    new_account CONSTANT bigint := (now_is ->> 'account_id')::bigint;
    old_contact CONSTANT bigint := (was ->> 'contact_id')::bigint;
    new_contact CONSTANT bigint := (now_is ->> 'contact_id')::bigint;
BEGIN
    -- what was placed elsewhere by hand stays there
    UPDATE crm.activities AS v
    SET account_id = CASE WHEN v.account_id IS NOT DISTINCT FROM old_account THEN new_account ELSE v.account_id END,
        contact_id = CASE WHEN v.contact_id IS NOT DISTINCT FROM old_contact AND was ? 'contact_id' THEN new_contact ELSE v.contact_id END
    WHERE v.tenant_id = NEW.tenant_id AND v.related_table = TG_ARGV[0] AND v.related_id = NEW.id
      AND (v.account_id IS NOT DISTINCT FROM old_account AND old_account IS DISTINCT FROM new_account
           OR v.contact_id IS NOT DISTINCT FROM old_contact AND old_contact IS DISTINCT FROM new_contact);
    IF TG_ARGV[0] = 'contacts' AND old_account IS DISTINCT FROM new_account THEN
        UPDATE crm.activities AS v SET account_id = new_account
        WHERE v.tenant_id = NEW.tenant_id AND v.contact_id = NEW.id AND v.related_id IS NULL AND v.account_id IS NOT DISTINCT FROM old_account;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.move_activities() IS
'Row trigger, with the name of the table: a record that gets another account or contact takes the activities on it along.';

CREATE OR REPLACE FUNCTION crm_internal.let_activities_go()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.activities AS v SET related_table = NULL, related_id = NULL
    WHERE v.tenant_id = OLD.tenant_id AND v.related_table = TG_ARGV[0] AND v.related_id = OLD.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.let_activities_go() IS
'Row trigger, with the name of the table: activities on a record that is deleted stay with its account and contact, about nothing any more.';

CREATE OR REPLACE FUNCTION crm_internal.end_activities(subject text, option text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- while the table is there its rows are, whatever it is attached for
    IF option IS NULL THEN
        UPDATE crm.activities AS v SET related_table = NULL, related_id = NULL WHERE v.related_table = subject;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.end_activities(text, text) IS 'Activities on rows of a table that is gone are about nothing any more.';
SELECT crm.declare_hook('option_ended', 'crm_internal.end_activities(text, text)');

CREATE OR REPLACE FUNCTION crm_internal.apply_activities(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    moves text;
    wanted boolean;
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.relation = apply_activities.relation;
    wanted := coalesce(r.class, 'owned') IN ('owned', 'work', 'child', 'catalogue') AND relation <> 'crm.activities'::regclass
              AND crm.column_exists(relation, 'tenant_id') AND crm.column_exists(relation, 'id');
    SELECT string_agg(format('NEW.%1$I IS DISTINCT FROM OLD.%1$I', l.column_name), ' OR ') INTO moves
    FROM crm.table_links(relation) AS l
    WHERE (l.column_name, l.target) IN (('account_id', 'accounts'), ('contact_id', 'contacts')) AND l.kind = 'about';
    PERFORM crm_internal.set_trigger(relation, '_after_update_activities', wanted AND moves IS NOT NULL, 'AFTER UPDATE',
        format('FOR EACH ROW WHEN (%s) EXECUTE FUNCTION crm_internal.move_activities(%L)', coalesce(moves, 'false'), r.subject));
    PERFORM crm_internal.set_trigger(relation, '_after_delete_activities', wanted, 'AFTER DELETE',
        format('FOR EACH ROW EXECUTE FUNCTION crm_internal.let_activities_go(%L)', r.subject));
END
$$;
COMMENT ON FUNCTION crm_internal.apply_activities(regclass) IS 'Triggers by which activities follow the records they are about.';
SELECT crm.declare_hook('table', 'crm_internal.apply_activities(regclass)');
