/*
 * ddl.c
 *	  Partitions that come and go, and definitions dropped by CASCADE.
 *
 * Row triggers reach new partitions by themselves, rows of a partition that is
 * attached or detached as a whole fire none, and statement triggers are not
 * passed on.  Event triggers fill the gap: a partition is counted in or out
 * and gets or loses its statement triggers in the transaction that moves it.
 */
#include "rollup/rollup.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define TRIGGER_PREFIX "00_crm_rollup_"

/* A statement trigger of every partition of a source. */
typedef struct StatementTrigger
{
	const char *kind;			/* ends its name */
	const char *function;		/* in schema crm */
	int16		timing;
	int16		events;
} StatementTrigger;

static const StatementTrigger flush_trigger =
{"flush", "rollup_flush", TRIGGER_TYPE_AFTER,
TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE};
static const StatementTrigger truncate_trigger =
{"truncate", "rollup_truncate", TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_TRUNCATE};

/* Past the rights to schema crm: whoever makes a partition of his own table has none. */
static Oid
trigger_function(const char *name)
{
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(buildoidvector(NULL, 0)),
						   ObjectIdGetDatum(get_namespace_oid("crm", true)));
}

/*
 * Sources that a relation feeds, itself or as a partition, by the triggers on
 * it that call a function of ours: a list of ids.  Anybody can call a trigger
 * as ours are called, so the name says nothing; and a trigger of ours that
 * somebody has put onto another table names a source that table is not part of.
 */
static List *
sources_of(Oid relid, const char *function)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			ours = rel->trigdesc != NULL ? trigger_function(function) : InvalidOid;
	List	   *sources = NIL;

	if (OidIsValid(ours))
		for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		{
			Trigger    *t = &rel->trigdesc->triggers[i];
			int64		source;
			Oid			view;

			if (t->tgfoid != ours || t->tgnargs != 1)
				continue;
			source = strtoll(t->tgargs[0], NULL, 10);
			view = crm_rollup_view_oid(source, true);
			if (OidIsValid(view) && crm_rollup_in_tree(relid, crm_rollup_root(view)))
			{
				int64	   *id = palloc(sizeof(int64));

				*id = source;
				sources = lappend(sources, id);
			}
		}
	table_close(rel, AccessShareLock);
	return sources;
}

/*
 * The statement triggers of a partition.  The rights asked for are those of
 * whoever makes the partition, who has needed the same ones for its row
 * trigger; names are not looked up, and no query is run.
 */
static void
make_triggers(Oid relid, int64 source)
{
	const StatementTrigger *const all[] = {&flush_trigger, &truncate_trigger};

	for (int i = 0; i < lengthof(all); i++)
	{
		CreateTrigStmt *stmt = makeNode(CreateTrigStmt);

		stmt->replace = true;
		stmt->trigname = psprintf(TRIGGER_PREFIX INT64_FORMAT "_%s", source, all[i]->kind);
		stmt->funcname = list_make2(makeString("crm"), makeString(pstrdup(all[i]->function)));
		stmt->args = list_make1(makeString(psprintf(INT64_FORMAT, source)));
		stmt->timing = all[i]->timing;
		stmt->events = all[i]->events;
		/* always: for the replica role and a subscription's worker too */
		(void) CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
									 trigger_function(all[i]->function), InvalidOid, NULL,
									 false, false, TRIGGER_FIRES_ALWAYS);
	}
	CommandCounterIncrement();
}

/* All triggers of a source that stand on a relation by themselves, not by a parent's. */
static void
drop_triggers(Oid relid, int64 source)
{
	Relation	rel = table_open(relid, AccessShareLock);
	const char *const functions[] = {"rollup_row", "rollup_flush", "rollup_truncate"};
	ObjectAddresses *gone = new_object_addresses();

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *t = &rel->trigdesc->triggers[i];

		if (t->tgnargs != 1 || strtoll(t->tgargs[0], NULL, 10) != source || t->tgisclone)
			continue;
		for (int f = 0; f < lengthof(functions); f++)
			if (t->tgfoid == trigger_function(functions[f]))
			{
				ObjectAddress trigger;

				ObjectAddressSet(trigger, TriggerRelationId, t->tgoid);
				add_exact_object_address(&trigger, gone);
			}
	}
	table_close(rel, NoLock);
	performMultipleDeletions(gone, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	free_object_addresses(gone);
	CommandCounterIncrement();
}

/* Count a partition and those below it in (1), out (-1), or neither (0). */
static void
partition_moves(Oid relid, int64 source, int sign, bool comes)
{
	List	   *relids = find_all_inheritors(relid, sign != 0 ? ShareLock : AccessShareLock, NULL);
	ListCell   *cell;

	foreach(cell, relids)
	{
		Oid			member = lfirst_oid(cell);
		char		kind = get_rel_relkind(member);

		if (sign != 0 && kind == RELKIND_RELATION)
		{
			Relation	rel = table_open(member, NoLock);

			crm_rollup_count_relation(source, rel, sign);
			table_close(rel, NoLock);
		}
		else if (kind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" feeds rollups: a partition of it cannot be a foreign table",
							get_rel_name(member))));
		if (comes)
			make_triggers(member, source);
		else
			drop_triggers(member, source);
	}
}

static Oid
relation_named(RangeVar *name)
{
	return RangeVarGetRelid(name, NoLock, true);
}

static void
after_alter_table(AlterTableStmt *stmt)
{
	Oid			parent = InvalidOid;
	ListCell   *cell;

	foreach(cell, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, cell);
		bool		attach = cmd->subtype == AT_AttachPartition;
		Oid			partition;
		List	   *sources;
		ListCell   *s;

		if (!attach && cmd->subtype != AT_DetachPartition &&
			cmd->subtype != AT_DetachPartitionFinalize)
			continue;
		parent = relation_named(stmt->relation);
		if (!OidIsValid(parent) || get_rel_relkind(parent) != RELKIND_PARTITIONED_TABLE)
			continue;			/* an index */
		partition = relation_named(castNode(PartitionCmd, cmd->def)->name);
		if (!OidIsValid(partition))
			continue;
		sources = sources_of(parent, "rollup_row");
		foreach(s, sources)
			partition_moves(partition, *(int64 *) lfirst(s), attach ? 1 : -1, attach);
	}
}

static void
after_create_table(CreateStmt *stmt)
{
	Oid			relid;
	List	   *sources;
	ListCell   *s;

	if (stmt->partbound == NULL)
		return;
	relid = relation_named(stmt->relation);
	if (!OidIsValid(relid))
		return;
	sources = sources_of(relid, "rollup_row");
	foreach(s, sources)
		partition_moves(relid, *(int64 *) lfirst(s), 0, true);
}

/* Lock in the order of DROP TABLE: first the parent, then the partition. */
static void
lock_parent_first(const RangeVar *name, Oid relid, Oid oldrelid, void *arg)
{
	Oid		   *parent = (Oid *) arg;

	if (relid != oldrelid && OidIsValid(*parent))
	{
		UnlockRelationOid(*parent, AccessExclusiveLock);
		*parent = InvalidOid;
	}
	if (relid == oldrelid || !OidIsValid(relid) || !get_rel_relispartition(relid) ||
		!object_ownercheck(RelationRelationId, relid, GetUserId()))
		return;
	*parent = get_partition_parent(relid, true);
	if (OidIsValid(*parent))
		LockRelationOid(*parent, AccessExclusiveLock);
}

/* A partition is dropped: count its rows out while they can be read. */
static void
before_drop_table(DropStmt *stmt)
{
	ListCell   *cell;

	if (stmt->removeType != OBJECT_TABLE)
		return;
	foreach(cell, stmt->objects)
	{
		RangeVar   *name = makeRangeVarFromNameList(lfirst_node(List, cell));
		Oid			relid = relation_named(name);
		Oid			parent = InvalidOid;
		ListCell   *s;

		/* what is no partition or not his to drop is none of our business, and is not locked */
		if (!OidIsValid(relid) || !get_rel_relispartition(relid) ||
			!object_ownercheck(RelationRelationId, relid, GetUserId()))
			continue;
		relid = RangeVarGetRelidExtended(name, AccessExclusiveLock, RVR_MISSING_OK,
										 lock_parent_first, &parent);
		if (!OidIsValid(relid) || !OidIsValid(parent))
			continue;
		foreach(s, sources_of(relid, "rollup_flush"))
		{
			int64		source = *(int64 *) lfirst(s);

			if (crm_rollup_root(crm_rollup_view_oid(source, false)) != relid)
				partition_moves(relid, source, -1, false);
		}
	}
}

/*
 * What CASCADE took along: rollups whose definition is gone are dropped, and
 * a partition that went with rows nobody counted is refused.  Rollups are
 * dropped as their owner.  The triggers on the source, which may be another's,
 * are taken off here: whoever has dropped the definition was its owner.
 *
 * A definition that is dropped by name is left alone: that is how pg_restore
 * --clean takes a whole CRM down, one object after the other, and nothing may
 * be in its way.  crm.rollup_status tells of such a one.
 */
static void
after_drop(void)
{
	CrmOwnerSwitch saved;
	Oid			rollups = crm_table_oid("rollups", true);
	MemoryContext mine = CurrentMemoryContext;
	List	   *relids = NIL;
	List	   *sources = NIL;
	ListCell   *r;
	ListCell   *s;

	if (!OidIsValid(rollups) || !OidIsValid(crm_table_oid("rollup_sources", true)))
		return;
	crm_connect_as(crm_table_owner(rollups), &saved);
	/* not read_only: what the command has dropped must be seen as gone */
	crm_execute("SELECT o.object_identity FROM pg_catalog.pg_event_trigger_dropped_objects() AS o "
				"JOIN crm.rollup_sources AS s "
				"ON o.object_identity LIKE '\"00\\_crm\\_rollup\\_' || s.id || '\\_flush\" on %' "
				"JOIN pg_catalog.pg_class AS c ON c.oid = s.source "
				"WHERE o.object_type = 'trigger' AND NOT o.original",
				0, NULL, NULL, NULL, false, 1);
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("a table that feeds rollups would lose a partition whose rows were not counted out"),
				 errdetail("Dropped with it: trigger %s.",
						   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)),
				 errhint("Detach the partition or drop it by its own DROP TABLE first.")));
	crm_execute("SELECT s.id, t.relid::pg_catalog.oid FROM crm.rollup_sources AS s "
				"JOIN pg_catalog.pg_event_trigger_dropped_objects() AS o "
				"ON o.schema_name = 'crm_internal' AND o.object_name = 'rollup_source_' || s.id "
				"JOIN pg_catalog.pg_class AS c ON c.oid = s.source "
				"CROSS JOIN LATERAL (SELECT c.oid UNION "
				"SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) AS p) AS t (relid) "
				"WHERE o.object_type = 'view' AND NOT o.original", 0, NULL, NULL, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(mine);
		int64	   *source = palloc(sizeof(int64));
		bool		isnull;

		*source = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		sources = lappend(sources, source);
		relids = lappend_oid(relids, DatumGetObjectId(crm_spi_value(i, 2, &isnull)));
		MemoryContextSwitchTo(old);
	}
	forboth(s, sources, r, relids)
		drop_triggers(lfirst_oid(r), *(int64 *) lfirst(s));
	crm_execute("SELECT crm.drop_rollup(r.name) FROM crm.rollups AS r "
				"WHERE r.source_id IN (SELECT s.id FROM crm.rollup_sources AS s "
				"JOIN pg_catalog.pg_event_trigger_dropped_objects() AS o "
				"ON o.schema_name = 'crm_internal' AND o.object_name = 'rollup_source_' || s.id "
				"WHERE o.object_type = 'view' AND NOT o.original) ORDER BY r.id", 0, NULL, NULL, NULL, false, 0);
	crm_disconnect_self(&saved);
}

PG_FUNCTION_INFO_V1(crm_rollup_ddl);

/* crm.rollup_ddl() -- event trigger */
Datum
crm_rollup_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = crm_event_trigger_data(fcinfo, "crm.rollup_ddl");
	/* DETACH PARTITION CONCURRENTLY ends in a transaction that has none yet */
	bool		pushed = crm_push_snapshot();

	if (strcmp(data->event, "sql_drop") == 0)
		after_drop();
	else if (strcmp(data->event, "ddl_command_start") == 0)
	{
		if (IsA(data->parsetree, DropStmt))
			before_drop_table((DropStmt *) data->parsetree);
	}
	else if (IsA(data->parsetree, AlterTableStmt))
		after_alter_table((AlterTableStmt *) data->parsetree);
	else if (IsA(data->parsetree, CreateStmt))
		after_create_table((CreateStmt *) data->parsetree);
	if (pushed)
		PopActiveSnapshot();
	PG_RETURN_NULL();
}
