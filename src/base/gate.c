/*
 * gate.c
 *	  Triggers that have nothing to do for most statements, and say so cheaply.
 *
 * A trigger in PL/pgSQL costs 20 to 80 microseconds before it finds that no
 * column of its interest was changed, and a WHEN some ten, as the server reads
 * the condition from the catalogs anew for each statement.  A gate is a trigger
 * in C that looks at the rows and calls the other one only where it must.
 */
#include "base/crm.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(crm_if_changed);

/*
 * Call a trigger function for the trigger at hand, whose first arguments are
 * left out.  The name is that of a function of schema crm_internal, or begins with
 * "crm.".  Who makes a trigger needs the right to execute its function; a gate may be
 * executed by nobody but owners, so nobody reaches a function by it.
 */
Datum
crm_call_trigger(FunctionCallInfo fcinfo, const char *function, int arguments)
{
	TriggerData trigdata = *(TriggerData *) fcinfo->context;
	Trigger		trigger = *trigdata.tg_trigger;
	bool		outside = strncmp(function, "crm.", 4) == 0;
	Oid			schema = get_namespace_oid(outside ? "crm" : "crm_internal", true);
	oidvector  *none = buildoidvector(NULL, 0);
	const char *name = outside ? function + 4 : function;
	HeapTuple	proc = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(name),
									   PointerGetDatum(none), ObjectIdGetDatum(schema));
	FmgrInfo	flinfo;
	LOCAL_FCINFO(call, 0);
	Datum		result;

	if (!HeapTupleIsValid(proc) || ((Form_pg_proc) GETSTRUCT(proc))->prorettype != TRIGGEROID)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("trigger \"%s\" finds no trigger function \"%s\"", trigger.tgname, function),
				 errhint("SELECT crm.install() makes the functions and triggers of the CRM anew.")));
	fmgr_info(((Form_pg_proc) GETSTRUCT(proc))->oid, &flinfo);
	ReleaseSysCache(proc);
	trigger.tgargs += arguments;
	trigger.tgnargs -= arguments;
	trigdata.tg_trigger = &trigger;
	InitFunctionCallInfoData(*call, &flinfo, 0, InvalidOid, (Node *) &trigdata, NULL);
	result = FunctionCallInvoke(call);
	fcinfo->isnull = call->isnull;
	return result;
}

/* Whether a list "a,b,c" holds a name. */
static bool
column_listed(const char *list, const char *name)
{
	Size		len = strlen(name);

	for (const char *at = list; (at = strstr(at, name)) != NULL; at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

/* Whether two versions of a row differ in a column that counts. */
static bool
rows_differ(TupleTableSlot *before, TupleTableSlot *after, const char *columns)
{
	TupleDesc	desc = before->tts_tupleDescriptor;
	bool		all_but = columns[0] == '-';

	slot_getallattrs(before);
	slot_getallattrs(after);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped ||
			crm_same_value(att, before->tts_values[i], before->tts_isnull[i],
						   after->tts_values[i], after->tts_isnull[i]))
			continue;
		if (column_listed(columns + all_but, NameStr(att->attname)) != all_but)
			return true;
	}
	return false;
}

/* The same for the rows of a statement, of which old and new ones are kept in one order. */
static bool
statement_differs(TriggerData *trigdata, const char *columns)
{
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	TupleTableSlot *before = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *after = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	Tuplestorestate *stores[] = {trigdata->tg_oldtable, trigdata->tg_newtable};
	bool		differs = false;

	for (int i = 0; i < lengthof(stores); i++)
	{
		int			reader = tuplestore_alloc_read_pointer(stores[i], EXEC_FLAG_REWIND);

		tuplestore_select_read_pointer(stores[i], reader);
		tuplestore_rescan(stores[i]);
	}
	while (!differs && tuplestore_gettupleslot(stores[0], true, false, before))
		differs = !tuplestore_gettupleslot(stores[1], true, false, after) ||
			rows_differ(before, after, columns);
	ExecDropSingleTupleTableSlot(before);
	ExecDropSingleTupleTableSlot(after);
	return differs;
}

/*
 * crm.if_changed('function', 'columns', ...) -- calls a trigger function where one
 * of the columns was changed; '-a,b': one other than those
 */
Datum
crm_if_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	const char *columns;
	bool		row;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigdata->tg_trigger->tgnargs < 2 ||
		(TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		 TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) &&
		 (trigdata->tg_oldtable == NULL || trigdata->tg_newtable == NULL)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.if_changed() must be a trigger with a function and columns, for each row or with tables of old and new rows"),
				 errhint("SELECT crm.install() makes the triggers of the CRM anew.")));
	columns = trigdata->tg_trigger->tgargs[1];
	row = TRIGGER_FIRED_FOR_ROW(trigdata->tg_event);
	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ||
		(row ? rows_differ(trigdata->tg_trigslot, trigdata->tg_newslot, columns) :
		 statement_differs(trigdata, columns)))
		return crm_call_trigger(fcinfo, trigdata->tg_trigger->tgargs[0], 2);
	return PointerGetDatum(row ? trigdata->tg_newtuple : NULL);
}
