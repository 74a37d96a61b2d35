-- Triggers of rollups fire for the replica role too. A restore with --disable-triggers leaves them as ordinary ones: put right here,
-- but for those that somebody has switched off.
DO $$
DECLARE
    source bigint;
BEGIN
    FOR source IN
        SELECT s.id FROM crm.rollup_sources AS s
        WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = s.source AND t.tgname = '00_crm_rollup_' || s.id || '_row' AND t.tgenabled = 'O')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = s.source AND t.tgname LIKE '00\_crm\_rollup\_%' AND t.tgenabled = 'D')
        ORDER BY s.id
    LOOP
        PERFORM crm_internal.rollup_triggers(source);
    END LOOP;
END
$$;
