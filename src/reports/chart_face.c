/*
 * chart_face.c
 *	  crm.draw_chart() and its small companions: from jsonb to the drawing.
 *
 * Two shapes of data are taken: an array of objects (one a label), which is what
 * jsonb_agg gives, and an object of labels and series for several series.
 * What cannot be drawn is refused with its place in the data.
 */
#include "postgres.h"

#include <math.h>

#include "base/compat.h"
#include "base/json.h"
#include "reports/chart.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#define MAX_LABELS 2000
#define MAX_SERIES 200

pg_noreturn static void bad_data(const char *what, const char *hint);

static void
bad_data(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("this cannot be drawn: %s", what),
			 hint ? errhint("%s", hint) : 0));
}

static JsonbValue *
field(JsonbContainer *object, const char *name)
{
	JsonbValue *v = crm_json_member(object, name, NULL);

	return v != NULL && v->type == jbvNull ? NULL : v;
}

static JsonbContainer *
array_field(JsonbContainer *object, const char *name)
{
	JsonbValue *v = field(object, name);

	if (v == NULL)
		return NULL;
	if (v->type != jbvBinary || !JsonContainerIsArray(v->val.binary.data))
		bad_data(psprintf("\"%s\" is not an array", name), NULL);
	return v->val.binary.data;
}

/* Scalars as text; NULL for null. */
static char *
value_text(JsonbValue *v)
{
	if (v == NULL)
		return NULL;
	switch (v->type)
	{
		case jbvString:
			return pnstrdup(v->val.string.val, v->val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(v->val.numeric)));
		case jbvBool:
			return pstrdup(v->val.boolean ? "true" : "false");
		case jbvNull:
			return NULL;
		default:
			bad_data("an array or object stands where a text or number should", NULL);
	}
	return NULL;
}

static bool
value_number(JsonbValue *v, double *number)
{
	if (v == NULL || v->type == jbvNull)
		return false;
	if (v->type != jbvNumeric)
		bad_data(psprintf("\"%s\" is not a number", value_text(v)), NULL);
	*number = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
												 NumericGetDatum(v->val.numeric)));
	if (!isfinite(*number) || fabs(*number) > 1e100)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a number is too large to be drawn")));
	return true;
}

static char *
text_field(JsonbContainer *object, const char *name)
{
	return value_text(field(object, name));
}

static bool
flag_field(JsonbContainer *object, const char *name, bool otherwise)
{
	JsonbValue *v = field(object, name);

	if (v == NULL)
		return otherwise;
	if (v->type != jbvBool)
		bad_data(psprintf("\"%s\" is neither true nor false", name), NULL);
	return v->val.boolean;
}

static double
number_field(JsonbContainer *object, const char *name, double otherwise, double lo, double hi)
{
	double		n = otherwise;

	if (value_number(field(object, name), &n) && (n < lo || n > hi))
		bad_data(psprintf("\"%s\" is not between %g and %g", name, lo, hi), NULL);
	return n;
}

static ChartFormat
format_named(const char *name)
{
	if (name == NULL || strcmp(name, "compact") == 0)
		return CHART_COMPACT;
	if (strcmp(name, "number") == 0)
		return CHART_NUMBER;
	if (strcmp(name, "percent") == 0)
		return CHART_PERCENT;
	bad_data(psprintf("format \"%s\" is not known", name), "Formats are number, compact and percent.");
	return CHART_NUMBER;
}

static int
checked_count(JsonbContainer *array, int most, const char *what)
{
	int			n = JsonContainerSize(array);

	if (n > most)
		bad_data(psprintf("%d %s", n, what), psprintf("At most %d fit into a picture; add them up first.", most));
	return n;
}

static JsonbContainer *
object_at(JsonbContainer *array, int i, const char *what)
{
	JsonbValue *v = crm_json_element(array, i);

	if (v == NULL || v->type != jbvBinary || !JsonContainerIsObject(v->val.binary.data))
		bad_data(psprintf("%s %d is not an object", what, i + 1), NULL);
	return v->val.binary.data;
}

static void
make_series(Chart *c, int n)
{
	c->nseries = n;
	c->series = palloc0(sizeof(ChartSeries) * Max(n, 1));
	for (int s = 0; s < n; s++)
	{
		c->series[s].color = s;
		c->series[s].values = palloc0(sizeof(double) * Max(c->nlabels, 1));
		c->series[s].nulls = palloc(sizeof(bool) * Max(c->nlabels, 1));
		memset(c->series[s].nulls, true, Max(c->nlabels, 1));
	}
}

/* [{"label": .., "value": .., "value2": .., "note": .., "total": true}, ...] */
static void
read_rows(Chart *c, JsonbContainer *rows)
{
	bool		second = false;

	c->nlabels = checked_count(rows, MAX_LABELS, "rows");
	c->labels = palloc0(sizeof(char *) * Max(c->nlabels, 1));
	c->notes = palloc0(sizeof(char *) * Max(c->nlabels, 1));
	c->totals = palloc0(sizeof(bool) * Max(c->nlabels, 1));
	make_series(c, 2);
	for (int i = 0; i < c->nlabels; i++)
	{
		JsonbContainer *row = object_at(rows, i, "row");
		char	   *name = text_field(row, "label");

		c->labels[i] = name ? name : "";
		c->notes[i] = text_field(row, "note");
		c->totals[i] = flag_field(row, "total", false);
		c->series[0].nulls[i] = !value_number(field(row, "value"), &c->series[0].values[i]);
		c->series[1].nulls[i] = !value_number(field(row, "value2"), &c->series[1].values[i]);
		second = second || !c->series[1].nulls[i];
	}
	if (second)
		c->series[1].color = 0;
	else
		c->nseries = 1;
}

/* What is good or bad has the colours of that, whatever its place among the series. */
static void
read_tone(JsonbContainer *one, ChartSeries *series)
{
	char	   *tone = text_field(one, "tone");

	if (tone == NULL)
		return;
	if (strcmp(tone, "good") != 0 && strcmp(tone, "bad") != 0)
		bad_data(psprintf("tone \"%s\" is not known", tone), "Tones are good and bad.");
	series->color = strcmp(tone, "good") == 0 ? CHART_GOOD : CHART_BAD;
}

/* {"labels": [..], "series": [{"name", "values": [..], "color", "tone", "mark"}, ...]} */
static void
read_series(Chart *c, JsonbContainer *data)
{
	JsonbContainer *labels = array_field(data, "labels");
	JsonbContainer *series = array_field(data, "series");

	if (labels == NULL || series == NULL)
		bad_data("labels or series are missing",
				 "Give {\"labels\": [..], \"series\": [{\"name\": .., \"values\": [..]}]} or [{\"label\": .., \"value\": ..}].");
	c->nlabels = checked_count(labels, MAX_LABELS, "labels");
	c->labels = palloc0(sizeof(char *) * Max(c->nlabels, 1));
	for (int i = 0; i < c->nlabels; i++)
	{
		char	   *name = value_text(crm_json_element(labels, i));

		c->labels[i] = name ? name : "";
	}
	make_series(c, checked_count(series, MAX_SERIES, "series"));
	for (int s = 0; s < c->nseries; s++)
	{
		JsonbContainer *one = object_at(series, s, "series");
		JsonbContainer *values = array_field(one, "values");

		c->series[s].name = text_field(one, "name");
		c->series[s].color = (int) number_field(one, "color", s, 0, CHART_COLORS - 1 + MAX_SERIES);
		read_tone(one, &c->series[s]);
		c->series[s].mark = flag_field(one, "mark", false);
		if (values == NULL || JsonContainerSize(values) != c->nlabels)
			bad_data(psprintf("series %d has %d values for %d labels", s + 1,
							  values ? (int) JsonContainerSize(values) : 0, c->nlabels), NULL);
		for (int i = 0; i < c->nlabels; i++)
			c->series[s].nulls[i] = !value_number(crm_json_element(values, i),
												  &c->series[s].values[i]);
	}
}

/* Key figures: [{"label", "value", "note", "tone": good|bad|plain, "trend": [..]}, ...] */
static void
draw_tiles(Chart *c, JsonbContainer *tiles)
{
	int			n = checked_count(tiles, 100, "tiles");

	appendStringInfo(c->out, "<div class=\"tiles%s\">", c->style ? " cv" : "");
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *tile = object_at(tiles, i, "tile");
		char	   *name = text_field(tile, "label");
		JsonbValue *value = field(tile, "value");
		char	   *note = text_field(tile, "note");
		char	   *tone = text_field(tile, "tone");
		JsonbContainer *trend = array_field(tile, "trend");
		double		number;

		appendStringInfo(c->out, "<div class=\"tile%s\"><div class=\"tl\">",
						 tone == NULL ? "" : strcmp(tone, "good") == 0 ? " good" :
						 strcmp(tone, "bad") == 0 ? " bad" : "");
		crm_chart_escape(c->out, name ? name : "");
		appendStringInfoString(c->out, "</div><div class=\"tv\"><bdi>");
		if (value == NULL)
			appendStringInfoString(c->out, GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x80\x93" : "-");
		else if (value->type == jbvNumeric && value_number(value, &number))
		{
			char	   *format = text_field(tile, "format");

			crm_chart_escape(c->out,
							 crm_chart_number_as(number,
												 format ? format_named(format) : c->format,
												 c->persian));
		}
		else
			crm_chart_escape(c->out, value_text(value));
		appendStringInfoString(c->out, "</bdi></div>");
		if (note)
		{
			appendStringInfoString(c->out, "<div class=\"tn\"><bdi>");
			crm_chart_escape(c->out, note);
			appendStringInfoString(c->out, "</bdi></div>");
		}
		if (trend)
		{
			int			points = checked_count(trend, MAX_LABELS, "points"),
						kept = 0;
			double	   *values = palloc(sizeof(double) * Max(points, 1));

			for (int p = 0; p < points; p++)
				if (value_number(crm_json_element(trend, p), &values[kept]))
					kept++;
			crm_chart_spark(c->out, values, kept, c->rtl);
		}
		appendStringInfoString(c->out, "</div>");
	}
	appendStringInfoString(c->out, "</div>");
}

/* Heads of the columns; their formats are kept for the cells. */
static void
draw_heads(Chart *c, JsonbContainer *columns, int ncolumns, char **formats, char **names)
{
	for (int k = 0; k < ncolumns; k++)
	{
		JsonbContainer *column = object_at(columns, k, "column");
		char	   *name = text_field(column, "label");

		names[k] = name ? name : "";
		formats[k] = text_field(column, "format");
		if (formats[k] == NULL)
			formats[k] = "text";
		if (strcmp(formats[k], "text") != 0 && strcmp(formats[k], "bar") != 0)
			(void) format_named(formats[k]);
		appendStringInfo(c->out, "<th%s>", strcmp(formats[k], "text") == 0 ? "" : " class=\"n\"");
		crm_chart_escape(c->out, names[k]);
		appendStringInfoString(c->out, "</th>");
	}
}

static JsonbContainer *
row_at(JsonbContainer *rows, int r, int ncolumns)
{
	JsonbValue *row = crm_json_element(rows, r);

	if (row == NULL || row->type != jbvBinary ||
		!JsonContainerIsArray(row->val.binary.data) ||
		JsonContainerSize(row->val.binary.data) != ncolumns)
		bad_data(psprintf("row %d is not an array of %d values", r + 1, ncolumns), NULL);
	return row->val.binary.data;
}

/*
 * A value by its column's format; most is the largest one of a column of bars.
 * It carries the column's name, which stands before it where columns do not fit.
 */
static void
draw_cell(Chart *c, JsonbValue *cell, const char *format, double most, const char *name)
{
	bool		bar = strcmp(format, "bar") == 0;
	bool		plain = strcmp(format, "text") == 0;
	double		number;

	appendStringInfo(c->out, "<td%s data-l=\"", plain ? "" : " class=\"n\"");
	crm_chart_escape(c->out, name);
	appendStringInfoString(c->out, "\"><bdi>");
	if (cell == NULL || cell->type == jbvNull)
		appendStringInfoString(c->out, GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x80\x93" : "-");
	else if (!plain && cell->type == jbvNumeric && value_number(cell, &number))
	{
		crm_chart_escape(c->out,
						 crm_chart_number_as(number, bar ? CHART_COMPACT : format_named(format),
											 c->persian));
		if (bar && most > 0)
			appendStringInfo(c->out, "</bdi><span class=\"bar\"><i style=\"width:%.1f%%\"></i></span><bdi>",
							 Max(0, number) / most * 100);
	}
	else
		crm_chart_escape(c->out, value_text(cell));
	appendStringInfoString(c->out, "</bdi></td>");
}

/* {"columns": [{"label", "format": text|number|compact|percent|bar}, ...], "rows": [[..], ...]} */
static void
draw_table(Chart *c, JsonbContainer *data)
{
	JsonbContainer *columns = array_field(data, "columns");
	JsonbContainer *rows = array_field(data, "rows");
	int			ncolumns,
				nrows;
	char	  **formats,
			  **names;
	double	   *most;

	if (columns == NULL || rows == NULL)
		bad_data("columns or rows are missing",
				 "Give {\"columns\": [{\"label\": .., \"format\": ..}], \"rows\": [[..], ..]}.");
	ncolumns = checked_count(columns, 50, "columns");
	nrows = checked_count(rows, MAX_LABELS, "rows");
	formats = palloc(sizeof(char *) * Max(ncolumns, 1));
	names = palloc(sizeof(char *) * Max(ncolumns, 1));
	most = palloc0(sizeof(double) * Max(ncolumns, 1));
	appendStringInfo(c->out, "<div class=\"scroll%s\"><table><thead><tr>", c->style ? " cv" : "");
	draw_heads(c, columns, ncolumns, formats, names);
	appendStringInfoString(c->out, "</tr></thead><tbody>");
	for (int r = 0; r < nrows; r++)
	{
		JsonbContainer *row = row_at(rows, r, ncolumns);
		double		number;

		for (int k = 0; k < ncolumns; k++)
			if (strcmp(formats[k], "bar") == 0 &&
				value_number(crm_json_element(row, k), &number))
				most[k] = Max(most[k], number);
	}
	for (int r = 0; r < nrows; r++)
	{
		JsonbContainer *row = row_at(rows, r, ncolumns);

		appendStringInfoString(c->out, "<tr>");
		for (int k = 0; k < ncolumns; k++)
			draw_cell(c, crm_json_element(row, k), formats[k], most[k], names[k]);
		appendStringInfoString(c->out, "</tr>");
	}
	appendStringInfoString(c->out, "</tbody></table></div>");
	if (nrows == 0)
	{
		appendStringInfoString(c->out, "<p class=\"none\">");
		crm_chart_escape(c->out, c->empty);
		appendStringInfoString(c->out, "</p>");
	}
}

static void
read_options(Chart *c, JsonbContainer *options)
{
	char	   *digits = text_field(options, "digits");

	if (digits && strcmp(digits, "fa") != 0 && strcmp(digits, "en") != 0)
		bad_data(psprintf("digits \"%s\" are not known", digits), "Digits are en or fa.");
	c->persian = digits && strcmp(digits, "fa") == 0;
	c->rtl = flag_field(options, "rtl", false);
	c->area = flag_field(options, "area", true);
	c->style = flag_field(options, "style", true);
	c->width = number_field(options, "width", 560, 200, 4000);
	c->height = number_field(options, "height", 0, 80, 4000);
	c->small = number_field(options, "small", 0, 200, 4000);
	c->format = format_named(text_field(options, "format"));
	c->unit = text_field(options, "unit");
	c->title = text_field(options, "title");
	c->empty = text_field(options, "empty");
	if (c->empty == NULL)
		c->empty = "No data";
}

/*
 * The picture, and the same for smaller screens where that is asked for: text
 * does not shrink with a picture that is laid out for the room there is.
 */
static void
draw_screens(Chart *c)
{
	double		width = c->width,
				height = c->height;

	crm_chart_draw(c);
	if (c->small == 0)
		return;
	if (width > 800)
	{
		c->width = 700;
		c->height = height;
		c->screen = " md";
		crm_chart_draw(c);
	}
	c->width = c->small;
	c->height = height > 0 ? Min(height, 260) : 0;
	c->screen = " sm";
	crm_chart_draw(c);
}

PG_FUNCTION_INFO_V1(crm_draw_chart);

Datum
crm_draw_chart(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	JsonbContainer *data = &PG_GETARG_JSONB_P(1)->root;
	JsonbContainer *options = &PG_GETARG_JSONB_P(2)->root;
	StringInfoData out;
	Chart		c = {0};
	bool		tiles = strcmp(kind, "tiles") == 0,
				table = strcmp(kind, "table") == 0;

	if (!tiles && !table && !crm_chart_kind_known(kind))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no chart of kind \"%s\"", kind),
				 errhint("Kinds are bars, columns, stacked, lines, funnel, waterfall, heatmap, tiles and table.")));
	if (!JsonContainerIsObject(options))
		bad_data("the options are not an object", NULL);
	if (JsonContainerIsScalar(data))
		bad_data("the data are neither an array nor an object", NULL);
	initStringInfo(&out);
	c.out = &out;
	c.kind = kind;
	read_options(&c, options);
	if (tiles)
	{
		if (!JsonContainerIsArray(data))
			bad_data("tiles are given as an array of objects", NULL);
		draw_tiles(&c, data);
	}
	else if (table)
	{
		if (!JsonContainerIsObject(data))
			bad_data("a table is given as an object of columns and rows", NULL);
		draw_table(&c, data);
	}
	else
	{
		if (JsonContainerIsArray(data))
			read_rows(&c, data);
		else
			read_series(&c, data);
		draw_screens(&c);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

PG_FUNCTION_INFO_V1(crm_chart_style);

Datum
crm_chart_style(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(crm_chart_css));
}

PG_FUNCTION_INFO_V1(crm_escape_html);

Datum
crm_escape_html(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	crm_chart_escape(&out, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

PG_FUNCTION_INFO_V1(crm_figure_text);

Datum
crm_figure_text(PG_FUNCTION_ARGS)
{
	double		value = PG_GETARG_FLOAT8(0);
	ChartFormat format = format_named(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	char	   *language = text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (!isfinite(value) || fabs(value) > 1e100)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("a number is too large to be written for readers")));
	PG_RETURN_TEXT_P(
		cstring_to_text(crm_chart_number_as(value, format, strcmp(language, "fa") == 0)));
}
