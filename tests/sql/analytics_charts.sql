-- Drawing: figures for readers, escaping, every kind of chart, what is refused.
SELECT v, crm.figure_text(v), crm.figure_text(v, 'number'), crm.figure_text(v, 'compact', 'fa')
FROM unnest('{0,0.05,-0.4,7.25,99.95,999.4,999.6,1234.5,999960,1500000,-2500000,7e9,3e12,4e16}'::float8[]) AS v \g (format=unaligned)
SELECT s, crm.figure_text(s, 'percent'), crm.figure_text(s, 'percent', 'fa') FROM unnest('{0,0.0123,0.5,1,12.5}'::float8[]) AS s;

SELECT crm.escape_html(E'<a href="x" onclick=''y''>&amp; \u202Eabc\u2066 \x01\n\u0647') AS escaped;

-- one of each kind: well-formed, without script, all labels there
CREATE TEMP TABLE samples (n integer GENERATED ALWAYS AS IDENTITY, kind text, data jsonb);
INSERT INTO samples (kind, data) VALUES
    ('bars', '[{"label": "<b>one", "value": 10, "note": "n&n"}, {"label": "two", "value": -4}, {"label": "three", "value": null}]'),
    ('bars', '[{"label": "one", "value": 10, "value2": 5}, {"label": "two", "value": 4, "value2": 8}]'),
    ('columns', '{"labels": ["a", "b"], "series": [{"name": "x", "values": [1, 2]}, {"name": "y", "values": [null, -2]}]}'),
    ('stacked', '{"labels": ["a", "b"], "series": [{"name": "x", "values": [1, 2]}, {"name": "y", "values": [3, -2]}]}'),
    ('lines', '{"labels": ["a", "b", "c", "d"], "series": [{"name": "x", "values": [1, 2, null, 4]}]}'),
    ('funnel', '[{"label": "a", "value": 100}, {"label": "b", "value": 40}, {"label": "c", "value": 0}]'),
    ('waterfall', '[{"label": "start", "value": 10, "total": true}, {"label": "more", "value": 5}, {"label": "less", "value": -8}, {"label": "end", "value": 7, "total": true}]'),
    ('heatmap', '{"labels": ["a", "b"], "series": [{"name": "x", "values": [0.5, 1]}, {"name": "y", "values": [null, 0]}]}'),
    ('tiles', '[{"label": "<i>", "value": 12345.6, "note": "now", "tone": "bad", "trend": [1, 3, 2]}, {"label": "t", "value": "text"}, {"label": "none"}]'),
    ('table', '{"columns": [{"label": "n"}, {"label": "v", "format": "bar"}], "rows": [["a<b", 5], ["c", null]]}');
SELECT s.n, s.kind, r.rtl, xml_is_well_formed_document(h.html) AS well_formed,
       h.html ~* '<script|<b>|<i>' AS markup_of_labels, (SELECT count(*) FROM regexp_matches(h.html, '<(rect|circle|path) ', 'g')) AS shapes
FROM samples AS s, unnest('{false,true}'::boolean[]) AS r(rtl),
     LATERAL (SELECT crm.draw_chart(s.kind, s.data, jsonb_build_object('rtl', r.rtl, 'digits', CASE WHEN r.rtl THEN 'fa' ELSE 'en' END,
                                                                       'title', 'A <title>', 'style', false)) AS html) AS h
ORDER BY s.n, r.rtl;

-- geometry: a waterfall by hand. The axis runs from 0 to 15 in 100 units: the total of 10 stands on 0, the change of 5 on 10
SELECT crm.draw_chart('waterfall', '[{"label": "s", "value": 10, "total": true}, {"label": "m", "value": 5}]',
                      '{"style": false, "format": "number", "height": 142, "width": 200}') AS waterfall;

-- mirrored: every x becomes width - x
WITH p AS (
    SELECT r.rtl, (regexp_match(crm.draw_chart('columns', '{"labels": ["a"], "series": [{"values": [3]}]}',
        jsonb_build_object('rtl', r.rtl, 'style', false)), '<rect class="f0" x="([0-9.]+)" y="[0-9.]+" width="([0-9.]+)"'))::numeric[] AS v
    FROM unnest('{false,true}'::boolean[]) AS r(rtl))
SELECT a.v[1] + a.v[2] + b.v[1] AS width FROM p AS a, p AS b WHERE NOT a.rtl AND b.rtl;

-- nothing to draw
SELECT crm.draw_chart(k, '[]', '{"style": false, "empty": "nothing <here>"}') LIKE '%nothing &lt;here&gt;%' AS says_so
FROM unnest('{bars,columns,stacked,lines,funnel,waterfall,heatmap}'::text[]) AS k;
-- one label, one value, all equal, all zero, huge and tiny: finite coordinates
SELECT k, d
FROM unnest('{bars,columns,stacked,lines,funnel,waterfall,heatmap}'::text[]) AS k,
     unnest('{"[{\"label\": \"a\", \"value\": 0}]", "[{\"label\": \"a\", \"value\": 5}, {\"label\": \"b\", \"value\": 5}]", "[{\"label\": \"a\", \"value\": 1e99}, {\"label\": \"b\", \"value\": -1e99}]", "[{\"label\": \"\", \"value\": 1e-300}]"}'::text[]) AS d
WHERE crm.draw_chart(k, d::jsonb) ~* '[ "](nan|-?inf)';

-- what is refused
\set VERBOSITY terse
SELECT crm.draw_chart('pie', '[]');
SELECT crm.draw_chart('bars', '5');
SELECT crm.draw_chart('bars', '[5]');
SELECT crm.draw_chart('bars', '[{"label": "a", "value": "5"}]');
SELECT crm.draw_chart('bars', '[{"label": "a", "value": 1e200}]');
SELECT crm.draw_chart('lines', '{"labels": ["a"], "series": [{"values": [1, 2]}]}');
SELECT crm.draw_chart('lines', '{"labels": ["a"]}');
SELECT crm.draw_chart('bars', '[]', '{"width": 5}');
SELECT crm.draw_chart('bars', '[]', '{"format": "money"}');
SELECT crm.draw_chart('bars', '[]', '[]');
SELECT crm.draw_chart('bars', (SELECT jsonb_agg(jsonb_build_object('label', n, 'value', n)) FROM generate_series(1, 2001) AS n));
SELECT crm.draw_chart('table', '{"columns": [{"label": "a"}], "rows": [[1, 2]]}');
SELECT crm.figure_text('NaN'), 1;
SELECT crm.figure_text(1, 'roman');

-- association: Fisher's tea lady (3 of 4 cups right: 0.4857, two-sided), all four right (2/70), and chi-squared 19.78 of 80/20 against 50/50
SELECT round(crm.association_p(3, 1, 1, 3)::numeric, 4) AS tea, round(crm.association_p(4, 0, 0, 4)::numeric, 4) AS all_right,
       round(crm.association_p(80, 20, 50, 50)::numeric * 1e6, 1) AS chi_squared_millionths, crm.association_p(0, 0, 5, 5) AS nothing;
SELECT crm.association_p(-1, 0, 5, 5);
DROP TABLE samples;
