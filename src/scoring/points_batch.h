/*
 * points_batch.h
 *	  Leads of a statement that are scored together.
 */
#ifndef CRM_POINTS_BATCH_H
#define CRM_POINTS_BATCH_H

#include "scoring/points_store.h"

#define BATCH_LEADS 1000

typedef struct BatchLead
{
	int64		id;
	Jsonb	   *facts;			/* as rules see it now */
	Jsonb	   *known;			/* as they saw it before; NULL: not known */
	int64		last_id;
	TimestampTz last_at;
	bool		subject;		/* has a row of score_subjects */
	bool		doubted;		/* somebody is changing what rules see of it */
	bool		again;			/* its account or contact is held by us since facts was read */
	bool		changed;
} BatchLead;

typedef struct Batch
{
	Scorer	   *s;
	MemoryContext context;		/* for as long as the batch takes */
	int			n;
	BatchLead  *leads;			/* in the order of their ids */
	bool	  **told;			/* per model and rule: one failure is reported */
	bool	   *replays;		/* per lead and model: its state is not of the present rules */

	/* what is to be written */
	CrmCollected seen;
	CrmCollected kept;
	CrmCollected crossed;
	CrmCollected failing;
} Batch;

/* points_facts.c */
extern void crm_batch_run_list(const Batch *b, const char *sql, const int64 *ids, int n);
extern BatchLead *crm_batch_lead(const Batch *b, int row, int *at);
extern void crm_batch_read_leads(Batch *b, const int64 *ids, int n, bool entered);
extern void crm_batch_settle_facts(Batch *b);

#endif							/* CRM_POINTS_BATCH_H */
