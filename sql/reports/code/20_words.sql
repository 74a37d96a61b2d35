-- The words of the pages, and their frame.

CREATE OR REPLACE FUNCTION crm_analytics.report_words(language text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.texts('reports', language) || jsonb_build_object('countries', crm.texts('countries', language));
END
$$;
COMMENT ON FUNCTION crm_analytics.report_words(text) IS
'Words of the reports in a language, by key: those of its file in sql/base/texts/, English ones where it lacks any. Attributes of '
'crm_analytics.outcome_factors stand under their name, values of theirs under value and the name, countries and currencies under their codes.';

CREATE OR REPLACE FUNCTION crm_analytics.report_date(on_date date, language text, form text DEFAULT 'day') RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN $2 = 'fa' THEN crm.format_jalali($1, CASE $3 WHEN 'month' THEN 'TMMonth TMYY' WHEN 'short' THEN 'TMFMMM/TMFMDD' ELSE 'TMFMDD TMMonth TMYYYY' END)
                ELSE pg_catalog.to_char($1, CASE $3 WHEN 'month' THEN 'Mon YY' WHEN 'short' THEN 'DD Mon' ELSE 'FMDD Mon YYYY' END) END
$$;
COMMENT ON FUNCTION crm_analytics.report_date(date, text, text) IS
'A date for readers, Gregorian in en, Jalali in fa; form day, month or short.';

CREATE OR REPLACE FUNCTION crm_analytics.report_card(title text, note text, body text, wide boolean DEFAULT false) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<section class="card' || CASE WHEN $4 THEN ' wide' ELSE '' END || '"><h2>' || crm.escape_html(coalesce($1, '')) || '</h2>'
           || CASE WHEN $2 IS NULL THEN '' ELSE '<p class="sub">' || (SELECT string_agg('<bdi>' || crm.escape_html(part) || '</bdi>', ' · ' ORDER BY place)
                                                                  FROM pg_catalog.string_to_table($2, ' · ') WITH ORDINALITY AS p(part, place)) || '</p>' END || coalesce($3, '') || '</section>'
$$;
COMMENT ON FUNCTION crm_analytics.report_card(text, text, text, boolean) IS 'One box of a report: title and note as text, body as HTML.';

CREATE OR REPLACE FUNCTION crm_analytics.report_page(title text, subtitle text, body text, language text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '<!DOCTYPE html>' || chr(10) || '<html lang="' || CASE WHEN $4 = 'fa' THEN 'fa" dir="rtl' ELSE 'en" dir="ltr' END || '"><head><meta charset="utf-8">'
        || '<meta http-equiv="Content-Security-Policy" content="default-src ''none''; style-src ''unsafe-inline''; img-src data:">'
        || '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        || '<title>' || crm.escape_html($1) || '</title><style>' || crm.chart_style()
        || ':root{color-scheme:light dark}*{box-sizing:border-box}'
        || 'body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Vazirmatn,Tahoma,Roboto,"Noto Sans","Noto Sans Arabic","DejaVu Sans",sans-serif;--page:#f4f6fa}'
        || '@media screen and (prefers-color-scheme:dark){body{--page:#0e141c}}'
        || 'main{max-width:1240px;margin:0 auto;padding:28px 24px 48px}header{margin:0 0 20px}h1{font-size:27px;line-height:1.25;margin:0 0 4px;font-weight:700;letter-spacing:-.01em}'
        || '[dir=rtl] h1{letter-spacing:0}header p{margin:0;color:var(--mut)}h2{font-size:15.5px;margin:0;font-weight:650}'
        || '.sub{margin:1px 0 0;color:var(--mut);font-size:13px}.card>.sub+*,.card>h2+*:not(.sub){margin-top:14px}'
        || '.grid{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:18px}.card{background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:18px 20px 16px;min-width:0}'
        || '.wide{grid-column:1/-1}.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(165px,1fr));gap:14px;margin:0 0 18px}'
        || '.tile{position:relative;background:var(--card);border:1px solid var(--grid);border-radius:14px;padding:14px 16px 12px;min-width:0}'
        || '.tl{color:var(--mut);font-size:13px}.tv{font-size:26px;font-weight:700;line-height:1.35;font-variant-numeric:tabular-nums}.tn{color:var(--mut);font-size:12.5px}'
        || '.good .tv{color:var(--pos)}.bad .tv{color:var(--neg)}.cv svg.spark{width:100%;height:34px;margin-top:6px}'
        || '.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px}th{color:var(--mut);font-weight:500;text-align:start;padding:4px 10px 6px;border-bottom:1px solid var(--grid)}'
        || 'td{padding:6px 10px;border-bottom:1px solid var(--grid);vertical-align:baseline;overflow-wrap:anywhere}tr:last-child td{border-bottom:0}th:first-child,td:first-child{padding-inline-start:0}'
        || '.n{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}.bar{display:inline-block;width:72px;height:8px;border-radius:4px;background:var(--grid);margin-inline-start:10px;overflow:hidden}'
        || '.bar i{display:block;height:100%;background:var(--c0);border-radius:4px}.none{color:var(--mut);margin:10px 0 0}.warn{border-inline-start:4px solid var(--c2);background:var(--card);padding:9px 14px;border-radius:8px;margin:0 0 16px}'
        || 'h3{font-size:14px;color:var(--mut);font-weight:600;margin:18px 0 8px}.facts{display:flex;flex-wrap:wrap;gap:6px 22px;margin:8px 0 0;color:var(--mut)}.facts b{color:var(--ink);font-weight:600}'
        || '@media(max-width:820px){.grid{grid-template-columns:minmax(0,1fr)}main{padding:18px 12px}}.card>svg.md,.card>svg.sm{display:none;margin-top:14px}'
        -- every picture is there for each width of screen; rows of tables become lists where columns have no room
        || '@media screen and (max-width:900px){.wide>svg.chart{display:none}.wide>svg.md{display:block}'
        || 'table{font-size:12px}td,th{padding-inline:3px}th{white-space:normal}}'
        || '@media screen and (max-width:560px){.card>svg.chart{display:none}.card>svg.sm{display:block}.card{padding:14px 14px 12px}'
        || '.tiles{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}.tv{font-size:21px;overflow-wrap:anywhere}'
        || 'thead{display:none}table,tbody,tr,td{display:block}tr{padding:8px 0;border-bottom:1px solid var(--grid)}tr:last-child{border-bottom:0}'
        || 'td{display:flex;gap:14px;padding:2px 0;border:0}td::before{content:attr(data-l);color:var(--mut);flex:0 0 auto;max-width:45%}td>bdi{text-align:end;margin-inline-start:auto}'
        || 'td:first-child{font-weight:600}td:first-child::before{display:none}td:first-child>bdi{margin-inline-start:0;text-align:start}.bar+bdi{display:none}'
        || '.n{white-space:normal}.bar{display:none}}'
        || '@media print{@page{margin:12mm}body{--page:#fff;font-size:12px;-webkit-print-color-adjust:exact;print-color-adjust:exact}main{max-width:none;padding:0}'
        || '.card,.tile{break-inside:avoid}.card>svg.chart{max-height:250px}.card>svg.md,.card>svg.sm{display:none!important}.grid{gap:10px}.tiles{gap:8px}}'
        || '</style></head><body class="cv"><main><header><h1>' || crm.escape_html($1) || '</h1><p>'
        || (SELECT coalesce(string_agg('<bdi>' || crm.escape_html(part) || '</bdi>', ' · ' ORDER BY place), '')
            FROM pg_catalog.string_to_table($2, ' · ') WITH ORDINALITY AS p(part, place)) || '</p></header>'
        || $3 || '</main></body></html>'
$$;
COMMENT ON FUNCTION crm_analytics.report_page(text, text, text, text) IS
'A whole page around the body of a report (HTML): style sheet, direction of the language, and a content security policy that lets the browser load nothing.';
