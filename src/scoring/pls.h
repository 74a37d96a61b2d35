/*
 * pls.h
 *	  Counts of won and lost deals: what counting them and reading them share.
 */
#ifndef CRM_PLS_H
#define CRM_PLS_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

/* A stage is kept below a field name that no jsonb key can be confused with. */
#define STAGE_FIELD "\1"

/* Walks over the set values of a fields object. */
typedef struct FieldWalk
{
	JsonbIterator *it;
	JsonbValue	key;
	bool		list;			/* the value stands in a list */
	char	   *value;
	int			len;
} FieldWalk;

/* pls_fit.c */
extern void crm_pls_key(StringInfo key, const char *team, int team_len, const char *field,
						int field_len, const char *value, int value_len);
extern int	crm_pls_stage(int stage);
extern void crm_pls_walk(Jsonb *fields, FieldWalk *w);
extern bool crm_pls_next(FieldWalk *w);

#endif							/* CRM_PLS_H */
