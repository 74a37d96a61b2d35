-- Work on many rows of all companies, of which one may be bad: the others are done all the same.
--
-- A task says what is due and what is done with some of one company. It is done company by company, in subtransactions; what fails
-- is tried in halves, so that one bad row costs a few tries and not one for each good one. A row that fails by itself is
-- written down, left out for a while, and never first again.

CREATE OR REPLACE FUNCTION crm_internal.note_failed_work(
    function_name text, tenant bigint, item text, state text, message text, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE WARNING '% failed for % of tenant %: %', function_name, item, tenant, message;
    -- after 1, 2, 4 minutes and so on, once a day at last
    INSERT INTO crm_internal.failed_work AS f (function_name, tenant_id, item, sqlstate, message, failed_at, retry_at)
    VALUES (note_failed_work.function_name, tenant, item, state, note_failed_work.message, as_of, as_of + interval '1 minute')
    ON CONFLICT ON CONSTRAINT failed_work_pkey DO UPDATE
    SET failures = f.failures + 1, sqlstate = excluded.sqlstate, message = excluded.message, failed_at = excluded.failed_at,
        retry_at = excluded.failed_at + make_interval(mins => least(2.0 ^ least(f.failures, 11), 1440)::integer);
END
$$;
COMMENT ON FUNCTION crm_internal.note_failed_work(text, bigint, text, text, text, timestamptz) IS
'Writes down what could not be done, and says so in a warning.';

CREATE OR REPLACE FUNCTION crm_internal.try_work(function_name text, act text, tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    done bigint;
    half CONSTANT integer := cardinality(items) / 2;
BEGIN
    IF items = '{}' THEN
        RETURN 0;
    END IF;
    BEGIN
        EXECUTE 'SELECT ' || to_regprocedure(act || '(bigint, text[], timestamptz)')::regproc || '($1, $2, $3)' INTO done USING tenant, items, as_of;
        -- what is asked at the end of the transaction would fail there for everybody
        SET CONSTRAINTS ALL IMMEDIATE;
        RETURN coalesce(done, 0);
    EXCEPTION
        WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
            -- it goes away by itself
            RETURN 0;
        WHEN OTHERS THEN
            IF half = 0 THEN
                PERFORM crm_internal.note_failed_work(function_name, tenant, items[1], SQLSTATE, SQLERRM, as_of);
                RETURN 0;
            END IF;
    END;
    RETURN crm_internal.try_work(function_name, act, tenant, items[:half], as_of)
         + crm_internal.try_work(function_name, act, tenant, items[half + 1:], as_of);
END
$$;
COMMENT ON FUNCTION crm_internal.try_work(text, text, bigint, text[], timestamptz) IS
'Calls a function (tenant bigint, items text[], as_of timestamptz) that returns how many it did, and calls it for halves where it fails.';

CREATE OR REPLACE FUNCTION crm_internal.do_due(
    function_name text, due text, item text, turn text, locks text, act text, as_of timestamptz, batch integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT text := current_setting('crm.tenant', true);
    company record;
    done bigint := 0;
BEGIN
    FOR company IN EXECUTE
        'SELECT d.tenant_id, array_agg(d.item ORDER BY d.n) AS items FROM (SELECT row_number() OVER () AS n, w.* FROM ('
            'SELECT x.tenant_id, (' || item || ')::text AS item FROM ' || due
            || ' AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = $3 AND f.tenant_id = x.tenant_id'
               ' AND f.item = (' || item || ')::text AND f.retry_at > $1)'
            ' ORDER BY ' || turn || ' LIMIT $2 FOR ' || locks || ' SKIP LOCKED) AS w) AS d GROUP BY d.tenant_id ORDER BY min(d.n)'
        USING as_of, batch, function_name
    LOOP
        -- triggers of what is changed work for this company
        PERFORM set_config('crm.tenant', company.tenant_id::text, true);
        done := done + crm_internal.try_work(function_name, act, company.tenant_id, company.items, as_of);
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.do_due(text, text, text, text, text, text, timestamptz, integer) IS
'Does what is due, whatever fails: due is what stands after FROM with its WHERE (x: the row with tenant_id, $1: as_of), item what a row is called by, turn '
'which comes first, locks what is locked, act the function for some of one company (crm_internal.try_work()). Returns how many were done.';
