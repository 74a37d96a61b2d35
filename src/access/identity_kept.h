/*
 * identity_kept.h
 *	  What is kept of somebody who asks, for the files of this room.
 */
#ifndef CRM_IDENTITY_KEPT_H
#define CRM_IDENTITY_KEPT_H

#include "access/identity.h"

/* What identities are found by. */
typedef struct IdentityKey
{
	Oid			role;
	int64		tenant;			/* of the setting, where it is set; else 0 */
	int64		acting_tenant;	/* of crm.act_as() by this role; else 0 */
	int64		acting_user;
	int64		acting_scope;	/* of a token; else 0 */
} IdentityKey;

typedef struct Identity
{
	IdentityKey key;
	uint64		serial;			/* no two identities of a backend have the same */
	bool		obeys_setting;	/* crm.tenant decides about the tenant */
	bool		application;	/* is whom it acts as, and else nobody */
	bool		acts;			/* and acts as a user it may act as */
	bool		tokens_only;	/* by a token alone */
	TimestampTz tokens_after;	/* tokens of the user issued until then are revoked */
	int			napplications;	/* tenants it may act in */
	bool		has_tenant;
	bool		has_user;
	bool		sees_all;		/* every row of the tenant */
	int64		tenant;
	int64		user;
	CrmAccess	access;
	char		country[3];		/* of the tenant, or "" */
	int64	   *owners;			/* whose rows are seen, besides the own; sorted */
	int			nowners;
	int64	   *led;			/* teams led, with all below them; sorted */
	int			nled;
	int64	   *teams;			/* the same, and teams of which a member; sorted */
	int			nteams;
	TimestampTz until;			/* a membership begins or ends here */
} Identity;

extern const Identity *crm_current_identity(void);
extern const Identity *crm_identity_of(Oid role, const CrmActing *acting);
pg_noreturn extern void crm_acts_as_nobody(Oid role);
extern void crm_check_acting(const Identity *who);
extern const Identity *crm_begin_acting(const CrmActing *acting);
extern int	crm_compare_ids(const void *a, const void *b);
extern Datum crm_ids_array(const int64 *ids, int n);

#endif							/* CRM_IDENTITY_KEPT_H */
