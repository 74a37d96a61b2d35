-- What a captured payload says, value by value: text as people type it becomes values, and what is none becomes NULL.
-- (PL/pgSQL throughout: the plan of a SQL function that cannot be inlined is made anew by every call.)

-- "caf%C3%A9+au+lait" as people read it; what is no text in UTF-8 stays as it is
CREATE OR REPLACE FUNCTION crm_internal.url_text(value text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF value !~ '[%+]' THEN
        RETURN value;
    END IF;
    RETURN (SELECT convert_from(string_agg(CASE WHEN m[1] ~ '^%[0-9A-Fa-f]{2}$' THEN decode(substr(m[1], 2), 'hex')
                                                ELSE convert_to(replace(m[1], '+', ' '), 'UTF8') END, '' ORDER BY i), 'UTF8')
            FROM regexp_matches(value, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') WITH ORDINALITY AS x (m, i));
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN replace(value, '+', ' ');
END
$$;
COMMENT ON FUNCTION crm_internal.url_text(text) IS 'Part of the query of a url, decoded.';

-- Persian and Arabic digits, thousands separators: a number as people type it; NULL for what is none
CREATE OR REPLACE FUNCTION crm_internal.typed_number(value text)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n CONSTANT text := regexp_replace(translate(left(value, 100), '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬ ', '01234567890123456789.,'),
                                      '(?<=[0-9]),(?=[0-9]{3}(?:[.,]|$))', '', 'g');
BEGIN
    RETURN CASE WHEN n ~ '^[0-9]{1,15}([.][0-9]{1,10})?$' THEN n::numeric END;
END
$$;
COMMENT ON FUNCTION crm_internal.typed_number(text) IS 'A number from 0 on as it was typed into a form; NULL where it is none.';

-- a key that is too long for an index keeps its beginning and what tells it from others
CREATE OR REPLACE FUNCTION crm_internal.short_key(value text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE WHEN length(value) > 300 THEN left(value, 200) || ' ' || md5(value) ELSE value END;
END
$$;
COMMENT ON FUNCTION crm_internal.short_key(text) IS 'A foreign key of at most 300 characters.';

-- what somebody agreed to, per channel: {"given": true or false, ...} or plainly true or false; nothing else is consent
CREATE OR REPLACE FUNCTION crm_internal.capture_consent(consent jsonb, at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF jsonb_typeof(consent) IS DISTINCT FROM 'object' THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(e.key, CASE jsonb_typeof(e.value) WHEN 'boolean' THEN jsonb_build_object('given', e.value, 'at', at)
                                                    ELSE e.value END), '{}')
            FROM jsonb_each(consent) AS e
            WHERE jsonb_typeof(e.value) = 'boolean' OR jsonb_typeof(e.value) = 'object' AND jsonb_typeof(e.value -> 'given') = 'boolean');
END
$$;
COMMENT ON FUNCTION crm_internal.capture_consent(jsonb, timestamptz) IS 'The consent of a capture that is clear.';

-- tracking parameters of a payload: its object utm, its own keys utm_..., the query of its url
CREATE OR REPLACE FUNCTION crm_internal.capture_utm(payload jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT payload ?| '{url,utm,gclid,fbclid,referrer}' AND payload::text NOT ILIKE '%"utm\_%' THEN
        RETURN '{}';
    END IF;
    RETURN (
        SELECT coalesce(jsonb_object_agg(left(k.name, 100), to_jsonb(left(k.value #>> '{}', 1000)) ORDER BY k.rank), '{}')
        FROM (
            SELECT 1 AS rank, lower('utm_' || m[1]) AS name, to_jsonb(crm_internal.url_text(m[2])) AS value
            FROM regexp_matches(left(payload ->> 'url', 10000), '[?&]utm_([a-z_]+)=([^&#]*)', 'gi') AS m
            UNION ALL
            SELECT 2, lower(e.key), e.value FROM jsonb_each(payload) AS e WHERE lower(e.key) LIKE 'utm\_%' OR e.key IN ('gclid', 'fbclid', 'referrer')
            UNION ALL
            SELECT 3, CASE WHEN e.key IN ('source', 'medium', 'campaign', 'term', 'content') THEN 'utm_' || e.key ELSE e.key END, e.value
            FROM jsonb_each(CASE WHEN jsonb_typeof(payload -> 'utm') = 'object' THEN payload -> 'utm' ELSE '{}' END) AS e
        ) AS k
        WHERE jsonb_typeof(k.value) IN ('string', 'number') AND btrim(k.value #>> '{}') <> '');
END
$$;
COMMENT ON FUNCTION crm_internal.capture_utm(jsonb) IS 'Tracking parameters of a capture, with utm_ before their names, decoded.';

CREATE OR REPLACE FUNCTION crm_internal.capture_tags(tags jsonb)
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF jsonb_typeof(tags) IS DISTINCT FROM 'array' THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(SELECT DISTINCT left(btrim(x #>> '{}'), 200) FROM jsonb_array_elements(tags) AS x
                 WHERE jsonb_typeof(x) IN ('string', 'number') AND btrim(x #>> '{}') <> '' ORDER BY 1);
END
$$;
COMMENT ON FUNCTION crm_internal.capture_tags(jsonb) IS 'The tags of a capture that are words or numbers.';

CREATE OR REPLACE FUNCTION crm_internal.typed_instant(value text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.typed_instant(text) IS 'An instant as somebody wrote it; NULL where it is none.';

CREATE OR REPLACE FUNCTION crm_internal.capture_payload(payload jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- blank fields of a form are no values; lists and objects are none where text belongs; nobody's name has a megabyte
    RETURN (
        SELECT coalesce(jsonb_object_agg(e.key, CASE WHEN jsonb_typeof(e.value) IN ('string', 'number') THEN to_jsonb(e.text) ELSE e.value END), '{}')
        FROM (SELECT v.key, v.value,
                     CASE WHEN jsonb_typeof(v.value) = 'string'
                          THEN btrim(regexp_replace(left(v.value #>> '{}', CASE WHEN v.key IN ('message', 'body', 'external_id', 'source_id') THEN 1000000
                                                                                WHEN v.key = 'url' THEN 10000 ELSE 500 END),
                                                    CASE WHEN v.key IN ('message', 'body') THEN '[\x01-\x08\x0b\x0c\x0e-\x1f]' ELSE '[\x01-\x1f]' END,
                                                    ' ', 'g'), E' \n\r\t')
                          ELSE v.value #>> '{}' END AS text
              FROM jsonb_each(payload) AS v) AS e
        WHERE e.text <> '' AND (jsonb_typeof(e.value) IN ('string', 'number') OR e.key IN ('utm', 'consent', 'tags', 'custom')));
END
$$;
COMMENT ON FUNCTION crm_internal.capture_payload(jsonb) IS
'What a payload says in words and numbers, trimmed and cut, without blank fields; utm, consent, tags and custom as they are.';
