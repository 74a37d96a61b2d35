/*
 * chart.c
 *	  Drawing: from numbers to SVG.  Kinds of charts by name, and those without
 *	  axes: bars, funnels, heat maps.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "reports/chart_draw.h"

/* ---- bars: one row a label; a second series is drawn over the first ---- */

/*
 * On a telephone there is no room beside each other: name and figures stand in
 * one line, the bars below it over the whole width.
 */
static void
draw_narrow_bars(Chart *c)
{
	double		row = 40,
				lo = 0,
				hi = 0,
				scale,
				top;
	bool		changes = strcmp(c->kind, "waterfall") == 0;

	for (int s = 0; s < c->nseries; s++)
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
			{
				lo = Min(lo, c->series[s].values[i]);
				hi = Max(hi, c->series[s].values[i]);
			}
	if (hi == lo)
		hi = lo + 1;
	scale = (c->width - 2) / (hi - lo);
	top = crm_chart_legend(c, 0, 0, false);
	crm_chart_open(c, top + row * c->nlabels + 2);
	crm_chart_legend(c, 0, 0, true);
	for (int i = 0; i < c->nlabels; i++)
	{
		double		y = top + row * i,
					room;
		StringInfoData text;

		initStringInfo(&text);
		for (int s = 0; s < c->nseries; s++)
			if (!c->series[s].nulls[i])
				appendStringInfo(&text, "%s%s", text.len > 0 ? " / " : "",
								 crm_chart_number(c, c->series[s].values[i]));
		if (c->notes && c->notes[i])
			appendStringInfo(&text, "%s%s", text.len > 0 ? " \xC2\xB7 " : "", c->notes[i]);
		room = c->width - crm_chart_text_width(text.data, FONT) - 12;
		crm_chart_label(c, 0, y + 14, START, NULL, crm_chart_fit(c->labels[i], FONT, room));
		crm_chart_label(c, c->width, y + 14, END, "m", crm_chart_fit(text.data, FONT, c->width));
		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].values[i];
			bool		thin = s > 0;

			if (c->series[s].nulls[i])
				continue;
			crm_chart_rect(c, -lo * scale, y + (thin ? 24 : 21), v * scale == 0 ? 1 : v * scale,
						   thin ? 6 : 12, 3,
						   psprintf("%s%s",
									!changes || (c->totals && c->totals[i])
									? crm_chart_fill(c->series[s].color) : v < 0 ? "fn" : "fp",
									c->nseries > 1 && !thin ? " p" : ""),
						   crm_chart_tip(c, c->series[s].name, c->labels[i], v));
		}
		CHECK_FOR_INTERRUPTS();
	}
	crm_chart_close(c);
}

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
		name_width = Max(name_width, crm_chart_text_width(c->labels[i], FONT));
		for (int s = 0; s < c->nseries; s++)
		{
			if (c->series[s].nulls[i])
				continue;
			lo = Min(lo, c->series[s].values[i]);
			hi = Max(hi, c->series[s].values[i]);
			appendStringInfo(&text, "%s%s", text.len > 0 ? " / " : "",
							 crm_chart_number(c, c->series[s].values[i]));
		}
		if (c->notes && c->notes[i])
			appendStringInfo(&text, "%s%s", text.len > 0 ? " \xC2\xB7 " : "", c->notes[i]);
		values[i] = text.data;
		value_width = Max(value_width, crm_chart_text_width(values[i], FONT));
	}
	name_width = Min(name_width, c->width * 0.34);
	left = name_width + 12;
	/* figures are read, bars only looked at: a fifth of the width is enough for those */
	value_width = Min(value_width, c->width * 0.8 - left - 14);
	if (c->height > 0)
		row = Max(row, Min(46, c->height / c->nlabels));
	if (hi == lo)
		hi = lo + 1;
	scale = (c->width - left - value_width - 14) / (hi - lo);
	zero = left - lo * scale;
	top = crm_chart_legend(c, 0, 0, false);
	crm_chart_open(c, top + row * c->nlabels + 2);
	crm_chart_legend(c, 0, 0, true);
	for (int i = 0; i < c->nlabels; i++)
	{
		double		y = top + row * i,
					end = 0;

		y += (row - 30) / 2;
		crm_chart_label(c, name_width, y + 20, END, NULL,
						crm_chart_fit(c->labels[i], FONT, name_width));
		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].values[i];
			bool		thin = s > 0;

			if (c->series[s].nulls[i])
				continue;
			crm_chart_rect(c, zero, y + (thin ? 11 : 6), v * scale == 0 ? 1 : v * scale,
						   thin ? 9 : 19, 4,
						   psprintf("%s%s", crm_chart_fill(c->series[s].color),
									c->nseries > 1 && !thin ? " p" : ""),
						   crm_chart_tip(c, c->series[s].name, c->labels[i], v));
			end = Max(end, v);
		}
		if (lo < 0)
			crm_chart_line(c, zero, y + 3, zero, y + 28, "g");
		crm_chart_label(c, zero + end * scale + 8, y + 20, START, "m",
						crm_chart_fit(values[i], FONT, c->width - (zero + end * scale + 8)));
		CHECK_FOR_INTERRUPTS();
	}
	crm_chart_close(c);
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
				centre,			/* of the picture, from its left edge */
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

		name_width = Max(name_width, crm_chart_text_width(c->labels[i], FONT));
		most = Max(most, v);
		values[i] = i > 0 && !s->nulls[0] && s->values[0] > 0
			? psprintf("%s  (%s)", crm_chart_number(c, v), crm_chart_percent(c, v / s->values[0]))
			: crm_chart_number(c, v);
		value_width = Max(value_width, crm_chart_text_width(values[i], FONT));
	}
	name_width = Min(name_width, c->width * 0.32);
	value_width = Min(value_width, c->width * 0.32);
	span = c->width - name_width - value_width - 28;
	mid = name_width + 14 + span / 2;
	centre = c->rtl ? c->width - mid : mid;
	crm_chart_open(c, row * c->nlabels + gap * (c->nlabels - 1) + 2);
	for (int i = 0; i < c->nlabels; i++)
	{
		double		v = s->nulls[i] ? 0 : s->values[i],
					w = most > 0 ? Max(v, 0) / most * span : 0,
					y = (row + gap) * i;

		w = Max(w, 2);
		if (i > 0)
		{
			appendStringInfo(c->out, "<path class=\"f0 a\" d=\"M%s %sL%s %sL%s %sL%s %sZ\"/>",
							 co(centre - previous / 2), co(y - gap),
							 co(centre + previous / 2), co(y - gap),
							 co(centre + w / 2), co(y), co(centre - w / 2), co(y));
			if (!s->nulls[i - 1] && s->values[i - 1] > 0)
				crm_chart_label(c, mid, y - gap / 2 + 4, MIDDLE, "m",
								psprintf("%s%s", GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x86\x93 " : "",
										 crm_chart_percent(c, v / s->values[i - 1])));
		}
		crm_chart_rect(c, mid - w / 2, y, w, row, 5, "f0", crm_chart_tip(c, NULL, c->labels[i], v));
		crm_chart_label(c, name_width, y + row / 2 + 4, END, NULL,
						crm_chart_fit(c->labels[i], FONT, name_width));
		crm_chart_label(c, c->width - value_width, y + row / 2 + 4, START, "b",
						crm_chart_fit(values[i], FONT, value_width + 6));
		previous = w;
	}
	crm_chart_close(c);
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
			name_width = Max(name_width, crm_chart_text_width(c->series[s].name, FONT));
		for (int i = 0; i < c->nlabels; i++)
			if (!c->series[s].nulls[i])
			{
				lo = Min(lo, c->series[s].values[i]);
				hi = Max(hi, c->series[s].values[i]);
			}
	}
	name_width = Min(name_width, c->width * 0.3);
	cell = (c->width - name_width - 12) / c->nlabels;
	stride = crm_chart_stride(c, cell);
	crm_chart_open(c, head + row * c->nseries + 2);
	for (int i = 0; i < c->nlabels; i += stride)
		crm_chart_label(c, name_width + 12 + cell * (i + 0.5), 14, MIDDLE, "m",
						crm_chart_fit(c->labels[i], FONT, cell * stride - 4));
	for (int s = 0; s < c->nseries; s++)
	{
		double		y = head + row * s;

		crm_chart_label(c, name_width, y + 19, END, NULL,
						crm_chart_fit(c->series[s].name ? c->series[s].name : "", FONT,
									  name_width));
		for (int i = 0; i < c->nlabels; i++)
		{
			double		x = name_width + 12 + cell * i,
						v = c->series[s].values[i],
						share;
			char	   *text;

			if (c->series[s].nulls[i])
			{
				crm_chart_rect(c, x + 1, y + 1, cell - 2, row - 2, 4, "g", NULL);
				continue;
			}
			share = hi > lo ? (v - lo) / (hi - lo) : 0;
			appendStringInfo(c->out, "<g fill-opacity=\"%s\">", co(0.07 + 0.93 * share));
			crm_chart_rect(c, x + 1, y + 1, cell - 2, row - 2, 4, "f0",
						   crm_chart_tip(c, c->series[s].name, c->labels[i], v));
			appendStringInfoString(c->out, "</g>");
			text = crm_chart_number(c, v);
			if (crm_chart_text_width(text, FONT) <= cell - 4)
				crm_chart_label(c, x + cell / 2, y + 19, MIDDLE, share > 0.55 ? "i" : NULL, text);
		}
		CHECK_FOR_INTERRUPTS();
	}
	crm_chart_close(c);
}

/* ---- the table of kinds ---- */

static const struct
{
	const char *name;
	void		(*draw) (Chart *);
}			kinds[] =

{
	{"bars", draw_bars},
	{"columns", crm_chart_columns},
	{"stacked", crm_chart_stacked},
	{"lines", crm_chart_lines},
	{"funnel", draw_funnel},
	{"waterfall", crm_chart_waterfall},
	{"heatmap", draw_heatmap},
};

bool
crm_chart_kind_known(const char *kind)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			return true;
	return false;
}

void
crm_chart_draw(Chart *chart)
{
	if (chart->nlabels == 0 || chart->nseries == 0 || !crm_chart_has_value(chart))
	{
		crm_chart_empty(chart);
		return;
	}
	if (chart->screen && chart->width < NARROW &&
		(strcmp(chart->kind, "bars") == 0 || strcmp(chart->kind, "waterfall") == 0))
	{
		draw_narrow_bars(chart);
		return;
	}
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, chart->kind) == 0)
			kinds[i].draw(chart);
}
