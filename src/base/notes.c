/*
 * notes.c
 *	  What triggers have noted and a transaction has to write.
 *
 * Row triggers make notes, statement triggers write them; the end of the
 * transaction writes what no statement trigger did, as with logical
 * replication.  A savepoint that is rolled back takes its notes along, and what
 * it has written of earlier ones is to be written again.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/notes.h"

/* Room for one more note, which counts when crm_note_keep() is called. */
void *
crm_note_make(CrmNotes *notes)
{
	CrmNote    *note;

	if (notes->context == NULL)
	{
		notes->context = AllocSetContextCreate(TopTransactionContext, "crm notes",
											   ALLOCSET_DEFAULT_SIZES);
		MemoryContextSetIdentifier(notes->context, notes->what);
		notes->room = 8;
		notes->list = MemoryContextAlloc(notes->context, notes->size * notes->room);
	}
	if (notes->n == notes->room)
	{
		notes->room *= 4;
		notes->list = repalloc_huge(notes->list, notes->size * notes->room);
	}
	note = crm_note_at(notes, notes->n);
	memset(note, 0, notes->size);
	note->made_in = GetCurrentSubTransactionId();
	note->written_in = InvalidSubTransactionId;
	return note;
}

void
crm_note_keep(CrmNotes *notes)
{
	notes->n++;
	notes->unwritten++;
}

/* The notes from one place to before another are written now. */
void
crm_notes_written(CrmNotes *notes, int from, int to)
{
	SubTransactionId now_in = GetCurrentSubTransactionId();

	for (int i = from; i < to; i++)
	{
		CrmNote    *note = crm_note_at(notes, i);

		if (note->written_in == InvalidSubTransactionId)
			note->written_in = now_in;
	}
}

/*
 * Forget what needs no more memory: notes made and written in the same
 * subtransaction share its fate.
 */
void
crm_notes_forget(CrmNotes *notes)
{
	int			kept = 0;

	notes->unwritten = 0;
	for (int i = 0; i < notes->n; i++)
	{
		CrmNote    *note = crm_note_at(notes, i);

		if (note->made_in == note->written_in)
			continue;
		if (note->written_in == InvalidSubTransactionId)
			notes->unwritten++;
		if (kept != i)
			memcpy(crm_note_at(notes, kept), note, notes->size);
		kept++;
	}
	notes->n = kept;
	if (kept == 0 && notes->context != NULL)
	{
		MemoryContextDelete(notes->context);
		notes->context = NULL;
		notes->list = NULL;
		notes->room = 0;
	}
}

static void
transaction_ends(XactEvent event, void *arg)
{
	CrmNotes   *notes = arg;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (notes->unwritten > 0)
			{
				PushActiveSnapshot(GetTransactionSnapshot());
				notes->write();
				PopActiveSnapshot();
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* their memory goes with the transaction's */
			notes->context = NULL;
			notes->list = NULL;
			notes->n = notes->room = notes->unwritten = 0;
			break;
		default:
			break;
	}
}

static void
subtransaction_ends(SubXactEvent event, SubTransactionId mine,
					SubTransactionId parent, void *arg)
{
	CrmNotes   *notes = arg;
	int			kept = 0;

	if (notes->n == 0 || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	for (int i = 0; i < notes->n; i++)
	{
		CrmNote    *note = crm_note_at(notes, i);

		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			if (note->made_in == mine)
				note->made_in = parent;
			if (note->written_in == mine)
				note->written_in = parent;
		}
		else
		{
			if (note->made_in == mine)
				continue;
			if (note->written_in == mine)
				note->written_in = InvalidSubTransactionId;
		}
		if (kept != i)
			memcpy(crm_note_at(notes, kept), note, notes->size);
		kept++;
	}
	notes->n = kept;
	crm_notes_forget(notes);
}

void
crm_notes_init(CrmNotes *notes)
{
	RegisterXactCallback(transaction_ends, notes);
	RegisterSubXactCallback(subtransaction_ends, notes);
}
