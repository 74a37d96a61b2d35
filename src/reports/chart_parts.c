/*
 * chart_parts.c
 *	  What every chart is made of: shapes, text, notes, scales, the legend.
 *
 * Every chart is laid out as if it were read from the left; what draws shapes
 * and text here mirrors it for languages read from the right, so no chart
 * knows of both.  The picture itself always has the direction left to right,
 * because a right-to-left direction would turn the meaning of text anchors;
 * text is isolated instead, and takes its direction from its own first letter.
 *
 * Colours are classes.  The style sheet gives them values for a light and a
 * dark screen and for paper.
 */
#include "postgres.h"

#include <math.h>

#include "reports/chart_draw.h"

const char *const crm_chart_css =
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
".cv .s5{stroke:var(--c5)}.cv .s6{stroke:var(--c6)}.cv .s7{stroke:var(--c7)}.cv .sp{stroke:var(--pos)}.cv .sn{stroke:var(--neg)}"
".cv .fm{fill:var(--ink)}.cv .dot{stroke:var(--card);stroke-width:1.5}";

/* ---- shapes ---- */

void
crm_chart_note(Chart *c, const char *text)
{
	appendStringInfoString(c->out, "<title>");
	crm_chart_escape(c->out, text);
	appendStringInfoString(c->out, "</title>");
}

void
crm_chart_rect(Chart *c, double x, double y, double w, double h, double r,
			   const char *class, const char *crm_chart_tip)
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
	if (crm_chart_tip)
	{
		appendStringInfoChar(c->out, '>');
		crm_chart_note(c, crm_chart_tip);
		appendStringInfoString(c->out, "</rect>");
	}
	else
		appendStringInfoString(c->out, "/>");
}

/* Text on a baseline, isolated from its surroundings. */
void
crm_chart_label(Chart *c, double x, double y, Anchor anchor, const char *class, const char *text)
{
	static const char *const anchors[] = {"start", "middle", "end"};

	if (c->rtl)
		anchor = anchor == START ? END : anchor == END ? START : MIDDLE;
	appendStringInfo(c->out, "<text x=\"%s\" y=\"%s\"", co(mirrored(c, x)), co(y));
	if (anchor != START)
		appendStringInfo(c->out, " text-anchor=\"%s\"", anchors[anchor]);
	if (class)
		appendStringInfo(c->out, " class=\"%s\"", class);
	appendStringInfoString(c->out, "><tspan>&#x2068;");
	crm_chart_escape(c->out, text);
	appendStringInfoString(c->out, "&#x2069;</tspan></text>");
}

void
crm_chart_line(Chart *c, double x1, double y1, double x2, double y2, const char *class)
{
	appendStringInfo(c->out, "<path class=\"%s\" d=\"M%s %sL%s %s\"/>", class,
					 co(mirrored(c, x1)), co(y1), co(mirrored(c, x2)), co(y2));
}

void
crm_chart_open(Chart *c, double height)
{
	c->height = height;
	appendStringInfo(c->out, "<svg class=\"chart %s%s%s\" viewBox=\"0 0 %s %s\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"",
					 c->kind, c->screen ? c->screen : "", c->style ? " cv" : "",
					 co(c->width), co(height));
	if (c->title)
	{
		appendStringInfoString(c->out, " aria-label=\"");
		crm_chart_escape(c->out, c->title);
		appendStringInfoChar(c->out, '"');
	}
	appendStringInfoChar(c->out, '>');
	if (c->style)
		appendStringInfo(c->out, "<style>%s</style>", crm_chart_css);
}

void
crm_chart_close(Chart *c)
{
	appendStringInfoString(c->out, "</svg>");
}

/* ---- common parts ---- */

const char *
crm_chart_fill(int color)
{
	return color == CHART_GOOD ? "fp" : color == CHART_BAD ? "fn" :
		psprintf("f%d", color % CHART_COLORS);
}

const char *
crm_chart_stroke(int color)
{
	return color == CHART_GOOD ? "sp" : color == CHART_BAD ? "sn" :
		psprintf("s%d", color % CHART_COLORS);
}

char *
crm_chart_tip(Chart *c, const char *series, const char *name, double value)
{
	return psprintf("%s%s%s: %s%s%s", series ? series : "", series && name[0] ? ", " : "", name,
					crm_chart_number_as(value,
										c->format == CHART_COMPACT ? CHART_NUMBER : c->format,
										c->persian),
					c->unit ? " " : "", c->unit ? c->unit : "");
}

/* Round steps that divide lo..hi into about n parts; widens lo and hi to them. */
double
crm_chart_scale(double *lo, double *hi, int n)
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

bool
crm_chart_has_value(const Chart *c)
{
	for (int s = 0; s < c->nseries; s++)
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
				return true;
	return false;
}

void
crm_chart_empty(Chart *c)
{
	crm_chart_open(c, 90);
	crm_chart_rect(c, 0.5, 0.5, c->width - 1, 89, 8, "g", NULL);
	crm_chart_label(c, c->width / 2, 49, MIDDLE, "m", c->empty);
	crm_chart_close(c);
}

/* Names of the series with their colours; returns the height taken. */
double
crm_chart_legend(Chart *c, double left, double top, bool draw)
{
	double		x = left,
				y = top + 10;

	if (c->nseries < 2 || c->series[0].name == NULL)
		return 0;
	for (int s = 0; s < c->nseries; s++)
	{
		char	   *name = crm_chart_fit(c->series[s].name ? c->series[s].name : "", FONT,
										 c->width - left - 20);
		double		w = 16 + crm_chart_text_width(name, FONT);

		if (x > left && x + w > c->width)
		{
			x = left;
			y += 18;
		}
		if (draw)
		{
			if (c->series[s].mark)
				crm_chart_rect(c, x - 2, y - 5, 14, 2.5, 1, "fm", NULL);
			else
				crm_chart_rect(c, x, y - 9, 10, 10, 3, crm_chart_fill(c->series[s].color), NULL);
			crm_chart_label(c, x + 16, y, START, "m", name);
		}
		x += w + 16;
	}
	return y - top + 12;
}

/* How many labels to leave out between two that are shown. */
int
crm_chart_stride(const Chart *c, double slot)
{
	double		widest = 0;

	for (int i = 0; i < c->nlabels; i++)
		widest = Max(widest, Min(crm_chart_text_width(c->labels[i], FONT), 130));
	return Max(1, (int) ceil((widest + 10) / slot));
}
