/*
 * tenant.h (public)
 *	  Settings of tenants that backends keep.
 */
#ifndef CRM_TENANT_H
#define CRM_TENANT_H

#include "base/crm.h"

typedef struct CrmTenant
{
	int64		tenant;
	char		base[4];		/* currency */
	char		country[3];		/* empty: none */
	Datum		time_zone;		/* text */
} CrmTenant;

extern const CrmTenant *crm_tenant_settings(int64 id);
extern DateADT crm_tenant_day(const CrmTenant *tenant, TimestampTz at);

#endif							/* CRM_TENANT_H */
