/*
 * rollup.h
 *	  What the files of the rollup engine share.
 *
 * A source is a table that feeds one rollup or more.  Its layout says which
 * columns its delta table has and by which expressions a row of the source
 * becomes a row of deltas; it is read from the view
 * crm_internal.rollup_source_<id>, so that renamed columns are followed and
 * columns in use cannot be dropped or altered.  A plan is a layout compiled
 * for one relation: the source itself, or one of its partitions.
 */
#ifndef CRM_ROLLUP_H
#define CRM_ROLLUP_H

#include "base/crm.h"

#include "access/attnum.h"
#include "executor/tuptable.h"
#include "nodes/execnodes.h"

typedef enum RollupMeasureKind
{
	MEASURE_COUNT,				/* integer, handed out in parts where it is larger */
	MEASURE_INTEGER,			/* bigint */
	MEASURE_NUMERIC
} RollupMeasureKind;

typedef struct RollupKey
{
	AttrNumber	attno;			/* in the table of sums */
	int16		typlen;
	bool		typbyval;
} RollupKey;

typedef struct RollupMeasure
{
	AttrNumber	attno;			/* in the table of sums */
	RollupMeasureKind kind;
} RollupMeasure;

/* Which columns of a table of sums are keys and which are measures. */
typedef struct RollupShape
{
	Oid			root;			/* the source, for messages */
	int			natts;			/* of the table of sums */
	int			nkeys;
	int			nmeasures;
	RollupKey  *keys;
	RollupMeasure *measures;
	bool		has_numeric;
} RollupShape;

/* Sums by group in memory. */
typedef struct RollupGroups
{
	const RollupShape *shape;
	MemoryContext cx;
	int			ngroups;
	int			capacity;
	Size		group_size;
	char	   *groups;
	uint32	   *index;			/* open addressing: group number + 1 */
	uint32		index_size;
} RollupGroups;

#define ROLLUP_FEW 4			/* deltas that need no batch of their own */

typedef struct RollupLayout
{
	RollupShape shape;			/* of the delta table */
	int64		source;			/* id in crm.rollup_sources */
	CrmKeptEntry *entry;		/* it is the value of */
	Oid			view;
	Oid			delta;
	Oid			owner;			/* of the view: expressions run as this role */
	bool		looks_up;		/* evaluating an expression may look names up */
	Index		varno;			/* of the source in targets */
	List	   *targets;		/* expressions, keys first */
	TupleTableSlot *slots[ROLLUP_FEW];	/* deltas of a small statement */
} RollupLayout;

/* A column of the relation that some expression reads. */
typedef struct RollupColumn
{
	AttrNumber	attno;
	int16		typlen;
	bool		typbyval;
} RollupColumn;

typedef struct RollupPlan
{
	Oid			relid;
	CrmKeptEntry *entry;		/* it is the value of */
	RollupLayout *layout;
	bool		feeds;			/* the relation is the source or a partition of it */
	ExprContext *econtext;
	ProjectionInfo *projection;
	int			ncolumns;
	RollupColumn *columns;		/* in the order of attno */
} RollupPlan;

/* plan.c */
extern RollupPlan *crm_rollup_plan(int64 source, Relation rel);
extern bool crm_rollup_row_changed(const RollupPlan *plan, TupleTableSlot *before,
								   TupleTableSlot *after);
extern bool crm_rollup_same_sums(const RollupLayout *a, const RollupLayout *b);
extern Oid	crm_rollup_view_oid(int64 source, bool missing_ok);
extern Oid	crm_rollup_delta_oid(int64 source, bool missing_ok);
extern Oid	crm_rollup_root(Oid view);
extern bool crm_rollup_in_tree(Oid relid, Oid root);
extern List *crm_rollup_view_targets(Oid view, Oid *root, Index *varno);

/* groups.c */
extern void crm_rollup_add_integer(const RollupShape *shape, Datum *sum, int64 value,
								   int sign);
extern void crm_groups_init(RollupGroups *p, const RollupShape *shape, MemoryContext cx);
extern void crm_groups_forget(RollupGroups *p);
extern void crm_groups_add(RollupGroups *p, const Datum *keys, const bool *keynulls,
						   const Datum *measures, const bool *nulls, int sign);
extern void crm_groups_merge(RollupGroups *into, const RollupGroups *from);
extern void crm_groups_unite(RollupGroups *p, int into, int from);
extern Datum *crm_groups_keys(const RollupGroups *p, int number, bool **nulls);
extern bool crm_groups_take(RollupGroups *p, int number, Datum *values, bool *nulls);

/* append.c */
extern void crm_rollup_append(RollupLayout *layout, RollupGroups *groups);

/* trigger.c */
extern void crm_rollup_init(void);
extern void crm_rollup_count_relation(int64 source, Relation rel, int sign);

#endif							/* CRM_ROLLUP_H */
