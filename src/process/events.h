/*
 * events.h
 *	  What is announced of rows, and events that were noted: for the files that
 *	  compile, note and write them.
 */
#ifndef CRM_EVENTS_H
#define CRM_EVENTS_H

#include "base/changes.h"
#include "base/notes.h"
#include "process/process.h"

#include "access/xact.h"

typedef enum RuleWhen
{
	RULE_ALWAYS,				/* a row was entered */
	RULE_CHANGED,				/* the column has another value */
	RULE_TO,					/* ... this one */
	RULE_SET,					/* ... and had none before */
	RULE_STAGE,					/* ... and the stage is of this type, unlike the one before */
	RULE_REOPENED				/* ... and the stage is open, and the one before was closed */
} RuleWhen;

typedef struct EventRule
{
	const char *kind;
	RuleWhen	when;
	AttrNumber	column;
	const char *to;				/* of RULE_TO and RULE_STAGE */
} EventRule;

typedef struct EventColumn
{
	AttrNumber	number;
	const char *name;
	bool		personal;		/* only that it changed is told */
	bool		has_rule;		/* a rule tells of its changes */
} EventColumn;

typedef struct EventPlan
{
	MemoryContext context;
	Oid			sequence;
	const char *subject;
	AttrNumber	tenant;
	AttrNumber	id;				/* of the record it is about */
	AttrNumber	subject_in;		/* column that names its table; 0: the table itself */
	const char *created;		/* kinds; NULL: not announced */
	const char *changed;
	const char *deleted;
	CrmRowShape *shape;			/* of all that is announced */
	int			ncolumns;
	EventColumn *columns;
	int			nrules;
	EventRule  *rules;
	CrmChanges	changes;
} EventPlan;

typedef struct EventNote
{
	CrmNote		note;
	int64		id;
	int64		tenant;
	int64		subject_id;
	Datum		kind;			/* texts and jsonb, in the notes' memory */
	Datum		subject;
	Datum		payload;
} EventNote;

/* events_plan.c */
extern EventPlan *crm_event_plan(Oid relid, const char *subject);

/* events_write.c */
extern void crm_write_events(const EventNote *notes, int n);

#endif							/* CRM_EVENTS_H */
