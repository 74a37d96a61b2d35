/*
 * notes.h
 *	  What triggers have noted and a transaction has to write.
 */
#ifndef CRM_NOTES_H
#define CRM_NOTES_H

#include "base/crm.h"

/* The first member of every note */
typedef struct CrmNote
{
	SubTransactionId made_in;
	SubTransactionId written_in;	/* InvalidSubTransactionId: not yet */
} CrmNote;

typedef struct CrmNotes
{
	const char *what;			/* name of their memory */
	Size		size;			/* of one note */
	void		(*write) (void);	/* writes what is not written yet */
	MemoryContext context;		/* gone with the transaction; NULL: no notes */
	char	   *list;
	int			n;
	int			room;
	int			unwritten;
} CrmNotes;

extern void crm_notes_init(CrmNotes *notes);
extern void *crm_note_make(CrmNotes *notes);
extern void crm_note_keep(CrmNotes *notes);
extern void crm_notes_written(CrmNotes *notes, int from, int to);
extern void crm_notes_forget(CrmNotes *notes);

static inline void *
crm_note_at(const CrmNotes *notes, int i)
{
	return notes->list + notes->size * i;
}

#endif							/* CRM_NOTES_H */
