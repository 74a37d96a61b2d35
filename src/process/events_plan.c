/*
 * events_plan.c
 *	  What is announced of the rows of a table, compiled.
 *
 * It is said in the registry (option events).  There is a plan for each relation
 * that rows are in: columns of a partition may stand elsewhere.
 */
#include "base/crm.h"
#include "process/events.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static char *
kept_string(uint64 row, int column, MemoryContext context)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	return isnull ? NULL : MemoryContextStrdup(context, TextDatumGetCString(value));
}

static void
read_event_rules(EventPlan *plan, const char *subject, TupleDesc desc)
{
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(subject)};

	crm_read_config("SELECT r.kind, r.column_name, r.condition, r.value"
					" FROM crm_internal.event_rules($1) AS r ORDER BY r.position",
					1, types, values);
	plan->rules = MemoryContextAllocZero(plan->context, sizeof(EventRule) * Max(SPI_processed, 1));
	plan->nrules = SPI_processed;
	for (int i = 0; i < plan->nrules; i++)
	{
		EventRule  *rule = &plan->rules[i];
		char	   *column = kept_string(i, 2, plan->context);
		char	   *when = kept_string(i, 3, plan->context);

		rule->kind = kept_string(i, 1, plan->context);
		rule->to = kept_string(i, 4, plan->context);
		rule->when = strcmp(when, "always") == 0 ? RULE_ALWAYS : strcmp(when, "to") == 0 ? RULE_TO :
			strcmp(when, "set") == 0 ? RULE_SET : strcmp(when, "changed") == 0 ? RULE_CHANGED :
			strcmp(rule->to, "reopened") == 0 ? RULE_REOPENED : RULE_STAGE;
		if (column == NULL)
			continue;
		rule->column = SPI_fnumber(desc, column);
		if (rule->column <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("events of \"%s\" are told by column \"%s\", which it has no more",
							subject, column),
					 errhint("Say anew what is announced: crm.attach(table, '{\"events\": ...}').")));
		for (int c = 0; c < plan->ncolumns; c++)
			plan->columns[c].has_rule |= plan->columns[c].number == rule->column;
	}
}

/* Columns that are announced; those that were dropped since are passed over. */
static void
read_event_columns(EventPlan *plan, const char *subject, TupleDesc desc)
{
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(subject)};
	Bitmapset  *told = NULL;
	MemoryContext old;

	crm_read_config("SELECT c.column_name, c.personal FROM crm_internal.event_columns($1) AS c",
					1, types, values);
	plan->columns = MemoryContextAllocZero(plan->context,
										   sizeof(EventColumn) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		EventColumn *c = &plan->columns[plan->ncolumns];
		bool		isnull;

		c->name = kept_string(i, 1, plan->context);
		c->number = SPI_fnumber(desc, c->name);
		if (c->number <= 0)
			continue;
		c->personal = DatumGetBool(crm_spi_value(i, 2, &isnull));
		if (!c->personal)
			told = bms_add_member(told, c->number);
		plan->ncolumns++;
	}
	/* an empty set, not NULL, which means all */
	if (told == NULL)
		told = bms_make_singleton(0);
	old = MemoryContextSwitchTo(plan->context);
	plan->shape = crm_row_shape(desc, told);
	MemoryContextSwitchTo(old);
}

/* The key: oid of the relation, then the subject's name. */
static void *
build_event_plan(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	Oid			relid;
	const char *subject = (const char *) key + sizeof(Oid);
	Datum		values[1] = {CStringGetTextDatum(subject)};
	EventPlan  *plan;
	Relation	rel;
	TupleDesc	desc;
	char	   *id;
	char	   *in;
	bool		isnull;

	memcpy(&relid, key, sizeof(Oid));
	crm_kept_depends(relid);
	crm_read_config("SELECT e.id_column, e.table_column, e.subject, e.created, e.changed, e.deleted,"
					" pg_get_serial_sequence('crm.events', 'id')::regclass::oid"
					" FROM crm_internal.event_plan($1) AS e", 1, types, values);
	if (SPI_processed == 0)
		return NULL;
	plan = MemoryContextAllocZero(context, sizeof(EventPlan));
	plan->context = context;
	id = kept_string(0, 1, context);
	in = kept_string(0, 2, context);
	plan->subject = kept_string(0, 3, context);
	plan->created = kept_string(0, 4, context);
	plan->changed = kept_string(0, 5, context);
	plan->deleted = kept_string(0, 6, context);
	plan->sequence = DatumGetObjectId(crm_spi_value(0, 7, &isnull));
	rel = relation_open(relid, NoLock); /* the trigger's caller holds one */
	desc = RelationGetDescr(rel);
	plan->tenant = crm_typed_column(desc, "tenant_id", INT8OID);
	plan->id = crm_typed_column(desc, id, INT8OID);
	plan->subject_in = in ? crm_typed_column(desc, in, TEXTOID) : 0;
	read_event_columns(plan, subject, desc);
	read_event_rules(plan, subject, desc);
	relation_close(rel, NoLock);
	return plan;
}

static CrmKept event_plans = {
	.what = "events of tables",
	.tables = {"registry", "events"},
	/* every row of a table that is audited asks, announced or not */
	.absence = true,
	.build = build_event_plan,
};

/*
 * The plan for the rows of a subject in a relation, good as long as the current
 * memory context; NULL: nothing is announced of them.
 */
EventPlan *
crm_event_plan(Oid relid, const char *subject)
{
	Size		length = strlen(subject) + 1;
	char		key[sizeof(Oid) + NAMEDATALEN * 4];

	if (length > NAMEDATALEN * 4)
		elog(ERROR, "name of a table is too long: \"%s\"", subject);
	memcpy(key, &relid, sizeof(Oid));
	memcpy(key + sizeof(Oid), subject, length);
	return crm_kept(&event_plans, key, sizeof(Oid) + length);
}
