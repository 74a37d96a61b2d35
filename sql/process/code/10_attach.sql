-- The process engine: attaching tables, defining pipelines, approvals, protection of what is in use.

-- ---- configuration that backends have compiled ----

CREATE OR REPLACE TRIGGER pipelines_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.pipelines
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER stages_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.stages
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER transitions_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.transitions
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();

-- ---- attaching ----

CREATE OR REPLACE FUNCTION crm.attach_process(table_name regclass)
RETURNS text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject text;
    short text;
    changed text;
    wrong text;
BEGIN
    SELECT CASE WHEN n.nspname = 'crm' THEN quote_ident(c.relname) ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END,
           left(c.relname, 40)
    INTO subject, short
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = table_name AND c.relkind IN ('r', 'p');
    IF subject IS NULL THEN
        RAISE EXCEPTION '% is not a table', table_name USING ERRCODE = 'wrong_object_type';
    END IF;

    SELECT string_agg(w.name, ', ' ORDER BY w.name)
    INTO wrong
    FROM (VALUES ('id'), ('pipeline_id'), ('stage_id')) AS w (name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = table_name AND a.attname = w.name AND NOT a.attisdropped
                        AND a.atttypid IN ('bigint'::regtype, 'integer'::regtype));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'table % lacks columns of type bigint that a process needs: %', table_name, wrong
            USING ERRCODE = 'undefined_column', HINT = 'Add them, then attach the process again.';
    END IF;

    -- a period begins where one of these changes
    SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', a.attname), ' OR ' ORDER BY a.attnum)
    INTO changed
    FROM pg_attribute AS a
    WHERE a.attrelid = table_name AND NOT a.attisdropped
      AND a.attname IN ('pipeline_id', 'stage_id', 'amount', 'currency', 'probability', 'close_date',
                        'expected_close_date', 'owner_id', 'team_id');

    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION crm.guard_stage(%L)',
                   short || '_before_stage', table_name, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_row_period', table_name, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_update_period', table_name, changed, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_statement_period', table_name, subject);
    RETURN subject;
END
$$;
COMMENT ON FUNCTION crm.attach_process(regclass) IS
'Puts the process engine on a table with columns id, pipeline_id and stage_id (bigint); tenant_id, amount, currency, probability, expected_close_date, close_date, closed_at, stage_entered_at, loss_reason, loss_note, owner_id, team_id and custom are used where present. Safe to call again. Returns the name under which pipelines and history refer to the table. Only the table''s owner.';
