-- What columns mean that have one meaning in every table: written once for the tables of service.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT a.attrelid::regclass AS relation, a.attname, m.meaning
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_class AS r ON r.oid = a.attrelid
        JOIN (VALUES ('tenant_id', 'Company the row belongs to.'),
                     ('id', 'Number of the row.'),
                     ('code', 'Short name, unique in the company.'),
                     ('name', 'Name for people.'),
                     ('active', 'False: kept for what refers to it, not used any more.'),
                     ('position', 'Order in which they are tried.'),
                     ('tags', 'Words to find it by.'),
                     ('owner_id', 'User in charge.'),
                     ('team_id', 'Team in charge.'),
                     ('shared_user_ids', 'Users who may see it beside the owner.'),
                     ('shared_team_ids', 'Teams who may see it beside the owner''s.'),
                     ('source_system', 'System it was imported from.'),
                     ('source_id', 'Its id there.'),
                     ('custom', 'Custom fields (crm.custom_fields).'),
                     ('version', 'Counts the changes; an update with a stale one is refused (CR201).'),
                     ('created_at', 'When the row was made.'),
                     ('updated_at', 'When the row was last changed.'),
                     ('subject_table', 'Table in schema crm of the record it is about.'),
                     ('subject_id', 'Id of the record it is about.'),
                     ('ticket_id', 'The ticket.'),
                     ('user_id', 'The user.'),
                     ('contact_id', 'The contact.'),
                     ('article_id', 'The article.'),
                     ('survey_id', 'The survey.'),
                     ('skill_id', 'The skill.'),
                     ('queue_id', 'The queue.'),
                     ('rule_id', 'Rule of crm.assignment_rules that decided; NULL: the queue did.'),
                     ('product_id', 'Product it is about.'),
                     ('pipeline_id', 'Process it moves through.'),
                     ('stage_id', 'Where it stands in the process.'),
                     ('subject', 'Headline.'),
                     ('description', 'The request in the asker''s words.'),
                     ('channel', 'How it came in or went out.'),
                     ('body', 'The text.'),
                     ('title', 'Headline.'),
                     ('language', 'Language, ISO 639-1.'),
                     ('number', 'Counts the versions of a language.'),
                     ('author_id', 'User who wrote it.'),
                     ('is_published', 'The version that is read.'),
                     ('published_at', 'When it was published.'),
                     ('state', 'draft, published or archived.'),
                     ('method', 'How the choice is made among several.'),
                     ('skill_match', 'none, exact (all needed skills) or best (as many as anybody has).'),
                     ('item_weight', 'How much of an agent''s capacity one record takes.'),
                     ('weight', 'How much of the agent''s capacity it took.'),
                     ('assigned_at', 'When it was decided.'),
                     ('from_queue_id', 'Queue before.'),
                     ('to_queue_id', 'Queue after.'),
                     ('from_owner_id', 'Owner before.'),
                     ('to_owner_id', 'Owner after.'),
                     ('changed_by', 'User who changed it.'),
                     ('changed_at', 'When it was changed.'),
                     ('query', 'What was searched for.'),
                     ('outcome', 'What came of it.'),
                     ('happened_at', 'When.'),
                     ('scheduled_at', 'When it is to be sent.'),
                     ('sent_at', 'When it was sent.'),
                     ('cancelled_at', 'When it was decided not to send it.'),
                     ('expires_at', 'Until when it can be answered.'),
                     ('comment', 'What the customer added.'),
                     ('answered_at', 'When it was (last) answered.')) AS m (name, meaning) ON m.name = a.attname
        WHERE r.relnamespace = 'crm'::pg_catalog.regnamespace AND r.relkind = 'r'
          AND r.relname IN ('priorities', 'ticket_types', 'queues', 'skills', 'user_skills', 'agents', 'tickets', 'ticket_messages',
                            'ticket_followers', 'ticket_transfers', 'assignment_rules', 'assignments', 'articles',
                            'article_versions', 'article_deflections', 'surveys', 'survey_responses', 'maintenance_tasks')
          AND a.attnum > 0 AND NOT a.attisdropped
          AND pg_catalog.col_description(a.attrelid, a.attnum) IS NULL
    LOOP
        EXECUTE pg_catalog.format('COMMENT ON COLUMN %s.%I IS %L', c.relation, c.attname, c.meaning);
    END LOOP;
END
$$;
