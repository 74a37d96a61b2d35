-- Tasks that others ask for.

CREATE OR REPLACE FUNCTION crm_internal.escalation_create_task(
    tenant bigint, subject_table text, subject_id bigint, subject jsonb, step crm.escalation_steps, target bigint, as_of timestamptz)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer jsonb;
BEGIN
    INSERT INTO crm.activities AS a (tenant_id, kind, subject, related_table, related_id, account_id, contact_id, due_at, owner_id, team_id)
    VALUES (tenant, 'task', coalesce(step.params ->> 'subject', step.name), subject_table, subject_id,
            (escalation_create_task.subject ->> 'account_id')::bigint, (escalation_create_task.subject ->> 'contact_id')::bigint,
            as_of + make_interval(secs => coalesce((step.params ->> 'due_in_seconds')::double precision, 86400)),
            target, (escalation_create_task.subject ->> 'team_id')::bigint)
    RETURNING jsonb_build_object('task', a.id, 'owner', a.owner_id) INTO answer;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_create_task(bigint, text, bigint, jsonb, crm.escalation_steps, bigint, timestamptz) IS
'Action create_task of escalations: a task for the first recipient.';
SELECT crm.declare_hook('escalation_action.create_task',
    'crm_internal.escalation_create_task(bigint, text, bigint, jsonb, crm.escalation_steps, bigint, timestamptz)');
