-- Earlier values of dated columns: kept by triggers that the registry asks for.

CREATE OR REPLACE FUNCTION crm_internal.keep_past_values()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT jsonb := to_jsonb(OLD);
    now_is CONSTANT jsonb := to_jsonb(NEW);
BEGIN
    -- what a transaction changes twice stood until it began: the first value is kept
    INSERT INTO crm.past_values AS p (tenant_id, table_name, record_id, column_name, value)
    SELECT OLD.tenant_id, TG_ARGV[0], OLD.id, c.name, CASE WHEN c.name = ANY (TG_ARGV[2]::text[]) THEN to_jsonb(was -> c.name <> 'null') ELSE was -> c.name END
    FROM unnest(TG_ARGV[1]::text[]) AS c(name)
    WHERE was -> c.name IS DISTINCT FROM now_is -> c.name
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_past_values() IS
'Row trigger, with the name of the table, its dated columns and those of them that are personal: keeps what a change leaves.';

CREATE OR REPLACE FUNCTION crm_internal.forget_past_values()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM crm.past_values AS p USING gone AS g
    WHERE p.tenant_id = g.tenant_id AND p.table_name = TG_ARGV[0] AND p.record_id = g.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.forget_past_values() IS 'Statement trigger, with the name of the table: what is deleted has no earlier values.';

CREATE OR REPLACE FUNCTION crm_internal.apply_past_values(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    names text[];
    personal text[];
    closes CONSTANT boolean := crm.column_exists(relation, 'closed_at');
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.relation = apply_past_values.relation;
    names := ARRAY(SELECT jsonb_array_elements_text(r.options -> 'dated'));
    personal := ARRAY(SELECT n FROM unnest(names) AS n WHERE r.options -> 'personal' ? n);
    -- what closes is judged when it does: what it said on the way there is nobody's question
    PERFORM crm_internal.set_trigger(relation, '_after_update_past', names <> '{}', 'AFTER UPDATE',
        format('FOR EACH ROW %s EXECUTE FUNCTION crm.if_changed(''keep_past_values'', %L, %L, %L, %L)',
               CASE WHEN closes THEN 'WHEN (OLD.closed_at IS NOT NULL)' ELSE '' END, array_to_string(names, ','), r.subject, names, personal));
    PERFORM crm_internal.set_trigger(relation, '_after_delete_past', names <> '{}', 'AFTER DELETE',
        format('REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.forget_past_values(%L)', r.subject));
END
$$;
COMMENT ON FUNCTION crm_internal.apply_past_values(regclass) IS 'Triggers that keep earlier values of the columns a table is registered with as dated.';
SELECT crm.declare_hook('table', 'crm_internal.apply_past_values(regclass)');
