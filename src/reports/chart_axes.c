/*
 * chart_axes.c
 *	  Charts on a pair of axes: columns, stacked columns, lines, waterfalls, and
 *	  the line of a sparkline, which has none.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "reports/chart_draw.h"

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

static void
draw_axes(Chart *c, Axes *a, double lo, double hi, double height)
{
	double		widest = 0,
				head;

	a->lo = lo;
	a->hi = hi;
	a->step = crm_chart_scale(&a->lo, &a->hi, 4);
	for (double v = a->lo; v <= a->hi + a->step / 2; v += a->step)
		widest = Max(widest,
					 crm_chart_text_width(crm_chart_number(c, fabs(v) < a->step / 1e6 ? 0 : v),
										  FONT));
	head = crm_chart_legend(c, 2, 0, false);
	a->left = widest + 10;
	a->right = c->width - 4;
	a->top = head + 18;
	a->bottom = height - 24;
	crm_chart_open(c, height);
	crm_chart_legend(c, 2, 0, true);
	for (double v = a->lo; v <= a->hi + a->step / 2; v += a->step)
	{
		double		at = fabs(v) < a->step / 1e6 ? 0 : v;

		crm_chart_line(c, a->left, axis_y(a, at), a->right, axis_y(a, at), "g");
		crm_chart_label(c, a->left - 8, axis_y(a, at) + 4, END, "m", crm_chart_number(c, at));
	}
}

/* The lowest and the highest value a column reaches, stacked or side by side. */
static void
column_range(const Chart *c, bool stacked, double *lo, double *hi)
{
	*lo = *hi = 0;
	for (int i = 0; i < c->nlabels; i++)
	{
		double		up = 0,
					down = 0;

		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].nulls[i] ? 0 : c->series[s].values[i];

			if (c->series[s].mark)
			{
				*hi = Max(*hi, v);
				*lo = Min(*lo, v);
			}
			else if (stacked)
				*(v < 0 ? &down : &up) += v;
			else
			{
				up = Max(up, v);
				down = Min(down, v);
			}
		}
		*lo = Min(*lo, down);
		*hi = Max(*hi, up);
	}
}

/* Marks across the place of a column, such as a target that is to be reached. */
static void
draw_marks(Chart *c, const Axes *a, int i, double mid, double slot)
{
	for (int s = 0; s < c->nseries; s++)
		if (c->series[s].mark && !c->series[s].nulls[i])
		{
			double		v = c->series[s].values[i];

			crm_chart_rect(c, mid - slot * 0.44, axis_y(a, v) - 1.25, slot * 0.88, 2.5, 1, "fm",
						   crm_chart_tip(c, c->series[s].name, c->labels[i], v));
		}
}

static void
draw_columns(Chart *c, bool stacked)
{
	Axes		a;
	double		lo,
				hi,
				slot,
				bar;
	int			stride,
				groups = stacked ? 1 : c->nseries,
				place;
	bool		room = c->nseries == 1;

	for (int s = 0; !stacked && s < c->nseries; s++)
		groups -= c->series[s].mark;
	groups = Max(groups, 1);
	column_range(c, stacked, &lo, &hi);
	draw_axes(c, &a, lo, hi, c->height > 0 ? c->height : 240);
	slot = (a.right - a.left) / c->nlabels;
	bar = Min(slot * 0.72 / groups, 46);
	stride = crm_chart_stride(c, slot);
	/* figures above all columns or none: above some they would look like a choice */
	for (int i = 0; room && i < c->nlabels; i++)
		if (!c->series[0].nulls[i] && c->series[0].values[i] != 0 &&
			crm_chart_text_width(crm_chart_number(c, c->series[0].values[i]), FONT) > slot - 4)
			room = false;
	for (int i = 0; i < c->nlabels; i++)
	{
		double		mid = a.left + slot * (i + 0.5),
					up = 0,
					down = 0;

		place = 0;
		for (int s = 0; s < c->nseries; s++)
		{
			double		v = c->series[s].values[i],
						x,
						from,
						to;

			if (c->series[s].mark)
				continue;
			place++;
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
				x = mid - bar * groups / 2 + bar * (place - 1);
			}
			crm_chart_rect(c, x, Min(from, to), bar - (groups > 1 ? 1.5 : 0), fabs(to - from),
						   stacked ? 1.5 : 3, crm_chart_fill(c->series[s].color),
						   crm_chart_tip(c, c->series[s].name, c->labels[i], v));
			if (room && v != 0)
				crm_chart_label(c, mid, v < 0 ? to + 13 : to - 5, MIDDLE, NULL,
								crm_chart_number(c, v));
		}
		draw_marks(c, &a, i, mid, slot);
		if (i % stride == 0)
			crm_chart_label(c, mid, a.bottom + 17, MIDDLE, "m",
							crm_chart_fit(c->labels[i], FONT, slot * stride - 6));
		CHECK_FOR_INTERRUPTS();
	}
	crm_chart_close(c);
}

/* One unbroken run of a line, straight: a curve would show what was never measured. */
static void
draw_run(Chart *c, const Axes *a, const double *x, const double *y, int n, int color, bool area)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfo(&path, "M%s %s", co(mirrored(c, x[0])), co(y[0]));
	for (int i = 1; i < n; i++)
		appendStringInfo(&path, "L%s %s", co(mirrored(c, x[i])), co(y[i]));
	if (area && n > 1)
	{
		double		zero = axis_y(a, Max(a->lo, Min(0, a->hi)));

		appendStringInfo(c->out, "<path class=\"%s a\" d=\"%sL%s %sL%s %sZ\"/>",
						 crm_chart_fill(color), path.data, co(mirrored(c, x[n - 1])), co(zero),
						 co(mirrored(c, x[0])), co(zero));
	}
	appendStringInfo(c->out, "<path class=\"l %s\" d=\"%s\"/>", crm_chart_stroke(color), path.data);
}

void
crm_chart_lines(Chart *c)
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
	stride = crm_chart_stride(c, slot);
	for (int i = 0; i < c->nlabels; i += stride)
	{
		char	   *text = crm_chart_fit(c->labels[i], FONT, 130);
		double		w = crm_chart_text_width(text, FONT);
		double		at = a.left + 12 + slot * i;

		/* the ends stay inside the picture */
		at = Min(Max(at, w / 2), c->width - w / 2);
		if (at - w / 2 < shown + 6)
			continue;
		crm_chart_label(c, at, a.bottom + 17, MIDDLE, "m", text);
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
			appendStringInfo(c->out, "<circle class=\"%s dot\" cx=\"%s\" cy=\"%s\" r=\"%s\">",
							 crm_chart_fill(c->series[s].color),
							 co(mirrored(c, a.left + 12 + slot * i)),
							 co(axis_y(&a, c->series[s].values[i])),
							 c->nlabels > 40 ? "1.5" : "3.2");
			crm_chart_note(c, crm_chart_tip(c, c->series[s].name, c->labels[i],
											c->series[s].values[i]));
			appendStringInfoString(c->out, "</circle>");
		}
	}
	crm_chart_close(c);
}

void
crm_chart_columns(Chart *c)
{
	draw_columns(c, false);
}

void
crm_chart_stacked(Chart *c)
{
	draw_columns(c, true);
}

/* ---- waterfall: from one level to another, change by change ---- */

void
crm_chart_waterfall(Chart *c)
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
		const char *plus = c->persian ? "\xE2\x80\x8F\xE2\x80\x8E+" : "+";

		from = axis_y(&a, total ? 0 : level);
		level = total ? v : level + v;
		to = axis_y(&a, level);
		crm_chart_rect(c, mid - bar / 2, Min(from, to), bar, Max(fabs(to - from), 1), 3,
					   total ? "f0" : v < 0 ? "fn" : "fp", crm_chart_tip(c, NULL, c->labels[i], v));
		if (i + 1 < c->nlabels)
			crm_chart_line(c, mid + bar / 2, to, mid + slot - bar / 2, to, "d");
		crm_chart_label(c, mid, Min(from, to) - 6, MIDDLE, total ? "b" : NULL,
						crm_chart_fit(psprintf("%s%s", total || v <= 0 ? "" : plus, crm_chart_number(c, v)),
									  FONT, slot - 2));
		crm_chart_label(c, mid, a.bottom + 17, MIDDLE, "m",
						crm_chart_fit(c->labels[i], FONT, slot - 6));
	}
	crm_chart_close(c);
}

/* A line without axes, beside a figure. */
void
crm_chart_spark(StringInfo out, const double *values, int n, bool rtl)
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
					 co(mirrored(&c, x[n - 1])), co(y[n - 1]));
}
