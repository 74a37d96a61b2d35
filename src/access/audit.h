/*
 * audit.h (public)
 *	  The log of changes: what of a row is written into it, and writing it.
 */
#ifndef CRM_AUDIT_H
#define CRM_AUDIT_H

#include "base/crm.h"

#include "base/changes.h"

typedef struct CrmAuditColumn
{
	AttrNumber	number;
	const char *name;
	bool		secret;			/* only that it changed is told */
} CrmAuditColumn;

/* Who has switched the audit of a table on or off */
typedef struct CrmAuditChoice
{
	int64		tenant;
	bool		active;
} CrmAuditChoice;

typedef struct CrmAuditPlan
{
	MemoryContext context;
	Oid			sequence;
	const char *subject;
	AttrNumber	tenant;
	AttrNumber	id;				/* 0: rows go by their key, which is always told */
	bool		always;			/* whatever is switched on or off */
	bool		withheld;		/* a table of the owner's alone */
	Bitmapset  *key;
	CrmRowShape *whole;			/* all that is told of a row */
	int			ncolumns;
	CrmAuditColumn *columns;
	int			nchoices;
	CrmAuditChoice *choices;	/* by tenant */
	CrmChanges	changes;
} CrmAuditPlan;

/* audit_plan.c */
extern CrmAuditPlan *crm_audit_plan(Oid relid, const char *subject);
extern bool crm_audit_active(const CrmAuditPlan *plan, int64 tenant);

/* audit.c */
extern void crm_audit_row(CrmAuditPlan *plan, TupleDesc desc, HeapTuple before, HeapTuple after,
						  Bitmapset **changed);
extern void crm_audit_statement(bool ends);
extern void crm_audit_init(void);

#endif							/* CRM_AUDIT_H */
