/*
 * straight.h
 *	  Rows put straight into the heap of a table and into its indexes.
 */
#ifndef CRM_STRAIGHT_H
#define CRM_STRAIGHT_H

#include "base/crm.h"

#include "executor/tuptable.h"

/* What is kept of a table that is written so. */
typedef struct CrmStraight
{
	struct EState *estate;		/* holds the compiled predicates of indexes */
	int			nindexes;
	Oid		   *indexes;
	struct IndexInfo **infos;
} CrmStraight;

/* Fills a slot, whose columns are all NULL, with row i. */
typedef void (*CrmFillSlot) (TupleTableSlot *slot, int i, const void *arg);

extern void crm_straight_prepare(CrmStraight *s, Relation rel);
extern void crm_straight_write(Relation rel, CrmStraight *s, int n, CrmFillSlot fill,
							   const void *arg);

#endif							/* CRM_STRAIGHT_H */
