/*
 * locks.c
 *	  A lock of one's own company, for what runs with the rights of its caller.
 *	  With a key it is crm_hold_key(): there may be any number of them.
 */
#include "base/crm.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "access/identity.h"

PG_FUNCTION_INFO_V1(crm_lock_own);

/* crm.lock_own(what, tenant_id, key) -- waits for it */
Datum
crm_lock_own(PG_FUNCTION_ARGS)
{
	int64		tenant = PG_GETARG_INT64(1);
	const char *what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	const char *key = text_to_cstring(PG_GETARG_TEXT_PP(2));
	bool		isnull;

	if (!has_privs_of_role(GetUserId(), crm_table_owner(crm_table_oid("installation", false))) &&
		(crm_current_tenant(&isnull) != tenant || isnull))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only the owner of the CRM takes locks of other tenants")));
	if (*key == '\0')
		(void) crm_take_lock(what, tenant, "", false, true);
	else
		crm_hold_key(what, tenant, key);
	PG_RETURN_VOID();
}
