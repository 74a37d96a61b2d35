/*
 * written.c
 *	  Columns that the CRM itself writes: when a row was made, who wrote a
 *	  message, when a ticket was answered first.
 *
 * crm.column_rules says of which columns, for the purpose "write".  What a
 * statement gives such a column is looked at by the trigger that fires before
 * all others, so that it is what the writer said and not what a later trigger
 * has filled in.  It has to be what the column would hold anyway: its default in
 * a new row, what is there in a row that is changed.  Anything else is refused,
 * or put back where programs are known to send such a value with every row.  A
 * moment at which something was done may also be the present one.
 *
 * Writers whom the table's row security does not bind are those who may say
 * what was: the owner, and functions with the owner's rights.  So may whoever
 * loads history, and an admin's import.
 *
 * What is known of a table is kept (see kept.c), and held by the statement.  An
 * update that sets none of the columns costs one look at a set of bits.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"

#include "access/identity_kept.h"
#include "access/written.h"

typedef enum WrittenRule
{
	WRITTEN_KEEP,				/* another value is refused */
	WRITTEN_TAKE,				/* another value is put back without a word */
	WRITTEN_WRITER,				/* the user who writes, or nobody */
	WRITTEN_MOMENT,				/* the present moment, or none */
	WRITTEN_ONCE				/* what a new row was given stays */
} WrittenRule;

/* What a new row holds in a column that a statement leaves out. */
typedef enum WrittenDefault
{
	DEFAULT_NULL,
	DEFAULT_NOW,
	DEFAULT_OTHER,				/* what the expression gives */
	DEFAULT_UNKNOWN				/* something else in every row */
} WrittenDefault;

typedef struct WrittenColumn
{
	AttrNumber	att;
	WrittenRule rule;
	WrittenDefault makes;
	Node	   *expression;
	char	   *reason;
} WrittenColumn;

typedef struct WrittenColumns
{
	Bitmapset  *set;			/* as tg_updatedcols counts them */
	int			n;
	WrittenColumn columns[FLEXIBLE_ARRAY_MEMBER];
} WrittenColumns;

/* In fn_extra: what a statement has worked out. */
typedef struct WrittenLook
{
	const WrittenColumns *columns;
	bool		has_defaults;
	Datum	   *defaults;
	bool	   *default_nulls;
	Datum	   *values;			/* of one row */
	bool	   *nulls;
	int		   *changed;		/* what is put back in one row */
	Datum	   *changes;
	bool	   *change_nulls;
} WrittenLook;

/* ---- what is known of a table ---- */

static WrittenDefault
default_of(Relation rel, AttrNumber att, Node **expression)
{
	Node	   *node;

	if (TupleDescAttr(RelationGetDescr(rel), att - 1)->attidentity)
		return DEFAULT_UNKNOWN;
	node = build_column_default(rel, att);
	if (node == NULL)
		return DEFAULT_NULL;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_NOW)
		return DEFAULT_NOW;
	if (contain_volatile_functions(node))
		return DEFAULT_UNKNOWN;
	*expression = node;
	return DEFAULT_OTHER;
}

static void *
build_written(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	Relation	rel = relation_open(*(const Oid *) key, NoLock);	/* the writer's */
	int			natts = RelationGetNumberOfAttributes(rel);
	WrittenColumns *written = MemoryContextAllocZero(context, offsetof(WrittenColumns, columns) +
													 sizeof(WrittenColumn) * natts);
	Datum		values[1];

	crm_kept_depends(RelationGetRelid(rel));
	values[0] = CStringGetTextDatum(crm_subject_name(rel));
	/* of each column the rule that is most exact, and of these the owner's */
	crm_read_config("SELECT DISTINCT ON (r.column_name) r.column_name, r.rule, r.reason"
					" FROM crm.column_rules AS r"
					" WHERE r.table_name OPERATOR(pg_catalog.=) ANY (ARRAY['*', $1])"
					" AND r.purposes OPERATOR(pg_catalog.@>) ARRAY['write']"
					" ORDER BY r.column_name, r.table_name OPERATOR(pg_catalog.=) $1 DESC,"
					" r.declared_at IS NULL DESC, r.id DESC", 1, types, values);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *rule = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		AttrNumber	att = crm_column_number(RelationGetDescr(rel), name);
		WrittenColumn *c = &written->columns[written->n];
		MemoryContext scratch;

		if (att == 0 || TupleDescAttr(RelationGetDescr(rel), att - 1)->attgenerated)
			continue;
		if (strcmp(rule, "keep") == 0)
			c->rule = WRITTEN_KEEP;
		else if (strcmp(rule, "take") == 0)
			c->rule = WRITTEN_TAKE;
		else if (strcmp(rule, "writer") == 0)
			c->rule = WRITTEN_WRITER;
		else if (strcmp(rule, "moment") == 0)
			c->rule = WRITTEN_MOMENT;
		else if (strcmp(rule, "once") == 0)
			c->rule = WRITTEN_ONCE;
		else
			continue;			/* open to statements after all */
		c->att = att;
		scratch = MemoryContextSwitchTo(context);
		c->makes = default_of(rel, att, &c->expression);
		c->reason = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3);
		written->set = bms_add_member(written->set, att - FirstLowInvalidHeapAttributeNumber);
		MemoryContextSwitchTo(scratch);
		written->n++;
	}
	relation_close(rel, NoLock);
	return written;
}

static CrmKept kept_written = {
	.what = "written columns",
	.tables = {"column_rules"},
	.build = build_written,
};

static WrittenLook *
written_look_of(FunctionCallInfo fcinfo, Relation rel)
{
	WrittenLook *look = (WrittenLook *) fcinfo->flinfo->fn_extra;
	Oid			relid = RelationGetRelid(rel);
	MemoryContext caller;

	if (look != NULL)
		return look;
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	look = palloc0(sizeof(WrittenLook));
	look->columns = crm_kept(&kept_written, &relid, sizeof(relid));
	fcinfo->flinfo->fn_extra = look;
	MemoryContextSwitchTo(caller);
	return look;
}

/* ---- what a column would hold anyway ---- */

static void
work_out_defaults(FunctionCallInfo fcinfo, WrittenLook *look, int natts)
{
	const WrittenColumns *written = look->columns;
	MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	ExprContext *econtext = NULL;

	look->defaults = palloc0(sizeof(Datum) * Max(written->n, 1));
	look->default_nulls = palloc0(sizeof(bool) * Max(written->n, 1));
	look->values = palloc(sizeof(Datum) * natts);
	look->nulls = palloc(sizeof(bool) * natts);
	look->changed = palloc(sizeof(int) * Max(written->n, 1));
	look->changes = palloc(sizeof(Datum) * Max(written->n, 1));
	look->change_nulls = palloc(sizeof(bool) * Max(written->n, 1));
	for (int i = 0; i < written->n; i++)
	{
		const WrittenColumn *c = &written->columns[i];

		look->default_nulls[i] = c->makes != DEFAULT_NOW;
		if (c->makes == DEFAULT_NOW)
			look->defaults[i] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
		else if (c->makes == DEFAULT_OTHER)
		{
			Expr	   *planned = expression_planner((Expr *) copyObject(c->expression));

			if (econtext == NULL)
				econtext = CreateStandaloneExprContext();
			look->defaults[i] = ExecEvalExpr(ExecInitExpr(planned, NULL), econtext,
											 &look->default_nulls[i]);
		}
	}
	look->has_defaults = true;
	MemoryContextSwitchTo(caller);
}

/* ---- a row ---- */

static bool
may_say_what_was(Relation rel)
{
	return crm_written_kept || crm_history_reason[0] != '\0' ||
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED;
}

/* A program that is no user says who wrote; somebody who is one was it, or it was nobody. */
static bool
is_writer(Form_pg_attribute att, Datum value, bool isnull)
{
	bool		nobody;
	int64		user = crm_current_user(&nobody);

	return isnull || nobody || att->atttypid != INT8OID || DatumGetInt64(value) == user;
}

/*
 * What functions with the rights of their caller write when they have done
 * something: whoever writes it by hand can say no more than that it is now, or
 * that it has not happened.
 */
static bool
is_present_moment(Form_pg_attribute att, Datum value, bool isnull)
{
	TimestampTz t;

	if (isnull)
		return true;
	if (att->atttypid != TIMESTAMPTZOID)
		return false;
	t = DatumGetTimestampTz(value);
	return t >= GetCurrentTransactionStartTimestamp() && t <= GetCurrentTimestamp();
}

static void
refuse_value(Relation rel, const WrittenColumn *c)
{
	char	   *name = NameStr(TupleDescAttr(RelationGetDescr(rel), c->att - 1)->attname);

	if (c->rule == WRITTEN_ONCE)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("column \"%s\" of table \"%s\" stays as it was given to the new row",
						name, RelationGetRelationName(rel)),
				 errdetail("The value given is another one: %s.", c->reason),
				 errhint("Make another row."),
				 errtablecol(rel, c->att)));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("column \"%s\" of table \"%s\" is written by the CRM", name,
					RelationGetRelationName(rel)),
			 errdetail("The value given is another one than the CRM's: %s.", c->reason),
			 c->rule == WRITTEN_WRITER ?
			 errhint("Leave the column out, or name yourself.") :
			 errhint("Leave the column out. Who loads history calls crm.begin_history(reason) first."),
			 errtablecol(rel, c->att)));
}

/*
 * The row as it may be stored: what was given to columns of the CRM's own is
 * refused, or put back.
 */
HeapTuple
crm_written_row(FunctionCallInfo fcinfo, TriggerData *trigdata, HeapTuple tuple)
{
	Relation	rel = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	bool		update = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event);
	WrittenLook *look = written_look_of(fcinfo, rel);
	const WrittenColumns *written = look->columns;
	int			n = 0;

	if (written == NULL || written->n == 0 ||
		(update && !bms_overlap(trigdata->tg_updatedcols, written->set)))
		return tuple;
	if (!look->has_defaults)
		work_out_defaults(fcinfo, look, desc->natts);
	heap_deform_tuple(tuple, desc, look->values, look->nulls);
	for (int i = 0; i < written->n; i++)
	{
		const WrittenColumn *c = &written->columns[i];
		Form_pg_attribute att = TupleDescAttr(desc, c->att - 1);
		Datum		mine = look->defaults[i];
		bool		mine_null = look->default_nulls[i];

		if (update)
			mine = heap_getattr(trigdata->tg_trigtuple, c->att, desc, &mine_null);
		else if (c->makes == DEFAULT_UNKNOWN || c->rule == WRITTEN_ONCE ||
				 (c->rule == WRITTEN_WRITER && is_writer(att, look->values[c->att - 1],
														 look->nulls[c->att - 1])))
			continue;
		if (c->rule == WRITTEN_MOMENT && is_present_moment(att, look->values[c->att - 1],
														   look->nulls[c->att - 1]))
			continue;
		if (crm_same_value(att, look->values[c->att - 1], look->nulls[c->att - 1], mine, mine_null))
			continue;
		if (may_say_what_was(rel))
			return tuple;
		if (c->rule != WRITTEN_TAKE)
			refuse_value(rel, c);
		look->changed[n] = c->att;
		look->changes[n] = mine;
		look->change_nulls[n++] = mine_null;
	}
	if (n == 0)
		return tuple;
	return heap_modify_tuple_by_cols(tuple, desc, n, look->changed, look->changes,
									 look->change_nulls);
}
