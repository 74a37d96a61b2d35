/*
 * identity.c
 *	  Who is asking: the tenant and the CRM user of the current transaction.
 */
#include "crm.h"

#include "utils/builtins.h"

/*
 * The tenant all rows of this statement belong to; null where the role has
 * none.
 */
int64
crm_current_tenant(bool *isnull)
{
	*isnull = false;
	if (crm_tenant_setting != NULL && crm_tenant_setting[0] != '\0')
		return pg_strtoint64(crm_tenant_setting);
	return 1;
}

int64
crm_current_user(bool *isnull)
{
	*isnull = true;
	return 0;
}

PG_FUNCTION_INFO_V1(crm_tenant_id);

Datum
crm_tenant_id(PG_FUNCTION_ARGS)
{
	bool		isnull;
	int64		tenant = crm_current_tenant(&isnull);

	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tenant);
}

PG_FUNCTION_INFO_V1(crm_user_id);

Datum
crm_user_id(PG_FUNCTION_ARGS)
{
	bool		isnull;
	int64		user = crm_current_user(&isnull);

	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_INT64(user);
}

PG_FUNCTION_INFO_V1(crm_tenant_country);

Datum
crm_tenant_country(PG_FUNCTION_ARGS)
{
	PG_RETURN_NULL();
}
