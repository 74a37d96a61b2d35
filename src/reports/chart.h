/*
 * chart.h
 *	  Drawing of charts as SVG and HTML, shared by the files of the drawing.
 */
#ifndef CRM_CHART_H
#define CRM_CHART_H

#include "postgres.h"

#include "lib/stringinfo.h"

typedef enum ChartFormat
{
	CHART_NUMBER,				/* 1,234.5 */
	CHART_COMPACT,				/* 1.2K */
	CHART_PERCENT				/* a share of one as 12.3% */
} ChartFormat;

typedef struct ChartSeries
{
	char	   *name;			/* may be NULL */
	int			color;			/* of the palette, or CHART_GOOD, CHART_BAD */
	bool		mark;			/* a mark above the columns, such as a target */
	double	   *values;			/* as many as there are labels */
	bool	   *nulls;
} ChartSeries;

typedef struct Chart
{
	StringInfo	out;
	const char *kind;

	/* what to draw */
	int			nlabels;
	char	  **labels;
	char	  **notes;			/* entries, or all, may be NULL */
	bool	   *totals;			/* waterfall: a level, not a change */
	int			nseries;
	ChartSeries *series;

	/* how */
	double		width;
	double		height;			/* 0: as the kind needs */
	double		small;			/* width of a second picture for small screens; 0: none */
	const char *screen;			/* class of the picture being drawn, or "" */
	bool		rtl;			/* mirrored, for languages read from the right */
	bool		persian;		/* Persian digits and words of magnitude */
	bool		area;			/* fill below the first line */
	bool		style;			/* carry the style sheet inside the picture */
	ChartFormat format;
	char	   *unit;			/* said in the notes that appear on pointing */
	char	   *title;			/* for screen readers */
	char	   *empty;			/* said where there is nothing to draw */
} Chart;

/* chart_text.c */
extern void crm_chart_escape(StringInfo out, const char *text);
extern double crm_chart_text_width(const char *text, double size);
extern char *crm_chart_fit(const char *text, double size, double room);
extern char *crm_chart_number(const Chart *chart, double value);
extern char *crm_chart_number_as(double value, ChartFormat format, bool persian);
extern char *crm_chart_percent(const Chart *chart, double share);

/* chart.c, chart_axes.c, chart_parts.c */
extern void crm_chart_draw(Chart *chart);
extern bool crm_chart_kind_known(const char *kind);
extern void crm_chart_spark(StringInfo out, const double *values, int n, bool rtl);

extern const char *const crm_chart_css;

#define CHART_COLORS 8
#define CHART_GOOD (-1)
#define CHART_BAD (-2)

#endif							/* CRM_CHART_H */
