/*
 * written.h
 *	  Columns that the CRM itself writes, for the files of this room.
 */
#ifndef CRM_WRITTEN_H
#define CRM_WRITTEN_H

#include "base/crm.h"

extern HeapTuple crm_written_row(FunctionCallInfo fcinfo, TriggerData *trigdata,
								 HeapTuple tuple);

#endif							/* CRM_WRITTEN_H */
