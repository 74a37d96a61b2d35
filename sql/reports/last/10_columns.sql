-- Comments of columns that mean the same in every table and view of the CRM. A column with a meaning of its own has its COMMENT beside the
-- table or view, and keeps it.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT n.nspname, r.relname, a.attname, m.meaning
        FROM pg_catalog.pg_class AS r
        JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN (VALUES
            ('tenant_id', 'Company the row belongs to.'),
            ('id', 'Number of the row.'),
            ('name', 'Name for people.'),
            ('code', 'Short name for programs, unique in the tenant.'),
            ('active', 'False: kept for what refers to it, not used any more.'),
            ('tags', 'Words to find it by, folded and sorted (crm.normalize_tags).'),
            ('owner_id', 'User in charge; NULL: nobody.'),
            ('team_id', 'Team in charge; NULL: none.'),
            ('shared_user_ids', 'Users who may see it beside the owner.'),
            ('shared_team_ids', 'Teams whose members may see it.'),
            ('source_system', 'System the row was imported from; NULL: it was made here.'),
            ('source_id', 'Key of the row in that system.'),
            ('custom', 'Custom fields, as declared in crm.custom_fields.'),
            ('version', 'Counts the changes of the row; an update that carries a stale one is refused (CR201).'),
            ('created_at', 'When the row was made.'),
            ('updated_at', 'When the row was last changed.'),
            ('currency', 'Currency of the amounts of the row, ISO 4217.'),
            ('account_id', 'The account.'),
            ('contact_id', 'The contact.'),
            ('product_id', 'The product.'),
            ('lead_id', 'The lead.'),
            ('opportunity_id', 'The opportunity.'),
            ('ticket_id', 'The ticket.'),
            ('user_id', 'The user.'),
            ('queue_id', 'The queue.'),
            ('policy_id', 'The policy of crm.sla_policies.'),
            ('segment_id', 'The segment.'),
            ('model_id', 'The model.'),
            ('pipeline_id', 'The pipeline it moves through.'),
            ('stage_id', 'The stage it is in.'),
            ('subject_table', 'Table of the record it is about: a name of schema crm, or schema.table.'),
            ('subject_id', 'Id of the record it is about.')
        ) AS m (name, meaning) ON m.name = a.attname
        WHERE n.nspname IN ('crm', 'crm_analytics') AND r.relkind IN ('r', 'p', 'v')
          AND pg_catalog.col_description(r.oid, a.attnum) IS NULL
    LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN %I.%I.%I IS %L', c.nspname, c.relname, c.attname, c.meaning);
    END LOOP;
END
$$;
