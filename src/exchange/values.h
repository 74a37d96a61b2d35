/*
 * values.h
 *	  Reading numbers and dates as exports write them.
 *
 * The readers look at nothing but their arguments.  They never raise an error:
 * what cannot be read without guessing is answered with a sentence that says
 * why, so that a set of a million values is judged in one pass.
 */
#ifndef CRM_EXCHANGE_VALUES_H
#define CRM_EXCHANGE_VALUES_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* read_number.c: signs of 0 are not declared */
typedef struct CrmNumberFormat
{
	char		decimal;		/* . , or / */
	char		grouping;		/* . , ' or a space */
	bool		ungrouped;		/* declared: no grouping at all */
} CrmNumberFormat;

extern const char *crm_number_read(const char *in, int len, const CrmNumberFormat *format,
								   StringInfo out);

/* read_currency.c */
extern bool crm_currency_read(const char *in, int len, StringInfo out);

/* read_date.c */
typedef enum CrmDateOrder
{
	CRM_DATE_ANY, CRM_DATE_YMD, CRM_DATE_DMY, CRM_DATE_MDY, CRM_DATE_JALALI,
	CRM_DATE_EPOCH, CRM_DATE_EPOCH_MS, CRM_DATE_EXCEL
} CrmDateOrder;

typedef struct CrmReadDate
{
	int64		local;			/* microseconds since 2000-01-01 of what was written */
	bool		fixed;			/* its zone was written too: */
	int			east;			/* so many seconds east of Greenwich */
} CrmReadDate;

extern const char *crm_date_read(const char *in, int len, CrmDateOrder order,
								 CrmReadDate *out);

#endif							/* CRM_EXCHANGE_VALUES_H */
