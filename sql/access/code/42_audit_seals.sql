-- Seals of the log of changes: whoever edits, takes out, puts in or moves entries, the owner and superusers too, is found.
--
-- Entries have their numbers from one sequence, drawn when their transaction has its own number. So whoever reads the last number H
-- given, and then asks which transactions are running, knows: every entry up to H is of one of these, or of one that is over. When
-- none of these runs any more, all entries up to H that will ever be are there, and are sealed. Nobody waits: who seals comes again.

CREATE OR REPLACE FUNCTION crm_internal.audit_digest(tenant bigint, after_id bigint, up_to bigint, most bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT crm.audit_digest(e.id, e.at, e.xact, e.record_id, e.user_id, e.table_name, e.action, e.via, e.db_role, e.client, e.application, e.cause,
                                e.withheld, e.salt, e.change, e.digest)
        FROM (SELECT a.* FROM crm.audit_log AS a
              WHERE a.tenant_id = tenant AND a.id > after_id AND a.id <= up_to ORDER BY a.id LIMIT most) AS e);
END
$$;
COMMENT ON FUNCTION crm_internal.audit_digest(bigint, bigint, bigint, bigint) IS
'Hash of a company''s entries after a number and up to another, at most so many of them (NULL: all).';

-- ---- sealing ----

CREATE OR REPLACE FUNCTION crm_internal.put_seal(
    tenant bigint, kind text, month date, from_id bigint, to_id bigint, entries bigint, rows_hash bytea)
RETURNS crm.audit_seals
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ids CONSTANT text[] := crm.key_ids();
    seal crm.audit_seals;
BEGIN
    SELECT s.number, s.hash INTO seal.number, seal.previous FROM crm.audit_seals AS s WHERE s.tenant_id = tenant ORDER BY s.number DESC LIMIT 1;
    seal.tenant_id := tenant;
    seal.number := coalesce(seal.number, 0) + 1;
    seal.previous := coalesce(seal.previous, decode(repeat('00', 32), 'hex'));
    seal.kind := kind;
    seal.month := month;
    seal.from_id := from_id;
    seal.to_id := to_id;
    seal.entries := entries;
    seal.rows_hash := rows_hash;
    seal.sealed_at := clock_timestamp();
    seal.key_id := ids[cardinality(ids)];
    seal.hash := crm.audit_seal_hash(tenant, seal.number, kind, month, from_id, to_id, entries, seal.sealed_at, rows_hash, seal.previous);
    seal.signature := crm.audit_signature(tenant, seal.hash);
    INSERT INTO crm.audit_seals SELECT seal.*;
    RETURN seal;
END
$$;
COMMENT ON FUNCTION crm_internal.put_seal(bigint, text, date, bigint, bigint, bigint, bytea) IS 'Puts the next seal of a company onto its chain, signed.';

-- items: the number up to which all entries are there
CREATE OR REPLACE FUNCTION crm_internal.seal_tenant(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    sealed_to bigint := coalesce((SELECT max(s.to_id) FROM crm.audit_seals AS s WHERE s.tenant_id = tenant), 0);
    up_to CONSTANT bigint := items[1]::bigint;
    got jsonb;
    part jsonb;
    done bigint := 0;
    batch CONSTANT bigint := 10000;
BEGIN
    WHILE sealed_to < up_to AND done < 200000 LOOP
        got := crm_internal.audit_digest(tenant, sealed_to, up_to, batch);
        EXIT WHEN (got ->> 'n')::bigint = 0;
        FOR part IN SELECT p FROM jsonb_array_elements(got -> 'months') AS p ORDER BY (p ->> 'month')::integer LOOP
            PERFORM crm_internal.put_seal(tenant, 'entries', date '2000-01-01' + (part ->> 'month')::integer, sealed_to,
                CASE WHEN (got ->> 'n')::bigint = batch THEN (got ->> 'last')::bigint ELSE up_to END, (part ->> 'n')::bigint, decode(part ->> 'hash', 'hex'));
        END LOOP;
        done := done + (got ->> 'n')::bigint;
        sealed_to := CASE WHEN (got ->> 'n')::bigint = batch THEN (got ->> 'last')::bigint ELSE up_to END;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.seal_tenant(bigint, text[], timestamptz) IS 'Seals the entries of a company, up to the number given; returns how many.';

CREATE OR REPLACE FUNCTION crm.seal_audit()
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state crm_internal.audit_state;
    running xid8[];
    t bigint;
    done bigint := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the log of changes is sealed in a transaction that sees what others commit'
            USING ERRCODE = 'active_sql_transaction', HINT = 'Say BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    -- without a key file nothing can be sealed
    IF crm.key_ids() IS NULL THEN
        RETURN 0;
    END IF;
    -- one at a time
    SELECT s.* INTO state FROM crm_internal.audit_state AS s FOR UPDATE;
    IF state.mark_id IS NULL THEN
        PERFORM crm.write_audit();
        state.mark_id := coalesce(pg_sequence_last_value(pg_get_serial_sequence('crm.audit_log', 'id')::regclass), 0);
        -- by a snapshot that is younger than the number
        state.mark_xact := pg_snapshot_xmax(pg_current_snapshot());
        state.mark_server := crm.server_number();
    END IF;
    SELECT array_agg(x) INTO running FROM pg_snapshot_xip(pg_current_snapshot()) AS x
    WHERE x < state.mark_xact AND x IS DISTINCT FROM pg_current_xact_id_if_assigned()
      -- of other databases of the server, and autovacuum, hold none
      AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
                      WHERE a.backend_xid = x::xid AND (a.datname <> current_database() OR a.backend_type = 'autovacuum worker'));
    -- transactions of the server on which a copy of this database was taken are over
    IF running IS NOT NULL AND state.mark_server = crm.server_number() THEN
        UPDATE crm_internal.audit_state AS s SET mark_id = state.mark_id, mark_xact = state.mark_xact, mark_server = state.mark_server
        WHERE s.mark_id IS DISTINCT FROM state.mark_id;
        RETURN 0;
    END IF;
    FOR t IN SELECT x.tenant_id FROM crm.tenants AS x ORDER BY x.tenant_id LOOP
        done := done + crm_internal.try_work('crm.seal_audit', 'crm_internal.seal_tenant', t, ARRAY[state.mark_id::text], now());
    END LOOP;
    UPDATE crm_internal.audit_state AS s SET mark_id = NULL, mark_xact = NULL, mark_server = NULL WHERE s.mark_id IS NOT NULL;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.seal_audit() IS
'Seals the entries of crm.audit_log that are there for good: hashes them, and signs the hash and that of the seal before (crm.audit_seals). Returns how many '
'were sealed. Entries of transactions that run at the time, and all that were made after them, are sealed by a later call, when these are over. 0 without a '
'key file. Done by crm.run_maintenance() each minute. Only the owner of the CRM. Errors: 25001 in a transaction that is not READ COMMITTED.';
SELECT crm.declare_function('crm.seal_audit', 'owner');

-- ---- verifying ----

CREATE OR REPLACE FUNCTION crm_internal.seal_fault(seal crm.audit_seals, expected_number bigint, expected_previous bytea)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    public_key CONSTANT bytea := crm.audit_public_key(seal.tenant_id, seal.key_id);
BEGIN
    IF seal.number <> expected_number THEN
        RETURN format('seals %s to %s are gone', expected_number, seal.number - 1);
    END IF;
    IF seal.previous <> expected_previous THEN
        RETURN 'the seal before it is not the one that was there';
    END IF;
    IF octet_length(seal.rows_hash) <> 32 OR octet_length(seal.signature) <> 64 OR seal.hash IS DISTINCT FROM crm.audit_seal_hash(
        seal.tenant_id, seal.number, seal.kind, seal.month, seal.from_id, seal.to_id, seal.entries, seal.sealed_at, seal.rows_hash, seal.previous) THEN
        RETURN 'the seal was changed';
    END IF;
    IF public_key IS NULL THEN
        RETURN format('its key %s is not in the key file', seal.key_id);
    END IF;
    IF NOT crm.audit_signed(public_key, seal.hash, seal.signature) THEN
        RETURN 'its signature is false';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.seal_fault(crm.audit_seals, bigint, bytea) IS 'What is wrong with a seal by itself and in its chain; NULL: nothing.';

-- What the entries of one stretch of numbers are, beside what its seals say: seals of one stretch are of different months.
CREATE OR REPLACE FUNCTION crm_internal.stretch_faults(tenant bigint, after_id bigint, up_to bigint)
RETURNS TABLE (seal bigint, found bigint, fault text, taken_out bigint)
LANGUAGE plpgsql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    dropped CONSTANT date[] := ARRAY(SELECT s.month FROM crm.audit_seals AS s WHERE s.tenant_id = tenant AND s.kind = 'dropped');
    got CONSTANT jsonb := crm_internal.audit_digest(tenant, after_id, up_to, NULL);
BEGIN
    RETURN QUERY
        SELECT s.number, coalesce(g.n, 0),
               CASE WHEN s.month = ANY (dropped) THEN CASE WHEN g.n > 0 THEN 'entries of a month that was dropped were put in' END
                    WHEN s.number IS NULL THEN 'entries were put in'
                    WHEN coalesce(g.n, 0) < s.entries THEN 'entries were taken out'
                    WHEN g.n > s.entries THEN 'entries were put in'
                    WHEN g.hash <> s.rows_hash THEN 'entries were changed' END,
               CASE row_number() OVER () WHEN 1 THEN (got ->> 'taken_out')::bigint ELSE 0 END
        FROM (SELECT x.* FROM crm.audit_seals AS x
              WHERE x.tenant_id = tenant AND x.kind = 'entries' AND x.from_id = after_id AND x.to_id = up_to) AS s
        FULL JOIN (SELECT date '2000-01-01' + (m ->> 'month')::integer AS month, (m ->> 'n')::bigint AS n, decode(m ->> 'hash', 'hex') AS hash
                   FROM jsonb_array_elements(got -> 'months') AS m) AS g ON g.month = s.month;
END
$$;
COMMENT ON FUNCTION crm_internal.stretch_faults(bigint, bigint, bigint) IS
'Seals of the entries after a number and up to another, how many entries there are, and what is wrong with them (NULL: nothing); in the first row how many of '
'all have no change any more.';

-- {seal, hash} of an anchor of the company; raises where it is none
CREATE OR REPLACE FUNCTION crm_internal.read_anchor(anchor text, tenant bigint)
RETURNS TABLE (number bigint, hash bytea)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT text[] := regexp_match(btrim(anchor), '^crm-audit:1:(\d{1,18}):(\d{1,18}):([0-9a-f]{64}):([0-9a-f]{64}):([0-9a-f]{128})$');
BEGIN
    IF p IS NULL OR NOT crm.audit_signed(decode(p[4], 'hex'), decode(p[3], 'hex'), decode(p[5], 'hex')) THEN
        RAISE EXCEPTION 'this is no anchor of a log of changes, or it was changed'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is what crm.audit_anchor() returned.';
    END IF;
    IF p[1]::bigint <> tenant THEN
        RAISE EXCEPTION 'the anchor is of company %, not of company %', p[1], tenant
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Each company has anchors of its own.';
    END IF;
    number := p[2]::bigint;
    hash := decode(p[3], 'hex');
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_internal.read_anchor(text, bigint) IS 'Seal and hash that an anchor names; error 22023 for what is none.';

CREATE OR REPLACE FUNCTION crm.verify_audit(anchor text DEFAULT NULL)
RETURNS TABLE (result text, seal bigint, from_id bigint, to_id bigint, entries bigint, detail text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    s crm.audit_seals;
    f record;
    fault text;
    last_number bigint := 0;
    last_hash bytea := decode(repeat('00', 32), 'hex');
    last_to bigint := 0;
    whole bigint := 0;
    checked bigint := 0;
    erased bigint := 0;
    named_number bigint;
    named_hash bytea;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'it is not clear whose log of changes is meant' USING ERRCODE = 'CR010', HINT = 'Say SET crm.tenant = ''id'' first.';
    END IF;
    IF anchor IS NOT NULL THEN
        SELECT a.number, a.hash INTO named_number, named_hash FROM crm_internal.read_anchor(anchor, tenant) AS a;
    END IF;
    FOR s IN SELECT x.* FROM crm.audit_seals AS x WHERE x.tenant_id = tenant ORDER BY x.number LOOP
        fault := crm_internal.seal_fault(s, last_number + 1, last_hash);
        IF fault IS NOT NULL THEN
            result := 'broken seal'; seal := s.number; from_id := s.from_id; to_id := s.to_id; entries := s.entries; detail := fault;
            RETURN NEXT;
        END IF;
        last_number := s.number;
        last_hash := s.hash;
        checked := checked + 1;
        -- each stretch once, also what lies between two
        CONTINUE WHEN s.kind = 'dropped' OR s.to_id <= last_to;
        IF s.from_id <> last_to THEN
            result := 'broken seal'; seal := s.number; from_id := last_to; to_id := s.from_id; entries := NULL;
            detail := 'it does not begin where the one before it ends';
            RETURN NEXT;
        END IF;
        FOR f IN SELECT x.* FROM crm_internal.stretch_faults(tenant, s.from_id, s.to_id) AS x LOOP
            erased := erased + f.taken_out;
            IF f.fault IS NULL THEN
                whole := whole + f.found;
            ELSE
                result := 'changed log'; seal := f.seal; from_id := s.from_id; to_id := s.to_id; entries := f.found; detail := f.fault;
                RETURN NEXT;
            END IF;
        END LOOP;
        last_to := s.to_id;
    END LOOP;
    IF anchor IS NOT NULL AND NOT EXISTS (
        SELECT FROM crm.audit_seals AS x WHERE x.tenant_id = tenant AND x.number = named_number AND x.hash = named_hash) THEN
        result := 'other log'; seal := named_number; from_id := NULL; to_id := NULL; entries := NULL;
        detail := 'the seal of the anchor is not there: what it sealed was made anew, or is gone';
        RETURN NEXT;
    END IF;
    result := 'verified'; seal := nullif(last_number, 0); from_id := 0; to_id := last_to; entries := whole; detail := 'seals: ' || checked;
    RETURN NEXT;
    SELECT count(*) INTO entries FROM crm.audit_log AS a WHERE a.tenant_id = tenant AND a.id > last_to;
    IF entries > 0 THEN
        result := 'not sealed'; seal := NULL; from_id := last_to; to_id := NULL;
        detail := CASE WHEN crm.key_ids() IS NULL THEN 'there is no key file' ELSE 'crm.seal_audit() does it' END;
        RETURN NEXT;
    END IF;
    IF erased > 0 THEN
        result := 'taken out'; seal := NULL; from_id := 0; to_id := last_to; entries := erased; detail := 'changes whose hash alone is left';
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.verify_audit(text) IS
'Compares the log of changes of the current company with its seals, and with an anchor that was kept elsewhere. A row for each finding: broken seal (a seal '
'was changed, or is missing), changed log (entries were changed, taken out or put in; entries is how many are there), other log (the anchor''s seal is not '
'there); then one of result verified, with how many entries are as they were sealed, and where there are any, not sealed and taken out. Nobody is kept from '
'writing. Errors: 22023 for what is no anchor of the company, CR601 without a key file.';
SELECT crm.declare_function('crm.verify_audit', 'admin');

CREATE OR REPLACE FUNCTION crm.audit_anchor()
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.audit_seals;
BEGIN
    SELECT x.* INTO s FROM crm.audit_seals AS x WHERE x.tenant_id = crm.tenant_id() ORDER BY x.number DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN concat_ws(':', 'crm-audit:1', s.tenant_id, s.number, encode(s.hash, 'hex'), encode(crm.audit_public_key(s.tenant_id, s.key_id), 'hex'),
                     encode(s.signature, 'hex'));
END
$$;
COMMENT ON FUNCTION crm.audit_anchor() IS
'The last seal of the log of changes of the current company in one line, to be kept where nobody who can write here can write: crm.verify_audit(anchor) finds '
'whether all that was sealed until then is still there as it was, also where somebody with the server''s keys has sealed another log anew. '
'NULL: nothing is sealed yet.';
SELECT crm.declare_function('crm.audit_anchor', 'admin');

-- ---- nobody changes them ----

CREATE OR REPLACE TRIGGER audit_seals_before_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON crm.audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_audit_entries();

-- A month that goes takes no seal along: that it went is sealed in its turn.
CREATE OR REPLACE FUNCTION crm_internal.seal_dropped(since timestamptz, until timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.put_seal(s.tenant_id, 'dropped', s.month, 0, 0, 0, decode(repeat('00', 32), 'hex'))
    FROM (SELECT DISTINCT x.tenant_id, x.month FROM crm.audit_seals AS x
          WHERE x.kind = 'entries' AND x.month >= crm_internal.month_of(since) AND x.month < crm_internal.month_of(until)
          ORDER BY x.tenant_id, x.month) AS s;
END
$$;
COMMENT ON FUNCTION crm_internal.seal_dropped(timestamptz, timestamptz) IS 'Seals that the entries of some months were dropped.';
