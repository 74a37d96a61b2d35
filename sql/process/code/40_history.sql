-- History of stages that comes from an older system.

-- Whoever calls it has asked who may, and has rows whose last step is the stage they are in.
CREATE OR REPLACE FUNCTION crm_internal.write_history(tenant bigint, subject_table text, subject_ids bigint[], stage_ids bigint[], entered_at timestamptz[],
                                                      amounts numeric[], reason text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    written bigint;
BEGIN
    DELETE FROM crm.stage_periods AS p
    WHERE p.tenant_id = tenant AND p.subject_table = write_history.subject_table
      AND p.subject_id = ANY (subject_ids) AND NOT upper_inf(p.period);
    -- the open period becomes the last one, and lends the others what is known of the row
    UPDATE crm.stage_periods AS p
    SET seq = l.steps, period = tstzrange(l.at, NULL), moved = true, bypassed = true, bypass_reason = reason
    FROM (SELECT v.subject_id, count(*)::integer AS steps, max(v.at) AS at
          FROM unnest(subject_ids, entered_at) AS v (subject_id, at) GROUP BY v.subject_id) AS l
    WHERE p.tenant_id = tenant AND p.subject_table = write_history.subject_table
      AND p.subject_id = l.subject_id AND upper_inf(p.period);
    INSERT INTO crm.stage_periods (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, amount, currency,
                                   probability, close_date, owner_id, team_id, moved, changed_by, changed_role, bypassed, bypass_reason)
    SELECT tenant, write_history.subject_table, h.subject_id, h.seq, s.pipeline_id, h.stage_id, tstzrange(h.at, h.ended),
           CASE WHEN amounts IS NULL THEN p.amount ELSE h.amount END, p.currency, s.probability, p.close_date, p.owner_id, p.team_id,
           true, p.changed_by, p.changed_role, true, reason
    FROM (SELECT v.subject_id, v.stage_id, v.at, v.amount, row_number() OVER steps AS seq, lead(v.at) OVER steps AS ended
          FROM unnest(subject_ids, stage_ids, entered_at, coalesce(amounts, '{}')) AS v (subject_id, stage_id, at, amount)
          WINDOW steps AS (PARTITION BY v.subject_id ORDER BY v.at)) AS h
    JOIN crm.stages AS s ON s.tenant_id = tenant AND s.id = h.stage_id
    JOIN crm.stage_periods AS p
        ON p.tenant_id = tenant AND p.subject_table = write_history.subject_table
        AND p.subject_id = h.subject_id AND upper_inf(p.period)
    WHERE h.ended IS NOT NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written + (SELECT count(DISTINCT v.id) FROM unnest(subject_ids) AS v (id));
END
$$;
COMMENT ON FUNCTION crm_internal.write_history(bigint, text, bigint[], bigint[], timestamptz[], numeric[], text) IS
'Replaces the whole history of rows by the stages they entered and when, as crm.record_history() says; returns the number of periods.';

-- SECURITY DEFINER: nobody but the engine writes crm.stage_periods. Only a transaction in which
-- crm.begin_history() was called, which asks who may, gets past the first lines.
CREATE OR REPLACE FUNCTION crm.record_history(subject_table text, subject_ids bigint[], stage_ids bigint[], entered_at timestamptz[],
                                             amounts numeric[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    reason CONSTANT text := current_setting('crm.history_reason');
    bad bigint;
BEGIN
    IF reason = '' THEN
        RAISE EXCEPTION 'history is only recorded in a transaction that has begun it'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Call crm.begin_history(reason) first.';
    END IF;
    IF (cardinality(subject_ids) = cardinality(stage_ids) AND cardinality(subject_ids) = cardinality(entered_at)
        AND cardinality(subject_ids) = cardinality(coalesce(amounts, ARRAY(SELECT 0 FROM unnest(subject_ids))))) IS NOT TRUE THEN
        RAISE EXCEPTION 'subject_ids, stage_ids, entered_at and amounts must have the same length'
            USING ERRCODE = 'array_subscript_error';
    END IF;
    SELECT v.subject_id INTO bad
    FROM unnest(subject_ids, stage_ids, entered_at) AS v (subject_id, stage_id, at)
    WHERE v.subject_id IS NULL OR v.at IS NULL OR NOT isfinite(v.at)
       OR NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = tenant AND s.id = v.stage_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % has an unknown stage or an instant that is empty or not finite', subject_table, bad
            USING ERRCODE = 'CR107', HINT = 'Give for each step the id of a stage of the row''s pipeline and an instant.';
    END IF;
    SELECT v.subject_id INTO bad
    FROM unnest(subject_ids, entered_at) AS v (subject_id, at)
    GROUP BY v.subject_id, v.at HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % enters two stages at the same instant', subject_table, bad
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT l.subject_id INTO bad
    FROM (SELECT DISTINCT ON (v.subject_id) v.subject_id, v.stage_id
          FROM unnest(subject_ids, stage_ids, entered_at) AS v (subject_id, stage_id, at)
          ORDER BY v.subject_id, v.at DESC) AS l
    -- a look for each, whatever the planner thinks of how many there are
    WHERE (SELECT p.stage_id FROM crm.stage_periods AS p
           WHERE p.tenant_id = tenant AND p.subject_table = record_history.subject_table
             AND p.subject_id = l.subject_id AND upper_inf(p.period)) IS DISTINCT FROM l.stage_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % does not end in the stage the row is in', subject_table, bad
            USING ERRCODE = 'CR107', HINT = 'Give the present stage of the row as the last step.';
    END IF;

    RETURN crm_internal.write_history(tenant, record_history.subject_table, subject_ids, stage_ids, entered_at, amounts, reason);
END
$$;
COMMENT ON FUNCTION crm.record_history(text, bigint[], bigint[], timestamptz[], numeric[]) IS
'For imports, after the rows are inserted and crm.begin_history() was called in the same transaction: replaces the whole history of rows by the stages they entered and when, one element of each array per step. The last step must be the stage the row is in. amounts: what the row was worth in each step (NULL: the row''s amount; the last step always has the row''s). Currency, owner, team and close date of all steps are the row''s, probability is the stage''s. Returns the number of periods. Errors: 42501 without crm.begin_history, CR107 unknown stage or another last stage, 22023 two steps at the same instant.';
SELECT crm.declare_function('crm.record_history', 'admin');
