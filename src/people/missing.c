/*
 * missing.c
 *	  crm.fill_missing(): a value nobody gave comes from where the record stands.
 *
 * The currency of an amount and the country of a telephone number are asked of
 * the records a row refers to, in the order its table's registration gives
 * (option missing), and at last of its tenant.  They never come from a
 * constant: a company that works in euros must not find dollars in its books.
 *
 * The queries are arguments of the trigger, made when it is put on the table,
 * so that nothing of the catalogue is looked at while rows are written.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "access/identity.h"
#include "people/tenant.h"

/* What the record says that a column refers to; NULL: nothing. */
static char *
value_of_record(Relation rel, const char *sql, int64 tenant, Datum id)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		values[2] = {Int64GetDatum(tenant), id};
	MemoryContext outside = CurrentMemoryContext;
	CrmOwnerSwitch saved;
	char	   *answer = NULL;

	/* as the owner: what a row means must not depend on what its writer sees */
	crm_connect_as(rel->rd_rel->relowner, &saved);
	crm_execute_variant(sql, 2, types, values, NULL, true, 1);
	if (SPI_processed > 0)
	{
		char	   *found = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (found != NULL)
			answer = MemoryContextStrdup(outside, found);
	}
	crm_disconnect_self(&saved);
	return answer;
}

/* What the tenant says; NULL: nothing. */
static const char *
value_of_tenant(const char *column, int64 tenant)
{
	const CrmTenant *settings = crm_tenant_settings(tenant);

	if (settings == NULL)
		return NULL;
	if (strcmp(column, "currency") == 0)
		return settings->base;
	return settings->country[0] != '\0' ? settings->country : NULL;
}

PG_FUNCTION_INFO_V1(crm_fill_missing);

/*
 * crm.fill_missing(column, [column of a reference, query] ...) -- BEFORE INSERT
 * OR UPDATE row trigger.
 */
Datum
crm_fill_missing(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Trigger    *trigger;
	HeapTuple	tuple;
	TupleDesc	desc;
	const char *answer = NULL;
	Datum		tenant;
	Datum		value;
	int			attnum;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || trigdata->tg_trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be a BEFORE ROW trigger with the name of a column",
						"crm.fill_missing")));
	trigger = trigdata->tg_trigger;
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	attnum = crm_column_number(desc, trigger->tgargs[0]);
	tenant = heap_getattr(tuple, crm_typed_column(desc, "tenant_id", INT8OID), desc, &isnull);
	if (isnull || attnum == 0)
		return PointerGetDatum(tuple);

	for (int i = 1; i + 1 < trigger->tgnargs && answer == NULL; i += 2)
	{
		int			reference = crm_column_number(desc, trigger->tgargs[i]);

		if (reference == 0)
			continue;
		value = heap_getattr(tuple, reference, desc, &isnull);
		if (!isnull)
			answer = value_of_record(trigdata->tg_relation, trigger->tgargs[i + 1],
									 DatumGetInt64(tenant), value);
	}
	if (answer == NULL)
		answer = value_of_tenant(trigger->tgargs[0], DatumGetInt64(tenant));
	if (answer == NULL)
		return PointerGetDatum(tuple);	/* the column's own constraint speaks */

	if (TupleDescAttr(desc, attnum - 1)->atttypid == BPCHAROID)
		value = DirectFunctionCall3(bpcharin, CStringGetDatum(answer), ObjectIdGetDatum(InvalidOid),
									Int32GetDatum(-1));
	else
		value = CStringGetTextDatum(answer);
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, desc, 1, &attnum, &value, &isnull));
}
