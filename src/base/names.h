/*
 * names.h
 *	  Numbers for names, in the order in which names first come.
 */
#ifndef CRM_NAMES_H
#define CRM_NAMES_H

typedef struct CrmNames
{
	MemoryContext context;
	int32		count;
	int32		room;
	text	  **name;			/* by number */
	uint32	   *slot;			/* hash of names */
	uint32		mask;
} CrmNames;

extern void crm_names_begin(CrmNames *names, MemoryContext context);
extern int32 crm_name_number(CrmNames *names, text *name);

#endif							/* CRM_NAMES_H */
