/*
 * written.c
 *	  Which transaction ids rows carry that were written in the present
 *	  subtransaction: how a dry run finds what a call would change.
 *
 * A row has the id of the subtransaction that wrote it.  Those that a call
 * began and that ended well have become children of the present one, which
 * knows them; those that failed have left nothing to be seen.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/array.h"

PG_FUNCTION_INFO_V1(crm_written_xids);

Datum
crm_written_xids(PG_FUNCTION_ARGS)
{
	TransactionId *children;
	int			nchildren = xactGetCommittedChildren(&children);
	Datum	   *ids = palloc(sizeof(Datum) * (nchildren + 1));

	for (int i = 0; i < nchildren; i++)
		ids[i] = TransactionIdGetDatum(children[i]);
	ids[nchildren] = TransactionIdGetDatum(GetCurrentTransactionId());
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, nchildren + 1, XIDOID,
										  sizeof(TransactionId), true, TYPALIGN_INT));
}
