-- Tags, and finding people by whatever is known of them.

CREATE OR REPLACE FUNCTION crm.change_tags(table_name text, id bigint, added text[] DEFAULT '{}', removed text[] DEFAULT '{}')
RETURNS text[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tags text[];
BEGIN
    EXECUTE format('UPDATE %s AS r SET tags = ARRAY((SELECT unnest(r.tags) UNION SELECT unnest($1)) EXCEPT SELECT unnest($2)) '
                   'WHERE r.tenant_id = $3 AND r.id = $4 RETURNING r.tags', crm.require_registered(table_name, 'tags')::regclass)
        INTO tags
        USING crm.normalize_tags(added), crm.normalize_tags(removed), crm.tenant_id(), id;
    IF tags IS NULL THEN
        RAISE EXCEPTION 'there is no row % in table "%" that you may change', id, table_name USING ERRCODE = 'no_data_found';
    END IF;
    RETURN tags;
END
$$;
COMMENT ON FUNCTION crm.change_tags(text, bigint, text[], text[]) IS
'Adds tags to a row of a table and takes others off. Returns its tags. Errors: 42P01 for a table without tags, P0002 for a row that is not there or not the '
'caller''s to change.';
SELECT crm.declare_api('crm.change_tags', '{"table_name": "accounts", "id": 1, "added": ["key"]}');

CREATE OR REPLACE FUNCTION crm.tags_in_use(table_name text)
RETURNS TABLE (tag text, row_count bigint)
LANGUAGE plpgsql STABLE STRICT ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY EXECUTE format('SELECT u.tag, count(*) FROM %s AS r, unnest(r.tags) AS u (tag) WHERE r.tenant_id = $1 '
                                'GROUP BY u.tag ORDER BY count(*) DESC, u.tag', crm.require_registered(table_name, 'tags')::regclass)
        USING crm.tenant_id();
END
$$;
COMMENT ON FUNCTION crm.tags_in_use(text) IS
'Tags on rows of a table that the caller may see, with the number of rows, most frequent first.';

CREATE OR REPLACE FUNCTION crm_internal.name_query(tenant_id bigint, query text)
RETURNS tsquery
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg('''' || replace(replace(w, '\', '\\'), '''', '''''') || ''':*', ' & ')::tsquery
    FROM unnest(crm.name_terms(tenant_id, query)) AS w
$$;
COMMENT ON FUNCTION crm_internal.name_query(bigint, text) IS
'Query for names that hold words beginning with each word of the text; NULL where there is no word.';

CREATE OR REPLACE FUNCTION crm_internal.prefix_pattern(key text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(replace(replace(nullif(key, ''), '\', '\\'), '%', '\%'), '_', '\_') || '%'
$$;
COMMENT ON FUNCTION crm_internal.prefix_pattern(text) IS 'Pattern for LIKE of texts that begin with key; NULL for an empty one.';

-- These two run as the owner: an index cannot serve a search through row security, as
-- its operators could show rows that the policy has yet to judge. They ask crm.can_see()
-- themselves, after the index.
CREATE OR REPLACE FUNCTION crm.find_contacts(query text, max_rows integer DEFAULT 50)
RETURNS SETOF crm.contacts
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    words CONSTANT tsquery := crm_internal.name_query(t, query);
    key CONSTANT text := crm.name_key(query);
    beginning CONSTANT text := crm_internal.prefix_pattern(key);
    points CONSTANT text[] := array_remove(ARRAY[crm.normalize_email(query),
                                                 crm.normalize_phone(query, coalesce(crm.tenant_country(), ''))], NULL);
BEGIN
    RETURN QUERY
    SELECT c.*
    FROM (SELECT f.id, min(f.rank) AS rank
          FROM (SELECT p.contact_id, 0 FROM crm.contact_points AS p
                WHERE p.tenant_id = t AND p.value_key = ANY (points) AND p.contact_id IS NOT NULL
                UNION ALL
                SELECT k.id, 1 FROM crm.contacts AS k WHERE k.tenant_id = t AND k.name_key = key
                UNION ALL
                SELECT k.id, 2 FROM crm.contacts AS k WHERE k.tenant_id = t AND k.name_key LIKE beginning
                UNION ALL
                SELECT k.id, 3 FROM crm.contacts AS k
                WHERE k.tenant_id = t AND array_to_tsvector(crm.name_terms(k.tenant_id, k.name)) @@ words) AS f (id, rank)
          GROUP BY f.id) AS found
    JOIN crm.contacts AS c ON c.tenant_id = t AND c.id = found.id
    WHERE crm.can_see(c.owner_id, c.team_id, c.shared_user_ids, c.shared_team_ids)
    ORDER BY found.rank, c.name_key, c.id
    LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION crm.find_contacts(text, integer) IS
'Contacts the caller may see, best match first: with this e-mail address or telephone number, of this name, of a name beginning so, of a name with words '
'beginning with each of these in any order. Spelling as crm.fold_text() folds it.';
SELECT crm.declare_api('crm.find_contacts', '{"query": "ada@example.com"}');
SELECT crm.declare_function('crm.find_contacts', 'reader');

CREATE OR REPLACE FUNCTION crm.find_accounts(query text, max_rows integer DEFAULT 50)
RETURNS SETOF crm.accounts
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    words CONSTANT tsquery := crm_internal.name_query(t, query);
    key CONSTANT text := crm.name_key(query);
    beginning CONSTANT text := crm_internal.prefix_pattern(key);
    points CONSTANT text[] := array_remove(ARRAY[crm.normalize_email(query), crm.contact_point_key('web', query, ''),
                                                 crm.normalize_phone(query, coalesce(crm.tenant_country(), ''))], NULL);
BEGIN
    RETURN QUERY
    SELECT a.*
    FROM (SELECT f.id, min(f.rank) AS rank
          FROM (SELECT p.account_id, 0 FROM crm.contact_points AS p
                WHERE p.tenant_id = t AND p.value_key = ANY (points) AND p.account_id IS NOT NULL
                UNION ALL
                SELECT k.id, 1 FROM crm.accounts AS k WHERE k.tenant_id = t AND k.name_key = key
                UNION ALL
                SELECT k.id, 2 FROM crm.accounts AS k WHERE k.tenant_id = t AND k.name_key LIKE beginning
                UNION ALL
                SELECT k.id, 3 FROM crm.accounts AS k
                WHERE k.tenant_id = t AND array_to_tsvector(crm.name_terms(k.tenant_id, k.name)) @@ words) AS f (id, rank)
          GROUP BY f.id) AS found
    JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = found.id
    WHERE crm.can_see(a.owner_id, a.team_id, a.shared_user_ids, a.shared_team_ids)
    ORDER BY found.rank, a.name_key, a.id
    LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION crm.find_accounts(text, integer) IS
'Accounts the caller may see, best match first: with this e-mail address, telephone number or web address, of this name, of a name beginning so, of a name '
'with words beginning with each of these in any order. Spelling as crm.fold_text() folds it.';
SELECT crm.declare_api('crm.find_accounts', '{"query": "acme"}');
SELECT crm.declare_function('crm.find_accounts', 'reader');
