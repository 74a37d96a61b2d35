/*
 * tree.c
 *	  Trees kept in a parent column have no circles.
 *
 * The check runs after the row is written and climbs from the new parent.
 * Two transactions could each write half of a circle and see nothing of the
 * other's half, so moving a row below another one holds a lock on the tree
 * (one table, one tenant) until the transaction ends, and the climb reads the
 * newest committed state whatever the isolation level.  New rows need no lock:
 * nobody else can refer to them yet.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define MAX_DEPTH 1000

static int64
bigint_column(HeapTuple tuple, TupleDesc desc, const char *name, bool *isnull)
{
	return DatumGetInt64(heap_getattr(tuple, crm_typed_column(desc, name, INT8OID), desc, isnull));
}

/* The quoted name of a table, of the whole one where it is a partition. */
static char *
whole_table(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);

	if (rel->rd_rel->relispartition)
		relid = llast_oid(get_partition_ancestors(relid));
	return crm_qualified_name(relid);
}

PG_FUNCTION_INFO_V1(crm_check_tree);

/*
 * crm.check_tree(table, column) -- AFTER INSERT OR UPDATE row trigger with the
 * names of the table and of the column that refers to the parent.
 */
Datum
crm_check_tree(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	CrmOwnerSwitch saved;
	StringInfoData chain;
	const char *table;
	const char *parent_column;
	char	   *sql;
	Oid			types[2] = {INT8OID, INT8OID};
	Datum		values[2];
	int64		id;
	int64		at;
	int64		tenant;
	bool		isnull;
	int			depth = 0;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || trigdata->tg_trigger->tgnargs != 2)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be an AFTER ROW trigger with two arguments",
						"crm.check_tree")));
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		return PointerGetDatum(NULL);

	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	table = trigdata->tg_trigger->tgargs[0];
	parent_column = trigdata->tg_trigger->tgargs[1];
	at = bigint_column(tuple, desc, parent_column, &isnull);
	if (isnull)
		return PointerGetDatum(NULL);
	id = bigint_column(tuple, desc, "id", &isnull);
	tenant = bigint_column(tuple, desc, "tenant_id", &isnull);

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		LockDatabaseObject(RelationGetRelid(trigdata->tg_relation),
						   murmurhash32((uint32) tenant ^ (uint32) (tenant >> 32)),
						   0, ExclusiveLock);

	initStringInfo(&chain);
	appendStringInfo(&chain, INT64_FORMAT, id);
	sql = psprintf("SELECT t.%s FROM %s AS t WHERE t.tenant_id = $1 AND t.id = $2",
				   quote_identifier(parent_column), whole_table(trigdata->tg_relation));
	values[0] = Int64GetDatum(tenant);

	crm_connect_as(crm_table_owner(RelationGetRelid(trigdata->tg_relation)), &saved);
	CommandCounterIncrement();
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (depth < 10 || at == id)
			appendStringInfo(&chain, " below " INT64_FORMAT, at);
		else if (depth == 10)
			appendStringInfoString(&chain, " below ...");
		if (at == id)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_CIRCULAR_TREE),
					 errmsg("row " INT64_FORMAT " of table \"%s\" would stand below itself", id, table),
					 errdetail("By column \"%s\": %s.", parent_column, chain.data),
					 errhint("Move one of these rows elsewhere first."),
					 errtable(trigdata->tg_relation)));
		if (++depth > MAX_DEPTH)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_CIRCULAR_TREE),
					 errmsg("tree in column \"%s\" of table \"%s\" is circular or deeper than %d",
							parent_column, table, MAX_DEPTH),
					 errdetail("Reached row " INT64_FORMAT " on the way up from row " INT64_FORMAT ".", at, id),
					 errhint("Look at the rows named, and give one of them another parent.")));
		values[1] = Int64GetDatum(at);
		crm_read_newest(sql, 2, types, values, 1);
		/* a parent that is not there is the foreign key's matter */
		if (SPI_processed == 0)
			break;
		at = DatumGetInt64(crm_spi_value(0, 1, &isnull));
		SPI_freetuptable(SPI_tuptable);
		if (isnull)
			break;
	}
	crm_disconnect_self(&saved);
	return PointerGetDatum(NULL);
}
