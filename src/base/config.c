/*
 * config.c
 *	  Knowing when configuration changed.
 *
 * Calendars, pipelines, score rules and identities are compiled once per
 * backend.  A statement trigger on each configuration table sends a relation
 * cache invalidation for that table; the message travels with the transaction,
 * so every backend, the writer's own included, learns of the change exactly
 * when it becomes visible, and of its undoing when it is rolled back.  Here the
 * message advances a generation number, which kept.c compares.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static CrmConfigWatch *watches = NULL;
static uint64 news = 1;			/* grows whenever some generation does */
static uint64 roles = 1;
static bool reread_pending = false;

static void
relation_changed(Datum arg, Oid relid)
{
	for (CrmConfigWatch *w = watches; w != NULL; w = w->next)
	{
		/* a watch that does not know its table takes every message for its own */
		if (relid == InvalidOid || relid == w->relid || !OidIsValid(w->relid))
		{
			w->generation++;
			w->relid = InvalidOid;	/* it may have been dropped or made anew */
			news++;
		}
	}
	crm_kept_relation_changed(relid);
}

static void
roles_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	roles++;
	news++;
}

/*
 * A number that grows whenever any watched table or any role has changed: where
 * it is the same, nobody has to ask for a generation.
 */
uint64
crm_config_news(void)
{
	if (unlikely(reread_pending) && !IsInParallelMode())
	{
		reread_pending = false;
		relation_changed((Datum) 0, InvalidOid);
	}
	return news;
}

/* The generation of roles and their memberships. */
uint64
crm_config_roles(void)
{
	return roles;
}

/*
 * What was read just now may be out of date: take everything as changed as
 * soon as the newest state can be read.
 */
void
crm_config_reread(void)
{
	reread_pending = true;
}

/* The oid of a table in schema crm, with a useful error where it is missing. */
Oid
crm_table_oid(const char *table, bool missing_ok)
{
	Oid			nsp = get_namespace_oid("crm", true);
	Oid			relid = OidIsValid(nsp) ? get_relname_relid(table, nsp) : InvalidOid;

	if (!OidIsValid(relid) && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NOT_INSTALLED),
				 errmsg("the CRM is not installed in this database: table \"crm.%s\" is missing",
						table),
				 errhint("Run SELECT crm.install() as the role that is to own the CRM.")));
	return relid;
}

Oid
crm_table_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The generation of a configuration table.  The watch is a static variable of
 * the caller; it is registered at its first use and stays for the life of the
 * backend.  Fills relid and owner.
 */
uint64
crm_config_generation(CrmConfigWatch *watch)
{
	(void) crm_config_news();
	if (watch->generation == 0)
	{
		watch->generation = 1;
		watch->next = watches;
		watches = watch;
	}
	if (!OidIsValid(watch->relid))
	{
		Oid			relid = crm_table_oid(watch->table, false);

		watch->owner = crm_table_owner(relid);
		/* last: looking it up may have brought messages about it, or failed */
		watch->relid = relid;
	}
	return watch->generation;
}

PG_FUNCTION_INFO_V1(crm_configuration_changed);

/*
 * crm.configuration_changed() -- AFTER STATEMENT trigger of every
 * configuration table.
 */
Datum
crm_configuration_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager",
						"crm.configuration_changed")));

	CacheInvalidateRelcache(trigdata->tg_relation);
	return PointerGetDatum(NULL);
}

void
crm_config_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
}
