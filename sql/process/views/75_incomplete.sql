-- Records that lack what their company requires: taken in without it, or older than the requirement.

CREATE OR REPLACE FUNCTION crm_analytics.incomplete_rows()
RETURNS TABLE (tenant_id bigint, subject_table text, subject_id bigint, missing text[])
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    parts text[];
BEGIN
    FOR r IN
        SELECT x.subject, x.relation,
               coalesce(x.options -> 'custom' = 'true', false)
                   AND EXISTS (SELECT FROM crm.custom_fields AS f WHERE f.table_name = x.subject AND f.required AND f.active) AS fields,
               coalesce(x.options -> 'process' = 'true', false)
                   AND EXISTS (SELECT FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                               WHERE p.subject_table = x.subject AND s.required_columns <> '{}') AS stages
        FROM crm.registry AS x JOIN pg_class AS c ON c.oid = x.relation
        WHERE crm.column_exists(x.relation, 'tenant_id') AND crm.column_exists(x.relation, 'id')
    LOOP
        parts := '{}';
        IF r.fields THEN
            parts := parts || format($q$
                SELECT x.tenant_id, x.id, 'custom.' || f.name AS name
                FROM %s AS x JOIN crm.custom_fields AS f ON f.tenant_id = x.tenant_id AND f.table_name = %L AND f.required AND f.active
                WHERE coalesce(x.custom -> f.name, 'null') IN ('null', '""', '[]', '{}')$q$, r.relation::regclass, r.subject);
        END IF;
        IF r.stages THEN
            parts := parts || format($q$
                SELECT x.tenant_id, x.id, n.name
                FROM %s AS x JOIN crm.stages AS s ON s.tenant_id = x.tenant_id AND s.id = x.stage_id AND s.required_columns <> '{}'
                CROSS JOIN unnest(s.required_columns) AS n (name)
                CROSS JOIN LATERAL (SELECT to_jsonb(x.*) AS doc) AS d
                WHERE btrim(coalesce(CASE WHEN n.name LIKE 'custom.%%' THEN d.doc -> 'custom' ->> substr(n.name, 8) ELSE d.doc ->> n.name END, ''),
                            E' \t\r\n') IN ('', '[]', '{}')$q$, r.relation::regclass);
        END IF;
        IF parts <> '{}' THEN
            RETURN QUERY EXECUTE 'SELECT m.tenant_id, $1, m.id, array_agg(DISTINCT m.name ORDER BY m.name) FROM ('
                || array_to_string(parts, ' UNION ALL ') || ') AS m GROUP BY m.tenant_id, m.id' USING r.subject;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_analytics.incomplete_rows() IS 'Rows of crm_analytics.incomplete_records, of every registered table with required fields or columns.';

CREATE OR REPLACE VIEW crm_analytics.incomplete_records WITH (security_invoker = true) AS
SELECT r.tenant_id, r.subject_table, r.subject_id, r.missing FROM crm_analytics.incomplete_rows() AS r;
COMMENT ON VIEW crm_analytics.incomplete_records IS
'One row per record that lacks a required custom field (crm.custom_fields.required) or a column that its stage requires: it came in by a form, mail, '
'conversion or import without it, or the requirement is newer. People''s writes have to fill it.';
COMMENT ON COLUMN crm_analytics.incomplete_records.subject_table IS 'Table of the record (crm.registry.subject).';
COMMENT ON COLUMN crm_analytics.incomplete_records.subject_id IS 'Id of the record.';
COMMENT ON COLUMN crm_analytics.incomplete_records.missing IS 'What it lacks: names of columns, custom.NAME for custom fields.';
