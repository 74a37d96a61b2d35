/*
 * moves.c
 *	  What may be done next with a row (crm.allowed_moves_of), and the two
 *	  switches that suspend the guard for a transaction.
 */
#include "process/process.h"
#include "access/identity.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

/* The table a subject name means: of schema crm unless it names another */
Oid
crm_process_subject_oid(const char *subject)
{
	RangeVar   *rv = makeRangeVarFromNameList(stringToQualifiedNameList(subject, NULL));
	Oid			relid;

	if (rv->schemaname == NULL)
		rv->schemaname = pstrdup("crm");
	relid = RangeVarGetRelid(rv, NoLock, true);
	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", rv->schemaname, rv->relname),
				 errhint("Tables of schema crm are named alone, others with their schema.")));
	return relid;
}

static Datum
names_array(List *names)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(names), 1));
	ListCell   *cell;
	int			n = 0;

	foreach(cell, names)
		values[n++] = CStringGetTextDatum((char *) lfirst(cell));
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static char *
reasons(Move *move, Verdict *v)
{
	StringInfoData s;

	initStringInfo(&s);
#define REASON(condition, ...) \
	do { \
		if (condition) \
		{ \
			appendStringInfoString(&s, s.len > 0 ? "; " : ""); \
			appendStringInfo(&s, __VA_ARGS__); \
		} \
	} while (0)
	REASON(v->inactive, "stage is no longer in use");
	REASON(v->not_allowed, "no transition leads there");
	REASON(v->role_refused, "access level %s may not", v->access);
	REASON(v->missing != NIL, "required columns are empty");
	REASON(v->loss_reason_inactive, "loss reason is no longer in use");
	REASON(v->guard_failed, "%s", move->edge && move->edge->message ?
		   move->edge->message : "condition does not hold");
	REASON(v->approval && strcmp(v->approval, "needed") == 0, "approval needed");
	REASON(v->approval && strcmp(v->approval, "requested") == 0, "approval requested, not decided");
#undef REASON
	return s.len > 0 ? s.data : NULL;
}

/* One row of the answer: what stands against a move of a row to a stage. */
static void
put_move(ReturnSetInfo *rsinfo, Move *move)
{
	Stage	   *to = move->to;
	const char *approval = move->edge ? move->edge->approval : NULL;
	Verdict		v;
	Datum		out[9];
	bool		nulls[9] = {0};
	char	   *why;

	crm_process_judge(move, &v);
	if (v.loss_reason_missing)
		v.missing = lappend(v.missing, "loss_reason");
	if (v.loss_note_missing)
		v.missing = lappend(v.missing, "loss_note");
	why = reasons(move, &v);

	out[0] = Int64GetDatum(to->id);
	out[1] = CStringGetTextDatum(to->code);
	out[2] = CStringGetTextDatum(to->name);
	out[3] = CStringGetTextDatum(to->type_name);
	out[4] = BoolGetDatum(why == NULL);
	out[5] = names_array(v.missing);
	out[6] = v.approval ? CStringGetTextDatum(v.approval) : (Datum) 0;
	nulls[6] = v.approval == NULL;
	out[7] = approval ? CStringGetTextDatum(approval) : (Datum) 0;
	nulls[7] = approval == NULL;
	out[8] = why ? CStringGetTextDatum(why) : (Datum) 0;
	nulls[8] = why == NULL;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, out, nulls);
}

/* The row in question, read as the caller.  SPI is connected. */
static HeapTuple
read_subject_row(const char *subject, int64 tenant, int64 id, TupleDesc *desc)
{
	char	   *table = crm_qualified_name(crm_process_subject_oid(subject));
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];

	values[0] = Int64GetDatum(id);
	values[1] = Int64GetDatum(tenant);
	crm_execute_once(psprintf("SELECT t.* FROM %s AS t WHERE t.id OPERATOR(pg_catalog.=) $1"
							  " AND t.tenant_id OPERATOR(pg_catalog.=) $2", table),
					 2, types, values, NULL, true, 1);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("%s " INT64_FORMAT " does not exist, or is not visible to you", subject, id)));
	*desc = SPI_tuptable->tupdesc;
	BlessTupleDesc(*desc);
	return SPI_tuptable->vals[0];
}

PG_FUNCTION_INFO_V1(crm_allowed_moves_of);

/*
 * crm.allowed_moves_of(subject_table, subject_id) -> one row per other stage
 * of the row's pipeline.  The row is read as the caller, so nobody learns of
 * rows that are not theirs.  All moves are judged by one configuration, which
 * the queries that judging runs do not take away.
 */
Datum
crm_allowed_moves_of(PG_FUNCTION_ARGS)
{
	char	   *subject = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64		id = PG_GETARG_INT64(1);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ProcessColumns columns;
	TupleDesc	desc;
	HeapTuple	row;
	bool		isnull;
	int64		tenant = crm_current_tenant(&isnull);
	ProcessConfig *config;
	Stage	   *current;
	Pipeline   *pipeline;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("the current role has no tenant"),
				 errhint("Map the role to a user of a tenant: crm.users, column db_role.")));
	InitMaterializedSRF(fcinfo, 0);
	crm_connect();
	row = read_subject_row(subject, tenant, id, &desc);
	crm_process_find_columns(desc, subject, &columns);

	config = crm_process_config(tenant);
	pipeline = crm_process_pipeline(config, crm_process_int(row, desc, columns.pipeline_id, &isnull));
	current = crm_process_stage(config, crm_process_int(row, desc, columns.stage_id, &isnull));
	for (int i = 0; pipeline != NULL && i < pipeline->nstages; i++)
	{
		Stage	   *to = &pipeline->stages[i];
		Move		move;
		int			changed = columns.stage_id;
		Datum		stage;
		bool		stage_null = false;
		HeapTuple	wanted;

		if (to == current || !to->active)
			continue;
		stage = TupleDescAttr(desc, columns.stage_id - 1)->atttypid == INT4OID ?
			Int32GetDatum((int32) to->id) : Int64GetDatum(to->id);
		wanted = heap_modify_tuple_by_cols(row, desc, 1, &changed, &stage, &stage_null);
		crm_process_prepare(&move, config, subject, &columns, desc, row, wanted);
		put_move(rsinfo, &move);
	}
	crm_disconnect();
	return (Datum) 0;
}

/* ---- suspending the guard ---- */

static void
set_reason(const char *setting, const char *what, text *reason)
{
	char	   *given = text_to_cstring(reason);

	if (given[strspn(given, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs a reason", what),
				 errdetail("It is kept in the history of every row that is changed.")));
	if (crm_current_access() < CRM_ACCESS_ADMIN)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only an administrator of the CRM may call %s", what)));
	(void) set_config_option(setting, given, PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
}

PG_FUNCTION_INFO_V1(crm_bypass_guards);

/* crm.bypass_guards(reason): no guard is asked until the transaction ends */
Datum
crm_bypass_guards(PG_FUNCTION_ARGS)
{
	set_reason("crm.bypass_reason", "crm.bypass_guards()", PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_begin_history);

/* crm.begin_history(reason): rows keep the dates they are given as well */
Datum
crm_begin_history(PG_FUNCTION_ARGS)
{
	set_reason("crm.history_reason", "crm.begin_history()", PG_GETARG_TEXT_PP(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_end_history);

/* crm.end_history(): what follows in the transaction is of now again, and guarded */
Datum
crm_end_history(PG_FUNCTION_ARGS)
{
	if (crm_history_reason[0] != '\0')
		(void) set_config_option("crm.history_reason", "", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	PG_RETURN_VOID();
}
