/*
 * audit_plan.c
 *	  What of the rows of a table is written into the log of changes, compiled.
 *
 * The registry says which tables are audited (option audit), which of their
 * columns are secret, and crm.audit_choices for which tenants the audit is on.
 * There is a plan for each relation that rows are in: columns of a partition
 * may stand elsewhere.
 */
#include "base/crm.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "access/audit.h"

/* Columns of the row, without those that are computed from others. */
static void
read_audit_columns(CrmAuditPlan *plan, TupleDesc desc)
{
	Bitmapset  *told = NULL;
	MemoryContext old;

	plan->columns = MemoryContextAllocZero(plan->context, sizeof(CrmAuditColumn) * desc->natts);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		CrmAuditColumn *c = &plan->columns[plan->ncolumns];
		bool		isnull;
		Datum		name = crm_spi_value(i, 1, &isnull);

		c->name = MemoryContextStrdup(plan->context, TextDatumGetCString(name));
		c->number = crm_column_number(desc, c->name);
		if (c->number <= 0 || TupleDescAttr(desc, c->number - 1)->attgenerated != '\0')
			continue;
		c->secret = DatumGetBool(crm_spi_value(i, 2, &isnull));
		if (!c->secret)
			told = bms_add_member(told, c->number);
		old = MemoryContextSwitchTo(plan->context);
		if (DatumGetBool(crm_spi_value(i, 3, &isnull)))
			plan->key = bms_add_member(plan->key, c->number);
		MemoryContextSwitchTo(old);
		plan->ncolumns++;
	}
	old = MemoryContextSwitchTo(plan->context);
	/* an empty set, not NULL, which means all */
	plan->whole = crm_row_shape(desc, told ? told : bms_make_singleton(0));
	MemoryContextSwitchTo(old);
}

static void
read_audit_choices(CrmAuditPlan *plan, const char *subject)
{
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(subject)};

	crm_read_config("SELECT DISTINCT ON (c.tenant_id) c.tenant_id, c.active FROM crm.audit_choices AS c"
					" WHERE c.table_name OPERATOR(pg_catalog.=) ANY (ARRAY['*', $1])"
					" ORDER BY c.tenant_id, c.table_name OPERATOR(pg_catalog.=) $1 DESC",
					1, types, values);
	plan->choices = MemoryContextAlloc(plan->context,
									   sizeof(CrmAuditChoice) * Max(SPI_processed, 1));
	plan->nchoices = SPI_processed;
	for (int i = 0; i < plan->nchoices; i++)
	{
		bool		isnull;

		plan->choices[i].tenant = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		plan->choices[i].active = DatumGetBool(crm_spi_value(i, 2, &isnull));
	}
}

/* The key: oid of the relation, then the subject's name. */
static void *
build_audit_plan(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	Oid			relid;
	const char *subject = (const char *) key + sizeof(Oid);
	Datum		values[1] = {CStringGetTextDatum(subject)};
	CrmAuditPlan *plan;
	Relation	rel;
	TupleDesc	desc;
	bool		isnull;

	memcpy(&relid, key, sizeof(Oid));
	crm_kept_depends(relid);
	crm_read_config("SELECT a.always, a.withheld,"
					" pg_get_serial_sequence('crm.audit_log', 'id')::regclass::oid"
					" FROM crm_internal.audit_plan($1) AS a", 1, types, values);
	if (SPI_processed == 0)
		return NULL;
	plan = MemoryContextAllocZero(context, sizeof(CrmAuditPlan));
	plan->context = context;
	plan->subject = MemoryContextStrdup(context, subject);
	plan->always = DatumGetBool(crm_spi_value(0, 1, &isnull));
	plan->withheld = DatumGetBool(crm_spi_value(0, 2, &isnull));
	plan->sequence = DatumGetObjectId(crm_spi_value(0, 3, &isnull));
	rel = relation_open(relid, NoLock); /* the trigger's caller holds one */
	desc = RelationGetDescr(rel);
	plan->tenant = crm_typed_column(desc, "tenant_id", INT8OID);
	plan->id = crm_column_number(desc, "id");
	if (plan->id > 0 && TupleDescAttr(desc, plan->id - 1)->atttypid != INT8OID)
		plan->id = 0;
	read_audit_choices(plan, subject);
	crm_read_config("SELECT c.column_name, c.secret, c.key FROM crm_internal.audit_columns($1) AS c",
					1, types, values);
	read_audit_columns(plan, desc);
	relation_close(rel, NoLock);
	return plan;
}

static CrmKept audit_plans = {
	.what = "audits of tables",
	.tables = {"registry", "audit_choices", "audit_log"},
	/* every row of every table asks, audited or not */
	.absence = true,
	.build = build_audit_plan,
};

/*
 * The plan for the rows of a subject in a relation, good as long as the current
 * memory context; NULL: they are not audited.
 */
CrmAuditPlan *
crm_audit_plan(Oid relid, const char *subject)
{
	Size		length = strlen(subject) + 1;
	char		key[sizeof(Oid) + NAMEDATALEN * 4];

	if (length > NAMEDATALEN * 4)
		elog(ERROR, "name of a table is too long: \"%s\"", subject);
	memcpy(key, &relid, sizeof(Oid));
	memcpy(key + sizeof(Oid), subject, length);
	return crm_kept(&audit_plans, key, sizeof(Oid) + length);
}

/* Whether rows of a tenant are audited. */
bool
crm_audit_active(const CrmAuditPlan *plan, int64 tenant)
{
	int			low = 0;
	int			high = plan->nchoices - 1;

	if (plan->always)
		return true;
	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (plan->choices[middle].tenant == tenant)
			return plan->choices[middle].active;
		if (plan->choices[middle].tenant < tenant)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}
