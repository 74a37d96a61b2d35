/*
 * rows.h
 *	  Questions for rows of other tables, for the files of this room.
 */
#ifndef CRM_ROWS_H
#define CRM_ROWS_H

#include "base/crm.h"

/* What a snapshot sees; equal marks see the same. */
typedef struct RowMark
{
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	CommandId	curcid;
	uint64		completions;
} RowMark;

typedef struct RowQuestion
{
	Oid			relid;
	bool		change;
	uint64		identity;
	RowMark		mark;
} RowQuestion;

extern RowQuestion crm_row_question(Oid relid, bool change);
extern double crm_expected_rows(const RowQuestion *question);
extern void crm_remember_count(const RowQuestion *question, int64 n);

#endif							/* CRM_ROWS_H */
