/*
 * tenant.c
 *	  What a tenant's settings say of money and days, kept by each backend.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "people/tenant.h"

static CrmConfigWatch watch = {.table = "tenants"};
static MemoryContext tenants_context = NULL;
static HTAB *tenants = NULL;
static CrmTenant *last_used = NULL;
static uint64 read_at = 0;

static void
forget_old(void)
{
	uint64		generation = crm_config_generation(&watch);
	HASHCTL		ctl = {.keysize = sizeof(int64), .entrysize = sizeof(CrmTenant)};

	if (read_at == generation)
		return;
	last_used = NULL;
	read_at = 0;
	if (tenants_context)
		MemoryContextReset(tenants_context);
	else
		tenants_context = AllocSetContextCreate(TopMemoryContext, "crm tenants", ALLOCSET_SMALL_SIZES);
	ctl.hcxt = tenants_context;
	tenants = hash_create("crm tenants", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	read_at = generation;
}

/* The settings of a tenant, until the next command; NULL where there is none. */
const CrmTenant *
crm_tenant_settings(int64 id)
{
	static const Oid types[] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(id)};
	CrmTenant	fresh = {.tenant = id};
	CrmOwnerSwitch saved;
	bool		known;
	bool		isnull;

	forget_old();
	if (last_used && last_used->tenant == id)
		return last_used;
	last_used = hash_search(tenants, &id, HASH_FIND, NULL);
	if (last_used)
		return last_used;

	SPI_connect();
	crm_become(watch.owner, &saved);
	crm_read_config("SELECT t.base_currency::pg_catalog.text, t.time_zone FROM crm.tenants AS t"
					" WHERE t.tenant_id OPERATOR(pg_catalog.=) $1", 1, types, values);
	known = SPI_processed > 0;
	/* the reading itself may have brought news */
	forget_old();
	if (known)
	{
		MemoryContext old;

		strlcpy(fresh.base, TextDatumGetCString(crm_spi_value(0, 1, &isnull)), sizeof(fresh.base));
		old = MemoryContextSwitchTo(tenants_context);
		fresh.time_zone = PointerGetDatum(DatumGetTextPCopy(crm_spi_value(0, 2, &isnull)));
		MemoryContextSwitchTo(old);
	}
	crm_become_self(&saved);
	SPI_finish();
	if (!known)
		return NULL;
	last_used = hash_search(tenants, &id, HASH_ENTER, NULL);
	*last_used = fresh;
	return last_used;
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

/* crm.local_day(tenant_id, at) -> date */
Datum
crm_local_day(PG_FUNCTION_ARGS)
{
	const CrmTenant *tenant = crm_tenant_settings(PG_GETARG_INT64(0));

	if (tenant == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATEADT(crm_tenant_day(tenant, PG_GETARG_TIMESTAMPTZ(1)));
}
