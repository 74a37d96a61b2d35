/*
 * keys.h
 *	  The keeper of the keys: what others of this room may ask of it.
 */
#ifndef CRM_KEYS_H
#define CRM_KEYS_H

#include "base/crm.h"

#include "access/keyfile.h"

/* What a key is derived for; each has keys of its own. */
typedef enum CrmKeyPurpose
{
	CRM_KEY_SEAL,				/* of a tenant: its values */
	CRM_KEY_TAG,				/* of a tenant: by which its values are compared */
	CRM_KEY_SESSION,			/* of a tenant: tokens of its users */
	CRM_KEY_AUDIT				/* of a tenant: seals of its log of changes */
} CrmKeyPurpose;

extern uint32 crm_current_key(void);
extern bool crm_key_is_known(uint32 id);
extern const unsigned char *crm_derived_key(CrmKeyPurpose purpose, uint32 id, int64 tenant);
pg_noreturn extern void crm_key_missing(uint32 id);
extern int	crm_tell_nothing(void);

#endif							/* CRM_KEYS_H */
