/*
 * collect.c
 *	  Rows that C has made, for a statement that reads them by name.
 *
 * One statement that writes a thousand rows costs a fraction of a thousand
 * statements.  The rows are collected in a tuplestore, which queries of the
 * level of SPI that is open read as if it were a table.
 */
#include "base/crm.h"

#include "miscadmin.h"

/*
 * Begin to collect rows of some columns, in the current memory context.  rows
 * is what the planner is told of their number, which decides how a join with
 * them is run: it must not depend on how many there are, as plans are kept.
 */
CrmCollected
crm_collect_rows(const char *name, int ncolumns, const char *const *columns,
				 const Oid *types, double rows)
{
	EphemeralNamedRelation r = palloc0(sizeof(EphemeralNamedRelationData));
	CrmCollected c;

	c.desc = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
		TupleDescInitEntry(c.desc, i + 1, columns[i], types[i], -1, 0);
	c.rows = tuplestore_begin_heap(false, false, work_mem);
	r->md.name = pstrdup(name);
	r->md.reliddesc = InvalidOid;
	r->md.tupdesc = c.desc;
	r->md.enrtype = ENR_NAMED_TUPLESTORE;
	r->md.enrtuples = rows;
	r->reldata = c.rows;
	crm_see_rows(r);
	return c;
}

void
crm_collect_row(CrmCollected *c, Datum *values, bool *nulls)
{
	tuplestore_putvalues(c->rows, c->desc, values, nulls);
}

bool
crm_collected_any(const CrmCollected *c)
{
	return tuplestore_tuple_count(c->rows) > 0;
}

void
crm_collected_end(CrmCollected *c)
{
	tuplestore_end(c->rows);
}
