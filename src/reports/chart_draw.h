/*
 * chart_draw.h
 *	  Tools of drawing, for the files that draw charts.
 */
#ifndef CRM_CHART_DRAW_H
#define CRM_CHART_DRAW_H

#include "reports/chart.h"

#define FONT 12.0				/* size of all text of a chart */
#define NARROW 400				/* below it a telephone's rows and changes */

typedef enum Anchor
{
	START, MIDDLE, END
} Anchor;

/* A coordinate: two decimals are finer than any screen. */
static inline char *
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

/* Where a place counted from the side one reads from is in the picture. */
static inline double
mirrored(const Chart *c, double x)
{
	return c->rtl ? c->width - x : x;
}

/* chart_parts.c */
extern void crm_chart_note(Chart *c, const char *text);
extern void crm_chart_rect(Chart *c, double x, double y, double w, double h, double r,
						   const char *class, const char *note);
extern void crm_chart_label(Chart *c, double x, double y, Anchor anchor, const char *class,
							const char *text);
extern void crm_chart_line(Chart *c, double x1, double y1, double x2, double y2, const char *class);
extern void crm_chart_open(Chart *c, double height);
extern void crm_chart_close(Chart *c);
extern const char *crm_chart_fill(int color);
extern const char *crm_chart_stroke(int color);
extern char *crm_chart_tip(Chart *c, const char *series, const char *name, double value);
extern double crm_chart_scale(double *lo, double *hi, int n);
extern bool crm_chart_has_value(const Chart *c);
extern void crm_chart_empty(Chart *c);
extern double crm_chart_legend(Chart *c, double left, double top, bool draw);
extern int	crm_chart_stride(const Chart *c, double slot);

/* chart_axes.c */
extern void crm_chart_columns(Chart *c);
extern void crm_chart_stacked(Chart *c);
extern void crm_chart_lines(Chart *c);
extern void crm_chart_waterfall(Chart *c);

#endif							/* CRM_CHART_DRAW_H */
