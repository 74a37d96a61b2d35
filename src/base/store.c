/*
 * store.c
 *	  crm.insert_row() and crm.update_row(): whole rows written with kept plans,
 *	  whatever columns their tables have.
 *
 * The statements are made of the table's present columns each time, which is
 * cheap, and the plan is found by their text: a column added or dropped makes
 * another text.  They run as the caller, with the table's defaults, triggers,
 * policies and rights, as if the caller had written them.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* A statement under way: its text and its parameters */
typedef struct Statement
{
	StringInfoData sql;
	int			n;
	Oid		   *types;
	Datum	   *values;
	char	   *nulls;
} Statement;

static void
begin(Statement *s, int most)
{
	memset(s, 0, sizeof(*s));
	initStringInfo(&s->sql);
	s->types = palloc(sizeof(Oid) * Max(most, 1));
	s->values = palloc(sizeof(Datum) * Max(most, 1));
	s->nulls = palloc(Max(most, 1));
}

static int
parameter(Statement *s, Oid type, Datum value, bool isnull)
{
	s->types[s->n] = type;
	s->values[s->n] = value;
	s->nulls[s->n] = isnull ? 'n' : ' ';
	return ++s->n;
}

/*
 * Run it; the row it returns, 0 where there is none.  The types of the
 * parameters are part of the text: a column that was given another type must
 * not meet the plan of the old one.
 */
static Datum
finish(Statement *s, Relation rel, bool *found)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		row = (Datum) 0;

	appendStringInfo(&s->sql, " RETURNING (x.*)::%s /*", crm_qualified_name(RelationGetRelid(rel)));
	for (int i = 0; i < s->n; i++)
		appendStringInfo(&s->sql, " %u", s->types[i]);
	appendStringInfoString(&s->sql, " */");

	crm_connect();
	crm_execute_variant(s->sql.data, s->n, s->types, s->values, s->nulls, false, 0);
	*found = SPI_processed > 0;
	if (*found)
		row = crm_spi_row(rel->rd_rel->reltype, caller);
	crm_disconnect();
	return row;
}

static bool
has_default(Relation rel, Form_pg_attribute att)
{
	/* a default of the column's type counts as well */
	return att->atthasdef || att->attidentity != '\0' ||
		get_typtype(att->atttypid) == TYPTYPE_DOMAIN;
}

PG_FUNCTION_INFO_V1(crm_insert_row);

/*
 * crm.insert_row(row): the row as it was stored.  NULL where a column has a
 * default means the default: the column is left out.  Others are always there,
 * so that rows with this or that column empty share a plan.
 */
Datum
crm_insert_row(PG_FUNCTION_ARGS)
{
	Relation	rel = crm_row_table(fcinfo, 0, "crm.insert_row()");
	TupleDesc	desc = lookup_rowtype_tupdesc(rel->rd_rel->reltype, -1);
	StringInfoData parameters;
	Statement	s;
	Datum	   *values;
	bool	   *nulls;
	Datum		row;
	bool		found;

	crm_deform_row(PG_ARGISNULL(0) ? NULL : PG_GETARG_HEAPTUPLEHEADER(0), desc,
				   &values, &nulls);
	begin(&s, desc->natts);
	initStringInfo(&parameters);
	appendStringInfo(&s.sql, "INSERT INTO %s AS x (", crm_qualified_name(RelationGetRelid(rel)));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated != '\0' || (nulls[i] && has_default(rel, att)))
			continue;
		appendStringInfo(&s.sql, "%s%s", s.n > 0 ? ", " : "",
						 quote_identifier(NameStr(att->attname)));
		appendStringInfo(&parameters, "%s$%d", s.n > 0 ? ", " : "", s.n + 1);
		parameter(&s, att->atttypid, values[i], nulls[i]);
	}
	if (s.n > 0)
		appendStringInfo(&s.sql, ") VALUES (%s)", parameters.data);
	else
	{
		resetStringInfo(&s.sql);
		appendStringInfo(&s.sql, "INSERT INTO %s AS x DEFAULT VALUES", crm_qualified_name(RelationGetRelid(rel)));
	}
	row = finish(&s, rel, &found);
	ReleaseTupleDesc(desc);
	relation_close(rel, AccessShareLock);
	/* a trigger may have put it aside */
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row);
}

/* The equality of a type, whatever the path */
static char *
equality(Oid type)
{
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "type %u of a key has no equality", type);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					  NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return result;
}

PG_FUNCTION_INFO_V1(crm_update_row);

/*
 * crm.update_row(before, after): sets the columns in which the two differ, of
 * the row with the primary key of before.  Nothing is written where none does.
 */
Datum
crm_update_row(PG_FUNCTION_ARGS)
{
	Relation	rel = crm_row_table(fcinfo, 0, "crm.update_row()");
	TupleDesc	desc = lookup_rowtype_tupdesc(rel->rd_rel->reltype, -1);
	Bitmapset  *key = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY);
	Statement	s;
	Datum	   *before;
	Datum	   *after;
	bool	   *before_nulls;
	bool	   *after_nulls;
	Datum		row;
	bool		found = true;
	int			x = -1;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("table %s has no primary key", crm_qualified_name(RelationGetRelid(rel)))));
	crm_deform_row(PG_GETARG_HEAPTUPLEHEADER(0), desc, &before, &before_nulls);
	crm_deform_row(PG_GETARG_HEAPTUPLEHEADER(1), desc, &after, &after_nulls);
	begin(&s, desc->natts * 2);
	appendStringInfo(&s.sql, "UPDATE %s AS x SET ", crm_qualified_name(RelationGetRelid(rel)));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated != '\0' ||
			crm_same_stored(before[i], before_nulls[i], after[i], after_nulls[i],
							att->attbyval, att->attlen))
			continue;
		appendStringInfo(&s.sql, "%s%s = $%d", s.n > 0 ? ", " : "",
						 quote_identifier(NameStr(att->attname)), s.n + 1);
		parameter(&s, att->atttypid, after[i], after_nulls[i]);
	}
	if (s.n == 0)
		row = PG_GETARG_DATUM(0);
	else
	{
		const char *between = " WHERE ";

		while ((x = bms_next_member(key, x)) >= 0)
		{
			int			i = x + FirstLowInvalidHeapAttributeNumber - 1;
			Form_pg_attribute att = TupleDescAttr(desc, i);

			appendStringInfo(&s.sql, "%sx.%s %s $%d", between,
							 quote_identifier(NameStr(att->attname)), equality(att->atttypid),
							 s.n + 1);
			parameter(&s, att->atttypid, before[i], before_nulls[i]);
			between = " AND ";
		}
		row = finish(&s, rel, &found);
	}
	ReleaseTupleDesc(desc);
	relation_close(rel, AccessShareLock);
	/* gone, or not the caller's to change */
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(row);
}
