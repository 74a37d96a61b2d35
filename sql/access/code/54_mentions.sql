-- Names, e-mail addresses and telephones in the middle of texts: what to look for, and taking it out.
--
-- A mention is looked for twice. First the whole row without case, spaces and signs has to hold the needle without them, which is cheap; then
-- a regular expression finds where it stands, telephones in whatever way they are written.

CREATE OR REPLACE FUNCTION crm_internal.squeezed(said text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN translate(lower(said COLLATE "default"), E' -./()\u00a0\u200c', '');
COMMENT ON FUNCTION crm_internal.squeezed(text) IS 'A text without case, spaces and the signs that telephones are written with.';

CREATE OR REPLACE FUNCTION crm_internal.quoted_pattern(said text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN regexp_replace(regexp_replace(said, '([][\\.^$*+?(){}|/-])', '\\\1', 'g'), '\s+', '\\s+', 'g');
COMMENT ON FUNCTION crm_internal.quoted_pattern(text) IS 'A text as a regular expression that matches it, with whatever white space.';

CREATE OR REPLACE FUNCTION crm_internal.digits_pattern(said text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_string(regexp_split_to_array(regexp_replace(said, '[^0-9]', '', 'g'), ''), '[ ./()\u00a0-]*');
COMMENT ON FUNCTION crm_internal.digits_pattern(text) IS 'Regular expression of digits with whatever signs between them.';

CREATE OR REPLACE FUNCTION crm_internal.mention_pattern(needle text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        -- part of a longer address is another one
        WHEN needle LIKE '%@%' THEN '(?<![[:alnum:]._%+-])' || crm_internal.quoted_pattern(needle) || '(?![[:alnum:]_-]|\.[[:alnum:]])'
        -- with its country, or as it is dialled there: nobody knows how many digits the country has
        WHEN needle ~ '^\+[0-9]{9,}$' THEN
            '(?<![0-9])(?:(?:\+|00)' || crm_internal.digits_pattern(ltrim(needle, '+'))
            || (SELECT string_agg('|0?' || crm_internal.digits_pattern(substr(needle, k + 2)), '' ORDER BY k) FROM generate_series(1, 3) AS k
                WHERE length(needle) - 1 - k >= 8 OR k = 1) || ')(?![0-9])'
        WHEN needle ~ '^\+?[0-9 ./()-]+$' THEN '(?<![0-9])' || crm_internal.digits_pattern(needle) || '(?![0-9])'
        ELSE '(?<![[:alnum:]])' || crm_internal.quoted_pattern(needle) || '(?![[:alnum:]])' END
$$;
COMMENT ON FUNCTION crm_internal.mention_pattern(text) IS 'Regular expression of a name, an e-mail address or a telephone in a text.';

CREATE OR REPLACE FUNCTION crm_internal.looks_like_address(said text)
RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN said ~ '^\s*[^@\s<>]+@[^@\s<>]+\s*$' OR length(said) < 40 AND said ~ '^[0-9+ ./()-]+$' AND length(regexp_replace(said, '[^0-9]', '', 'g')) BETWEEN 6
    AND 15;
COMMENT ON FUNCTION crm_internal.looks_like_address(text) IS 'Whether a text is an e-mail address or a telephone and nothing else.';

-- what identifies: a single word is no name to look for, nor is a name that somebody else has too
CREATE OR REPLACE FUNCTION crm_internal.needles_of(tenant bigint, people jsonb, names text[], addresses text[])
RETURNS TABLE (needle text, because text)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    theirs text[];
    others text[] := '{}';
BEGIN
    FOR place IN SELECT r.subject, r.relation::regclass, c.name FROM crm.registered_as('person') AS r,
        jsonb_array_elements_text(r.options -> 'person') AS c (name) LOOP
        EXECUTE format('SELECT array_agg(DISTINCT k.name) FROM unnest($2) AS k (name) WHERE EXISTS (SELECT FROM %s AS x WHERE x.tenant_id = $1 '
                       'AND x.id <> ALL ($3) AND crm.name_key(x.%I) = crm.name_key(k.name))', place.relation::regclass, place.name)
            INTO theirs USING tenant, names, crm_internal.ids_in(people, place.subject);
        others := others || theirs;
    END LOOP;
    others := others || ARRAY(SELECT n FROM unnest(names) AS n WHERE EXISTS (
        SELECT FROM crm.users AS u WHERE u.tenant_id = tenant AND crm.name_key(u.name) = crm.name_key(n)));
    FOR place IN SELECT r.subject, r.relation::regclass, c.name FROM crm.registered_as('addresses') AS r,
        jsonb_array_elements_text(r.options -> 'addresses') AS c (name) LOOP
        EXECUTE format('SELECT array_agg(DISTINCT x.%1$I::text) FROM %2$s AS x WHERE x.tenant_id = $1 AND x.%1$I = ANY ($2) AND NOT coalesce(', place.name,
            place.relation::regclass)
                || crm_internal.address_condition(place.subject, people) || ', false)' INTO theirs USING tenant, addresses;
        others := others || theirs;
    END LOOP;
    others := others || ARRAY(SELECT a FROM unnest(addresses) AS a WHERE EXISTS (
        SELECT FROM crm.users AS u WHERE u.tenant_id = tenant AND u.email_key = a));
    RETURN QUERY
        SELECT n, CASE WHEN n = ANY (others) THEN 'somebody else has this name too'
                       WHEN n !~ '\S\s+\S' THEN 'one word alone does not say who is meant' END FROM unnest(names) AS n
        UNION ALL
        SELECT a, CASE WHEN a = ANY (others) THEN 'somebody else has this address too'
                       WHEN length(a) < 6 THEN 'it is too short to be looked for' END FROM unnest(addresses) AS a;
END
$$;
COMMENT ON FUNCTION crm_internal.needles_of(bigint, jsonb, text[], text[]) IS
'What is looked for in texts: names and addresses of people. because: why one is not looked for, as it may mean somebody else.';

-- $3 of statements that take mentions out: what stands in their place, the regular expression, and what a row must hold to be looked at
CREATE OR REPLACE FUNCTION crm_internal.mention_texts(word text, needles text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY[word, '(?:' || string_agg(crm_internal.mention_pattern(n), '|' ORDER BY length(n) DESC, n) || ')']
           || array_agg('%' || regexp_replace(crm_internal.squeezed(CASE WHEN n ~ '^\+[0-9]{9,}$' THEN substr(n, CASE WHEN length(n) < 12 THEN 3 ELSE 5 END)
                                                                                ELSE ltrim(n, '+') END), '([\\%_])', '\\\1', 'g') || '%' ORDER BY n)
    FROM unnest(needles || ARRAY(SELECT j FROM (SELECT btrim(to_jsonb(x)::text, '"') FROM unnest(needles) AS x) AS q (j) WHERE j <> ALL (needles))) AS n
    HAVING cardinality(needles) > 0
$$;
COMMENT ON FUNCTION crm_internal.mention_texts(text, text[]) IS
'Texts of a statement that takes mentions out: [what stands in their place, regular expression, patterns of LIKE for squeezed rows ...]; NULL without '
'needles.';

CREATE OR REPLACE FUNCTION crm_internal.cleaned_json(said jsonb, pattern text, word text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE jsonb_typeof(said)
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(regexp_replace(e.key COLLATE "default", pattern, word, 'gi'),
                                                             crm_internal.cleaned_json(e.value, pattern, word)), '{}') FROM jsonb_each(said) AS e)
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(crm_internal.cleaned_json(e.value, pattern, word) ORDER BY e.n), '[]')
                           FROM jsonb_array_elements(said) WITH ORDINALITY AS e (value, n))
        -- a telephone may be a number there
        WHEN 'number' THEN CASE WHEN said::text COLLATE "default" ~ pattern THEN to_jsonb(word) ELSE said END
        WHEN 'string' THEN to_jsonb(regexp_replace((said #>> '{}') COLLATE "default", pattern, word, 'gi'))
        ELSE said END;
END
$$;
COMMENT ON FUNCTION crm_internal.cleaned_json(jsonb, text, text) IS 'A document in which a word stands for whatever a regular expression matches, in '
'keys and values.';

CREATE OR REPLACE FUNCTION crm_internal.text_columns(relation regclass)
RETURNS TABLE (name text, said text, cleaned text)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    -- said: the text in it; cleaned: what is written instead
    SELECT a.attname::text, format('r.%I::text', a.attname),
           format(CASE WHEN t.typname IN ('jsonb', 'json') THEN 'crm_internal.cleaned_json(r.%1$I::jsonb, $3[2], $3[1])::%2$s'
                       WHEN t.typcategory = 'A' THEN 'ARRAY(SELECT regexp_replace(e COLLATE "default", $3[2], $3[1], ''gi'') FROM unnest(r.%1$I) AS e)::%2$s'
                       ELSE 'regexp_replace(r.%1$I::text COLLATE "default", $3[2], $3[1], ''gi'')::%2$s' END, a.attname, format_type(a.atttypid, a.atttypmod))
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    WHERE a.attrelid = text_columns.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND (t.typcategory = 'S' AND (a.atttypmod < 0 OR a.atttypmod > 12) OR t.typname IN ('jsonb', 'json') OR e.typcategory = 'S' AND e.typname <> 'name')
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION crm_internal.text_columns(regclass) IS
'Columns of a table that may hold names and addresses, as expressions over the row r: the text in each, and what it is without mentions ($3).';
