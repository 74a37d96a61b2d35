/*
 * process.h
 *	  Pipelines compiled for this backend, and what the guard, the recorder and
 *	  the adviser (crm.allowed_moves_of) share.
 */
#ifndef CRM_PROCESS_H
#define CRM_PROCESS_H

#include "base/crm.h"

#include "access/htup_details.h"
#include "pgtime.h"
#include "utils/timestamp.h"

typedef enum StageType
{
	STAGE_OPEN,
	STAGE_ON_HOLD,
	STAGE_WON,
	STAGE_LOST,
	STAGE_DONE,
	STAGE_CANCELLED
} StageType;

#define stage_is_closed(stage) ((stage)->type >= STAGE_WON)

typedef struct Stage
{
	int64		id;
	struct Pipeline *pipeline;
	char	   *code;
	char	   *name;
	StageType	type;
	const char *type_name;
	Datum		probability;	/* numeric */
	bool		has_probability;
	char	  **required;
	int			nrequired;
	bool		initial;
	bool		active;
} Stage;

typedef struct Edge
{
	int64		from;			/* 0: from anywhere, creation included */
	int64		to;
	Datum		guard;			/* jsonpath, 0 for none */
	char	   *message;
	char	  **required;
	int			nrequired;
	char	  **roles;			/* NULL: all */
	int			nroles;
	char	   *approval;		/* access level, NULL for none */
} Edge;

typedef struct Pipeline
{
	int64		id;
	char	   *code;
	char	   *subject;
	bool		is_default;
	bool		active;
	bool		strict;
	Stage	   *stages;			/* in their order */
	int			nstages;
	Edge	   *edges;
	int			nedges;
} Pipeline;

typedef struct LossReason
{
	char	   *code;
	bool		note_required;
	bool		active;
} LossReason;

typedef struct ProcessConfig
{
	int64		tenant;
	Pipeline   *pipelines;
	int			npipelines;
	LossReason *reasons;
	int			nreasons;
	pg_tz	   *zone;
} ProcessConfig;

/* Where the agreed columns stand in a relation; 0 for those it has not. */
typedef struct ProcessColumns
{
	AttrNumber	tenant_id;
	AttrNumber	id;
	AttrNumber	pipeline_id;
	AttrNumber	stage_id;
	AttrNumber	amount;
	AttrNumber	currency;
	AttrNumber	probability;
	AttrNumber	expected_close_date;
	AttrNumber	close_date;
	AttrNumber	closed_at;
	AttrNumber	stage_entered_at;
	AttrNumber	loss_reason;
	AttrNumber	loss_note;
	AttrNumber	owner_id;
	AttrNumber	team_id;
	AttrNumber	custom;
} ProcessColumns;

/* A write of a row, seen by the guard */
typedef struct Move
{
	const char *subject;
	ProcessConfig *config;
	const ProcessColumns *columns;
	TupleDesc	desc;
	HeapTuple	before;			/* NULL: the row is new */
	HeapTuple	after;			/* as it will be, columns filled */
	int64		id;
	Stage	   *from;			/* NULL: created, or from another pipeline */
	Stage	   *to;
	bool		moved;
	Edge	   *edge;			/* NULL: no conditions of its own */
} Move;

/* What is wrong with a write; all of it, so that a client can ask for all */
typedef struct Verdict
{
	bool		inactive;
	bool		not_allowed;
	bool		role_refused;
	const char *access;			/* of the caller, where roles ask for it */
	List	   *missing;		/* names of columns that are not filled */
	bool		loss_reason_missing;
	bool		loss_note_missing;
	bool		loss_reason_inactive;
	bool		guard_failed;
	const char *approval;		/* NULL, or needed, requested, approved */
} Verdict;

/* compile.c */
extern ProcessConfig *crm_process_config(int64 tenant);
extern Stage *crm_process_stage(ProcessConfig *config, int64 id);
extern Pipeline *crm_process_pipeline(ProcessConfig *config, int64 id);
extern Pipeline *crm_process_default(ProcessConfig *config, const char *subject);
extern Stage *crm_process_initial(Pipeline *pipeline);
extern Edge *crm_process_edge(Pipeline *pipeline, int64 from, int64 to);
extern void crm_process_find_columns(TupleDesc desc, const char *relation,
									 ProcessColumns *columns);
extern const ProcessColumns *crm_process_columns(Relation rel);
extern Oid	crm_process_periods_owner(void);

/* prepare.c */
extern Datum crm_process_value(HeapTuple tuple, TupleDesc desc, AttrNumber att,
							   bool *isnull);
extern int64 crm_process_int(HeapTuple tuple, TupleDesc desc, AttrNumber att,
							 bool *isnull);
extern int64 crm_process_tenant(const char *subject, const ProcessColumns *columns,
								TupleDesc desc, HeapTuple row);
extern char *crm_process_row_name(const Move *move);
extern void crm_process_prepare(Move *move, ProcessConfig *config, const char *subject,
								const ProcessColumns *columns, TupleDesc desc,
								HeapTuple before, HeapTuple after);

/* judge.c */
extern void crm_process_judge(Move *move, Verdict *verdict);
extern void crm_process_add_name(List **names, char *name);
extern bool crm_process_use_approval(const char *subject, int64 tenant,
									 int64 id, int64 stage);

/* moves.c */
extern Oid	crm_process_subject_oid(const char *subject);

/* periods.c */
extern void crm_process_init(void);

/* events.c */
extern void crm_events_init(void);

#endif							/* CRM_PROCESS_H */
