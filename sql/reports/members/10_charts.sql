-- Charts as SVG and HTML, out of numbers.

CREATE FUNCTION crm.draw_chart(kind text, data jsonb, options jsonb DEFAULT '{}') RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_draw_chart';
COMMENT ON FUNCTION crm.draw_chart(text, jsonb, jsonb) IS
'A chart as inline SVG (kinds bars, columns, stacked, lines, funnel, waterfall, heatmap) or HTML (tiles, table), without scripts and without anything from '
'outside. data: [{"label", "value", "value2", "note", "total"}, ...] or {"labels": [..], "series": [{"name", "values": [..], "color", "tone", "mark"}, ...]} '
'(tone good or bad: the colours of that; mark: lines across the columns, such as a target); tiles: [{"label", "value", "format", "note", "tone", '
'"trend": [..]}, ...]; table: {"columns": [{"label", "format"}, ...], "rows": [[..], ...]}. options: width, height (picture units), rtl (mirrored), digits '
'(en, fa), format (number, compact, percent: a share of one), unit, title, empty (said where there is nothing), area, style (false: the page carries '
'crm.chart_style()), small (width of a second picture, of class sm, for small screens; wide ones get a third, of class md). A null value is a gap. All text '
'is escaped. Errors 22023 (what cannot be drawn and why), '
'22003 (a number beyond 1e100).';

CREATE FUNCTION crm.chart_style() RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_chart_style';
COMMENT ON FUNCTION crm.chart_style() IS
'Style sheet of crm.draw_chart for pages that hold several charts: colours for light and dark screens and for paper, valid below an element of class cv.';

CREATE FUNCTION crm.escape_html(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_escape_html';
COMMENT ON FUNCTION crm.escape_html(text) IS
'Text that is only text within an HTML or XML element or quoted attribute: markup is escaped, control characters become spaces, Unicode direction overrides '
'and isolates are left out.';

CREATE FUNCTION crm.figure_text(value double precision, format text DEFAULT 'compact', language text DEFAULT 'en') RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_figure_text';
COMMENT ON FUNCTION crm.figure_text(double precision, text, text) IS
'A number for readers: number (1,234.5), compact (1.2K, 3.4M) or percent (of a share of one: 12.3%); language fa writes Persian digits, separators and words. '
'Errors 22023, 22003.';
