/*
 * move.c
 *	  crm.move(): a row of any process to another of its stages, and columns
 *	  filled in the same write.
 *
 * It is one UPDATE by the caller, with the caller's rights, that sets the stage
 * and the columns named and no others, so that triggers and rights of single
 * columns see what they would see of a statement written by hand.  What the move
 * means is the guard's business.
 */
#include "process/process.h"
#include "access/identity.h"
#include "base/json.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* What is asked for */
typedef struct Wanted
{
	Relation	rel;
	char	   *table;			/* qualified */
	const char *subject;		/* name its pipelines go by */
	const ProcessColumns *columns;
	int64		tenant;
	int64		id;
	char	   *stage;
} Wanted;

/* Tables that have pipelines, for a hint */
static char *
tables_with_processes(int64 tenant)
{
	ProcessConfig *config = crm_process_config(tenant);
	StringInfoData s;

	initStringInfo(&s);
	for (int i = 0; i < config->npipelines; i++)
	{
		bool		again = false;

		for (int j = 0; j < i; j++)
			again |= strcmp(config->pipelines[i].subject, config->pipelines[j].subject) == 0;
		if (!again)
			appendStringInfo(&s, "%s%s", s.len > 0 ? ", " : "", config->pipelines[i].subject);
	}
	return s.data;
}

/* The name a table's pipelines go by: what crm.attach_process() gave the guard */
static const char *
subject_of(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers && i < triggers->numtriggers; i++)
	{
		Trigger    *t = &triggers->triggers[i];

		if (t->tgnargs == 1 && get_func_namespace(t->tgfoid) == get_namespace_oid("crm", true) &&
			strcmp(get_func_name(t->tgfoid), "guard_stage") == 0)
			return t->tgargs[0];
	}
	return NULL;
}

static void
find_process(Wanted *w)
{
	bool		isnull;

	w->tenant = crm_current_tenant(&isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("the current role has no tenant"),
				 errhint("Say SET crm.tenant = 'id', or ask for crm.grant_access().")));
	w->table = crm_qualified_name(RelationGetRelid(w->rel));
	w->subject = subject_of(w->rel);
	if (w->subject == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table %s has no process", w->table),
				 errhint("Tables with processes: %s. Others are given one by crm.attach_process().",
						 tables_with_processes(w->tenant))));
	w->columns = crm_process_columns(w->rel);
}

/* The condition on the tenant, of tables that have one */
static const char *
of_tenant(Wanted *w)
{
	return w->columns->tenant_id ? " AND x.tenant_id OPERATOR(pg_catalog.=) $1" : "";
}

/* ---- why nothing was moved ---- */

static bool
there_is(Wanted *w, const char *more)
{
	Oid			types[3] = {INT8OID, INT8OID, TEXTOID};
	Datum		values[3];
	char	   *sql = psprintf("SELECT FROM %s AS x WHERE x.id OPERATOR(pg_catalog.=) $2%s%s",
							   w->table, of_tenant(w), more);

	values[0] = Int64GetDatum(w->tenant);
	values[1] = Int64GetDatum(w->id);
	values[2] = CStringGetTextDatum(w->stage);
	crm_execute_variant(sql, 3, types, values, NULL, true, 1);
	return SPI_processed > 0;
}

/* The stages of the row's pipeline, for a hint */
static char *
stages_of(Wanted *w)
{
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	char	   *names;
	char	   *sql = psprintf("SELECT pg_catalog.string_agg(s.code, ', ' ORDER BY s.position)"
							   " FROM %s AS x JOIN crm.stages AS s"
							   " ON s.tenant_id OPERATOR(pg_catalog.=) $1"
							   " AND s.pipeline_id OPERATOR(pg_catalog.=) x.pipeline_id"
							   " WHERE x.id OPERATOR(pg_catalog.=) $2%s", w->table, of_tenant(w));

	values[0] = Int64GetDatum(w->tenant);
	values[1] = Int64GetDatum(w->id);
	crm_execute_variant(sql, 2, types, values, NULL, true, 1);
	names = SPI_processed == 0 ? NULL :
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return names ? names : "none";
}

static void
refuse_move(Wanted *w)
{
	if (!there_is(w, ""))
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("%s " INT64_FORMAT " does not exist, or is not visible to you",
						w->subject, w->id)));
	if (!there_is(w, " AND EXISTS (SELECT FROM crm.stages AS s"
				  " WHERE s.tenant_id OPERATOR(pg_catalog.=) $1"
				  " AND s.pipeline_id OPERATOR(pg_catalog.=) x.pipeline_id"
				  " AND s.code OPERATOR(pg_catalog.=) $3)"))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("the pipeline of %s " INT64_FORMAT " has no stage \"%s\"",
						w->subject, w->id, w->stage),
				 errhint("It has %s.", stages_of(w))));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s " INT64_FORMAT " may not be changed by you", w->subject, w->id)));
}

/* ---- moving ---- */

/* What may be filled with a move: all that is stored but what a row is found by */
static bool *
changeable(Wanted *w)
{
	TupleDesc	desc = RelationGetDescr(w->rel);
	const ProcessColumns *c = w->columns;
	bool	   *allowed = palloc(sizeof(bool) * desc->natts);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		allowed[i] = !att->attisdropped && att->attgenerated == '\0' &&
			att->attnum != c->tenant_id && att->attnum != c->id &&
			att->attnum != c->pipeline_id && att->attnum != c->stage_id;
	}
	return allowed;
}

/* The columns to fill, appended to SET; parameters from the fourth on.  How many. */
static int
append_changes(Wanted *w, TupleDesc desc, Datum changes, StringInfo sql,
			   Oid *types, Datum *values, char *nulls)
{
	Jsonb	   *object = DatumGetJsonbP(changes);
	bool	   *row_nulls = palloc(sizeof(bool) * desc->natts);
	Datum	   *row = palloc0(sizeof(Datum) * desc->natts);
	HeapTuple	tuple;
	int			n = 0;

	crm_check_keys(desc, changeable(w), changes, "these cannot be changed with a move: %s");
	memset(row_nulls, true, sizeof(bool) * desc->natts);
	tuple = crm_given_values(desc, heap_form_tuple(desc, row, row_nulls), changes,
							 "changes");
	heap_deform_tuple(tuple, desc, row, row_nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const char *name = NameStr(att->attname);
		JsonbValue	found;

		if (att->attisdropped ||
			crm_json_member(&object->root, name, &found) == NULL)
			continue;
		/* fields of their own are added to those there are */
		appendStringInfo(sql, att->attnum == w->columns->custom ?
						 ", %1$s = COALESCE(x.%1$s, '{}') OPERATOR(pg_catalog.||) $%2$d" :
						 ", %1$s = $%2$d",
						 quote_identifier(name), n + 4);
		types[n] = att->atttypid;
		values[n] = row[i];
		nulls[n] = row_nulls[i] ? 'n' : ' ';
		n++;
	}
	return n;
}

static Datum
move_row(Wanted *w, Datum changes)
{
	MemoryContext caller = CurrentMemoryContext;
	TupleDesc	desc = lookup_rowtype_tupdesc(w->rel->rd_rel->reltype, -1);
	Oid		   *types = palloc(sizeof(Oid) * (desc->natts + 3));
	Datum	   *values = palloc(sizeof(Datum) * (desc->natts + 3));
	char	   *nulls = palloc(desc->natts + 3);
	StringInfoData sql;
	int			n = 3;
	Datum		row;

	types[0] = types[1] = INT8OID;
	types[2] = TEXTOID;
	values[0] = Int64GetDatum(w->tenant);
	values[1] = Int64GetDatum(w->id);
	values[2] = CStringGetTextDatum(w->stage);
	memset(nulls, ' ', 3);
	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS x SET stage_id = s.id", w->table);
	if (changes != (Datum) 0)
		n += append_changes(w, desc, changes, &sql, types + 3, values + 3, nulls + 3);
	appendStringInfo(&sql, " FROM crm.stages AS s WHERE x.id OPERATOR(pg_catalog.=) $2%s"
					 " AND s.tenant_id OPERATOR(pg_catalog.=) $1"
					 " AND s.pipeline_id OPERATOR(pg_catalog.=) x.pipeline_id"
					 " AND s.code OPERATOR(pg_catalog.=) $3 RETURNING (x.*)::%s /*",
					 of_tenant(w), w->table);
	/* a column that was given another type must not meet the plan of the old one */
	for (int i = 3; i < n; i++)
		appendStringInfo(&sql, " %u", types[i]);
	appendStringInfoString(&sql, " */");
	ReleaseTupleDesc(desc);

	crm_connect();
	crm_execute_variant(sql.data, n, types, values, nulls, false, 0);
	if (SPI_processed == 0)
		refuse_move(w);
	row = crm_spi_row(w->rel->rd_rel->reltype, caller);
	crm_disconnect();
	return row;
}

/* The arguments after the table, the same for both functions */
static Datum
move_arguments(FunctionCallInfo fcinfo, Wanted *w)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a move needs the id of a row and the code of a stage")));
	w->id = PG_GETARG_INT64(1);
	w->stage = text_to_cstring(PG_GETARG_TEXT_PP(2));
	find_process(w);
	return move_row(w, PG_ARGISNULL(3) ? (Datum) 0 : PG_GETARG_DATUM(3));
}

PG_FUNCTION_INFO_V1(crm_move);

/* crm.move(subject_table, id, stage, changes): the row as jsonb */
Datum
crm_move(PG_FUNCTION_ARGS)
{
	Wanted		w = {0};
	HeapTupleHeader row;
	HeapTupleData tuple = {0};
	TupleDesc	desc;
	Datum		result;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a move needs the name of a table")));
	w.rel = relation_open(crm_process_subject_oid(text_to_cstring(PG_GETARG_TEXT_PP(0))),
						  AccessShareLock);
	row = DatumGetHeapTupleHeader(move_arguments(fcinfo, &w));
	desc = RelationGetDescr(w.rel);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = row;
	result = crm_row_jsonb(crm_row_shape(desc, NULL), &tuple, desc, false);
	relation_close(w.rel, AccessShareLock);
	PG_RETURN_DATUM(result);
}

PG_FUNCTION_INFO_V1(crm_move_row);

/* crm.move_row(like_row, id, stage, changes): the row as it is */
Datum
crm_move_row(PG_FUNCTION_ARGS)
{
	Wanted		w = {0};
	Datum		row;

	w.rel = crm_row_table(fcinfo, 0, "crm.move_row()");
	row = move_arguments(fcinfo, &w);
	relation_close(w.rel, AccessShareLock);
	PG_RETURN_DATUM(row);
}
