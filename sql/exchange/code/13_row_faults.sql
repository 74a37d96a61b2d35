-- What cells of an import say together, or with what is there: an amount names a currency, and its row has one; an owner may have left.

CREATE OR REPLACE FUNCTION crm.import_signs(parts jsonb[])
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('crm.import_currencies(concat_ws('' '', %s))', string_agg(format('v.c%s', (p ->> 'n')::integer), ', ' ORDER BY (p ->> 'n')::integer))
    FROM unnest(parts) AS p WHERE p ->> 'kind' = 'column' AND (p ->> 'number')::boolean AND p ->> 'type' LIKE 'numeric%' HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm.import_signs(jsonb[]) IS
'SQL expression over v: the currencies that the amounts of a row say they may be in (crm.import_currencies); NULL where the mapping has no amounts.';

CREATE OR REPLACE FUNCTION crm.import_said_currency(signs text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('(SELECT k.code FROM crm.currencies AS k WHERE ARRAY[k.code::text] = %s)', signs::text)
$$;
COMMENT ON FUNCTION crm.import_said_currency(text) IS 'SQL expression: the one known currency that amounts say they are in; NULL where they leave it open.';

CREATE OR REPLACE FUNCTION crm.import_currency_report(column_name text, value text, row_currency text, signs text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.import_fault(column_name, value, '22023',
        CASE WHEN signs = '{}' THEN format('%s: "%s" and its neighbours are in different currencies', column_name, value)
             WHEN row_currency IS NULL THEN format('%s: "%s" is in a currency that is not known', column_name, value)
             ELSE format('%s: "%s" is not in %s, as the row is', column_name, value, row_currency) END,
        CASE WHEN 'IRT' = ANY (signs) AND row_currency = 'IRR' THEN 'A toman is ten rials: say "scale": 10 in the mapping of the column.'
             WHEN cardinality(signs) > 1
             THEN format('Such a sign may mean %s: say which by a column "currency" or in "defaults".', array_to_string(signs[1:6], ', '))
             ELSE 'Correct it, or name the currency of the row by a column "currency" or in "defaults".' END)
$$;
COMMENT ON FUNCTION crm.import_currency_report(text, text, text, text[]) IS 'What is said of an amount whose sign is not that of its row''s currency.';

CREATE OR REPLACE FUNCTION crm.import_row_currency(batch crm.import_batches, parts jsonb[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    part CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'currency' AND p ->> 'kind' = 'column');
    parents text;
BEGIN
    -- the currencies of the records that the row refers to: in the order of the registry for a table with one of its own, of its parent for another
    SELECT string_agg(format('(SELECT x.currency FROM %s AS x WHERE x.tenant_id = %s AND x.id = coalesce(v.v%s, o.%I))', l.relation::regclass,
                             batch.tenant_id::bigint, (p ->> 'n')::integer, l.name), ', ' ORDER BY l.n)
    INTO parents
    FROM (SELECT k.confrelid::regclass AS relation, a.attname AS name,
                 CASE WHEN part IS NULL THEN 1
                      ELSE array_position(ARRAY(SELECT jsonb_array_elements_text(r.options #> '{missing,currency}')), a.attname::text) END AS n
          FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[cardinality(k.conkey)]
          JOIN crm.registry AS r ON r.relation = target
          WHERE k.conrelid = target AND k.contype = 'f' AND crm.column_exists(k.confrelid, 'currency')
            AND (part IS NOT NULL OR EXISTS (SELECT FROM crm.table_links(target) AS t WHERE t.kind = 'parent' AND t.column_name = a.attname))) AS l
    JOIN unnest(parts) AS p ON p ->> 'name' = l.name AND p ->> 'kind' = 'column'
    WHERE l.n IS NOT NULL;
    IF part IS NULL THEN
        RETURN 'coalesce(' || parents || ')';
    END IF;
    RETURN format('coalesce(%s)', concat_ws(', ', format('v.v%s', (part ->> 'n')::integer), 'o.currency', crm.import_default(target, part),
        crm.import_said_currency(crm.import_signs(parts)), parents,
        format('(SELECT x.base_currency FROM crm.tenants AS x WHERE x.tenant_id = %s)', batch.tenant_id)));
END
$$;
COMMENT ON FUNCTION crm.import_row_currency(crm.import_batches, jsonb[]) IS
'SQL expression over v and o: the currency a row is in: its own column''s, the one it has, the one its amounts name, that of what it refers to, the tenant''s. '
'NULL where the mapping does not tell.';

CREATE OR REPLACE FUNCTION crm.import_money_faults(batch crm.import_batches, parts jsonb[])
RETURNS jsonb[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    signs CONSTANT text := crm.import_signs(parts);
    row_currency text;
    scaled boolean;
    p jsonb;
    faults jsonb[] := '{}';
BEGIN
    IF signs IS NULL THEN
        RETURN faults;
    END IF;
    row_currency := crm.import_row_currency(batch, parts);
    FOREACH p IN ARRAY parts LOOP
        CONTINUE WHEN row_currency IS NULL OR NOT coalesce((p ->> 'number')::boolean, false) OR p ->> 'type' NOT LIKE 'numeric%' OR p ->> 'kind' <> 'column';
        scaled := (p -> 'spec' ->> 'scale')::numeric = 10;
        faults := faults || jsonb_build_object(
            'fault', format('crm.import_currencies(v.c%1$s) IS NOT NULL AND (%2$s = ANY (%3$s)%4$s) IS NOT TRUE', (p ->> 'n')::integer, row_currency, signs,
                            CASE WHEN NOT crm.column_exists(crm.subject_relation(batch.target_table), 'currency') THEN format(' OR %s IS NULL', row_currency)
                                 WHEN scaled THEN format(' OR %s = ''IRR'' AND ''IRT'' = ANY (%s)', row_currency, signs) ELSE '' END),
            'report', format('crm.import_currency_report(%L, v.c%s, %s, %s)', p ->> 'name', (p ->> 'n')::integer, row_currency, signs));
    END LOOP;
    RETURN faults;
END
$$;
COMMENT ON FUNCTION crm.import_money_faults(crm.import_batches, jsonb[]) IS 'What is wrong with amounts that say another currency than that of their row.';

CREATE OR REPLACE FUNCTION crm.import_owner_faults(batch crm.import_batches, parts jsonb[])
RETURNS jsonb[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    part CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'owner_id' AND p ->> 'kind' = 'column');
    done CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'done_at');
    gone text;
BEGIN
    -- what has happened stays with whoever did it
    IF part IS NULL OR part -> 'spec' ->> 'inactive' IN ('keep', 'null') OR (SELECT r.options ? 'planned' AND NOT crm.column_exists(target, 'done_at')
            FROM crm.registry AS r WHERE r.relation = target)
       OR NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = batch.tenant_id AND NOT u.active) THEN
        RETURN '{}';
    END IF;
    gone := format('v.v%1$s IS NOT NULL AND o.owner_id IS DISTINCT FROM v.v%1$s', (part ->> 'n')::integer)
        || format(' AND EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = %s AND u.id = v.v%s AND NOT u.active)', batch.tenant_id, (part ->> 'n')::integer)
        || CASE WHEN crm.column_exists(target, 'stage_id') THEN format(' AND (%s) IS NOT TRUE', crm.import_closed()) ELSE '' END
        || CASE WHEN done IS NOT NULL THEN format(' AND v.v%s IS NULL', (done ->> 'n')::integer) ELSE '' END;
    RETURN ARRAY[jsonb_build_object('fault', gone, 'report', format(
        'crm.import_fault(''owner_id'', t.c%1$s, ''23514'', format(''owner_id: "%%s" is not active any more'', t.c%1$s), %2$L)', (part ->> 'n')::integer,
        'Name somebody else by "values", or say "inactive": "null" (nobody) or "keep" in the mapping of the column.'))];
END
$$;
COMMENT ON FUNCTION crm.import_owner_faults(crm.import_batches, jsonb[]) IS
'What is wrong with rows still worked on whose owner has left; closed and done ones keep theirs.';

-- the address says who somebody is, to mail, lookups and sessions: two at work with one of them are a fault, which names both
CREATE OR REPLACE FUNCTION crm.import_user_faults(batch crm.import_batches, parts jsonb[])
RETURNS jsonb[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'email' AND p ->> 'kind' = 'column');
    working CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'active');
    n CONSTANT integer := (part ->> 'n')::integer;
    active text := 'true';
    active_of_other text := 'true';
    others text;
BEGIN
    IF batch.target_table <> 'users' OR part IS NULL THEN
        RETURN '{}';
    END IF;
    IF working IS NOT NULL THEN
        active := format('v.v%s IS NOT FALSE', (working ->> 'n')::integer);
        active_of_other := format('w.v%s IS NOT FALSE', (working ->> 'n')::integer);
    END IF;
    others := format('(SELECT string_agg(x.label, '', '') FROM (SELECT format(''user %%s "%%s"'', u.id, u.name) AS label FROM crm.users AS u '
                     'WHERE u.tenant_id = %s AND u.active AND u.id IS DISTINCT FROM o.id AND u.email_key = crm.normalize_email(v.v%s) '
                     'UNION ALL SELECT format(''line %%s'', w.line) FROM v AS w '
                     'WHERE w.line < v.line AND %s AND crm.normalize_email(w.v%s) = crm.normalize_email(v.v%s)) AS x)',
                     batch.tenant_id, n, active_of_other::text, n, n);
    RETURN ARRAY[jsonb_build_object(
        'fault', format('v.v%s IS NOT NULL AND %s AND %s IS NOT NULL', n, active::text, others::text),
        'report', format('crm.import_fault(''email'', t.c%s, ''23505'', format(''email: "%%s" is also the address of %%s'', t.c%s, %s), %L)',
                         n, n, others::text,
                         'Give each user an address of their own, or leave out whoever is there twice.'))];
END
$$;
COMMENT ON FUNCTION crm.import_user_faults(crm.import_batches, jsonb[]) IS
'What is wrong with users whose e-mail address is that of another user at work, who is there already or comes in an earlier line.';
