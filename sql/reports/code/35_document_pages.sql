-- Documents as pages that are printed: what crm_analytics.quote_document and its like say, in the words of a language. Whatever comes from a row is escaped,
-- and stands in an element of its own direction (bdi).

CREATE OR REPLACE FUNCTION crm_analytics.document_setting(language text)
RETURNS TABLE (lang text, words jsonb)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    own text;
BEGIN
    SELECT t.language INTO own FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id();
    IF own IS NULL THEN
        RAISE EXCEPTION 'there is no tenant whose documents these are' USING ERRCODE = 'CR010', HINT = 'Set crm.tenant, or work as a user of a tenant.';
    END IF;
    lang := coalesce(language, own);
    words := crm_analytics.document_words(lang);
    IF words IS NULL AND language IS NULL THEN
        lang := 'en';
        words := crm_analytics.document_words(lang);
    END IF;
    IF words IS NULL THEN
        RAISE EXCEPTION 'there are no documents in language "%"', language
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Languages are those of crm.languages(); NULL takes that of the tenant.';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_analytics.document_setting(text) IS
'Language of a document, that of the tenant where none is given, and its words. Errors: 22023 a language without words, CR010 no tenant.';

CREATE OR REPLACE FUNCTION crm_analytics.document_figure(amount numeric, decimals integer, words jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN amount < 0 THEN '-' ELSE '' END
           || translate(regexp_replace(split_part(f.digits, '.', 1), '(\d)(?=(\d{3})+$)', '\1' || (words ->> 'group'), 'g')
                        || CASE WHEN f.digits LIKE '%.%' THEN (words ->> 'decimal') || split_part(f.digits, '.', 2) ELSE '' END,
                        '0123456789', coalesce(words ->> 'digits', '0123456789'))
    FROM (SELECT abs(round(amount, greatest(decimals, scale(trim_scale(amount)))))::text AS digits) AS f
$$;
COMMENT ON FUNCTION crm_analytics.document_figure(numeric, integer, jsonb) IS
'A figure with all its decimals, at least so many, in the digits and groups of the words of a document: money is never shortened.';

CREATE OR REPLACE FUNCTION crm_analytics.document_text(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg('<bdi>' || crm.escape_html(x.line) || '</bdi>', '<br>' ORDER BY x.n)
    FROM regexp_split_to_table(value, '\r?\n') WITH ORDINALITY AS x (line, n)
$$;
COMMENT ON FUNCTION crm_analytics.document_text(text) IS 'Text of several lines as HTML; NULL: none.';

CREATE OR REPLACE FUNCTION crm_analytics.document_facts(pairs text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce('<dl>' || string_agg('<div><dt>' || crm.escape_html(pairs[n]) || '</dt><dd>' || crm_analytics.document_text(pairs[n + 1]) || '</dd></div>',
                                         '' ORDER BY n) || '</dl>', '')
    FROM generate_series(1, cardinality(pairs), 2) AS n WHERE pairs[n + 1] <> ''
$$;
COMMENT ON FUNCTION crm_analytics.document_facts(text[]) IS 'A list of words and what they are, by turns; what is NULL is left out.';

CREATE OR REPLACE FUNCTION crm_analytics.document_style(words jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '*{box-sizing:border-box}body{margin:0;background:#eceff3;color:#16202c;font:14px/1.5 system-ui,-apple-system,"Segoe UI",Vazirmatn,Tahoma,Roboto,'
        || '"Noto Sans","Noto Sans Arabic","DejaVu Sans",sans-serif}main{max-width:210mm;margin:24px auto;background:#fff;padding:16mm 15mm;'
        || 'box-shadow:0 1px 6px #0002}p,dl,dd,h1,h2{margin:0}h1{font-size:24px;line-height:1.25;font-weight:700}h2{font-size:15px;margin:22px 0 6px}'
        || '.head,.parties{display:flex;flex-wrap:wrap;justify-content:space-between;gap:16px 32px}.head{border-bottom:2px solid #16202c;padding-bottom:14px}'
        || '.from{max-width:60%}.from strong{font-size:17px}.soft{color:#54606e;font-size:12.5px}.parties{margin:18px 0 22px}.to{font-style:normal}'
        || 'dl div{display:flex;gap:14px;justify-content:space-between}dt{color:#54606e}dd{text-align:end;overflow-wrap:anywhere}'
        || '.mark{border:1.5px solid #9a3412;color:#9a3412;border-radius:6px;padding:5px 12px;margin:0 0 14px;font-weight:650}'
        || 'table{border-collapse:collapse;width:100%}caption{text-align:start;font-weight:650;padding:0 0 6px}thead{display:table-header-group}'
        || 'th{color:#54606e;font-weight:600;text-align:start;font-size:12.5px;border-bottom:1.5px solid #16202c;padding:4px 6px}'
        || 'td{padding:6px;border-bottom:1px solid #d8dee6;vertical-align:top;overflow-wrap:anywhere}tr{break-inside:avoid}'
        || '.n{text-align:end;white-space:nowrap;font-variant-numeric:tabular-nums}.sums{margin:14px 0 0;margin-inline-start:auto;width:min(100%,105mm);'
        || 'break-inside:avoid}.sums div{padding:3px 6px}.sums dd{white-space:nowrap;font-variant-numeric:tabular-nums}'
        || '.sums .all{border-top:1.5px solid #16202c;font-weight:700;font-size:16px}.sums .all dt{color:inherit}.end{margin-top:22px;break-inside:avoid}'
        || 'footer{margin-top:26px;border-top:1px solid #d8dee6;padding-top:10px;display:flex;flex-wrap:wrap;gap:8px 32px;break-inside:avoid}'
        -- a telephone has no room for columns: each line is a list
        || '@media screen and (max-width:620px){main{margin:0;padding:18px 14px}.from{max-width:none}thead{display:none}table,tbody,tr,td{display:block}'
        || 'tr{padding:8px 0;border-bottom:1px solid #d8dee6}td{display:flex;gap:14px;padding:2px 0;border:0}td::before{content:attr(data-l);color:#54606e;'
        || 'flex:0 0 auto;max-width:45%}td>span{margin-inline-start:auto;text-align:end}.n{white-space:normal}}'
        || '@media print{@page{size:A4;margin:16mm 15mm 18mm;@bottom-center{content:counter(page,' || (words ->> 'counter') || ') " / " counter(pages,'
        || (words ->> 'counter') || ');font-size:9pt;color:#54606e}}body{background:#fff;font-size:10pt;-webkit-print-color-adjust:exact;'
        || 'print-color-adjust:exact}main{max-width:none;margin:0;padding:0;box-shadow:none}h2,.sums{break-before:avoid}}'
$$;
COMMENT ON FUNCTION crm_analytics.document_style(jsonb) IS
'Style sheet of documents: a sheet of A4 on paper, with the head of a table on each page and their numbers; a list where the screen is narrow.';

CREATE OR REPLACE FUNCTION crm_analytics.document_table(columns jsonb, records jsonb, caption text DEFAULT NULL)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<table>' || coalesce('<caption>' || crm_analytics.document_text(caption) || '</caption>', '') || '<thead><tr>'
           || (SELECT string_agg('<th' || CASE WHEN c.col ->> 1 = 'n' THEN ' class="n"' ELSE '' END || '>' || crm.escape_html(c.col ->> 0) || '</th>',
                                 '' ORDER BY c.n) FROM jsonb_array_elements(columns) WITH ORDINALITY AS c (col, n))
           || '</tr></thead><tbody>'
           || (SELECT coalesce(string_agg('<tr>' || r.cells || '</tr>', '' ORDER BY r.n), '')
               FROM (SELECT x.n, (SELECT string_agg('<td data-l="' || crm.escape_html(c.col ->> 0) || CASE WHEN c.col ->> 1 = 'n' THEN '" class="n' ELSE '' END
                                      || '"><span>' || coalesce(crm_analytics.document_text(x.row ->> (c.n - 1)::integer), '') || '</span></td>',
                                      '' ORDER BY c.n)
                                  FROM jsonb_array_elements(columns) WITH ORDINALITY AS c (col, n)) AS cells
                     FROM jsonb_array_elements(records) WITH ORDINALITY AS x (row, n)) AS r)
           || '</tbody></table>'
$$;
COMMENT ON FUNCTION crm_analytics.document_table(jsonb, jsonb, text) IS
'A table as HTML: columns [["heading", "n" for figures], ...], records [["text", ...], ...].';

CREATE OR REPLACE FUNCTION crm_analytics.document_frame(doc jsonb, title text, facts text, body text, lang text, words jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    h crm.letterheads;
    to_whom CONSTANT jsonb := doc -> 'customer';
BEGIN
    SELECT x.* INTO h FROM crm.letterheads AS x
    WHERE x.tenant_id = t AND (x.language IS NULL OR x.language = lang) AND x.valid_from <= coalesce((doc ->> 'day')::date, crm.local_day(t, now()))
    ORDER BY x.language NULLS LAST, x.valid_from DESC LIMIT 1;
    h.name := coalesce(h.name, (SELECT n.name FROM crm.tenants AS n WHERE n.tenant_id = t));
    RETURN '<!DOCTYPE html>' || chr(10) || '<html lang="' || crm.escape_html(lang) || '" dir="' || crm.escape_html(words ->> 'direction')
        || '"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''">'
        || '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer"><title>'
        || crm.escape_html(concat_ws(' ', title, doc ->> 'number')) || '</title><style>' || crm_analytics.document_style(words) || '</style></head><body><main>'
        || '<header class="head"><div class="from"><strong>' || crm_analytics.document_text(h.name) || '</strong><p class="soft">'
        || concat_ws('<br>', crm_analytics.document_text(h.address), crm_analytics.document_text(h.reach)) || '</p></div><h1>'
        || crm_analytics.document_text(title) || '</h1></header>'
        || '<div class="parties"><address class="to"><p class="soft">' || crm.escape_html(words ->> 'customer') || '</p>'
        || concat_ws('<br>', '<strong>' || crm_analytics.document_text(to_whom ->> 'name') || '</strong>', crm_analytics.document_text(to_whom ->> 'contact'),
                     crm_analytics.document_text(to_whom ->> 'address'),
                     crm_analytics.document_text(nullif(concat_ws(', ', to_whom ->> 'city', crm.country_name(to_whom ->> 'country', lang)), '')))
        || '</address>' || facts || '</div>'
        || (SELECT coalesce(string_agg('<p class="mark">' || crm.escape_html(words -> 'marks' ->> m.mark) || '</p>', '' ORDER BY m.n), '')
            FROM jsonb_array_elements_text(coalesce(doc -> 'marks', '[]')) WITH ORDINALITY AS m (mark, n))
        || body || '<footer class="soft">'
        || crm_analytics.document_facts(ARRAY[words ->> 'tax_number', h.tax_number, words ->> 'register_number', h.register_number])
        || coalesce('<p>' || crm.escape_html(words ->> 'bank') || '<br>' || crm_analytics.document_text(h.bank) || '</p>', '')
        || coalesce('<p>' || crm_analytics.document_text(h.footer) || '</p>', '') || '</footer></main></body></html>';
END
$$;
COMMENT ON FUNCTION crm_analytics.document_frame(jsonb, text, text, text, text, jsonb) IS
'A whole page around the body of a document (HTML): the head of the company that was in use on its day (crm.letterheads), the customer, and a content '
'security policy that lets the browser load nothing.';

CREATE OR REPLACE FUNCTION crm_analytics.document_sums(doc jsonb, currency text, words jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    units CONSTANT integer := (doc ->> 'minor_units')::integer;
    kind CONSTANT text := CASE doc ->> 'document' WHEN 'credit_note' THEN 'credit_note' ELSE 'invoice' END;
    answer text;
BEGIN
    SELECT string_agg('<div' || CASE WHEN x.heavy THEN ' class="all"' ELSE '' END || '><dt>' || crm_analytics.document_text(x.label) || '</dt><dd>'
                      || crm_analytics.document_text(crm_analytics.document_figure(x.amount, units, words) || coalesce(' ' || x.unit, '')) || '</dd></div>',
                      '' ORDER BY x.place, x.n) INTO answer
    FROM (
        SELECT 1 AS place, 0::bigint AS n, false AS heavy, words ->> 'net_amount' AS label, (doc ->> 'net_amount')::numeric AS amount, NULL AS unit
        UNION ALL
        SELECT 2, e.n, false, format(words ->> 'tax_of', coalesce(e.tax ->> 'tax', words ->> 'no_tax') || ' '
                                     || crm_analytics.document_figure((e.tax ->> 'tax_percent')::numeric, 0, words)
                                     || CASE WHEN words ? 'digits' THEN '٪' ELSE ' %' END,
                                     crm_analytics.document_figure((e.tax ->> 'net_amount')::numeric, units, words)), (e.tax ->> 'tax_amount')::numeric, NULL
        FROM jsonb_array_elements(doc -> 'taxes') WITH ORDINALITY AS e (tax, n)
        UNION ALL
        SELECT 3, 0, false, words ->> 'rounding_amount', (doc ->> 'rounding_amount')::numeric, NULL WHERE (doc ->> 'rounding_amount')::numeric <> 0
        UNION ALL
        SELECT 4, 0, true, words ->> 'total_amount', (doc ->> 'total_amount')::numeric, currency
        UNION ALL
        SELECT 5, 0, false, words -> 'settled' ->> kind, (doc ->> 'settled_amount')::numeric, NULL WHERE doc ? 'settled_amount'
        UNION ALL
        SELECT 6, 0, true, words -> 'open' ->> kind, (doc ->> 'open_amount')::numeric, currency WHERE doc ? 'open_amount'
    ) AS x;
    RETURN '<dl class="sums">' || answer || '</dl>';
END
$$;
COMMENT ON FUNCTION crm_analytics.document_sums(jsonb, text, jsonb) IS
'What a document comes to, as HTML: net, tax by rate with what it is of, rounding, total, what is paid and what is due.';

CREATE OR REPLACE FUNCTION crm_analytics.document_html(doc jsonb, language text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    units CONSTANT integer := (doc ->> 'minor_units')::integer;
    currency text;
    per_cent text;
    records jsonb;
    body text;
BEGIN
    SELECT x.* INTO s FROM crm_analytics.document_setting(language) AS x;
    w := s.words;
    currency := coalesce(crm_analytics.report_words(s.lang) -> 'currencies' ->> (doc ->> 'currency'), doc ->> 'currency');
    per_cent := CASE WHEN w ? 'digits' THEN '٪' ELSE ' %' END;
    SELECT coalesce(jsonb_agg(jsonb_build_array(
               crm_analytics.document_figure(l.line, 0, w), concat_ws(chr(10), l.description, l.code),
               concat_ws(' ', crm_analytics.document_figure(l.quantity, 0, w), nullif(l.unit, 'each')),
               concat_ws(chr(10), crm_analytics.document_figure(l.unit_price, units, w), CASE WHEN l.price_includes_tax THEN w ->> 'includes_tax' END),
               CASE WHEN l.discount_percent > 0 THEN crm_analytics.document_figure(l.discount_percent, 0, w) || per_cent END,
               crm_analytics.document_figure(l.tax_percent, 0, w) || per_cent, crm_analytics.document_figure(l.net_amount, units, w)) ORDER BY l.line), '[]')
    INTO records
    FROM jsonb_to_recordset(doc -> 'lines') AS l (line bigint, code text, description text, unit text, quantity numeric, unit_price numeric,
        discount_percent numeric, tax_percent numeric, price_includes_tax boolean, net_amount numeric);
    body := CASE WHEN records = '[]' THEN '<p>' || crm.escape_html(w ->> 'no_lines') || '</p>'
                 ELSE crm_analytics.document_table(jsonb_build_array(jsonb_build_array(w ->> 'line', 'n'), jsonb_build_array(w ->> 'item'),
                     jsonb_build_array(w ->> 'quantity', 'n'), jsonb_build_array(w ->> 'unit_price', 'n'), jsonb_build_array(w ->> 'discount', 'n'),
                     jsonb_build_array(w ->> 'tax', 'n'), jsonb_build_array(w ->> 'amount', 'n')), records) END
        || crm_analytics.document_sums(doc, currency, w);
    IF jsonb_array_length(coalesce(doc -> 'payments', '[]')) > 0 THEN
        SELECT jsonb_agg(jsonb_build_array(crm_analytics.report_date((p.item ->> 'day')::date, s.lang), w -> 'paid_with' ->> (p.item ->> 'kind'),
                                           p.item ->> 'number', crm_analytics.document_figure((p.item ->> 'amount')::numeric, units, w)) ORDER BY p.n)
        INTO records FROM jsonb_array_elements(doc -> 'payments') WITH ORDINALITY AS p (item, n);
        body := body || '<div class="end">' || crm_analytics.document_table(jsonb_build_array(jsonb_build_array(w ->> 'day'), jsonb_build_array(w ->> 'what'),
            jsonb_build_array(w ->> 'number'), jsonb_build_array(w ->> 'amount', 'n')), records, w ->> 'payments') || '</div>';
    END IF;
    body := body || coalesce('<div class="end"><h2>' || crm.escape_html(w ->> 'terms') || '</h2><p>' || crm_analytics.document_text(doc ->> 'terms')
                             || '</p></div>', '');
    RETURN crm_analytics.document_frame(doc, w -> 'titles' ->> (doc ->> 'document'), crm_analytics.document_facts(ARRAY[
        w ->> 'number', doc ->> 'number', w ->> 'version', crm_analytics.document_figure((doc ->> 'version')::numeric, 0, w),
        w ->> 'issued_on', crm_analytics.report_date((doc ->> 'issued_on')::date, s.lang),
        w ->> 'ordered_on', crm_analytics.report_date((doc ->> 'ordered_on')::date, s.lang),
        w ->> 'valid_until', crm_analytics.report_date((doc ->> 'valid_until')::date, s.lang),
        w ->> 'due_on', crm_analytics.report_date((doc ->> 'due_on')::date, s.lang),
        w ->> 'subject', doc ->> 'subject', w ->> 'quote_number', doc ->> 'quote_number', w ->> 'order_number', doc ->> 'order_number',
        w ->> 'corrects', doc ->> 'corrects', w ->> 'returns', doc ->> 'returns', w ->> 'reason', doc ->> 'reason',
        w ->> 'accepted_on', crm_analytics.report_date((doc ->> 'accepted_on')::date, s.lang), w ->> 'accepted_by', doc ->> 'accepted_by',
        w ->> 'owner', doc ->> 'owner', w ->> 'currency', currency]), body, s.lang, w);
END
$$;
COMMENT ON FUNCTION crm_analytics.document_html(jsonb, text) IS
'The page of a quote, an order or an invoice, from what crm_analytics.quote_document and its like say.';
