/*
 * identity.c
 *	  Who is asking, and what they may see: the tenant, the CRM user and the
 *	  access level behind the current role.
 *
 * A role is a CRM user where crm.users.db_role names it, or works at a level
 * where crm.grant_access() gave it one; the owner of the CRM works for the
 * tenant in the setting crm.tenant.  The role of an application is nobody
 * until crm.act_as() says in a transaction which user is served (acting.c):
 * before that every question who is asking is an error.  What follows from that (whose rows, which
 * teams) is compiled once per role and backend out of users, teams and
 * memberships, so that a policy costs a look into two sorted arrays and never
 * a query.  It is kept (see kept.c) until one of these tables or a role changes,
 * or a period of membership begins or ends.
 *
 * The role is the one the session acts as: SET ROLE counts, the owner of a
 * SECURITY DEFINER function does not.  In a security-restricted operation, for
 * instance while somebody with more rights maintains another one's index, the
 * role is the one whose code is running, or that code could see with the
 * other's eyes.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "access/identity_kept.h"

static const char *const access_names[] = {"none", "reader", "agent", "manager", "admin"};

const char *
crm_access_name(CrmAccess access)
{
	return access_names[access];
}

/* The level of a name; CRM_ACCESS_NONE where there is no such level. */
static CrmAccess
level_of_access(const char *name)
{
	for (int i = CRM_ACCESS_READER; i <= CRM_ACCESS_ADMIN; i++)
		if (strcmp(name, access_names[i]) == 0)
			return (CrmAccess) i;
	return CRM_ACCESS_NONE;
}

int
crm_compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/* The first column of the last result, sorted. */
static int64 *
sorted_ids(int *n, MemoryContext context)
{
	int64	   *ids = MemoryContextAlloc(context, sizeof(int64) * Max(SPI_processed, 1));
	bool		isnull;

	*n = (int) SPI_processed;
	for (int i = 0; i < *n; i++)
		ids[i] = DatumGetInt64(crm_spi_value(i, 1, &isnull));
	if (*n > 1)
		qsort(ids, *n, sizeof(int64), crm_compare_ids);
	return ids;
}

/* A list of ids as an array, in the current memory context. */
Datum
crm_ids_array(const int64 *ids, int n)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, 8, FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/* Which teams somebody belongs to and leads, and who is in these. */
static void
compile_teams(Identity *who, MemoryContext context)
{
	Oid			types[4] = {INT8OID, INT8OID, TIMESTAMPTZOID, INT8ARRAYOID};
	Datum		values[4];
	bool		isnull;

	values[0] = Int64GetDatum(who->tenant);
	values[1] = Int64GetDatum(who->user);
	values[2] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());

	/* UNION ends the walk even where a circle got past its trigger */
	crm_read_config("WITH RECURSIVE led AS ("
					" SELECT t.id FROM crm.teams AS t WHERE t.tenant_id = $1 AND t.lead_id = $2"
					" UNION"
					" SELECT t.id FROM crm.teams AS t JOIN led AS l ON t.parent_id OPERATOR(pg_catalog.=) l.id"
					" WHERE t.tenant_id = $1)"
					" SELECT l.id FROM led AS l", 2, types, values);
	who->led = sorted_ids(&who->nled, context);
	values[3] = crm_ids_array(who->led, who->nled);

	if (who->nled > 0)
	{
		crm_read_config("SELECT m.user_id FROM crm.team_memberships AS m"
						" WHERE m.tenant_id = $1 AND m.team_id = ANY ($4) AND m.user_id <> $2"
						" AND m.valid OPERATOR(pg_catalog.@>) $3"
						" UNION SELECT t.lead_id FROM crm.teams AS t"
						" WHERE t.tenant_id = $1 AND t.id = ANY ($4) AND t.lead_id <> $2",
						4, types, values);
		who->owners = sorted_ids(&who->nowners, context);
	}

	crm_read_config("SELECT m.team_id FROM crm.team_memberships AS m"
					" WHERE m.tenant_id = $1 AND m.user_id = $2 AND m.valid OPERATOR(pg_catalog.@>) $3"
					" UNION SELECT pg_catalog.unnest($4)", 4, types, values);
	who->teams = sorted_ids(&who->nteams, context);

	crm_read_config("SELECT pg_catalog.min(b.at) FROM crm.team_memberships AS m,"
					" LATERAL (VALUES (pg_catalog.lower(m.valid)), (pg_catalog.upper(m.valid))) AS b (at)"
					" WHERE m.tenant_id = $1 AND (m.user_id = $2 OR m.team_id = ANY ($4))"
					" AND b.at > $3", 4, types, values);
	if (SPI_processed == 1)
	{
		Datum		at = crm_spi_value(0, 1, &isnull);

		if (!isnull)
			who->until = DatumGetTimestampTz(at);
	}
}

/* Be a user of a tenant, at this level. */
static void
become_user(Identity *who, int64 tenant, int64 user, CrmAccess access, MemoryContext context)
{
	who->has_tenant = who->has_user = true;
	who->tenant = tenant;
	who->user = user;
	who->access = access;
	who->sees_all = access >= CRM_ACCESS_MANAGER;
	if (!who->sees_all)
		compile_teams(who, context);
}

/*
 * The role of an application: by a grant of its own, or else through a group.
 * Nothing else that it was granted, or inherits, counts.
 */
static void
compile_application(Identity *who, bool through_groups, MemoryContext context)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		values[2];
	bool		isnull;
	CrmAccess	highest = CRM_ACCESS_NONE;

	crm_read_config("SELECT g.db_role, g.acts_up_to, g.tenant_id, g.tokens_only FROM crm.access_grants AS g"
					" WHERE g.access = 'application'", 0, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Name		name = DatumGetName(crm_spi_value(i, 1, &isnull));
		CrmAccess	level = level_of_access(TextDatumGetCString(crm_spi_value(i, 2, &isnull)));
		int64		tenant = DatumGetInt64(crm_spi_value(i, 3, &isnull));
		Oid			granted = get_role_oid(NameStr(*name), true);

		if (!OidIsValid(granted) ||
			(granted != who->key.role &&
			 !(through_groups && has_privs_of_role(who->key.role, granted))))
			continue;
		who->application = true;
		if (who->napplications == 0 || who->tenant != tenant)
			who->napplications++;
		who->tenant = tenant;
		if (tenant == who->key.acting_tenant)
		{
			highest = Max(highest, level);
			who->tokens_only |= DatumGetBool(crm_spi_value(i, 4, &isnull));
		}
	}
	if (who->key.acting_user == 0 || highest == CRM_ACCESS_NONE ||
		(who->tokens_only && who->key.acting_scope == 0))
		return;

	values[0] = Int64GetDatum(who->key.acting_tenant);
	values[1] = Int64GetDatum(who->key.acting_user);
	crm_read_config("SELECT u.access FROM crm.users AS u"
					" WHERE u.tenant_id = $1 AND u.id = $2 AND u.active", 2, types, values);
	if (SPI_processed != 1)
		return;
	who->acts = true;
	highest = Min(highest, level_of_access(TextDatumGetCString(crm_spi_value(0, 1, &isnull))));
	if (who->key.acting_scope >> CRM_ACTS_LEVEL_SHIFT != CRM_ACCESS_NONE)
		highest = Min(highest, (CrmAccess) (who->key.acting_scope >> CRM_ACTS_LEVEL_SHIFT));
	become_user(who, who->key.acting_tenant, who->key.acting_user, highest, context);
	/* who only reads sees as much as ever, and writes as a reader does: nothing */
	if (who->key.acting_scope & CRM_ACTS_READ_ONLY)
		who->access = Min(who->access, CRM_ACCESS_READER);

	crm_read_config("SELECT r.revoked_before FROM crm.token_revocations AS r"
					" WHERE r.tenant_id = $1 AND r.user_id = $2", 2, types, values);
	if (SPI_processed == 1)
		who->tokens_after = DatumGetTimestampTz(crm_spi_value(0, 1, &isnull));
}

/* The level a role that is no user was granted, itself or through a group. */
static void
compile_granted(Identity *who)
{
	bool		isnull;

	/* the role of a user who is gone has no rights: nobody in particular would have more */
	crm_read_config("SELECT g.db_role, g.access, g.tenant_id FROM crm.access_grants AS g"
					" WHERE g.user_id IS NULL AND g.access <> 'application'", 0, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Name		name = DatumGetName(crm_spi_value(i, 1, &isnull));
		char	   *level = TextDatumGetCString(crm_spi_value(i, 2, &isnull));
		int64		tenant = DatumGetInt64(crm_spi_value(i, 3, &isnull));
		Oid			granted = get_role_oid(NameStr(*name), true);

		if (!OidIsValid(granted) || !has_privs_of_role(who->key.role, granted))
			continue;
		/* two tenants at once: none, rather than the wrong one */
		if (who->access != CRM_ACCESS_NONE && who->tenant != tenant)
		{
			who->access = CRM_ACCESS_NONE;
			who->has_tenant = false;
			return;
		}
		who->has_tenant = true;
		who->tenant = tenant;
		who->access = Max(who->access, level_of_access(level));
	}
	/* reports of a role that is nobody are about the whole company */
	who->sees_all = who->access != CRM_ACCESS_NONE && who->access != CRM_ACCESS_AGENT;
}

/* The user that a role is. */
static void
read_user(Oid role)
{
	static const Oid types[] = {NAMEOID};
	Datum		values[1];
	NameData	name;

	namestrcpy(&name, GetUserNameFromId(role, false));
	values[0] = NameGetDatum(&name);
	crm_read_config("SELECT u.tenant_id, u.id, u.access, u.active FROM crm.users AS u"
					" WHERE u.db_role = $1", 1, types, values);
}

/* The owner of the CRM works for the tenant in the setting, or for the only one. */
static void
compile_owner(Identity *who)
{
	bool		isnull;

	who->obeys_setting = true;
	who->access = CRM_ACCESS_ADMIN;
	who->sees_all = true;
	crm_read_config("SELECT pg_catalog.min(t.tenant_id), pg_catalog.count(*) FROM crm.tenants AS t",
					0, NULL, NULL);
	if (DatumGetInt64(crm_spi_value(0, 2, &isnull)) == 1)
	{
		who->has_tenant = true;
		who->tenant = DatumGetInt64(crm_spi_value(0, 1, &isnull));
	}
	if (crm_tenant_set)
		who->tenant = crm_tenant_setting_id;
}

static void
read_country(Identity *who)
{
	static const Oid types[] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(who->tenant)};
	Datum		country;
	bool		isnull;

	crm_read_config("SELECT t.country FROM crm.tenants AS t WHERE t.tenant_id = $1",
					1, types, values);
	if (SPI_processed != 1)
		return;
	country = crm_spi_value(0, 1, &isnull);
	if (!isnull)
		strlcpy(who->country, TextDatumGetCString(country), sizeof(who->country));
}

static bool
is_valid(const void *value)
{
	return ((const Identity *) value)->until > GetCurrentTransactionStartTimestamp();
}

static void *build_identity(const void *key, MemoryContext context);

static CrmKept identities = {
	.what = "identities",
	.tables = {"users", "teams", "team_memberships", "tenants", "access_grants", "token_revocations"},
	.roles = true,
	.build = build_identity,
	.still_good = is_valid,
};

static void *
build_identity(const void *key, MemoryContext context)
{
	static uint64 last_serial = 0;
	Identity   *who = MemoryContextAllocZero(context, sizeof(Identity));
	Oid			owner = crm_kept_owner(&identities);
	bool		owns = has_privs_of_role(((const IdentityKey *) key)->role, owner);
	bool		isnull;

	who->key = *(const IdentityKey *) key;
	who->serial = ++last_serial;
	who->until = DT_NOEND;
	who->tokens_after = DT_NOBEGIN;
	compile_application(who, false, context);
	if (!who->application)
		read_user(who->key.role);
	if (who->application)
		 /* nobody, or whom it acts as */ ;
	else if (SPI_processed > 0)
	{
		/* somebody who has left has no tenant, whatever else their role may */
		if (!DatumGetBool(crm_spi_value(0, 4, &isnull)))
			return who;
		become_user(who, DatumGetInt64(crm_spi_value(0, 1, &isnull)),
					DatumGetInt64(crm_spi_value(0, 2, &isnull)),
					level_of_access(TextDatumGetCString(crm_spi_value(0, 3, &isnull))), context);
	}
	else if (owns)
		compile_owner(who);
	else
	{
		compile_application(who, true, context);
		if (!who->application)
			compile_granted(who);
	}

	if (who->has_tenant || crm_tenant_set)
		read_country(who);
	return who;
}

/* The role whose rights count: see the head of this file. */
Oid
crm_current_role(void)
{
	return InSecurityRestrictedOperation() ? GetUserId() : GetOuterUserId();
}

static void
fill_key(IdentityKey *key, Oid role, const CrmActing *acting)
{
	MemSet(key, 0, sizeof(IdentityKey));
	key->role = role;
	/* the owner's tenant is a setting, so it belongs to the key */
	if (crm_tenant_set)
		key->tenant = crm_tenant_setting_id;
	/* somebody else's role acts as nobody */
	if (acting->role == role)
	{
		key->acting_tenant = acting->tenant;
		key->acting_user = acting->user;
		key->acting_scope = acting->scope;
	}
}

/*
 * Who a role is, or would be, for a look; NULL where nobody can know: the CRM is
 * not installed, or it is just being found out.
 */
const Identity *
crm_identity_of(Oid role, const CrmActing *acting)
{
	IdentityKey key;

	if (!crm_kept_has_tables(&identities) || crm_kept_building(&identities))
		return NULL;
	fill_key(&key, role, acting);
	return crm_kept_peek(&identities, &key, sizeof(key));
}

/* A role of an application serves nobody, or somebody whom it may serve no more. */
void
crm_acts_as_nobody(Oid role)
{
	if (crm_acting.role == role)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may no longer act as user " INT64_FORMAT,
						GetUserNameFromId(role, false), crm_acting.user),
				 errhint("The user has left, or the grant was taken back. End the transaction.")));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" serves users, and this transaction does not say which",
					GetUserNameFromId(role, false)),
			 errhint("Begin each transaction with BEGIN; SELECT crm.act_as(user_id);")));
}

/* Whether what the transaction acts by still holds; and that a token which only reads does. */
void
crm_check_acting(const Identity *who)
{
	if (crm_acting.scope == 0 || who->key.acting_scope == 0)
		return;
	if (crm_acting.issued <= who->tokens_after)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TOKEN_REVOKED),
				 errmsg("the tokens of user " INT64_FORMAT " were revoked", crm_acting.user),
				 errhint("Ask for a new one, if the user may have it. End the transaction.")));
	/* the end of a subtransaction puts back what was before it */
	if (crm_acting.scope & CRM_ACTS_READ_ONLY)
		XactReadOnly = true;
}

/* Who is asking, for a look: the next one may make it anew. */
const Identity *
crm_current_identity(void)
{
	/* the one last found; its entry leaves the cache in this function alone */
	static const Identity *last = NULL;
	static IdentityKey last_key;
	static uint64 last_news;
	IdentityKey key;
	uint64		news = crm_config_news();

	fill_key(&key, crm_current_role(), &crm_acting);

	/* policies ask for every row */
	if (last != NULL && last_news == news && !crm_discard_kept &&
		key.role == last_key.role && key.tenant == last_key.tenant &&
		key.acting_user == last_key.acting_user && key.acting_tenant == last_key.acting_tenant &&
		key.acting_scope == last_key.acting_scope &&
		(last->until == DT_NOEND || is_valid(last)))
	{
		crm_check_acting(last);
		return last;
	}
	last = NULL;
	if (crm_kept_building(&identities))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("finding out who role \"%s\" is needs to know who it is",
						GetUserNameFromId(key.role, false)),
				 errhint("Rules and triggers on crm.users, crm.teams and crm.tenants must not call crm.tenant_id().")));
	last_news = news;
	last_key = key;
	last = crm_kept_peek(&identities, &key, sizeof(key));
	if (last->application && !last->acts)
	{
		last = NULL;
		crm_acts_as_nobody(key.role);
	}
	crm_check_acting(last);
	return last;
}

/*
 * The tenant all rows of this statement belong to; null where the role has
 * none.
 */
int64
crm_current_tenant(bool *isnull)
{
	const Identity *who = crm_current_identity();

	if (who->obeys_setting && crm_tenant_set)
	{
		*isnull = false;
		return crm_tenant_setting_id;
	}
	*isnull = !who->has_tenant;
	return who->tenant;
}

/* Whether a tenant is the one the role works for, or the role is the owner's, who works for any. */
bool
crm_knows_tenant(int64 tenant)
{
	const Identity *who = crm_current_identity();

	return who->obeys_setting || (who->has_tenant && who->tenant == tenant);
}

/* The CRM user; null where the role is none. */
int64
crm_current_user(bool *isnull)
{
	const Identity *who = crm_current_identity();

	*isnull = !who->has_user;
	return who->user;
}

CrmAccess
crm_current_access(void)
{
	return crm_current_identity()->access;
}

/* Tells whether somebody else is asking than at another call, or the same with other rights. */
uint64
crm_identity_serial(void)
{
	return crm_current_identity()->serial;
}

/* ISO 3166-1 country of the tenant, or "", in the current memory context. */
const char *
crm_current_country(void)
{
	return pstrdup(crm_current_identity()->country);
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

PG_FUNCTION_INFO_V1(crm_user_access);

Datum
crm_user_access(PG_FUNCTION_ARGS)
{
	CrmAccess	access = crm_current_access();

	if (access == CRM_ACCESS_NONE)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(crm_access_name(access)));
}

PG_FUNCTION_INFO_V1(crm_has_access);

Datum
crm_has_access(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	CrmAccess	wanted = level_of_access(name);

	if (wanted == CRM_ACCESS_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown access level \"%s\"", name),
				 errhint("Levels are reader, agent, manager and admin.")));
	PG_RETURN_BOOL(crm_current_access() >= wanted);
}

PG_FUNCTION_INFO_V1(crm_tenant_country);

Datum
crm_tenant_country(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	if (who->country[0] == '\0')
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(who->country));
}
