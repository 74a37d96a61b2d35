/*
 * acting.c
 *	  An application that logs in as one role, and serves a user in each
 *	  transaction.
 *
 * crm.act_as(user) is told by the transaction it is called in, and forgotten
 * with it: what follows from a setting that is local to the transaction outlives
 * neither its end nor an error, so a pooler may give the connection to whomever
 * it likes between two transactions.
 *
 * The role has the rights on tables and functions of the highest level it may
 * act at, as PostgreSQL knows roles and no users.  Row security asks for the
 * level of the user who is served.  Functions are called by whoever was granted
 * them, so a hook asks here for the level when one is about to be run, and
 * refuses everything where nobody is served.
 */
#include "base/crm.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "access/acting.h"
#include "access/identity_kept.h"

static object_access_hook_type earlier_hook = NULL;

/* ---- levels of functions ---- */

typedef struct FunctionLevel
{
	Oid			function;
	CrmAccess	level;
} FunctionLevel;

typedef struct FunctionLevels
{
	uint64		n;
	FunctionLevel list[FLEXIBLE_ARRAY_MEMBER];	/* by function */
} FunctionLevels;

static int
compare_functions(const void *a, const void *b)
{
	Oid			x = ((const FunctionLevel *) a)->function;
	Oid			y = ((const FunctionLevel *) b)->function;

	return x < y ? -1 : x > y;
}

static void *
build_levels(const void *key, MemoryContext context)
{
	FunctionLevels *levels;
	bool		isnull;

	crm_read_config("SELECT f.function::pg_catalog.oid,"
					" pg_catalog.array_position('{reader,agent,manager,admin}'::pg_catalog.text[], f.class)"
					" FROM crm_internal.function_rules() AS f"
					" WHERE f.class <> 'owner'", 0, NULL, NULL);
	levels = MemoryContextAlloc(context, offsetof(FunctionLevels, list) +
								sizeof(FunctionLevel) * SPI_processed);
	levels->n = SPI_processed;
	for (uint64 i = 0; i < levels->n; i++)
	{
		levels->list[i].function = DatumGetObjectId(crm_spi_value(i, 1, &isnull));
		levels->list[i].level = (CrmAccess) DatumGetInt32(crm_spi_value(i, 2, &isnull));
	}
	qsort(levels->list, levels->n, sizeof(FunctionLevel), compare_functions);
	return levels;
}

/* every installation writes the grants anew, and so tells of new levels */
static CrmKept function_levels = {
	.what = "levels of functions",
	.tables = {"access_grants"},
	.build = build_levels,
};

/*
 * Refuse a function that the level of who is served may not call.  What is the
 * owner's alone is not looked for: it was granted by hand, or is not.
 */
static void
check_function(Oid function)
{
	const Identity *who;
	const FunctionLevels *levels;
	FunctionLevel wanted = {function, CRM_ACCESS_NONE};
	const FunctionLevel *found;
	Oid			role = crm_current_role();
	Oid			namespace,
				crm = get_namespace_oid("crm", true);
	char		key = 0;

	/* what runs with the rights of somebody else was let in by its caller */
	if (GetUserId() != role || !OidIsValid(crm))
		return;
	namespace = get_func_namespace(function);
	if (namespace != crm && namespace != get_namespace_oid("crm_analytics", true))
		return;
	who = crm_identity_of(role, &crm_acting);
	if (who == NULL || !who->application ||
		object_aclcheck(ProcedureRelationId, function, ACL_ID_PUBLIC, ACL_EXECUTE) == ACLCHECK_OK)
		return;
	if (!who->acts)
	{
		if (namespace == crm && (strcmp(get_func_name(function), "act_as") == 0 ||
								 strcmp(get_func_name(function), "present_token") == 0))
			return;
		crm_acts_as_nobody(role);
	}
	crm_check_acting(who);
	/* who is asking may be made anew by the look for the levels */
	wanted.level = who->access;
	if (crm_kept_building(&function_levels))
		return;
	levels = crm_kept_peek(&function_levels, &key, sizeof(key));
	found = bsearch(&wanted, levels->list, levels->n, sizeof(FunctionLevel), compare_functions);
	if (found != NULL && wanted.level < found->level)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", get_func_name(function)),
				 errdetail("It is for level %s and above, and user " INT64_FORMAT " is served at level %s.",
						   crm_access_name(found->level), crm_acting.user,
						   crm_access_name(wanted.level))));
}

static void
acting_hook(ObjectAccessType access, Oid class, Oid object, int sub, void *arg)
{
	if (earlier_hook)
		earlier_hook(access, class, object, sub, arg);
	if (access == OAT_FUNCTION_EXECUTE && object >= FirstNormalObjectId &&
		IsTransactionState())
		check_function(object);
}

void
crm_acting_init(void)
{
	earlier_hook = object_access_hook;
	object_access_hook = acting_hook;
}

/* ---- saying who is served ---- */

static const Identity *
require_application(const CrmActing *acting)
{
	const Identity *who = crm_identity_of(acting->role, acting);

	if (who == NULL || !who->application)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" is no application, and acts as nobody but itself",
						GetUserNameFromId(acting->role, false)),
				 errhint("The owner of the CRM says crm.grant_access(role, 'application').")));
	return who;
}

/*
 * Act as a user until the transaction ends, if the role may.  Who acts already
 * goes on as it is, or takes a token of the same user, which allows less.
 */
const Identity *
crm_begin_acting(const CrmActing *acting)
{
	const Identity *who = require_application(acting);

	if (crm_acting.role == acting->role &&
		(crm_acting.tenant != acting->tenant || crm_acting.user != acting->user ||
		 (crm_acting.scope != 0 && acting->scope != 0 &&
		  (crm_acting.issued != acting->issued || crm_acting.scope != acting->scope))))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 crm_acting.user == acting->user && crm_acting.tenant == acting->tenant ?
				 errmsg("this transaction acts by another token already") :
				 errmsg("this transaction acts as user " INT64_FORMAT " already", crm_acting.user),
				 errhint("End it, and begin another one for user " INT64_FORMAT ".", acting->user)));
	if (crm_acting.role == acting->role && crm_acting.scope != 0 && acting->scope == 0)
		return crm_current_identity();
	who = crm_identity_of(acting->role, acting);
	/* the same words whether there is no such user, or no right to be one */
	if (!who->acts)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not act as user " INT64_FORMAT " of tenant " INT64_FORMAT,
						GetUserNameFromId(acting->role, false), acting->user, acting->tenant),
				 errhint(who->tokens_only && acting->scope == 0 ?
						 "The role acts by tokens alone: SET LOCAL crm.session = 'token'." :
						 "The user must be active, and the role be granted the tenant with "
						 "crm.grant_access(role, 'application').")));
	crm_set_acting(acting);
	/* a token that was revoked is refused here, and not by what comes next */
	return crm_current_identity();
}

PG_FUNCTION_INFO_V1(crm_act_as);

/* crm.act_as(user_id, tenant_id) -> text: the level at which the transaction acts */
Datum
crm_act_as(PG_FUNCTION_ARGS)
{
	const Identity *who;
	CrmActing	acting;

	MemSet(&acting, 0, sizeof(acting));
	acting.role = crm_current_role();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("crm.act_as() needs the id of a user"),
				 errhint("It is the id of a row of crm.users.")));
	acting.user = PG_GETARG_INT64(0);
	if (!IsTransactionBlock())
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("crm.act_as() holds until its transaction ends, and this statement is one by itself"),
				 errhint("Say BEGIN first, and what the user wants after it.")));

	who = require_application(&acting);
	if (!PG_ARGISNULL(1))
		acting.tenant = PG_GETARG_INT64(1);
	else if (who->napplications == 1)
		acting.tenant = who->tenant;
	else
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("role \"%s\" serves several companies, and it is not said which",
						GetUserNameFromId(acting.role, false)),
				 errhint("Say crm.act_as(user_id, tenant_id).")));
	who = crm_begin_acting(&acting);
	PG_RETURN_TEXT_P(cstring_to_text(crm_access_name(who->access)));
}
