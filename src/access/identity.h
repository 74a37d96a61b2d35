/*
 * identity.h (public)
 *	  Who the caller is, and what their level allows.
 */
#ifndef CRM_IDENTITY_H
#define CRM_IDENTITY_H

#include "base/crm.h"

typedef enum CrmAccess
{
	CRM_ACCESS_NONE,
	CRM_ACCESS_READER,
	CRM_ACCESS_AGENT,
	CRM_ACCESS_MANAGER,
	CRM_ACCESS_ADMIN
} CrmAccess;

extern CrmAccess crm_current_access(void);
extern const char *crm_current_country(void);
extern const char *crm_access_name(CrmAccess access);
extern int64 crm_current_tenant(bool *isnull);
extern bool crm_knows_tenant(int64 tenant);
extern int64 crm_current_user(bool *isnull);
extern Oid	crm_current_role(void);
extern uint64 crm_identity_serial(void);

#endif							/* CRM_IDENTITY_H */
