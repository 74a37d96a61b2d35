-- Putting the process engine on tables.

CREATE OR REPLACE FUNCTION crm_internal.apply_process(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted CONSTANT boolean := crm_internal.table_is(relation, 'process');
    subject text;
    changed text;
    wrong text;
BEGIN
    SELECT r.subject INTO subject FROM crm.registry AS r WHERE r.relation = apply_process.relation;
    SELECT string_agg(a.attname, ', ' ORDER BY a.attname) INTO wrong
    FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname IN ('id', 'pipeline_id', 'stage_id') AND NOT a.attisdropped
      AND a.atttypid NOT IN ('bigint'::regtype, 'integer'::regtype);
    IF wanted AND wrong IS NOT NULL THEN
        RAISE EXCEPTION 'columns of table % must be of type bigint for a process: %', relation, wrong USING ERRCODE = 'datatype_mismatch';
    END IF;

    -- a period begins where one of these changes
    SELECT string_agg(a.attname, ',' ORDER BY a.attnum)
    INTO changed
    FROM pg_attribute AS a
    WHERE a.attrelid = relation AND NOT a.attisdropped
      AND a.attname IN ('pipeline_id', 'stage_id', 'amount', 'currency', 'probability', 'close_date',
                        'expected_close_date', 'owner_id', 'team_id');

    PERFORM crm_internal.set_trigger(relation, '_before_stage', wanted, 'BEFORE INSERT OR UPDATE',
        format('FOR EACH ROW EXECUTE FUNCTION crm.guard_stage(%L)', subject));
    PERFORM crm_internal.set_trigger(relation, '_after_row_period', wanted, 'AFTER INSERT OR DELETE',
        format('FOR EACH ROW EXECUTE FUNCTION crm.record_stage(%L)', subject));
    PERFORM crm_internal.set_trigger(relation, '_after_update_period', wanted, 'AFTER UPDATE',
        format('FOR EACH ROW EXECUTE FUNCTION crm.if_changed(''crm.record_stage'', %L, %L)', changed, subject));
    PERFORM crm_internal.set_trigger(relation, '_after_statement_period', wanted, 'AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE',
        format('FOR EACH STATEMENT EXECUTE FUNCTION crm.record_stage(%L)', subject));
END
$$;
COMMENT ON FUNCTION crm_internal.apply_process(regclass) IS 'Guard and recorder of a table with stages.';
SELECT crm.declare_hook('table', 'crm_internal.apply_process(regclass)');

CREATE OR REPLACE FUNCTION crm_internal.end_process(subject text, option text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF coalesce(option, 'process') = 'process' THEN
        UPDATE crm.stage_periods AS p SET period = tstzrange(lower(p.period), greatest(now(), lower(p.period) + interval '1 microsecond'))
        WHERE p.subject_table = subject AND upper_inf(p.period);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.end_process(text, text) IS
'Rows of a table that is emptied, gone or without the process engine stand in no stage: their periods end.';
SELECT crm.declare_hook('option_ended', 'crm_internal.end_process(text, text)');

CREATE OR REPLACE FUNCTION crm.attach_process(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"process": true}') $$;
COMMENT ON FUNCTION crm.attach_process(regclass) IS
'Puts the process engine on a table with columns id, pipeline_id and stage_id (bigint); tenant_id, amount, currency, probability, expected_close_date, close_date, closed_at, stage_entered_at, loss_reason, loss_note, owner_id, team_id and custom are used where present. Safe to call again. Returns the name under which pipelines and history refer to the table. Errors as crm.attach.';
SELECT crm.declare_function('crm.attach_process', 'owner');
