/*
 * seeing.c
 *	  What somebody may see and change by the columns of a row, and the lists
 *	  that policies compare these columns with.
 *
 * crm.can_see() judges one row at a time.  A policy that calls it makes every
 * list grow with the whole company, so the policies compare columns with lists
 * instead, which are conditions of an index: owner_id = ANY (crm.seen_user_ids()).
 * A list is made once for each place of a query, not once for each row.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "access/identity_kept.h"
#include "access/written.h"

static bool
contains(const int64 *ids, int n, int64 id)
{
	return n > 0 && bsearch(&id, ids, n, sizeof(int64), crm_compare_ids) != NULL;
}

/* Is the row among those one works on: own, of people and teams led, nobody's? */
static bool
is_ours(const Identity *who, bool owned, int64 owner, bool in_team, int64 team)
{
	if (who->sees_all)
		return true;
	if (who->access == CRM_ACCESS_NONE)
		return false;
	if (owned)
	{
		if (who->has_user && owner == who->user)
			return true;
		if (contains(who->owners, who->nowners, owner))
			return true;
		return in_team && contains(who->led, who->nled, team);
	}
	/* a row of a team that nobody has taken is its members' */
	return !in_team || contains(who->teams, who->nteams, team);
}

/* Does an array of ids hold one of ours? */
static bool
is_among(Datum array, const int64 *ids, int n)
{
	ArrayType  *a = DatumGetArrayTypeP(array);
	int			count = ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a));

	if (count == 0 || n == 0)
		return false;
	if (!ARR_HASNULL(a))
	{
		int64	   *elements = (int64 *) ARR_DATA_PTR(a);

		for (int i = 0; i < count; i++)
			if (n == 1 ? elements[i] == ids[0] : contains(ids, n, elements[i]))
				return true;
	}
	else
	{
		Datum	   *elements;
		bool	   *nulls;

		deconstruct_array(a, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
						  &elements, &nulls, &count);
		for (int i = 0; i < count; i++)
			if (!nulls[i] && contains(ids, n, DatumGetInt64(elements[i])))
				return true;
	}
	return false;
}

PG_FUNCTION_INFO_V1(crm_can_see);

/*
 * crm.can_see(owner_id, team_id, shared_user_ids, shared_team_ids) -> boolean
 *
 * May the current user see a row of their tenant with these columns?
 */
Datum
crm_can_see(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	if (is_ours(who, !PG_ARGISNULL(0), PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0),
				!PG_ARGISNULL(1), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1)))
		PG_RETURN_BOOL(true);
	if (who->has_user && !PG_ARGISNULL(2) && is_among(PG_GETARG_DATUM(2), &who->user, 1))
		PG_RETURN_BOOL(true);
	if (!PG_ARGISNULL(3) && is_among(PG_GETARG_DATUM(3), who->teams, who->nteams))
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(false);
}

PG_FUNCTION_INFO_V1(crm_can_change);

/*
 * crm.can_change(owner_id, team_id) -> boolean
 *
 * May the current user write a row of their tenant with these columns?
 */
Datum
crm_can_change(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	if (who->access < CRM_ACCESS_AGENT)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(is_ours(who, !PG_ARGISNULL(0), PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0),
						   !PG_ARGISNULL(1), PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1)));
}

/* ---- what policies compare columns with ---- */

/* An array that a place of a query keeps, so that it is made once and not for every row. */
typedef struct KeptArray
{
	uint64		serial;			/* of the identity it was made for */
	ArrayType  *array;
} KeptArray;

/*
 * The array of a list of ids, made once for each place of a query and identity.
 * An older array is not freed: an index scan may still hold it as its key.
 */
static Datum
kept_array(FunctionCallInfo fcinfo, const Identity *who, const int64 *ids, int n)
{
	KeptArray  *kept = (KeptArray *) fcinfo->flinfo->fn_extra;
	MemoryContext caller;

	if (kept != NULL && kept->serial == who->serial)
		return PointerGetDatum(kept->array);
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	if (kept == NULL)
		fcinfo->flinfo->fn_extra = kept = palloc0(sizeof(KeptArray));
	kept->array = DatumGetArrayTypeP(crm_ids_array(ids, n));
	kept->serial = who->serial;
	MemoryContextSwitchTo(caller);
	return PointerGetDatum(kept->array);
}

PG_FUNCTION_INFO_V1(crm_whole_tenant);

/* crm.whole_tenant() -> bigint: the tenant of which every row is seen */
Datum
crm_whole_tenant(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();
	bool		isnull;
	int64		tenant;

	if (!who->sees_all)
		PG_RETURN_NULL();
	if (!who->obeys_setting && who->has_tenant)
		PG_RETURN_INT64(who->tenant);
	tenant = crm_current_tenant(&isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_INT64(tenant);
}

PG_FUNCTION_INFO_V1(crm_seen_user_ids);

/* crm.seen_user_ids() -> bigint[]: oneself and the people one leads */
Datum
crm_seen_user_ids(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();
	int64	   *ids = palloc(sizeof(int64) * (who->nowners + 1));
	Datum		result;

	if (who->nowners > 0)
		memcpy(ids, who->owners, sizeof(int64) * who->nowners);
	if (who->has_user)
		ids[who->nowners] = who->user;
	result = kept_array(fcinfo, who, ids, who->nowners + (who->has_user ? 1 : 0));
	pfree(ids);
	PG_RETURN_DATUM(result);
}

PG_FUNCTION_INFO_V1(crm_own_user_ids);

/* crm.own_user_ids() -> bigint[]: oneself, or nobody */
Datum
crm_own_user_ids(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	PG_RETURN_DATUM(kept_array(fcinfo, who, &who->user, who->has_user ? 1 : 0));
}

PG_FUNCTION_INFO_V1(crm_led_team_ids);

/* crm.led_team_ids() -> bigint[]: teams one leads, with all below them */
Datum
crm_led_team_ids(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	PG_RETURN_DATUM(kept_array(fcinfo, who, who->led, who->nled));
}

PG_FUNCTION_INFO_V1(crm_own_team_ids);

/* crm.own_team_ids() -> bigint[]: the same, and teams one is a member of */
Datum
crm_own_team_ids(PG_FUNCTION_ARGS)
{
	const Identity *who = crm_current_identity();

	PG_RETURN_DATUM(kept_array(fcinfo, who, who->teams, who->nteams));
}

PG_FUNCTION_INFO_V1(crm_check_tenant);

/*
 * crm.check_tenant() -- BEFORE INSERT OR UPDATE row trigger
 *
 * The words are those of row security, which would say the same later.  Columns
 * that the CRM writes are looked at in the same place: see written.c.
 */
Datum
crm_check_tenant(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	HeapTuple	tuple;
	AttrNumber	column;
	Datum		tenant;
	bool		isnull,
				no_tenant;
	int64		mine;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.check_tenant() must be called as a row trigger before INSERT or UPDATE")));
	rel = trigdata->tg_relation;
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	column = crm_typed_column(RelationGetDescr(rel), "tenant_id", INT8OID);
	if (column == InvalidAttrNumber)
		PG_RETURN_POINTER(crm_written_row(fcinfo, trigdata, tuple));
	tenant = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);
	mine = crm_current_tenant(&no_tenant);
	if ((isnull || no_tenant || DatumGetInt64(tenant) != mine) &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("new row violates row-level security policy for table \"%s\"",
						RelationGetRelationName(rel))));
	PG_RETURN_POINTER(crm_written_row(fcinfo, trigdata, tuple));
}
