/*
 * points_store.h
 *	  States of leads, kept when leads change and do something.
 */
#ifndef CRM_POINTS_STORE_H
#define CRM_POINTS_STORE_H

#include "scoring/points_sql.h"

typedef struct ScoredModel
{
	int64		id;
	int32		version;
	Datum		definition;
	const PointsModel *model;
} ScoredModel;

/* The active models of a tenant, whose states the transaction may write. */
typedef struct Scorer
{
	int64		tenant;
	int			n;
	ScoredModel *models;
	TimestampTz now;
	MemoryContext lead;			/* for one lead */
} Scorer;

/* An event as its row says; object and attributes NULL for none. */
typedef struct ScoreEvent
{
	int64		id;
	text	   *kind;
	text	   *object;
	TimestampTz at;
	Jsonb	   *attributes;
} ScoreEvent;

/* How a lead stands in a model. */
typedef struct Standing
{
	bool		known;
	int32		version;
	bytea	   *state;
	double		ceiling;
	double		rank_key;
	bool		crosses;
	TimestampTz next_crossing;
	ArrayType  *inside;			/* where it is asked for */
} Standing;

extern Oid	crm_scorer_owner(void);
extern Scorer *crm_scorer_open(int64 tenant);
extern bool crm_scorer_replay_lead(Scorer *s, int64 model, int64 lead, TimestampTz at);

extern void crm_scorer_doubt_lead(const Scorer *s, int64 lead);

/* points_batch.c */
extern void crm_scorer_fit_leads(Scorer *s, const int64 *ids, int n, bool held, bool entered);

/* points_facts.c */
extern Jsonb *crm_scorer_settled_facts(Scorer *s, int64 lead, Jsonb *known, bool *doubted);

/* Events of one lead, in the order of their ids. */
typedef struct LeadEvents LeadEvents;

extern LeadEvents *crm_scorer_begin_events(Scorer *s, int64 lead, int64 first_id);
extern void crm_scorer_take_event(LeadEvents *e, const ScoreEvent *event);
extern void crm_scorer_end_events(LeadEvents *e);

#endif							/* CRM_POINTS_STORE_H */
