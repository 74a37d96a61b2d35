/*
 * definition.h
 *	  Reading calendars in JSON: what the files of it share.
 */
#ifndef CRM_DEFINITION_H
#define CRM_DEFINITION_H

#include "base/json.h"
#include "time/calendar.h"
#include "time/time_face.h"

typedef struct Reader
{
	List	  **faults;
} Reader;

/* definition_read.c */
extern void crm_def_fault(Reader *r, const char *reason, const char *place, const char *fmt,...)
pg_attribute_printf(4, 5);
extern char *crm_def_string(JsonbValue *v);
extern JsonbValue *crm_def_member(JsonbContainer *object, const char *key);
extern int	crm_def_int(Reader *r, JsonbContainer *object, const char *key, const char *place,
						int lowest, int highest, int missing);
extern bool crm_def_date(Reader *r, const char *text, const char *place, int32 *date);
extern void crm_def_check_keys(Reader *r, JsonbContainer *object, const char *place,
							   const char *const *known);

/* definition_holidays.c */
extern void crm_def_holidays(Reader *r, JsonbValue *v, CalRules *rules);

#endif							/* CRM_DEFINITION_H */
