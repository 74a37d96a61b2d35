/*
 * time_face.h (public)
 *	  The face of the calendars towards PostgreSQL: zones, JSON, the cache.
 */
#ifndef CRM_TIME_FACE_H
#define CRM_TIME_FACE_H

#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "time/calendar.h"

/* A fault of a definition; place is a path into it. */
typedef struct CalFault
{
	const char *reason;
	char	   *place;
	char	   *message;
} CalFault;

/* zone.c */
extern pg_tz *crm_zone_find(const char *name);
extern int32 crm_zone_stretch(void *zone, int64 at, int64 *end);

/* definition.c */
extern CalRules *crm_calendar_parse(Jsonb *definition, List **faults);
pg_noreturn extern void crm_calendar_raise(List *faults, const char *code);
extern int	crm_compare_dates(const void *a, const void *b);

/* cache.c */
extern Calendar *crm_calendar_get(int64 calendar_id);
extern Calendar *crm_calendar_get_of(int64 tenant, int64 calendar_id);
extern void crm_calendar_answer(CalAnswer answer, int64 calendar_id, const char *question);

#endif							/* CRM_TIME_FACE_H */
