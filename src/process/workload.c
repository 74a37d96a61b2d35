/*
 * workload.c
 *	  crm.workload(): the open work of people.
 *
 * What counts as work is asked over as many tables as are registered for it,
 * and whenever a record is given out.  The query's text is made by SQL
 * (crm_internal.workload_sql()) from the registry and the columns of those
 * tables; the text is kept until one of them changes, and its plan with it.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

static void *
build_workload_query(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(key)};
	bool		isnull;
	Datum		made;

	crm_read_config("SELECT w.relation FROM crm_internal.workload_tables($1) AS w", 1, types, values);
	for (uint64 i = 0; i < SPI_processed; i++)
		crm_kept_depends(DatumGetObjectId(crm_spi_value(i, 1, &isnull)));
	crm_read_config("SELECT crm_internal.workload_sql($1)", 1, types, values);
	made = crm_spi_value(0, 1, &isnull);
	/* no table is registered for it: there is no work */
	if (isnull)
		return MemoryContextStrdup(context, "");
	return MemoryContextStrdup(context, TextDatumGetCString(made));
}

static CrmKept kept_queries = {
	.what = "queries for the work of people",
	.tables = {"registry"},
	.build = build_workload_query,
};

PG_FUNCTION_INFO_V1(crm_workload);

/* crm.workload(tenant_id, subject_table, owner_ids, weight) */
Datum
crm_workload(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	static const Oid types[] = {INT8OID, INT8ARRAYOID, NUMERICOID};
	Datum		values[3];
	const char *subject;
	const char *query;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return (Datum) 0;
	subject = text_to_cstring(PG_GETARG_TEXT_PP(1));
	values[0] = PG_GETARG_DATUM(0);
	values[1] = PG_GETARG_DATUM(2);
	values[2] = PG_GETARG_DATUM(3);
	query = crm_kept(&kept_queries, subject, strlen(subject) + 1);
	if (query[0] == '\0')
		return (Datum) 0;

	crm_connect();
	crm_execute_variant(query, 3, types, values, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		row[2];
		bool		nulls[2];

		for (int j = 0; j < 2; j++)
			row[j] = crm_spi_value(i, j + 1, &nulls[j]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, nulls);
	}
	crm_disconnect();
	return (Datum) 0;
}
