/*
 * changes.h
 *	  Which columns of a row changed, and the shapes of such sets of columns.
 */
#ifndef CRM_CHANGES_H
#define CRM_CHANGES_H

#include "base/crm.h"

#define CRM_CHANGED_SHAPES 16	/* sets of changed columns whose shape is kept */

typedef struct CrmChangedShape
{
	Bitmapset  *columns;
	CrmRowShape *shape;
} CrmChangedShape;

/* Of a plan for the changes of a table, in its memory */
typedef struct CrmChanges
{
	int			n;
	CrmChangedShape shapes[CRM_CHANGED_SHAPES];
} CrmChanges;

extern bool crm_column_changed(TupleDesc desc, HeapTuple before, HeapTuple after,
							   AttrNumber number);
extern CrmRowShape *crm_changed_shape(CrmChanges *changes, MemoryContext context, TupleDesc desc,
									  Bitmapset *changed);

#endif							/* CRM_CHANGES_H */
