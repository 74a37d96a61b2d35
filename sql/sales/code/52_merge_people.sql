-- Contacts and accounts that are there twice made one: what refers to the one that goes refers to the one that stays.

CREATE OR REPLACE FUNCTION crm_internal.rows_there_once(relation regclass, column_name name)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    -- x and y agree in the other columns of a unique index that holds the column
    SELECT coalesce((SELECT string_agg(format('x.%1$I = y.%1$I', a.attname), ' AND ') FROM pg_attribute AS a
                     WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1]) AND a.attname <> column_name), 'true')
    FROM pg_index AS i
    JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attname = column_name AND k.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
    WHERE i.indrelid = relation AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
$$;
COMMENT ON FUNCTION crm_internal.rows_there_once(regclass, name) IS
'For each plain unique index with a column: the condition that two rows x and y differ in that column alone.';

CREATE OR REPLACE FUNCTION crm_internal.move_references(subject text, from_id bigint, to_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    referred CONSTANT regclass := crm.subject_relation(subject);
    link record;
    agree text;
    move text;
BEGIN
    -- every column that refers to such a record, of whatever table; of the tree it stands in its caller knows better
    FOR link IN
        SELECT k.conrelid::regclass AS relation, a.attname
        FROM pg_constraint AS k
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname <> 'tenant_id'
        WHERE k.contype = 'f' AND k.confrelid = referred AND k.conparentid = 0 AND cardinality(k.conkey) = 2 AND k.conrelid <> referred
        ORDER BY k.conrelid, k.conname
    LOOP
        move := format('UPDATE %s AS x SET %I = $3 WHERE x.tenant_id = $1 AND x.%I = $2', link.relation::regclass, link.attname, link.attname);
        BEGIN
            EXECUTE move USING t, from_id, to_id;
        EXCEPTION WHEN unique_violation THEN
            -- of what may be there once the one of the record that goes on stays
            FOR agree IN SELECT c FROM crm_internal.rows_there_once(link.relation, link.attname) AS c LOOP
                EXECUTE format('DELETE FROM %1$s AS x USING %1$s AS y WHERE x.tenant_id = $1 AND x.%2$I = $2 AND y.tenant_id = $1 AND y.%2$I = $3 AND %3$s',
                               link.relation::regclass, link.attname, agree) USING t, from_id, to_id;
            END LOOP;
            EXECUTE move USING t, from_id, to_id;
        END;
    END LOOP;
    -- and what names the table of its record in another column: activities, statements about consent
    FOR link IN SELECT l.relation, l.column_name, l.target_column FROM crm.table_links() AS l WHERE l.merge AND l.target_column IS NOT NULL LOOP
        EXECUTE format('UPDATE %s AS x SET %I = $3 WHERE x.tenant_id = $1 AND x.%I = $4 AND x.%I = $2',
                       link.relation::regclass, link.column_name, link.target_column, link.column_name)
            USING t, from_id, to_id, subject;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.move_references(text, bigint, bigint) IS
'Lets everything that refers to a record of a table refer to another one, found by foreign keys and by crm.table_links(). Where both have a row that may '
'be there once, that of the other stays. Error 23505 where an index with a condition forbids it.';

CREATE OR REPLACE FUNCTION crm_internal.join_relationships(t bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    -- nobody knows themselves
    DELETE FROM crm.relationships AS r
    WHERE r.tenant_id = t AND (r.from_contact_id = r.to_contact_id OR r.from_account_id = r.to_account_id);
    DELETE FROM crm.relationships AS r USING crm.relationships AS o
    WHERE r.tenant_id = t AND o.tenant_id = t AND o.id < r.id AND o.kind = r.kind AND o.valid && r.valid
      AND (o.from_contact_id, o.from_account_id, o.from_user_id, o.to_contact_id, o.to_account_id)
          IS NOT DISTINCT FROM (r.from_contact_id, r.from_account_id, r.from_user_id, r.to_contact_id, r.to_account_id);
$$;
COMMENT ON FUNCTION crm_internal.join_relationships(bigint) IS
'After a merge: relationships of somebody with themselves go, and of two that say the same of the same time the older one stays.';

CREATE OR REPLACE FUNCTION crm_internal.join_contact_points(column_name name, from_id bigint, to_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('DELETE FROM crm.contact_points AS p USING crm.contact_points AS q WHERE p.tenant_id = $1 AND p.%1$I = $2 '
                   'AND q.tenant_id = $1 AND q.%1$I = $3 AND (q.kind, coalesce(q.value_key, q.value)) = (p.kind, coalesce(p.value_key, p.value))', column_name)
        USING crm.tenant_id(), from_id, to_id;
    EXECUTE format('UPDATE crm.contact_points AS p SET is_primary = false WHERE p.tenant_id = $1 AND p.%1$I = $2 AND p.is_primary '
                   'AND EXISTS (SELECT FROM crm.contact_points AS q WHERE q.tenant_id = $1 AND q.%1$I = $3 AND q.kind = p.kind AND q.is_primary)', column_name)
        USING crm.tenant_id(), from_id, to_id;
END
$$;
COMMENT ON FUNCTION crm_internal.join_contact_points(name, bigint, bigint) IS
'Before a merge, with the column that says whose they are: an address that both have stays once, and there is one primary address of a kind.';

-- keys that one row alone may have are free once the other row is gone; names in other systems are kept by a later room
CREATE OR REPLACE FUNCTION crm_internal.take_keys(subject text, source jsonb, target jsonb)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    taken jsonb := '{}';
    keys text[];
    hook regprocedure;
BEGIN
    FOR keys IN
        SELECT array_agg(a.attname::text) FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
             AND a.attname <> 'tenant_id' AND a.attgenerated = ''
        WHERE i.indrelid = crm.subject_relation(subject) AND i.indisunique AND NOT i.indisprimary
        GROUP BY i.indexrelid
    LOOP
        IF NOT EXISTS (SELECT FROM unnest(keys) AS k WHERE target -> k <> 'null') THEN
            taken := taken || (SELECT jsonb_object_agg(k, source -> k) FROM unnest(keys) AS k);
        END IF;
    END LOOP;
    FOR hook IN SELECT h FROM crm_internal.hooks_at('record_merged') AS h LOOP
        EXECUTE format('SELECT %s($1, $2, $3)', hook::regproc) USING subject, source, target || taken;
    END LOOP;
    RETURN target || taken;
END
$$;
COMMENT ON FUNCTION crm_internal.take_keys(text, jsonb, jsonb) IS
'A row with the columns of unique indexes that it lacks, taken from one that was merged into it and is gone.';

CREATE OR REPLACE FUNCTION crm_internal.known_before_merge(subject text, source_id bigint, target_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known jsonb := '{}';
    part jsonb;
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('record_merging') AS h LOOP
        EXECUTE format('SELECT %s($1, $2, $3)', hook::regproc) INTO part USING subject, source_id, target_id;
        known := known || part;
    END LOOP;
    RETURN known;
END
$$;
COMMENT ON FUNCTION crm_internal.known_before_merge(text, bigint, bigint) IS
'What later rooms want to know of two records once one has become the other: it is given to the hooks of record_merged with the row that went.';

CREATE OR REPLACE FUNCTION crm_internal.refuse_merge(subject text, source_id bigint, target_id bigint, seen bigint[], changeable bigint[])
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF source_id = target_id THEN
        RAISE EXCEPTION '% % cannot be merged into itself', subject, source_id USING ERRCODE = 'CR204', HINT = format('Give another %s as target.', subject);
    END IF;
    IF NOT coalesce(seen, '{}') @> ARRAY[source_id, target_id] THEN
        RAISE EXCEPTION '% % does not exist, or is not visible to you', subject, CASE WHEN source_id = ANY (seen) THEN target_id ELSE source_id END
            USING ERRCODE = 'no_data_found', HINT = 'Give two that you see.';
    END IF;
    IF NOT coalesce(changeable, '{}') @> ARRAY[source_id, target_id] THEN
        RAISE EXCEPTION '%s % and % may not both be changed by you', subject, source_id, target_id
            USING ERRCODE = 'insufficient_privilege', HINT = 'Ask a manager, or whoever owns them, to merge them.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.refuse_merge(text, bigint, bigint, bigint[], bigint[]) IS
'Errors of a merge: with itself, of what the caller does not see (ids in seen) or may not change (ids in changeable).';


-- security definer in the two below: links are moved whoever sees them; both records must be the caller's to change
CREATE OR REPLACE FUNCTION crm.merge_contacts(source_id bigint, target_id bigint)
RETURNS crm.contacts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.contacts;
    target crm.contacts;
    merged crm.contacts;
BEGIN
    PERFORM crm.because('merge_contacts');
    PERFORM FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id IN (source_id, target_id) ORDER BY c.id FOR UPDATE;
    PERFORM crm_internal.refuse_merge('contact', source_id, target_id,
        array_agg(c.id) FILTER (WHERE crm.can_see(c.owner_id, c.team_id, c.shared_user_ids, c.shared_team_ids)),
        array_agg(c.id) FILTER (WHERE crm.can_change(c.owner_id, c.team_id)))
    FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id IN (source_id, target_id);
    SELECT c.* INTO source FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = source_id;
    SELECT c.* INTO target FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = target_id;
    PERFORM crm.keep_incomplete(false);
    merged := crm.carry_owned(target, source, 'merge');
    IF target.preferences ? 'consent' OR source.preferences ? 'consent' THEN
        merged.preferences := merged.preferences || jsonb_build_object('consent', crm_internal.joined_consent(
            coalesce(target.preferences -> 'consent', '{}'), coalesce(source.preferences -> 'consent', '{}')));
    END IF;
    PERFORM crm_internal.join_contact_points('contact_id', source.id, target.id);
    PERFORM crm_internal.move_references('contacts', source.id, target.id);
    PERFORM crm_internal.join_relationships(t);
    merged := crm.update_row(target, merged);
    DELETE FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = source.id;
    RETURN crm.update_row(merged, jsonb_populate_record(merged, crm_internal.take_keys('contacts', to_jsonb(source), to_jsonb(merged))));
END
$$;
COMMENT ON FUNCTION crm.merge_contacts(bigint, bigint) IS
'Merges a contact into another, which it returns: every record that refers to the first refers to the second, every column keeps the second''s value and '
'takes the first''s where there is none, lists, shares and custom fields are joined, of consent the last word of each channel counts, addresses and '
'relationships stay once. The first is deleted; what other systems call it is a name of the second (crm.external_ids). Errors: CR204 for a contact and '
'itself, P0002, 42501.';
SELECT crm.declare_function('crm.merge_contacts', 'agent');

CREATE OR REPLACE FUNCTION crm_internal.merged_parent(t bigint, source crm.accounts, target crm.accounts)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (WITH RECURSIVE above (of, id, parent_id) AS (
        SELECT a.id, a.id, a.parent_id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id IN (source.id, target.id)
        UNION
        SELECT v.of, a.id, a.parent_id FROM above AS v JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = v.parent_id
    )
    SELECT CASE WHEN EXISTS (SELECT FROM above AS v WHERE v.of = target.id AND v.id = source.id) THEN source.parent_id
                WHEN EXISTS (SELECT FROM above AS v WHERE v.of = source.id AND v.id = target.id) THEN target.parent_id
                ELSE coalesce(target.parent_id, source.parent_id) END);
END
$$;
COMMENT ON FUNCTION crm_internal.merged_parent(bigint, crm.accounts, crm.accounts) IS
'The parent of the account that goes on, also where one of the two stands below the other.';

CREATE OR REPLACE FUNCTION crm.merge_accounts(source_id bigint, target_id bigint)
RETURNS crm.accounts
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.accounts;
    target crm.accounts;
    merged crm.accounts;
    rate numeric;
    known jsonb;
BEGIN
    PERFORM crm.because('merge_accounts');
    PERFORM FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id IN (source_id, target_id) ORDER BY a.id FOR UPDATE;
    PERFORM crm_internal.refuse_merge('account', source_id, target_id,
        array_agg(a.id) FILTER (WHERE crm.can_see(a.owner_id, a.team_id, a.shared_user_ids, a.shared_team_ids)),
        array_agg(a.id) FILTER (WHERE crm.can_change(a.owner_id, a.team_id)))
    FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id IN (source_id, target_id);
    SELECT a.* INTO source FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = source_id;
    SELECT a.* INTO target FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = target_id;
    PERFORM crm.keep_incomplete(false);
    known := crm_internal.known_before_merge('accounts', source.id, target.id);
    -- what the account is thought to turn over is carried as an amount, not as a number in another currency
    IF target.annual_revenue IS NULL AND source.annual_revenue IS NOT NULL AND source.currency <> target.currency THEN
        rate := crm.exchange_rate_on(t, source.currency, target.currency, crm.local_day(t, now()));
        source.annual_revenue := round(source.annual_revenue * rate, 4);
    END IF;
    merged := crm.carry_owned(target, source, 'merge');
    merged.parent_id := crm_internal.merged_parent(t, source, target);
    -- the tree first, so that it is one at any moment
    UPDATE crm.accounts AS a SET parent_id = merged.parent_id
    WHERE a.tenant_id = t AND a.id = target.id AND a.parent_id IS DISTINCT FROM merged.parent_id;
    target.parent_id := merged.parent_id;
    UPDATE crm.accounts AS a SET parent_id = target.id WHERE a.tenant_id = t AND a.parent_id = source.id AND a.id <> target.id;
    PERFORM crm_internal.join_contact_points('account_id', source.id, target.id);
    PERFORM crm_internal.move_references('accounts', source.id, target.id);
    PERFORM crm_internal.join_relationships(t);
    merged := crm.update_row(target, merged);
    DELETE FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = source.id;
    PERFORM crm.update_row(merged, jsonb_populate_record(merged, crm_internal.take_keys('accounts', known || to_jsonb(source), to_jsonb(merged))));
    -- with what the hooks of later rooms have written
    SELECT a.* INTO merged FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = target.id;
    RETURN merged;
END
$$;
COMMENT ON FUNCTION crm.merge_accounts(bigint, bigint) IS
'Merges an account into another, which it returns: contacts, deals, orders, documents, tickets and whatever else refers to the first refer to the second, '
'and accounts below the first stand below the second. Every column keeps the second''s value and takes the first''s where there is none (an annual revenue '
'at today''s rate, and none where the rate is missing), lists, roles, shares and custom fields are joined, addresses and relationships stay once; of what '
'may be there once, such as a declared need, the second''s stays. The first is deleted; what other systems call it is a name of the second '
'(crm.external_ids). Errors: CR204 for an account and itself, P0002, 42501.';
SELECT crm.declare_function('crm.merge_accounts', 'agent');
