/*
 * tenant.c
 *	  A tenant's settings of money and days, kept by each backend.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "access/identity.h"
#include "people/tenant.h"

static void *
build_settings(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID};
	int64		id = *(const int64 *) key;
	Datum		values[1] = {Int64GetDatum(id)};
	CrmTenant  *tenant;
	text	   *zone;
	Datum		country;
	bool		isnull;

	crm_read_config("SELECT t.base_currency::pg_catalog.text, t.time_zone,"
					" t.country::pg_catalog.text FROM crm.tenants AS t"
					" WHERE t.tenant_id OPERATOR(pg_catalog.=) $1", 1, types, values);
	if (SPI_processed == 0)
		return NULL;
	tenant = MemoryContextAllocZero(context, sizeof(CrmTenant));
	tenant->tenant = id;
	strlcpy(tenant->base, TextDatumGetCString(crm_spi_value(0, 1, &isnull)), sizeof(tenant->base));
	zone = DatumGetTextPP(crm_spi_value(0, 2, &isnull));
	tenant->time_zone = PointerGetDatum(MemoryContextAlloc(context, VARSIZE_ANY(zone)));
	memcpy(DatumGetPointer(tenant->time_zone), zone, VARSIZE_ANY(zone));
	country = crm_spi_value(0, 3, &isnull);
	if (!isnull)
		strlcpy(tenant->country, TextDatumGetCString(country), sizeof(tenant->country));
	return tenant;
}

static CrmKept settings = {
	.what = "settings of tenants",
	.tables = {"tenants"},
	.build = build_settings,
};

/* The settings of a tenant, as long as the current memory context; NULL where there is none. */
const CrmTenant *
crm_tenant_settings(int64 id)
{
	return crm_kept(&settings, &id, sizeof(id));
}

/* The day of an instant in the zone of a tenant. */
DateADT
crm_tenant_day(const CrmTenant *tenant, TimestampTz at)
{
	return DatumGetDateADT(DirectFunctionCall1(timestamp_date,
											   DirectFunctionCall2(timestamptz_zone, tenant->time_zone,
																   TimestampTzGetDatum(at))));
}

PG_FUNCTION_INFO_V1(crm_local_day);

/*
 * crm.local_day(tenant_id, at) -> date
 *
 * The day in the zone of another company would tell its zone: whoever may know
 * nothing of a company is told that there is none.
 */
Datum
crm_local_day(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	/* rows by the thousand ask for it, and nothing is run while it is looked at */
	const CrmTenant *tenant = crm_kept_peek(&settings, &id, sizeof(id));

	if (tenant == NULL || !crm_knows_tenant(id))
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(crm_tenant_day(tenant, PG_GETARG_TIMESTAMPTZ(1)));
}
