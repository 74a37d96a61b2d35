-- Tasks that others ask for.

CREATE OR REPLACE FUNCTION crm_internal.escalation_create_task(
    tenant bigint, subject_table text, subject_id bigint, subject jsonb, step crm.escalation_steps, target bigint, as_of timestamptz)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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

-- ---- reminders ----

CREATE OR REPLACE FUNCTION crm_internal.remind(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH reminded AS (
        UPDATE crm.activities AS a SET reminded_at = greatest(remind.as_of, a.remind_at)
        WHERE a.tenant_id = tenant AND a.id = ANY (items::bigint[])
        RETURNING a.*
    ), told AS (
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
        SELECT r.tenant_id, 'activity.reminder', 'activities', r.id,
               jsonb_build_object('kind', r.kind, 'subject', r.subject, 'remind_at', r.remind_at, 'due_at', r.due_at, 'recipients',
                                  -- of somebody who left, those who stand in for them
                                  CASE WHEN EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = r.tenant_id AND u.id = r.owner_id AND u.active)
                                       THEN jsonb_build_array(r.owner_id) ELSE to_jsonb(crm_internal.escalation_fallback(r.tenant_id, NULL, r.team_id)) END,
                                  'related_table', r.related_table, 'related_id', r.related_id),
               r.id || ' ' || extract(epoch FROM r.remind_at)
        FROM reminded AS r
        ON CONFLICT (tenant_id, kind, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
        RETURNING 1
    )
    SELECT count(*) FROM told
$$;
COMMENT ON FUNCTION crm_internal.remind(bigint, text[], timestamptz) IS 'Reminds of some activities of a company; returns how many.';

CREATE OR REPLACE FUNCTION crm.send_reminders(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.send_reminders',
        'crm.activities AS x WHERE x.done_at IS NULL AND x.remind_at IS NOT NULL AND (x.reminded_at IS NULL OR x.reminded_at < x.remind_at) '
        'AND x.remind_at <= $1', 'x.id', 'x.remind_at', 'NO KEY UPDATE', 'crm_internal.remind', as_of, batch)
$$;
COMMENT ON FUNCTION crm.send_reminders(timestamptz, integer) IS
'Reminds of activities whose remind_at has come and that are not done: an event activity.reminder in the outbox, once for each remind_at, for all tenants '
'and however many callers there are. Returns how many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.send_reminders', 'owner');

CREATE OR REPLACE FUNCTION crm.next_reminder_at() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.remind_at FROM crm.activities AS a
    WHERE a.done_at IS NULL AND a.remind_at IS NOT NULL AND (a.reminded_at IS NULL OR a.reminded_at < a.remind_at)
    ORDER BY a.remind_at LIMIT 1
$$;
COMMENT ON FUNCTION crm.next_reminder_at() IS 'When the next reminder is due; NULL where none is in sight.';
SELECT crm.declare_function('crm.next_reminder_at', 'owner');

SELECT crm.declare_event('activity.reminder', 'Somebody wanted to be reminded: a notice.',
    '{"kind": {"type": "string"}, "subject": {"type": "string"}, "remind_at": {"type": "string"}, "due_at": {"type": ["string", "null"]},
        "recipients": {"type": "array"}, "*": true}');
