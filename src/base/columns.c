/*
 * columns.c
 *	  What becomes of each column where one row is made of another.
 *
 * A lead that is captured again, merged, or converted fills columns of a row
 * that is there already; so does a ticket that is split.  Which columns follows
 * from the table itself, so that a column added by anybody takes part at once:
 * a plain value fills an empty one, lists and documents are joined.  Only the
 * exceptions are written down, as rows of crm.column_rules beside the table.
 *
 * The rules of a table for a purpose are kept (see kept.c) until the table, its
 * indexes or crm.column_rules change.
 */
#include "base/crm.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

typedef struct ColumnsKey
{
	Oid			relid;
	NameData	purpose;
} ColumnsKey;

static const struct
{
	const char *name;
	CrmColumnRule rule;
}			rule_names[] = {
	{"keep", CRM_COLUMN_KEEP},
	{"fill", CRM_COLUMN_FILL},
	{"take", CRM_COLUMN_TAKE},
	{"join", CRM_COLUMN_JOIN},
	{"least", CRM_COLUMN_LEAST},
	{"greatest", CRM_COLUMN_GREATEST},
	{"sum", CRM_COLUMN_SUM},
	{"with", CRM_COLUMN_WITH},
	{"from", CRM_COLUMN_FROM},
};

/* The number of a column, 0 for none */
AttrNumber
crm_column_number(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	return 0;
}

PG_FUNCTION_INFO_V1(crm_column_exists);

/* crm.column_exists(relation, name); false where either is NULL */
Datum
crm_column_exists(PG_FUNCTION_ARGS)
{
	char	   *name;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_BOOL(false);
	name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	/* longer than a name can be: no column has it, though one may have its beginning */
	if (strlen(name) >= NAMEDATALEN)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(get_attnum(PG_GETARG_OID(0), name) > 0);
}

/* The quoted name of a table with its schema; NULL: there is none */
char *
crm_qualified_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return NULL;
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

/* The name tables go by everywhere: of schema crm alone, others with theirs */
char *
crm_subject_name(Relation rel)
{
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));

	if (strcmp(schema, "crm") == 0)
		return pstrdup(quote_identifier(RelationGetRelationName(rel)));
	return quote_qualified_identifier(schema, RelationGetRelationName(rel));
}

/* What a column is by itself */
static void
by_nature(CrmColumns *columns, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		CrmColumn  *c = &columns->columns[i];

		c->rule = CRM_COLUMN_FILL;
		c->settable = !att->attisdropped && att->attgenerated == '\0';
		if (!c->settable)
			c->rule = CRM_COLUMN_KEEP;
		else if (att->atttypid == JSONBOID || OidIsValid(get_element_type(att->atttypid)))
			c->rule = CRM_COLUMN_JOIN;
	}
}

/*
 * Keys.  The columns of the primary key say which row it is and are never
 * carried; those of other unique indexes are not carried within their table,
 * where the row they would come from still has them.
 */
static void
keys_of(CrmColumns *columns, Relation rel)
{
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if (form->indisunique)
		{
			Bitmapset  *used = NULL;
			int			x = -1;

			for (int i = 0; i < form->indnkeyatts; i++)
				if (form->indkey.values[i] > 0)
					used = bms_add_member(used, form->indkey.values[i] -
										  FirstLowInvalidHeapAttributeNumber);
			pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &used);
			while ((x = bms_next_member(used, x)) >= 0)
			{
				int			att = x + FirstLowInvalidHeapAttributeNumber;

				if (att <= 0)
					continue;
				columns->columns[att - 1].unique = true;
				if (form->indisprimary)
				{
					columns->columns[att - 1].rule = CRM_COLUMN_KEEP;
					columns->columns[att - 1].key = true;
				}
			}
		}
		index_close(index, AccessShareLock);
	}
}

/* The exceptions, the most general first: a later one takes its place */
static void
exceptions_of(CrmColumns *columns, Relation rel, const char *purpose)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];

	values[0] = CStringGetTextDatum(crm_subject_name(rel));
	values[1] = CStringGetTextDatum(purpose);
	crm_read_config("SELECT r.column_name, r.rule, r.other FROM crm.column_rules AS r"
					" WHERE r.table_name OPERATOR(pg_catalog.=) ANY (ARRAY['*', $1])"
					" AND (r.purposes OPERATOR(pg_catalog.@>) ARRAY[$2]"
					" OR r.purposes OPERATOR(pg_catalog.@>) ARRAY['*'])"
					" ORDER BY r.table_name OPERATOR(pg_catalog.=) $1,"
					" r.purposes OPERATOR(pg_catalog.@>) ARRAY[$2],"
					" r.declared_at IS NULL, r.id", 2, types, values);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		char	   *rule = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
		char	   *other = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 3);
		AttrNumber	att = crm_column_number(desc, name);
		CrmColumn  *c;

		/* a rule of all tables, or of a column that is gone */
		if (att == 0 || !columns->columns[att - 1].settable)
			continue;
		c = &columns->columns[att - 1];
		for (int j = 0; j < lengthof(rule_names); j++)
			if (strcmp(rule, rule_names[j].name) == 0)
				c->rule = rule_names[j].rule;
		namestrcpy(&c->other, other ? other : "");
	}
}

static void *
build_column_rules(const void *key, MemoryContext context)
{
	const ColumnsKey *k = key;
	Relation	rel = relation_open(k->relid, NoLock);	/* the caller's */
	int			natts = RelationGetNumberOfAttributes(rel);
	CrmColumns *columns = MemoryContextAllocZero(context, offsetof(CrmColumns, columns) +
												 sizeof(CrmColumn) * natts);

	crm_kept_depends(k->relid);
	columns->natts = natts;
	by_nature(columns, RelationGetDescr(rel));
	keys_of(columns, rel);
	exceptions_of(columns, rel, NameStr(k->purpose));
	relation_close(rel, NoLock);
	return columns;
}

static CrmKept kept_column_rules = {
	.what = "rules of columns",
	.tables = {"column_rules"},
	.build = build_column_rules,
};

/*
 * What becomes of the columns of a table for a purpose; lives as long as the
 * current memory context.  The relation has to be open.
 */
const CrmColumns *
crm_columns(Relation rel, const char *purpose)
{
	ColumnsKey	key;

	memset(&key, 0, sizeof(key));
	key.relid = RelationGetRelid(rel);
	namestrcpy(&key.purpose, purpose);
	return crm_kept(&kept_column_rules, &key, sizeof(key));
}
