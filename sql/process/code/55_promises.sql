-- When promises change: open clocks follow their policy, and open records that nothing was promised get one.

CREATE OR REPLACE FUNCTION crm.reapply_sla_policies(policy_ids bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH current_terms AS (
        SELECT s.tenant_id, s.subject_type, s.subject_id, t.id, t.definition
        FROM crm.sla_subjects AS s
        JOIN crm.sla_terms AS t ON t.tenant_id = s.tenant_id AND t.id = s.terms_id
        WHERE s.tenant_id = crm.tenant_id() AND s.open
          AND (reapply_sla_policies.policy_ids IS NULL
               OR (t.definition ->> 'policy_id')::bigint = ANY (reapply_sla_policies.policy_ids))
    ), new_terms AS MATERIALIZED (
        SELECT d.id, crm.sla_terms_id((d.definition ->> 'policy_id')::bigint, d.definition ->> 'priority',
                                      (d.definition ->> 'calendar_id')::bigint) AS new_id
        FROM (SELECT DISTINCT c.id, c.definition FROM current_terms AS c) AS d
    ), told AS (
        INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, priority, terms_id, data)
        SELECT c.tenant_id, c.subject_type, c.subject_id, 'changed', now(), c.definition ->> 'priority', n.new_id,
               '{"reason": "policy changed"}'
        FROM current_terms AS c
        JOIN new_terms AS n ON n.id = c.id
        WHERE n.new_id <> c.id
        RETURNING 1
    )
    SELECT count(*) FROM told
$$;
COMMENT ON FUNCTION crm.reapply_sla_policies(bigint[]) IS
'Gives open subjects the targets that their policies have now, by an event "changed" each; returns how many got other terms. '
'NULL: all policies. Called by triggers whenever policies or targets change. '
'Which policy a subject has is decided by events that carry its row, not here.';
SELECT crm.declare_function('crm.reapply_sla_policies', 'owner');

CREATE OR REPLACE FUNCTION crm.sla_policies_reapply()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ids bigint[];
BEGIN
    IF TG_TABLE_NAME = 'sla_policies' THEN
        SELECT array_agg(DISTINCT r.id) INTO ids FROM changed_rows AS r WHERE r.tenant_id = crm.tenant_id();
    ELSE
        SELECT array_agg(DISTINCT r.policy_id) INTO ids FROM changed_rows AS r WHERE r.tenant_id = crm.tenant_id();
    END IF;
    IF ids IS NOT NULL THEN
        PERFORM crm.reapply_sla_policies(ids);
        PERFORM crm_internal.promise_open_records(ids);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.sla_policies_reapply() IS
'Statement trigger of crm.sla_policies and crm.sla_targets: open clocks follow the policy, and open records that nothing was promised get clocks by it.';
CREATE OR REPLACE TRIGGER sla_policies_after_reapply_update AFTER UPDATE ON crm.sla_policies
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_policies_reapply();
CREATE OR REPLACE TRIGGER sla_policies_after_reapply_delete AFTER DELETE ON crm.sla_policies
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_policies_reapply();
CREATE OR REPLACE TRIGGER sla_targets_after_reapply_insert AFTER INSERT ON crm.sla_targets
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_policies_reapply();
CREATE OR REPLACE TRIGGER sla_targets_after_reapply_update AFTER UPDATE ON crm.sla_targets
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_policies_reapply();
CREATE OR REPLACE TRIGGER sla_targets_after_reapply_delete AFTER DELETE ON crm.sla_targets
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_policies_reapply();

-- ---- promises made later ----

-- A promise made later begins when it is made: the time before it was promised to nobody, and nobody is told of a hundred promises broken at once.
CREATE OR REPLACE FUNCTION crm_internal.promise_open_record(subject text, tenant bigint, id bigint, doc jsonb, known boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    stage crm.stages;
BEGIN
    IF NOT known THEN
        SELECT s.* INTO stage FROM crm.stages AS s WHERE s.tenant_id = tenant AND s.id = (doc ->> 'stage_id')::bigint;
        PERFORM crm_internal.record_sla_event(tenant, subject, promise_open_record.id, 'opened', least((doc ->> 'created_at')::timestamptz, now()),
            jsonb_build_object('policy_id', NULL, 'priority', doc -> 'priority', 'stage', stage.code, 'stage_type', stage.type));
    END IF;
    PERFORM crm_internal.record_sla_event(tenant, subject, promise_open_record.id, 'changed', now(), '{"count": "change", "reason": "policy made"}', doc);
    IF NOT known AND doc ->> 'first_response_at' IS NOT NULL THEN
        PERFORM crm_internal.tell_first_response(subject, tenant, promise_open_record.id, NULL, doc);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.promise_open_record(text, bigint, bigint, jsonb, boolean) IS
'Clocks for a record that was there before its promise; known: its opening was told when it was made.';

CREATE OR REPLACE FUNCTION crm_internal.promise_open_records(policy_ids bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    r record;
BEGIN
    FOR r IN SELECT x.subject, x.relation FROM crm.registered_as('clocks') AS x
             WHERE EXISTS (SELECT FROM crm.sla_policies AS p WHERE p.tenant_id = tenant AND p.id = ANY (policy_ids) AND p.active AND p.subject_type = x.subject
                           AND EXISTS (SELECT FROM crm.sla_targets AS g WHERE g.tenant_id = tenant AND g.policy_id = p.id))
             ORDER BY x.subject LOOP
        EXECUTE format(
            'SELECT count(crm_internal.promise_open_record($3, $1, q.id, q.doc, q.known)) FROM (
                SELECT s.id, to_jsonb(s.*) AS doc, k.subject_id IS NOT NULL AS known FROM %s AS s
                LEFT JOIN crm.sla_subjects AS k ON k.tenant_id = $1 AND k.subject_type = $3 AND k.subject_id = s.id
                LEFT JOIN crm.sla_terms AS t ON t.tenant_id = $1 AND t.id = k.terms_id
                WHERE s.tenant_id = $1 AND k.open IS NOT FALSE AND t.definition ->> ''policy_id'' IS NULL AND ', r.relation::regclass)
            || crm_internal.open_row_sql(r.relation) || ' ORDER BY s.id) AS q WHERE crm_internal.match_sla_policy($1, $3, q.doc) = ANY ($2)'
            USING tenant, policy_ids, r.subject;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.promise_open_records(bigint[]) IS
'Starts clocks by policies that have targets now, for open records of which nothing was promised so far. A record that has a promise keeps it.';
