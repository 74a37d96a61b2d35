/*
 * chart.c
 *	  Drawing: from numbers to SVG.
 *
 * Every chart is laid out as if it were read from the left; the three
 * functions at the bottom of the stack (rect, label, X) mirror it for languages
 * read from the right, so no chart knows of both.  The picture itself always
 * has the direction left to right, because a right-to-left direction would
 * turn the meaning of text anchors; text is isolated instead, and takes its
 * direction from its own first letter.
 *
 * Colours are classes.  The style sheet gives them values for a light and a
 * dark screen and for paper.
 */
#include "postgres.h"

#include <math.h>

#include "reports/chart.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define FONT 12.0				/* size of all text of a chart */

const char *const chart_style =
".cv{--ink:#1d2733;--mut:#66758a;--grid:#e5e9f0;--card:#fff;--c0:#2f6bea;--c1:#0f9f8f;--c2:#f2a30f;"
"--c3:#8b55d9;--c4:#e0556a;--c5:#2aa5de;--c6:#7487a0;--c7:#c84fa6;--pos:#1f9d62;--neg:#d9455a}"
"@media screen and (prefers-color-scheme:dark){.cv{--ink:#e6ebf3;--mut:#93a2b8;--grid:#2a3545;--card:#18202b;"
"--c0:#5b8ff5;--c1:#2fc4b2;--c2:#f5b740;--c3:#a97df0;--c4:#f0798b;--c5:#55bdf0;--c6:#8fa1ba;--c7:#dd7cc2;"
"--pos:#3ec486;--neg:#f0697c}}"
".cv svg,svg.cv{display:block;width:100%;height:auto;direction:ltr;font:12px system-ui,-apple-system,'Segoe UI',Vazirmatn,Tahoma,"
"Roboto,'Noto Sans','Noto Sans Arabic','DejaVu Sans',sans-serif;overflow:visible}"
".cv text{fill:var(--ink)}.cv text.m{fill:var(--mut)}.cv text.i{fill:#fff}.cv text.b{font-weight:600}"
".cv .g{stroke:var(--grid);stroke-width:1;fill:none}.cv .d{stroke:var(--mut);stroke-width:1;stroke-dasharray:3 3;fill:none}"
".cv .f0{fill:var(--c0)}.cv .f1{fill:var(--c1)}.cv .f2{fill:var(--c2)}.cv .f3{fill:var(--c3)}.cv .f4{fill:var(--c4)}"
".cv .f5{fill:var(--c5)}.cv .f6{fill:var(--c6)}.cv .f7{fill:var(--c7)}.cv .fp{fill:var(--pos)}.cv .fn{fill:var(--neg)}"
".cv .ft{fill:var(--grid)}.cv .p{fill-opacity:.28}.cv .a{fill-opacity:.13}"
".cv .l{fill:none;stroke-width:2.2;stroke-linecap:round;stroke-linejoin:round}"
".cv .s0{stroke:var(--c0)}.cv .s1{stroke:var(--c1)}.cv .s2{stroke:var(--c2)}.cv .s3{stroke:var(--c3)}.cv .s4{stroke:var(--c4)}"
".cv .s5{stroke:var(--c5)}.cv .s6{stroke:var(--c6)}.cv .s7{stroke:var(--c7)}.cv .dot{stroke:var(--card);stroke-width:1.5}";

typedef enum Anchor
{
	START, MIDDLE, END
} Anchor;

/* ---- the bottom of the stack ---- */

/* A coordinate: two decimals are finer than any screen. */
static char *
co(double v)
{
	char	   *s = psprintf("%.2f", v);
	char	   *end = s + strlen(s) - 1;

	while (*end == '0')
		*end-- = '\0';
	if (*end == '.')
		*end = '\0';
	return strcmp(s, "-0") == 0 ? s + 1 : s;
}

static double
X(const Chart *c, double x)
{
	return c->rtl ? c->width - x : x;
}

static void
tooltip(Chart *c, const char *text)
{
	appendStringInfoString(c->out, "<title>");
	chart_escape(c->out, text);
	appendStringInfoString(c->out, "</title>");
}

static void
rect(Chart *c, double x, double y, double w, double h, double r,
	 const char *class, const char *tip)
{
	if (w < 0)
	{
		x += w;
		w = -w;
	}
	if (h < 0)
	{
		y += h;
		h = -h;
	}
	r = Min(r, Min(w, h) / 2);
	appendStringInfo(c->out, "<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\"",
					 class, co(c->rtl ? c->width - x - w : x), co(y), co(w), co(h));
	if (r > 0)
		appendStringInfo(c->out, " rx=\"%s\"", co(r));
	if (tip)
	{
		appendStringInfoChar(c->out, '>');
		tooltip(c, tip);
		appendStringInfoString(c->out, "</rect>");
	}
	else
		appendStringInfoString(c->out, "/>");
}

/* Text on a baseline, isolated from its surroundings. */
static void
label(Chart *c, double x, double y, Anchor anchor, const char *class, const char *text)
{
	static const char *const anchors[] = {"start", "middle", "end"};

	if (c->rtl)
		anchor = anchor == START ? END : anchor == END ? START : MIDDLE;
	appendStringInfo(c->out, "<text x=\"%s\" y=\"%s\"", co(X(c, x)), co(y));
	if (anchor != START)
		appendStringInfo(c->out, " text-anchor=\"%s\"", anchors[anchor]);
	if (class)
		appendStringInfo(c->out, " class=\"%s\"", class);
	appendStringInfoString(c->out, "><tspan>&#x2068;");
	chart_escape(c->out, text);
	appendStringInfoString(c->out, "&#x2069;</tspan></text>");
}

static void
line(Chart *c, double x1, double y1, double x2, double y2, const char *class)
{
	appendStringInfo(c->out, "<path class=\"%s\" d=\"M%s %sL%s %s\"/>", class,
					 co(X(c, x1)), co(y1), co(X(c, x2)), co(y2));
}

static void
open_svg(Chart *c, double height)
{
	c->height = height;
	appendStringInfo(c->out, "<svg class=\"chart %s%s\" viewBox=\"0 0 %s %s\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"",
					 c->kind, c->style ? " cv" : "", co(c->width), co(height));
	if (c->title)
	{
		appendStringInfoString(c->out, " aria-label=\"");
		chart_escape(c->out, c->title);
		appendStringInfoChar(c->out, '"');
	}
	appendStringInfoChar(c->out, '>');
	if (c->style)
		appendStringInfo(c->out, "<style>%s</style>", chart_style);
}

static void
close_svg(Chart *c)
{
	appendStringInfoString(c->out, "</svg>");
}

/* ---- common parts ---- */

static const char *
fill(int color)
{
	return psprintf("f%d", color % CHART_COLORS);
}

static char *
tip(Chart *c, const char *series, const char *name, double value)
{
	return psprintf("%s%s%s: %s%s%s", series ? series : "", series && name[0] ? ", " : "", name,
					chart_number_as(value, c->format == CHART_COMPACT ? CHART_NUMBER : c->format,
									c->persian),
					c->unit ? " " : "", c->unit ? c->unit : "");
}

/* Round steps that divide lo..hi into about n parts; widens lo and hi to them. */
static double
nice_scale(double *lo, double *hi, int n)
{
	double		raw,
				unit,
				step;

	if (*hi <= *lo)
		*hi = *lo + (*lo == 0 ? 1 : fabs(*lo));
	raw = *hi / n - *lo / n;
	unit = pow(10, floor(log10(raw)));
	step = raw / unit <= 1 ? unit : raw / unit <= 2 ? 2 * unit :
		raw / unit <= 2.5 ? 2.5 * unit : raw / unit <= 5 ? 5 * unit : 10 * unit;
	*lo = floor(*lo / step + 1e-9) * step;
	*hi = ceil(*hi / step - 1e-9) * step;
	return step;
}

static bool
has_value(const Chart *c)
{
	for (int s = 0; s < c->nseries; s++)
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
				return true;
	return false;
}

static void
draw_empty(Chart *c)
{
	open_svg(c, 90);
	rect(c, 0.5, 0.5, c->width - 1, 89, 8, "g", NULL);
	label(c, c->width / 2, 49, MIDDLE, "m", c->empty);
	close_svg(c);
}

/* Names of the series with their colours; returns the height taken. */
static double
legend(Chart *c, double left, double top, bool draw)
{
	double		x = left,
				y = top + 10;

	if (c->nseries < 2 || c->series[0].name == NULL)
		return 0;
	for (int s = 0; s < c->nseries; s++)
	{
		char	   *name = chart_fit(c->series[s].name ? c->series[s].name : "", FONT,
									 c->width - left - 20);
		double		w = 16 + chart_text_width(name, FONT);

		if (x > left && x + w > c->width)
		{
			x = left;
			y += 18;
		}
		if (draw)
		{
			rect(c, x, y - 9, 10, 10, 3, fill(c->series[s].color), NULL);
			label(c, x + 16, y, START, "m", name);
		}
		x += w + 16;
	}
	return y - top + 12;
}

/* ---- charts on a pair of axes: columns, stacked columns, lines ---- */

typedef struct Axes
{
	double		left,
				right,
				top,
				bottom;
	double		lo,
				hi,
				step;
} Axes;

static double
axis_y(const Axes *a, double v)
{
	return a->bottom - (v - a->lo) / (a->hi - a->lo) * (a->bottom - a->top);
}

/* How many labels to leave out between two that are shown. */
static int
label_stride(const Chart *c, double slot)
{
	double		widest = 0;

	for (int i = 0; i < c->nlabels; i++)
		widest = Max(widest, Min(chart_text_width(c->labels[i], FONT), 130));
	return Max(1, (int) ceil((widest + 10) / slot));
}

static void
draw_axes(Chart *c, Axes *a, double lo, double hi, double height)
{
	double		widest = 0,
				head;

	a->lo = lo;
	a->hi = hi;
	a->step = nice_scale(&a->lo, &a->hi, 4);
	for (double v = a->lo; v <= a->hi + a->step / 2; v += a->step)
		widest = Max(widest, chart_text_width(chart_number(c, fabs(v) < a->step / 1e6 ? 0 : v), FONT));
	head = legend(c, 2, 0, false);
	a->left = widest + 10;
	a->right = c->width - 4;
	a->top = head + 18;
	a->bottom = height - 24;
	open_svg(c, height);
	legend(c, 2, 0, true);
	for (double v = a->lo; v <= a->hi + a->step / 2; v += a->step)
	{
		double		at = fabs(v) < a->step / 1e6 ? 0 : v;

		line(c, a->left, axis_y(a, at), a->right, axis_y(a, at), "g");
		label(c, a->left - 8, axis_y(a, at) + 4, END, "m", chart_number(c, at));
	}
}

static void
draw_columns(Chart *c, bool stacked)
{
	Axes		a;
	double		lo = 0,
				hi = 0,
				slot,
				bar;
	int			stride,
				groups = stacked ? 1 : c->nseries;
	bool		room = c->nseries == 1;

	for (int i = 0; i < c->nlabels; i++)
	{
		double		up = 0,
					down = 0;

		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].nulls[i] ? 0 : c->series[s].values[i];

			if (stacked)
			{
				*(v < 0 ? &down : &up) += v;
			}
			else
			{
				up = Max(up, v);
				down = Min(down, v);
			}
		}
		lo = Min(lo, down);
		hi = Max(hi, up);
	}
	draw_axes(c, &a, lo, hi, c->height > 0 ? c->height : 240);
	slot = (a.right - a.left) / c->nlabels;
	bar = Min(slot * 0.72 / groups, 46);
	stride = label_stride(c, slot);
	/* figures above all columns or none: above some they would look like a choice */
	for (int i = 0; room && i < c->nlabels; i++)
		if (!c->series[0].nulls[i] && c->series[0].values[i] != 0 &&
			chart_text_width(chart_number(c, c->series[0].values[i]), FONT) > slot - 4)
			room = false;
	for (int i = 0; i < c->nlabels; i++)
	{
		double		mid = a.left + slot * (i + 0.5),
					up = 0,
					down = 0;

		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].values[i],
						x,
						from,
						to;

			if (c->series[s].nulls[i])
				continue;
			if (stacked)
			{
				double	   *base = v < 0 ? &down : &up;

				from = axis_y(&a, *base);
				*base += v;
				to = axis_y(&a, *base);
				x = mid - bar / 2;
			}
			else
			{
				from = axis_y(&a, 0);
				to = axis_y(&a, v);
				x = mid - bar * groups / 2 + bar * s;
			}
			rect(c, x, Min(from, to), bar - (groups > 1 ? 1.5 : 0), fabs(to - from),
				 stacked ? 1.5 : 3, fill(c->series[s].color),
				 tip(c, c->series[s].name, c->labels[i], v));
			if (room && v != 0)
				label(c, mid, v < 0 ? to + 13 : to - 5, MIDDLE, NULL, chart_number(c, v));
		}
		if (i % stride == 0)
			label(c, mid, a.bottom + 17, MIDDLE, "m", chart_fit(c->labels[i], FONT, slot * stride - 6));
		CHECK_FOR_INTERRUPTS();
	}
	close_svg(c);
}

/*
 * Slopes of a monotone cubic through the points, so that the curve never
 * swings beyond them (Fritsch and Carlson 1980).
 */
static void
monotone_slopes(const double *x, const double *y, double *m, int n)
{
	double		before = 0;

	for (int i = 0; i < n; i++)
	{
		double		after = i + 1 < n ? (y[i + 1] - y[i]) / (x[i + 1] - x[i]) : before;

		if (i == 0)
			m[i] = after;
		else if (before * after <= 0)
			m[i] = 0;
		else
			m[i] = 2 * before * after / (before + after);
		before = after;
	}
}

/* One unbroken run of a line; returns nothing for a single point but a dot. */
static void
draw_run(Chart *c, const Axes *a, const double *x, const double *y, int n, int color, bool area)
{
	double	   *m = palloc(sizeof(double) * n);
	StringInfoData path;

	initStringInfo(&path);
	monotone_slopes(x, y, m, n);
	appendStringInfo(&path, "M%s %s", co(X(c, x[0])), co(y[0]));
	for (int i = 1; i < n; i++)
	{
		double		third = (x[i] - x[i - 1]) / 3;

		appendStringInfo(&path, "C%s %s %s %s %s %s",
						 co(X(c, x[i - 1] + third)), co(y[i - 1] + m[i - 1] * third),
						 co(X(c, x[i] - third)), co(y[i] - m[i] * third),
						 co(X(c, x[i])), co(y[i]));
	}
	if (area && n > 1)
	{
		double		zero = axis_y(a, Max(a->lo, Min(0, a->hi)));

		appendStringInfo(c->out, "<path class=\"f%d a\" d=\"%sL%s %sL%s %sZ\"/>", color % CHART_COLORS,
						 path.data, co(X(c, x[n - 1])), co(zero), co(X(c, x[0])), co(zero));
	}
	appendStringInfo(c->out, "<path class=\"l s%d\" d=\"%s\"/>", color % CHART_COLORS, path.data);
	pfree(m);
}

static void
draw_lines(Chart *c)
{
	Axes		a;
	double		lo = 0,
				hi = 0,
				slot,
				shown = -1e9,
			   *x = palloc(sizeof(double) * c->nlabels),
			   *y = palloc(sizeof(double) * c->nlabels);
	int			stride;

	for (int s = 0; s < c->nseries; s++)
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
			{
				lo = Min(lo, c->series[s].values[i]);
				hi = Max(hi, c->series[s].values[i]);
			}
	draw_axes(c, &a, lo, hi, c->height > 0 ? c->height : 240);
	slot = (a.right - a.left - 24) / Max(1, c->nlabels - 1);
	stride = label_stride(c, slot);
	for (int i = 0; i < c->nlabels; i += stride)
	{
		char	   *text = chart_fit(c->labels[i], FONT, 130);
		double		w = chart_text_width(text, FONT);
		double		at = a.left + 12 + slot * i;

		/* the ends stay inside the picture */
		at = Min(Max(at, w / 2), c->width - w / 2);
		if (at - w / 2 < shown + 6)
			continue;
		label(c, at, a.bottom + 17, MIDDLE, "m", text);
		shown = at + w / 2;
	}
	for (int s = 0; s < c->nseries; s++)
	{
		int			n = 0;

		for (int i = 0; i <= c->nlabels; i++)
		{
			if (i < c->nlabels && !c->series[s].nulls[i])
			{
				x[n] = a.left + 12 + slot * i;
				y[n++] = axis_y(&a, c->series[s].values[i]);
			}
			else if (n > 0)
			{
				draw_run(c, &a, x, y, n, c->series[s].color, c->area && s == 0);
				n = 0;
			}
		}
		for (int i = 0; i < c->nlabels; i++)
		{
			if (c->series[s].nulls[i])
				continue;
			appendStringInfo(c->out, "<circle class=\"f%d dot\" cx=\"%s\" cy=\"%s\" r=\"%s\">",
							 c->series[s].color % CHART_COLORS,
							 co(X(c, a.left + 12 + slot * i)), co(axis_y(&a, c->series[s].values[i])),
							 c->nlabels > 40 ? "1.5" : "3.2");
			tooltip(c, tip(c, c->series[s].name, c->labels[i], c->series[s].values[i]));
			appendStringInfoString(c->out, "</circle>");
		}
	}
	close_svg(c);
}

/* ---- bars: one row a label; a second series is drawn over the first ---- */

static void
draw_bars(Chart *c)
{
	double		row = 30,
				name_width = 0,
				value_width = 0,
				lo = 0,
				hi = 0,
				left,
				zero,
				scale,
				top;
	char	  **values = palloc0(sizeof(char *) * c->nlabels);

	for (int i = 0; i < c->nlabels; i++)
	{
		StringInfoData text;

		initStringInfo(&text);
		name_width = Max(name_width, chart_text_width(c->labels[i], FONT));
		for (int s = 0; s < c->nseries; s++)
		{
			if (c->series[s].nulls[i])
				continue;
			lo = Min(lo, c->series[s].values[i]);
			hi = Max(hi, c->series[s].values[i]);
			appendStringInfo(&text, "%s%s", text.len > 0 ? " / " : "",
							 chart_number(c, c->series[s].values[i]));
		}
		if (c->notes && c->notes[i])
			appendStringInfo(&text, "%s%s", text.len > 0 ? " \xC2\xB7 " : "", c->notes[i]);
		values[i] = text.data;
		value_width = Max(value_width, chart_text_width(values[i], FONT));
	}
	name_width = Min(name_width, c->width * 0.34);
	value_width = Min(value_width, c->width * 0.36);
	left = name_width + 12;
	if (c->height > 0)
		row = Max(row, Min(46, c->height / c->nlabels));
	if (hi == lo)
		hi = lo + 1;
	scale = (c->width - left - value_width - 14) / (hi - lo);
	zero = left - lo * scale;
	top = legend(c, 0, 0, false);
	open_svg(c, top + row * c->nlabels + 2);
	legend(c, 0, 0, true);
	for (int i = 0; i < c->nlabels; i++)
	{
		double		y = top + row * i,
					end = 0;

		y += (row - 30) / 2;
		label(c, name_width, y + 20, END, NULL, chart_fit(c->labels[i], FONT, name_width));
		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].values[i];
			bool		thin = s > 0;

			if (c->series[s].nulls[i])
				continue;
			rect(c, zero, y + (thin ? 11 : 6), v * scale == 0 ? 1 : v * scale, thin ? 9 : 19, 4,
				 psprintf("%s%s", fill(c->series[s].color), c->nseries > 1 && !thin ? " p" : ""),
				 tip(c, c->series[s].name, c->labels[i], v));
			end = Max(end, v);
		}
		if (lo < 0)
			line(c, zero, y + 3, zero, y + 28, "g");
		label(c, zero + end * scale + 8, y + 20, START, "m", chart_fit(values[i], FONT, value_width + 6));
		CHECK_FOR_INTERRUPTS();
	}
	close_svg(c);
}

/* ---- funnel: how many are left at each step ---- */

static void
draw_funnel(Chart *c)
{
	const ChartSeries *s = &c->series[0];
	double		row = 34,
				gap = 22,
				name_width = 0,
				value_width = 0,
				most = 0,
				mid,
				span,
				previous = 0;
	char	  **values = palloc0(sizeof(char *) * c->nlabels);

	if (c->nlabels > 6)
	{
		row = 26;
		gap = 18;
	}
	for (int i = 0; i < c->nlabels; i++)
	{
		double		v = s->nulls[i] ? 0 : s->values[i];

		name_width = Max(name_width, chart_text_width(c->labels[i], FONT));
		most = Max(most, v);
		values[i] = i > 0 && !s->nulls[0] && s->values[0] > 0
			? psprintf("%s  (%s)", chart_number(c, v), chart_percent(c, v / s->values[0]))
			: chart_number(c, v);
		value_width = Max(value_width, chart_text_width(values[i], FONT));
	}
	name_width = Min(name_width, c->width * 0.32);
	value_width = Min(value_width, c->width * 0.32);
	span = c->width - name_width - value_width - 28;
	mid = name_width + 14 + span / 2;
	open_svg(c, row * c->nlabels + gap * (c->nlabels - 1) + 2);
	for (int i = 0; i < c->nlabels; i++)
	{
		double		v = s->nulls[i] ? 0 : s->values[i],
					w = most > 0 ? Max(v, 0) / most * span : 0,
					y = (row + gap) * i;

		w = Max(w, 2);
		if (i > 0)
		{
			appendStringInfo(c->out, "<path class=\"f0 a\" d=\"M%s %sL%s %sL%s %sL%s %sZ\"/>",
							 co(mid - previous / 2 + (c->rtl ? c->width - 2 * mid : 0)), co(y - gap),
							 co(mid + previous / 2 + (c->rtl ? c->width - 2 * mid : 0)), co(y - gap),
							 co(mid + w / 2 + (c->rtl ? c->width - 2 * mid : 0)), co(y),
							 co(mid - w / 2 + (c->rtl ? c->width - 2 * mid : 0)), co(y));
			if (!s->nulls[i - 1] && s->values[i - 1] > 0)
				label(c, mid, y - gap / 2 + 4, MIDDLE, "m",
					  psprintf("%s%s", GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x86\x93 " : "",
							   chart_percent(c, v / s->values[i - 1])));
		}
		rect(c, mid - w / 2, y, w, row, 5, "f0", tip(c, NULL, c->labels[i], v));
		label(c, name_width, y + row / 2 + 4, END, NULL, chart_fit(c->labels[i], FONT, name_width));
		label(c, c->width - value_width, y + row / 2 + 4, START, "b", chart_fit(values[i], FONT, value_width + 6));
		previous = w;
	}
	close_svg(c);
}

/* ---- waterfall: from one level to another, change by change ---- */

static void
draw_waterfall(Chart *c)
{
	const ChartSeries *s = &c->series[0];
	Axes		a;
	double		level = 0,
				lo = 0,
				hi = 0,
				slot,
				bar;

	for (int i = 0; i < c->nlabels; i++)
	{
		double		v = s->nulls[i] ? 0 : s->values[i];

		level = c->totals && c->totals[i] ? v : level + v;
		lo = Min(lo, level);
		hi = Max(hi, level);
	}
	draw_axes(c, &a, lo, hi, c->height > 0 ? c->height : 260);
	slot = (a.right - a.left) / c->nlabels;
	bar = Min(slot * 0.66, 74);
	level = 0;
	for (int i = 0; i < c->nlabels; i++)
	{
		double		v = s->nulls[i] ? 0 : s->values[i],
					mid = a.left + slot * (i + 0.5),
					from,
					to;
		bool		total = c->totals && c->totals[i];

		from = axis_y(&a, total ? 0 : level);
		level = total ? v : level + v;
		to = axis_y(&a, level);
		rect(c, mid - bar / 2, Min(from, to), bar, Max(fabs(to - from), 1), 3,
			 total ? "f0" : v < 0 ? "fn" : "fp", tip(c, NULL, c->labels[i], v));
		if (i + 1 < c->nlabels)
			line(c, mid + bar / 2, to, mid + slot - bar / 2, to, "d");
		label(c, mid, Min(from, to) - 6, MIDDLE, total ? "b" : NULL,
			  chart_fit(psprintf("%s%s", total || v <= 0 ? "" : c->persian ? "\xE2\x80\x8F\xE2\x80\x8E+" : "+", chart_number(c, v)), FONT, slot - 2));
		label(c, mid, a.bottom + 17, MIDDLE, "m", chart_fit(c->labels[i], FONT, slot - 6));
	}
	close_svg(c);
}

/* ---- heat map: one row a series, one column a label ---- */

static void
draw_heatmap(Chart *c)
{
	double		row = 30,
				name_width = 0,
				head = 24,
				lo = 0,
				hi = 0,
				cell;
	int			stride;

	for (int s = 0; s < c->nseries; s++)
	{
		if (c->series[s].name)
			name_width = Max(name_width, chart_text_width(c->series[s].name, FONT));
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
			{
				lo = Min(lo, c->series[s].values[i]);
				hi = Max(hi, c->series[s].values[i]);
			}
	}
	name_width = Min(name_width, c->width * 0.3);
	cell = (c->width - name_width - 12) / c->nlabels;
	stride = label_stride(c, cell);
	open_svg(c, head + row * c->nseries + 2);
	for (int i = 0; i < c->nlabels; i += stride)
		label(c, name_width + 12 + cell * (i + 0.5), 14, MIDDLE, "m",
			  chart_fit(c->labels[i], FONT, cell * stride - 4));
	for (int s = 0; s < c->nseries; s++)
	{
		double		y = head + row * s;

		label(c, name_width, y + 19, END, NULL,
			  chart_fit(c->series[s].name ? c->series[s].name : "", FONT, name_width));
		for (int i = 0; i < c->nlabels; i++)
		{
			double		x = name_width + 12 + cell * i,
						v = c->series[s].values[i],
						share;
			char	   *text;

			if (c->series[s].nulls[i])
			{
				rect(c, x + 1, y + 1, cell - 2, row - 2, 4, "g", NULL);
				continue;
			}
			share = hi > lo ? (v - lo) / (hi - lo) : 0;
			appendStringInfo(c->out, "<g fill-opacity=\"%s\">", co(0.07 + 0.93 * share));
			rect(c, x + 1, y + 1, cell - 2, row - 2, 4, "f0",
				 tip(c, c->series[s].name, c->labels[i], v));
			appendStringInfoString(c->out, "</g>");
			text = chart_number(c, v);
			if (chart_text_width(text, FONT) <= cell - 4)
				label(c, x + cell / 2, y + 19, MIDDLE, share > 0.55 ? "i" : NULL, text);
		}
		CHECK_FOR_INTERRUPTS();
	}
	close_svg(c);
}

/* A line without axes, beside a figure. */
void
chart_spark(StringInfo out, const double *values, int n, bool rtl)
{
	Chart		c = {0};
	Axes		a = {.left = 2,.right = 98,.top = 3,.bottom = 25};
	double	   *x = palloc(sizeof(double) * n),
			   *y = palloc(sizeof(double) * n);

	if (n < 2)
		return;
	c.out = out;
	c.width = 100;
	c.rtl = rtl;
	a.lo = a.hi = values[0];
	for (int i = 0; i < n; i++)
	{
		a.lo = Min(a.lo, values[i]);
		a.hi = Max(a.hi, values[i]);
	}
	if (a.hi == a.lo)
		a.hi = a.lo + 1;
	for (int i = 0; i < n; i++)
	{
		x[i] = 2 + 96.0 * i / (n - 1);
		y[i] = axis_y(&a, values[i]);
	}
	appendStringInfoString(out, "<svg class=\"spark\" viewBox=\"0 0 100 28\" aria-hidden=\"true\">");
	draw_run(&c, &a, x, y, n, 0, false);
	appendStringInfo(out, "<circle class=\"f0\" cx=\"%s\" cy=\"%s\" r=\"2.4\"/></svg>",
					 co(X(&c, x[n - 1])), co(y[n - 1]));
}

/* ---- the table of kinds ---- */

static void
draw_plain_columns(Chart *c)
{
	draw_columns(c, false);
}

static void
draw_stacked_columns(Chart *c)
{
	draw_columns(c, true);
}

static const struct
{
	const char *name;
	void		(*draw) (Chart *);
}			kinds[] =

{
	{"bars", draw_bars},
	{"columns", draw_plain_columns},
	{"stacked", draw_stacked_columns},
	{"lines", draw_lines},
	{"funnel", draw_funnel},
	{"waterfall", draw_waterfall},
	{"heatmap", draw_heatmap},
};

bool
chart_kind_known(const char *kind)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			return true;
	return false;
}

void
chart_draw(Chart *chart)
{
	if (chart->nlabels == 0 || chart->nseries == 0 || !has_value(chart))
	{
		draw_empty(chart);
		return;
	}
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, chart->kind) == 0)
			kinds[i].draw(chart);
}
