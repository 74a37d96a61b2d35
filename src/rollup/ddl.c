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
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define TRIGGER_PREFIX "00_crm_rollup_"

/* Sources whose trigger of this kind stands on a relation: a list of ids. */
static List *
sources_of(Oid relid, const char *kind)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *sources = NIL;

	if (rel->trigdesc != NULL)
		for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		{
			Trigger    *t = &rel->trigdesc->triggers[i];
			int64		source;

			if (strncmp(t->tgname, TRIGGER_PREFIX, strlen(TRIGGER_PREFIX)) != 0 ||
				t->tgnargs != 1)
				continue;
			source = strtoll(t->tgargs[0], NULL, 10);
			if (strcmp(t->tgname, psprintf(TRIGGER_PREFIX INT64_FORMAT "_%s", source, kind)) == 0 &&
				OidIsValid(crm_rollup_view_oid(source, true)))
			{
				int64	   *id = palloc(sizeof(int64));

				*id = source;
				sources = lappend(sources, id);
			}
		}
	table_close(rel, NoLock);
	return sources;
}

static void
run(const char *sql)
{
	if (SPI_execute(sql, false, 0) < 0)
		elog(ERROR, "could not run: %s", sql);
}

static char *
qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * Statement triggers of a partition, made or dropped.  Whoever may attach or
 * detach it need not have rights to our functions, so this runs as the
 * superuser; all names are qualified.
 */
static void
statement_triggers(Oid relid, int64 source, bool make)
{
	static const char *const kinds[] = {"flush", "truncate"};
	static const char *const events[] = {"AFTER INSERT OR UPDATE OR DELETE", "BEFORE TRUNCATE"};
	CrmOwnerSwitch saved;
	char	   *table = qualified(relid);

	crm_become(BOOTSTRAP_SUPERUSERID, &saved);
	SPI_connect();
	for (int i = 0; i < 2; i++)
	{
		const char *name = quote_identifier(psprintf(TRIGGER_PREFIX INT64_FORMAT "_%s",
													 source, kinds[i]));

		if (make)
		{
			run(psprintf("CREATE OR REPLACE TRIGGER %s %s ON %s FOR EACH STATEMENT "
						 "EXECUTE FUNCTION crm.rollup_%s('" INT64_FORMAT "')",
						 name, events[i], table, kinds[i], source));
			run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table, name));
		}
		else
			run(psprintf("DROP TRIGGER IF EXISTS %s ON %s", name, table));
	}
	SPI_finish();
	crm_become_self(&saved);
	CommandCounterIncrement();
}

/* Count a partition and those below it in (1), out (-1), or neither (0). */
static void
partition_moves(Oid relid, int64 source, int sign, bool make_triggers)
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
		statement_triggers(member, source, make_triggers);
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
		sources = sources_of(parent, "row");
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
	sources = sources_of(relid, "row");
	foreach(s, sources)
		partition_moves(relid, *(int64 *) lfirst(s), 0, true);
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
		Oid			relid = relation_named(makeRangeVarFromNameList(lfirst_node(List, cell)));
		List	   *sources;
		ListCell   *s;

		/* what is no partition or not his to drop is none of our business */
		if (!OidIsValid(relid) || !get_rel_relispartition(relid) ||
			!object_ownercheck(RelationRelationId, relid, GetUserId()))
			continue;
		sources = sources_of(relid, "flush");
		foreach(s, sources)
		{
			Oid			root;
			Index		varno;

			(void) crm_rollup_view_targets(crm_rollup_view_oid(*(int64 *) lfirst(s), false),
										   &root, &varno);
			if (root == relid)
				continue;
			LockRelationOid(get_partition_parent(relid, true), AccessExclusiveLock);
			LockRelationOid(relid, AccessExclusiveLock);
			partition_moves(relid, *(int64 *) lfirst(s), -1, false);
		}
	}
}

/*
 * What CASCADE took along: rollups whose definition is gone are dropped, and
 * a partition that went with rows nobody counted is refused.
 */
static void
after_drop(void)
{
	CrmOwnerSwitch saved;

	if (!OidIsValid(crm_table_oid("rollups", true)) ||
		!OidIsValid(crm_table_oid("rollup_sources", true)))
		return;
	crm_become(BOOTSTRAP_SUPERUSERID, &saved);
	SPI_connect();
	run("SELECT o.object_identity FROM pg_catalog.pg_event_trigger_dropped_objects() AS o "
		"JOIN crm.rollup_sources AS s "
		"ON o.object_identity LIKE '\"00\\_crm\\_rollup\\_' || s.id || '\\_flush\" on %' "
		"JOIN pg_catalog.pg_class AS c ON c.oid = s.source "
		"WHERE o.object_type = 'trigger' AND NOT o.original");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("a table that feeds rollups would lose a partition whose rows were not counted out"),
				 errdetail("Dropped with it: trigger %s.",
						   SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1)),
				 errhint("Detach the partition or drop it by its own DROP TABLE first.")));
	run("SELECT crm.drop_rollup(r.name) FROM crm.rollups AS r "
		"WHERE r.source_id IN (SELECT s.id FROM crm.rollup_sources AS s "
		"JOIN pg_catalog.pg_event_trigger_dropped_objects() AS o "
		"ON o.schema_name = 'crm_internal' AND o.object_name = 'rollup_source_' || s.id "
		"WHERE o.object_type = 'view') ORDER BY r.id");
	SPI_finish();
	crm_become_self(&saved);
}

PG_FUNCTION_INFO_V1(crm_rollup_ddl);

/* crm.rollup_ddl() -- event trigger */
Datum
crm_rollup_ddl(PG_FUNCTION_ARGS)
{
	EventTriggerData *data = (EventTriggerData *) fcinfo->context;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by the event trigger manager",
						"crm.rollup_ddl")));

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
	PG_RETURN_NULL();
}
