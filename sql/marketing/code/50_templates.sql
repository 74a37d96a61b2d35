-- Templates of messages: what they may name, and what they become for a person.
-- A variable is replaced by a value and nothing else; a template cannot call, compare or loop.

CREATE OR REPLACE FUNCTION crm_internal.seed_sending(tenant_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm_internal.link_keys (tenant_id, key)
    -- a UUID has 122 bits by chance
    VALUES (seed_sending.tenant_id, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION crm_internal.seed_sending(bigint) IS 'Gives a new company the key of its links.';
SELECT crm.declare_hook('new_tenant', 'crm_internal.seed_sending(bigint)');

CREATE OR REPLACE FUNCTION crm.template_pieces(template text)
RETURNS TABLE (n integer, variable text, fallback text, follows text, inside_tag boolean)
LANGUAGE plpgsql IMMUTABLE STRICT ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    pieces CONSTANT text[] := string_to_array(template, '{{');
    before text := coalesce(pieces[1], '');
    close integer;
    said text;
BEGIN
    n := 0;
    follows := before;
    RETURN NEXT;
    FOR i IN 2 .. cardinality(pieces) LOOP
        close := strpos(pieces[i], '}}');
        IF close = 0 THEN
            RAISE EXCEPTION 'a variable of the template is not closed' USING ERRCODE = 'CR702', DETAIL = format('It begins with "{{%s".', left(pieces[i],
                40)),
                HINT = 'Write {{name}}.';
        END IF;
        said := btrim(left(pieces[i], close - 1));
        n := i - 1;
        variable := CASE WHEN said LIKE 'link %' THEN 'link ' || btrim(substr(said, 6)) ELSE btrim(split_part(said, '|', 1)) END;
        fallback := CASE WHEN said NOT LIKE 'link %' AND strpos(said, '|') > 0 THEN btrim(substr(said, strpos(said, '|') + 1)) END;
        follows := substr(pieces[i], close + 2);
        -- the last bracket before it decides
        inside_tag := before ~ '<[^>]*$';
        RETURN NEXT;
        before := before || follows;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.template_pieces(text) IS
'A template taken apart: its beginning (n 0), then each variable with its fallback after |, the text that follows, and whether it stands between < and >. '
'Error CR702 for a variable that is not closed.';

CREATE OR REPLACE FUNCTION crm_internal.template_fault(tenant bigint, subject_table text, variable text, fallback text, inside_tag boolean)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := to_regclass('crm.' || quote_ident(subject_table));
    known text;
BEGIN
    IF variable LIKE 'link %' THEN
        RETURN CASE WHEN substr(variable, 6) !~ '^https?://[^\s"''<>{}]+$' THEN 'is no address of the web' END;
    ELSIF variable = 'unsubscribe_url' THEN
        RETURN CASE WHEN fallback IS NOT NULL THEN 'is never missing, so nothing stands in for it' END;
    ELSIF inside_tag THEN
        RETURN 'stands inside a tag, where only {{link ...}} and {{unsubscribe_url}} may';
    ELSIF variable = 'today' OR variable ~ '^data\.[a-z_][a-z0-9_]*$' THEN
        RETURN NULL;
    ELSIF variable ~ '^custom\.' THEN
        IF EXISTS (SELECT FROM crm.custom_fields AS f
                   WHERE f.tenant_id = tenant AND f.table_name = subject_table AND f.name = substr(variable, 8) AND f.active) THEN
            RETURN NULL;
        END IF;
        SELECT string_agg('custom.' || f.name, ', ' ORDER BY f.name) INTO known FROM crm.custom_fields AS f
        WHERE f.tenant_id = tenant AND f.table_name = subject_table AND f.active;
        RETURN 'is no custom field of ' || subject_table || coalesce('; there are ' || known, '');
    ELSIF variable LIKE '%.%' THEN
        RETURN CASE WHEN variable !~ '^[a-z_]+\.[a-z_0-9]+$'
                         OR crm.source_query(relation, split_part(variable, '.', 1) || '_id', split_part(variable, '.', 2)) IS NULL
                    THEN 'is no column of a record that ' || subject_table || ' refer to' END;
    ELSIF variable = 'tenant_id' OR NOT crm.column_exists(relation, variable) THEN
        SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) INTO known FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT IN ('tenant_id', 'custom');
        RETURN 'is no column of ' || subject_table || '; there are ' || known;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.template_fault(bigint, text, text, text, boolean) IS 'What is wrong with a variable of a template; NULL: nothing.';

CREATE OR REPLACE FUNCTION crm_internal.check_template()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    NEW.format := coalesce(NEW.format, CASE NEW.channel WHEN 'email' THEN 'html' ELSE 'plain' END);
    SELECT string_agg('{{' || p.variable || '}} ' || f.fault, '; ' ORDER BY p.place, p.n) FILTER (WHERE f.fault IS NOT NULL),
           coalesce(array_agg(DISTINCT p.variable) FILTER (WHERE p.variable IS NOT NULL), '{}')
    INTO wrong, NEW.variables
    FROM (SELECT 1 AS place, x.* FROM crm.template_pieces(NEW.subject) AS x UNION ALL SELECT 2, x.* FROM crm.template_pieces(NEW.body) AS x) AS p
    CROSS JOIN LATERAL (SELECT CASE WHEN p.place = 1 AND (p.variable LIKE 'link %' OR p.variable = 'unsubscribe_url') THEN 'does not belong in a subject line'
                                    ELSE crm_internal.template_fault(NEW.tenant_id, NEW.subject_table, p.variable, p.fallback,
                                                                     p.place = 2 AND NEW.format = 'html' AND p.inside_tag) END) AS f (fault)
    WHERE p.variable IS NOT NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'template "%" names what cannot be put there', NEW.code USING ERRCODE = 'CR702', DETAIL = wrong || '.',
            HINT = 'Variables are columns of the person''s table, custom.field, relation.column, data.key, today, link and unsubscribe_url.';
    END IF;
    IF NEW.format = 'html' AND NEW.body ~* '<\s*(script|iframe|object|embed)\M|\son[a-z]+\s*=|javascript:' THEN
        RAISE EXCEPTION 'template "%" holds a program', NEW.code USING ERRCODE = 'CR702',
            DETAIL = 'Scripts, frames and handlers (onclick) run in no mail that is wanted.', HINT = 'Leave them out.';
    END IF;
    IF NEW.subject ~ '[\r\n]' THEN
        RAISE EXCEPTION 'the subject line of template "%" has more than one line', NEW.code USING ERRCODE = 'CR702', HINT = 'Write it in one line.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_template() IS 'Row trigger of crm.message_templates: error CR702 where a variable is not known or stands in a '
'wrong place.';
CREATE OR REPLACE TRIGGER message_templates_before_check BEFORE INSERT OR UPDATE ON crm.message_templates
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_template();

-- ---- values ----

CREATE OR REPLACE FUNCTION crm.reads_right_to_left(language text)
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN language IN ('ar', 'dv', 'fa', 'he', 'ku', 'ps', 'sd', 'ug', 'ur', 'yi');
COMMENT ON FUNCTION crm.reads_right_to_left(text) IS 'Whether a language, ISO 639-1, is written from right to left.';

CREATE OR REPLACE FUNCTION crm.template_text(value jsonb, type regtype, language text, zone text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    day date;
BEGIN
    IF value IS NULL OR value = 'null' THEN
        RETURN NULL;
    END IF;
    IF type IN ('date'::regtype, 'timestamptz'::regtype) THEN
        day := CASE type WHEN 'date'::regtype THEN (value #>> '{}')::date ELSE ((value #>> '{}')::timestamptz AT TIME ZONE zone)::date END;
        RETURN CASE
            -- years of the Jalali calendar that are known
            WHEN language = 'fa' AND day BETWEEN '1800-01-01' AND '2255-01-01' THEN crm.format_jalali(day, 'FMTMDD FMTMMonth TMYYYY')
            WHEN language = 'en' AND isfinite(day) THEN to_char(day, 'FMDD FMMonth YYYY')
            ELSE day::text END;
    ELSIF jsonb_typeof(value) = 'number' THEN
        -- money has more decimal places in its column than people write
        RETURN CASE WHEN language = 'fa' THEN translate(trim_scale((value #>> '{}')::numeric)::text, '0123456789.-', '۰۱۲۳۴۵۶۷۸۹٫−')
                    ELSE trim_scale((value #>> '{}')::numeric)::text END;
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN nullif((SELECT string_agg(e.v, CASE WHEN language IN ('fa', 'ar', 'ur') THEN '، ' ELSE ', ' END ORDER BY e.n)
                       FROM jsonb_array_elements_text(value) WITH ORDINALITY AS e (v, n)), '');
    END IF;
    RETURN nullif(btrim(value #>> '{}'), '');
END
$$;
COMMENT ON FUNCTION crm.template_text(jsonb, regtype, text, text) IS
'A value as a message in a language says it: days in the zone given, Persian ones in the Jalali calendar, numbers in Persian digits, lists with commas. NULL '
'for nothing.';

CREATE OR REPLACE FUNCTION crm.template_value(tenant bigint, subject_table text, subject_id bigint, variable text, data jsonb, language text, zone text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := ('crm.' || quote_ident(subject_table))::regclass;
    type regtype;
    value jsonb;
    parent bigint;
BEGIN
    IF variable = 'today' THEN
        RETURN crm.template_text(to_jsonb((now() AT TIME ZONE zone)::date), 'date', language, zone);
    ELSIF variable LIKE 'data.%' THEN
        RETURN crm.template_text(data -> substr(variable, 6), 'jsonb', language, zone);
    ELSIF variable LIKE 'custom.%' THEN
        EXECUTE format('SELECT r.custom -> $3 FROM %s AS r WHERE r.tenant_id = $1 AND r.id = $2', relation) INTO value USING tenant, subject_id,
            substr(variable, 8);
        RETURN crm.template_text(value, (SELECT CASE f.type WHEN 'date' THEN 'date' WHEN 'timestamptz' THEN 'timestamptz' ELSE 'jsonb' END::regtype
                                         FROM crm.custom_fields AS f WHERE f.tenant_id = tenant AND f.table_name = template_value.subject_table
                                           AND f.name = substr(variable, 8)), language, zone);
    ELSIF variable LIKE '%.%' THEN
        EXECUTE format('SELECT r.%I FROM %s AS r WHERE r.tenant_id = $1 AND r.id = $2', split_part(variable, '.', 1) || '_id', relation)
            INTO parent USING tenant, subject_id;
        EXECUTE 'SELECT pg_typeof(v.v), to_jsonb(v.v) FROM ('
                || crm.source_query(relation, split_part(variable, '.', 1) || '_id', split_part(variable, '.', 2)) || ') AS v (v)'
            INTO type, value USING tenant, parent;
    ELSE
        EXECUTE format('SELECT pg_typeof(r.%1$I), to_jsonb(r.%1$I) FROM %2$s AS r WHERE r.tenant_id = $1 AND r.id = $2', variable, relation)
            INTO type, value USING tenant, subject_id;
    END IF;
    RETURN crm.template_text(value, type, language, zone);
END
$$;
COMMENT ON FUNCTION crm.template_value(bigint, text, bigint, text, jsonb, text, text) IS
'What a variable of a template is for a person, with the rights of the caller; NULL where there is nothing.';

CREATE OR REPLACE FUNCTION crm.template_escaped(value text, format text, language text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- neither control characters nor marks that turn the direction of what follows get into a message
    value := translate(regexp_replace(value, '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]', '', 'g'), U&'\202A\202B\202C\202D\202E\2066\2067\2068\2069', '');
    IF format = 'subject' THEN
        value := regexp_replace(value, '\s+', ' ', 'g');
    ELSIF format = 'html' THEN
        value := replace(replace(replace(replace(replace(replace(value, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'), '"', '&quot;'), '''', '&#39;'), '{',
            '&#123;');
    END IF;
    IF format <> 'html' THEN
        value := replace(value, '{{', '{ {');
    END IF;
    -- a name in letters of the other direction stands by itself
    RETURN CASE WHEN crm.reads_right_to_left(language) AND value ~ '[A-Za-z]' OR NOT crm.reads_right_to_left(language) AND value ~ U&'[\0590-\08FF]'
                THEN U&'\2068' || value || U&'\2069' ELSE value END;
END
$$;
COMMENT ON FUNCTION crm.template_escaped(text, text, text) IS
'A value as it is put into a message: format html, plain or subject. Text of the other direction of writing is set apart.';

-- ---- rendering ----

CREATE OR REPLACE FUNCTION crm.render_template(template_id bigint, subject_table text, subject_id bigint, data jsonb DEFAULT '{}')
RETURNS TABLE (subject text, body text, format text, language text, direction text, links text[])
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    t crm.message_templates;
    part record;
    said text;
    zone text;
    made text[] := '{"",""}';
    absent text;
BEGIN
    SELECT m.* INTO t FROM crm.message_templates AS m WHERE m.tenant_id = tenant AND m.id = render_template.template_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no template %', render_template.template_id USING ERRCODE = 'no_data_found', HINT = 'crm.message_templates lists them.';
    END IF;
    IF t.subject_table IS DISTINCT FROM render_template.subject_table THEN
        RAISE EXCEPTION 'template "%" is for %', t.code, t.subject_table USING ERRCODE = 'invalid_parameter_value';
    END IF;
    links := '{}';
    SELECT x.time_zone INTO zone FROM crm.tenants AS x WHERE x.tenant_id = tenant;
    FOR part IN SELECT 1 AS place, p.* FROM crm.template_pieces(t.subject) AS p UNION ALL SELECT 2, p.* FROM crm.template_pieces(t.body) AS p ORDER BY 1,
        2 LOOP
        IF part.variable IS NULL THEN
            said := '';
        ELSIF part.variable LIKE 'link %' THEN
            links := links || substr(part.variable, 6);
            said := '{{link:' || cardinality(links) || '}}';
        ELSIF part.variable = 'unsubscribe_url' THEN
            said := '{{unsubscribe_url}}';
        ELSE
            said := coalesce(crm.template_value(tenant, t.subject_table, render_template.subject_id, part.variable, render_template.data, t.language,
                zone), part.fallback);
            IF said IS NULL THEN
                absent := concat_ws(', ', absent, '{{' || part.variable || '}}');
            END IF;
            said := crm.template_escaped(said, CASE WHEN part.place = 1 THEN 'subject' ELSE t.format END, t.language);
        END IF;
        made[part.place] := made[part.place] || coalesce(said, '') || part.follows;
    END LOOP;
    IF absent IS NOT NULL THEN
        RAISE EXCEPTION 'a message from template "%" lacks values', t.code USING ERRCODE = 'CR702', DETAIL = format('There is none for %s.', absent),
            HINT = 'Fill them in, or write what stands in for them: {{title|friend}}.';
    END IF;
    direction := CASE WHEN crm.reads_right_to_left(t.language) THEN 'rtl' ELSE 'ltr' END;
    IF t.format = 'html' AND made[2] !~* '<html' THEN
        made[2] := concat('<!DOCTYPE html><html lang="', t.language, '" dir="', direction, '"><head><meta charset="utf-8"></head><body>', made[2],
                          '</body></html>');
    END IF;
    subject := nullif(made[1], '');
    body := made[2];
    format := t.format;
    language := t.language;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm.render_template(bigint, text, bigint, jsonb) IS
'What a template becomes for a person, with the rights of the caller: values escaped for HTML or plain text, dates and numbers as the language writes them, '
'HTML in its direction. Links stay {{link:n}} and {{unsubscribe_url}} until the message is given to a sender. Errors: P0002 no such template, 22023 one '
'for other people, CR702 where a value is missing and nothing stands in for it.';

CREATE OR REPLACE FUNCTION crm.find_template(code text, channel text, subject_table text, subject_id bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    found bigint;
BEGIN
    -- the language of the person, else of the company, else the first there was
    SELECT m.id INTO found
    FROM crm.message_templates AS m
    JOIN crm.tenants AS x ON x.tenant_id = m.tenant_id
    WHERE m.tenant_id = tenant AND m.code = find_template.code AND m.channel = find_template.channel
      AND m.subject_table = find_template.subject_table AND m.active
    ORDER BY m.language = CASE find_template.subject_table
                 WHEN 'contacts' THEN (SELECT left(lower(c.language), 2) FROM crm.contacts AS c WHERE c.tenant_id = tenant
                     AND c.id = find_template.subject_id)
                 ELSE (SELECT left(lower(l.language), 2) FROM crm.leads AS l WHERE l.tenant_id = tenant AND l.id = find_template.subject_id) END
             DESC NULLS LAST, m.language = x.language DESC, m.id
    LIMIT 1;
    IF found IS NULL THEN
        RAISE EXCEPTION 'there is no template "%" for % by %', code, subject_table, channel USING ERRCODE = 'undefined_object',
            HINT = (SELECT 'Known are: ' || coalesce(string_agg(DISTINCT concat_ws('/', m.code, m.channel, m.subject_table), ', '), 'none') || '.'
                    FROM crm.message_templates AS m WHERE m.tenant_id = tenant AND m.active);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.find_template(text, text, text, bigint) IS
'The template of a name for a person: in the person''s language, else the company''s, else in any. Error 42704 where there is none.';
