/*
 * registry_ddl.c
 *	  What becomes of registered tables when somebody changes them.
 *
 * A column that goes by CASCADE takes the triggers along that look at it, and
 * from then on history ends without a word; statement triggers are not passed
 * on to partitions.  So an event trigger looks at such commands.  What is wrong
 * is decided by crm_internal.follow_ddl(), which runs as the owner of the CRM;
 * triggers are put anew as the owner of the table, and nothing runs with the
 * rights of whoever gave the command, who may be a superuser.  REASSIGN OWNED
 * and REVOKE fire no event trigger: crm.health() tells of what they did, and
 * crm.subject_relation() does not find such a table.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "commands/extension.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

/* What a command may have done to a registered table. */
typedef struct Change
{
	bool		watched;		/* anything that follow_ddl() judges */
	bool		again;			/* triggers are to be put anew */
	bool		owner;			/* a table has another owner */
	const char *renamed;		/* what a column was called */
} Change;

static Change
change_of(Node *command)
{
	Change		change = {false, false, false, NULL};
	ListCell   *cell;

	if (IsA(command, RenameStmt) && ((RenameStmt *) command)->renameType == OBJECT_COLUMN)
	{
		change.renamed = ((RenameStmt *) command)->subname;
		change.again = true;
	}
	else if (IsA(command, CreateStmt))
		change.again = ((CreateStmt *) command)->partbound != NULL;
	else if (IsA(command, AlterTableStmt))
		foreach(cell, ((AlterTableStmt *) command)->cmds)
		{
			AlterTableType type = lfirst_node(AlterTableCmd, cell)->subtype;

			change.owner |= type == AT_ChangeOwner;
			change.again |= type == AT_DropColumn || type == AT_AttachPartition;
		}
	change.watched = change.again || change.owner;
	return change;
}

/* Judge the command; the tables whose triggers are to be put anew. */
static List *
follow_ddl(bool dropped, const Change *change, Oid registry)
{
	Oid			types[4] = {BOOLOID, BOOLOID, BOOLOID, TEXTOID};
	Datum		values[4] = {BoolGetDatum(dropped), BoolGetDatum(change->owner),
	BoolGetDatum(change->again), (Datum) 0};
	char		nulls[5] = "   n";
	MemoryContext mine = CurrentMemoryContext;
	CrmOwnerSwitch saved;
	List	   *tables = NIL;

	crm_connect_as(crm_table_owner(registry), &saved);
	if (change->renamed != NULL)
	{
		values[3] = CStringGetTextDatum(change->renamed);
		nulls[3] = ' ';
	}
	/* not read_only: what the command has done must be seen */
	crm_execute("SELECT t.relation::pg_catalog.oid FROM crm_internal.follow_ddl($1, $2, $3, $4) AS t",
				4, types, values, nulls, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Oid			table = DatumGetObjectId(crm_spi_value(i, 1, &isnull));
		MemoryContext old = MemoryContextSwitchTo(mine);

		tables = lappend_oid(tables, table);
		MemoryContextSwitchTo(old);
	}
	crm_disconnect_self(&saved);
	return tables;
}

/* What an event trigger is told; an error for whoever calls its function otherwise. */
EventTriggerData *
crm_event_trigger_data(FunctionCallInfo fcinfo, const char *function)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by the event trigger manager",
						function)));
	return (EventTriggerData *) fcinfo->context;
}

PG_FUNCTION_INFO_V1(crm_registry_ddl);

/* crm.registry_ddl() -- event trigger */
Datum
crm_registry_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = crm_event_trigger_data(fcinfo, "crm.registry_ddl");
	Oid			registry = crm_table_oid("registry", true);
	Change		change = {true, false, false, NULL};
	bool		dropped;
	bool		pushed;
	ListCell   *cell;
	List	   *tables;

	dropped = strcmp(data->event, "sql_drop") == 0;
	if (!dropped)
		change = change_of(data->parsetree);
	/* our own scripts say themselves what tables are; their last step puts everything on */
	if (!change.watched || !OidIsValid(registry) || creating_extension || crm_installing())
		PG_RETURN_NULL();

	/* DETACH PARTITION CONCURRENTLY ends in a transaction that has none yet */
	pushed = crm_push_snapshot();
	tables = follow_ddl(dropped, &change, registry);
	foreach(cell, tables)
	{
		Oid			types[1] = {REGCLASSOID};
		Datum		values[1] = {ObjectIdGetDatum(lfirst_oid(cell))};
		CrmOwnerSwitch saved;

		crm_connect_as(crm_table_owner(lfirst_oid(cell)), &saved);
		crm_execute("SELECT crm_internal.apply_table($1)", 1, types, values, NULL, false, 0);
		crm_disconnect_self(&saved);
	}
	if (pushed)
		PopActiveSnapshot();
	PG_RETURN_NULL();
}
