/*
 * changes.c
 *	  Which columns of a row changed, and the shapes of such sets of columns.
 *
 * For whoever follows changes: events, the audit and segments.
 */
#include "base/changes.h"

/* Is a column stored otherwise than before? */
bool
crm_column_changed(TupleDesc desc, HeapTuple before, HeapTuple after, AttrNumber number)
{
	Form_pg_attribute att = TupleDescAttr(desc, number - 1);
	bool		was_null;
	bool		is_null;
	Datum		was = heap_getattr(before, number, desc, &was_null);
	Datum		is = heap_getattr(after, number, desc, &is_null);

	return !crm_same_stored(was, was_null, is, is_null, att->attbyval, att->attlen);
}

/* The shape of the columns that changed: most changes are of a few sets of them. */
CrmRowShape *
crm_changed_shape(CrmChanges *changes, MemoryContext context, TupleDesc desc, Bitmapset *changed)
{
	MemoryContext old;
	CrmChangedShape *s;

	for (int i = 0; i < changes->n; i++)
		if (bms_equal(changes->shapes[i].columns, changed))
			return changes->shapes[i].shape;
	if (changes->n == CRM_CHANGED_SHAPES)
		return crm_row_shape(desc, changed);
	old = MemoryContextSwitchTo(context);
	s = &changes->shapes[changes->n];
	s->columns = bms_copy(changed);
	s->shape = crm_row_shape(desc, changed);
	changes->n++;
	MemoryContextSwitchTo(old);
	return s->shape;
}
