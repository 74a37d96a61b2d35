/*
 * mix_rows.h
 *	  What the aggregate of mix models is given, and what becomes of it.
 */
#ifndef CRM_MIX_ROWS_H
#define CRM_MIX_ROWS_H

#include "utils/jsonb.h"

#include "marketing/mix_math.h"

typedef struct MixRow
{
	DateADT		period;
	double		y;
	Jsonb	   *spend;
	Jsonb	   *controls;
} MixRow;

typedef struct MixRows
{
	MemoryContext context;
	Jsonb	   *options;
	int			n;
	int			room;
	int64		left_out;
	MixRow	   *rows;
} MixRows;

/* Rows as columns by name, with the settings of the fit. */
typedef struct MixProblem
{
	MixData		data;
	MixSettings settings;
	MixShape   *shapes;
	int64		left_out;
	double		season;			/* its length in periods; 0: none */
	char	  **channel;
	char	  **other;
} MixProblem;

extern MixRows *crm_mix_rows_new(Jsonb *options);
extern bool crm_mix_same_options(const MixRows *rows, Jsonb *options);
extern void crm_mix_rows_add(MixRows *rows, DateADT period, double y, Jsonb *spend,
							 Jsonb *controls);
extern MixProblem *crm_mix_problem(MixRows *rows);
extern const char *crm_mix_adstock_name(MixAdstock adstock);

#endif							/* CRM_MIX_ROWS_H */
