/*
 * names.c
 *	  Numbers for names, in the order in which names first come.
 *
 * Aggregates that count items or channels keep numbers, and the names once.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/names.h"

static void
wider_hash(CrmNames *s)
{
	s->mask = s->slot ? s->mask * 2 + 1 : 1023;
	if (s->slot)
		pfree(s->slot);
	s->slot = MemoryContextAllocHuge(s->context, (s->mask + (Size) 1) * sizeof(uint32));
	memset(s->slot, 0xff, (s->mask + (Size) 1) * sizeof(uint32));
	for (int32 i = 0; i < s->count; i++)
	{
		uint32		at = hash_bytes((unsigned char *) VARDATA_ANY(s->name[i]),
									VARSIZE_ANY_EXHDR(s->name[i])) & s->mask;

		while (s->slot[at] != PG_UINT32_MAX)
			at = (at + 1) & s->mask;
		s->slot[at] = i;
	}
}

/* Begin without a name; everything lives in the context. */
void
crm_names_begin(CrmNames *s, MemoryContext context)
{
	memset(s, 0, sizeof(CrmNames));
	s->context = context;
	s->room = 256;
	s->name = MemoryContextAlloc(context, s->room * sizeof(text *));
	wider_hash(s);
}

/* The number of a name, from 0; a new one is copied. */
int32
crm_name_number(CrmNames *s, text *name)
{
	int			length = VARSIZE_ANY_EXHDR(name);
	uint32		at = hash_bytes((unsigned char *) VARDATA_ANY(name), length) & s->mask;

	while (s->slot[at] != PG_UINT32_MAX)
	{
		text	   *known = s->name[s->slot[at]];

		if (VARSIZE_ANY_EXHDR(known) == length &&
			memcmp(VARDATA_ANY(known), VARDATA_ANY(name), length) == 0)
			return s->slot[at];
		at = (at + 1) & s->mask;
	}
	if (s->count == s->room)
	{
		s->room *= 2;
		s->name = repalloc_huge(s->name, s->room * sizeof(text *));
	}
	s->slot[at] = s->count;
	s->name[s->count] = MemoryContextAlloc(s->context, VARSIZE_ANY(name));
	memcpy(s->name[s->count], name, VARSIZE_ANY(name));
	s->count++;
	if ((uint32) s->count * 2 > s->mask)
		wider_hash(s);
	return s->count - 1;
}
