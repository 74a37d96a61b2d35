-- How rollups stand.

DROP VIEW IF EXISTS crm.rollup_status;
CREATE VIEW crm.rollup_status WITH (security_invoker = true) AS
SELECT p.name,
       s.source,
       p.reading_view,
       k.keys,
       k.measures,
       p.filter,
       CASE
           WHEN c.oid IS NULL THEN 'source dropped'
           WHEN pg_catalog.to_regclass('crm_internal.rollup_source_' || s.id) IS NULL THEN 'definition dropped'
           WHEN t.present < 2 THEN 'triggers missing'
           WHEN t.disabled > 0 THEN 'triggers disabled'
           WHEN f.lacking > 0 THEN 'partition without triggers'
           WHEN t.origin_only > 0 THEN 'replicated changes not counted'
           ELSE 'current'
       END AS state,
       crm_internal.rollup_pending(s.id) AS pending_deltas,
       s.folded_at,
       s.folded_deltas,
       pg_catalog.pg_total_relation_size(pg_catalog.to_regclass(pg_catalog.format('crm_internal.%I', p.base_table))) AS base_bytes,
       pg_catalog.pg_total_relation_size(pg_catalog.to_regclass('crm_internal.rollup_source_' || s.id || '_deltas')) AS delta_bytes
FROM crm.rollups AS p
JOIN crm.rollup_sources AS s ON s.id = p.source_id
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = s.source
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(i.definition || ' AS ' || i.name ORDER BY i.ordinal) FILTER (WHERE i.role = 'key') AS keys,
           pg_catalog.array_agg(i.definition || ' AS ' || i.name ORDER BY i.ordinal) FILTER (WHERE i.role = 'measure') AS measures
    FROM crm.rollup_items AS i WHERE i.rollup_id = p.id
) AS k
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) FILTER (WHERE g.tgrelid = s.source AND g.tgname ~ '_(row|flush)$') AS present,
           pg_catalog.count(*) FILTER (WHERE g.tgenabled IN ('D', 'R')) AS disabled,
           pg_catalog.count(*) FILTER (WHERE g.tgenabled = 'O') AS origin_only
    FROM pg_catalog.pg_trigger AS g
    WHERE g.tgname ~ ('^00_crm_rollup_' || s.id || '_')
      AND g.tgrelid IN (SELECT r FROM crm_internal.rollup_relations(s.source) AS r)
) AS t
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) AS lacking
    FROM crm_internal.rollup_relations(s.source) AS r
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g WHERE g.tgrelid = r AND g.tgname = '00_crm_rollup_' || s.id || '_flush')
) AS f;
COMMENT ON VIEW crm.rollup_status IS
'One row a rollup: whether it is kept current, and how much waits to be folded. state: current, or why not; pending_deltas: rows of the delta table that all rollups of the source share; folded_at and folded_deltas: last fold and deltas folded so far, of the source; sizes in bytes, with indexes.';
COMMENT ON COLUMN crm.rollup_status.name IS 'Name of the rollup.';
COMMENT ON COLUMN crm.rollup_status.source IS 'Table it sums up.';
COMMENT ON COLUMN crm.rollup_status.reading_view IS 'View to read it by.';
COMMENT ON COLUMN crm.rollup_status.keys IS 'What it groups by.';
COMMENT ON COLUMN crm.rollup_status.measures IS 'What it sums up.';
COMMENT ON COLUMN crm.rollup_status.filter IS 'Condition on the rows; NULL: all.';
COMMENT ON COLUMN crm.rollup_status.state IS 'current, or why it is not.';
COMMENT ON COLUMN crm.rollup_status.pending_deltas IS 'Rows that wait to be folded; all rollups of the source share them.';
COMMENT ON COLUMN crm.rollup_status.folded_at IS 'Last folding of the source; NULL: never.';
COMMENT ON COLUMN crm.rollup_status.folded_deltas IS 'Deltas of the source folded so far.';
COMMENT ON COLUMN crm.rollup_status.base_bytes IS 'Size of the folded sums, with indexes.';
COMMENT ON COLUMN crm.rollup_status.delta_bytes IS 'Size of the deltas of the source, with indexes.';
