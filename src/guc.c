/*
 * guc.c
 *	  Every setting of the extension, in alphabetical order.
 */
#include "crm.h"

#include "utils/guc.h"

char	   *crm_tenant_setting = NULL;

void
crm_guc_init(void)
{
	DefineCustomStringVariable("crm.tenant",
							   "Tenant that a role without a tenant of its own works for.",
							   "The id of a row of crm.tenants. Obeyed only for roles that own the CRM; "
							   "everybody else has the tenant of the CRM user they are.",
							   &crm_tenant_setting,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);

	MarkGUCPrefixReserved("crm");
}
