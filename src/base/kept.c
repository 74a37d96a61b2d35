/*
 * kept.c
 *	  Configuration that a backend compiles once and keeps.
 *
 * A cache says which tables its entries are compiled from and how one key's
 * entry is built; finding, reading, dropping and freeing are done here, the
 * same for all of them.
 *
 * Reading.  The tables are locked first, so that a wait for somebody who
 * changes them comes before the reading and not in the middle of it.  Then the
 * generation of the tables is taken, then the newest snapshot, and all of an
 * entry is read through that one.  In this order no change can be missed: what
 * commits later brings a message that makes the generation grow, and the entry,
 * which carries the earlier one, is built anew at the next look.  It serves the
 * call that had it built all the same; building until no news comes might
 * never end.
 *
 * Lifetime.  What crm_kept() returns lives as long as the memory context that
 * was current when it was asked for, like anything allocated there.  It is held
 * by a callback of that context, so errors, subtransactions that are rolled
 * back and cancelled statements let go of it without any code of the user's.
 * Nothing is freed when news comes, and nothing is freed that is still held:
 * an entry that is out of date leaves the cache when its key is asked for
 * again, and its memory goes when the last context that holds it is reset.
 *
 * crm_kept_peek() holds nothing.  It is for callers who only look: what it
 * returns may be gone at the next look into the same cache, and any SQL that is
 * run, triggers and functions included, may contain one.
 *
 * An entry is built in a memory context of its own below the caller's, and moves
 * to the backend's only when nothing can go wrong any more: an error while
 * building leaves nothing behind.
 *
 * crm.debug_discard_kept makes every look compile anew and empty the cache, and
 * fills freed memory with rubbish where the C library can.  What is used too
 * long then shows at once on an ordinary server.
 */
#include "base/crm.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "access/xact.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* entries kept at most where a cache says nothing else */
#define DEFAULT_LIMIT 1000

typedef struct KeptKey
{
	const void *bytes;
	Size		length;
} KeptKey;

struct CrmKeptEntry
{
	KeptKey		key;			/* the bytes are the entry's own */
	CrmKept    *cache;
	MemoryContext context;		/* of all of it, this struct included */
	void	   *value;
	uint64		generation;		/* of the tables, before they were read */
	uint64		news;			/* when it was last found to be current */
	bool		stale;
	bool		listed;			/* in the cache's hash table */
	dlist_head	holds;
	int			nrelations;		/* relations it depends on besides */
	Oid		   *relations;
	CrmKeptEntry *outer;		/* while it is built: the one it is built for */
};

/* An element of a cache's hash table. */
typedef struct KeptSlot
{
	KeptKey		key;			/* hash key: must be first */
	CrmKeptEntry *entry;
} KeptSlot;

struct CrmKeptState
{
	CrmConfigWatch watches[CRM_KEPT_TABLES];
	int			nwatches;
	HTAB	   *slots;
	CrmKeptEntry *latest;		/* the one last asked for */
	bool		building;
	bool		has_relations;	/* some entry depends on relations of its own */
	CrmKept    *next;
};

/* What a memory context holds; allocated in it. */
typedef struct KeptHold
{
	MemoryContextCallback callback;
	dlist_node	node;			/* among the entry's holds */
	MemoryContext holder;
	CrmKeptEntry *entry;
} KeptHold;

bool		crm_discard_kept = false;

static MemoryContext kept_context = NULL;
static CrmKept *caches = NULL;
static CrmKeptEntry *under_way = NULL; /* being built, the innermost first */

/* ---- keys ---- */

static uint32
hash_key(const void *key, Size keysize)
{
	const KeptKey *k = (const KeptKey *) key;

	return hash_bytes((const unsigned char *) k->bytes, (int) k->length);
}

static int
match_key(const void *a, const void *b, Size keysize)
{
	const KeptKey *x = (const KeptKey *) a;
	const KeptKey *y = (const KeptKey *) b;

	return x->length == y->length && memcmp(x->bytes, y->bytes, x->length) == 0 ? 0 : 1;
}

/* ---- lifetimes ---- */

/* Free an entry that is neither listed nor held. */
static void
free_entry(CrmKeptEntry *entry)
{
	if (!entry->listed && dlist_is_empty(&entry->holds))
		MemoryContextDelete(entry->context);
}

/*
 * Take an entry out of its cache, where its slot is gone or has another.  No
 * news reaches it there: to who asks, it is out of date.
 */
static void
unlist(CrmKeptEntry *entry)
{
	if (entry->cache->state->latest == entry)
		entry->cache->state->latest = NULL;
	entry->listed = false;
	entry->stale = true;
	free_entry(entry);
}

/* Callback of the memory context that held an entry. */
static void
release_hold(void *arg)
{
	KeptHold   *hold = (KeptHold *) arg;

	dlist_delete(&hold->node);
	free_entry(hold->entry);
}

/* A context holds an entry once, however often it is asked for there. */
static void
hold_entry(CrmKeptEntry *entry, MemoryContext holder)
{
	KeptHold   *hold;
	dlist_iter	i;

	dlist_foreach(i, &entry->holds)
	{
		if (dlist_container(KeptHold, node, i.cur)->holder == holder)
			return;
	}
	hold = (KeptHold *) MemoryContextAlloc(holder, sizeof(KeptHold));
	hold->holder = holder;
	hold->entry = entry;
	hold->callback.func = release_hold;
	hold->callback.arg = hold;
	dlist_push_head(&entry->holds, &hold->node);
	MemoryContextRegisterResetCallback(holder, &hold->callback);
}

static void
drop_all(CrmKept *cache)
{
	HASH_SEQ_STATUS status;
	KeptSlot   *slot;

	hash_seq_init(&status, cache->state->slots);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		CrmKeptEntry *entry = slot->entry;

		/* the slot's key points into the entry: first the slot */
		hash_search(cache->state->slots, &slot->key, HASH_REMOVE, NULL);
		unlist(entry);
	}
}

/* ---- being current ---- */

static CrmKeptState *
open_cache(CrmKept *cache)
{
	HASHCTL		ctl = {0};
	CrmKeptState *state;

	if (kept_context == NULL)
		kept_context = AllocSetContextCreate(TopMemoryContext, "crm kept", ALLOCSET_DEFAULT_SIZES);
	state = (CrmKeptState *) MemoryContextAllocZero(kept_context, sizeof(CrmKeptState));
	while (state->nwatches < CRM_KEPT_TABLES && cache->tables[state->nwatches] != NULL)
	{
		state->watches[state->nwatches].table = cache->tables[state->nwatches];
		state->nwatches++;
	}
	ctl.keysize = sizeof(KeptKey);
	ctl.entrysize = sizeof(KeptSlot);
	ctl.hash = hash_key;
	ctl.match = match_key;
	ctl.hcxt = kept_context;
	state->slots = hash_create(cache->what, 16, &ctl,
							   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	state->next = caches;
	cache->state = state;
	caches = cache;
	return state;
}

/* Each generation only grows, so a sum that is the same means that none changed. */
static uint64
generation_of(CrmKept *cache)
{
	uint64		sum = cache->roles ? crm_config_roles() : 0;

	for (int i = 0; i < cache->state->nwatches; i++)
		sum += crm_config_generation(&cache->state->watches[i]);
	return sum;
}

static bool
is_current(CrmKeptEntry *entry)
{
	uint64		news = crm_config_news();

	if (entry->stale || crm_discard_kept)
		return false;
	if (entry->news != news)
	{
		if (entry->generation != generation_of(entry->cache))
			return false;
		entry->news = news;
	}
	return entry->value == NULL || entry->cache->still_good == NULL ||
		entry->cache->still_good(entry->value);
}

/* Would a look find this entry again?  False of one that has left its cache. */
bool
crm_kept_current(CrmKeptEntry *entry)
{
	return is_current(entry);
}

/* A relation changed, or InvalidOid: any may have. */
void
crm_kept_relation_changed(Oid relid)
{
	for (CrmKeptEntry *e = under_way; e != NULL; e = e->outer)
		for (int i = 0; i < e->nrelations; i++)
			e->stale |= relid == InvalidOid || e->relations[i] == relid;
	for (CrmKept *cache = caches; cache != NULL; cache = cache->state->next)
	{
		HASH_SEQ_STATUS status;
		KeptSlot   *slot;

		if (!cache->state->has_relations)
			continue;
		hash_seq_init(&status, cache->state->slots);
		while ((slot = hash_seq_search(&status)) != NULL)
			for (int i = 0; i < slot->entry->nrelations; i++)
				slot->entry->stale |= relid == InvalidOid || slot->entry->relations[i] == relid;
	}
}

/* ---- building ---- */

/*
 * While an entry is built: it depends on a relation besides its cache's
 * tables, and is out of date when that changes.  To be called before the
 * relation is looked at.
 */
void
crm_kept_depends(Oid relid)
{
	CrmKeptEntry *entry = under_way;
	int			n = entry->nrelations;
	Oid		   *relations = MemoryContextAlloc(entry->context, sizeof(Oid) * (n + 1));

	if (n > 0)
		memcpy(relations, entry->relations, sizeof(Oid) * n);
	relations[n] = relid;
	entry->relations = relations;
	entry->nrelations++;
	entry->cache->state->has_relations = true;
}

/*
 * While an entry is built: the entry, for whoever has its value and is to hold
 * it in further contexts or to ask whether it is out of date.
 */
CrmKeptEntry *
crm_kept_entry(void)
{
	return under_way;
}

/* Hold what somebody already holds, as long as the current memory context lives too. */
void
crm_kept_hold(CrmKeptEntry *entry)
{
	hold_entry(entry, CurrentMemoryContext);
}

/* Is the newest snapshot the active one, since an entry is being read? */
bool
crm_kept_reading(void)
{
	return under_way != NULL && under_way->cache->state->nwatches > 0;
}

/*
 * Whether all that the cache is compiled from is there.  While pg_restore
 * --clean takes a CRM down, some of its tables are gone and others are not.
 */
bool
crm_kept_has_tables(const CrmKept *cache)
{
	for (int i = 0; i < CRM_KEPT_TABLES && cache->tables[i] != NULL; i++)
		if ((cache->state == NULL || !OidIsValid(cache->state->watches[i].relid)) &&
			!OidIsValid(crm_table_oid(cache->tables[i], true)))
			return false;
	return true;
}

/* Is an entry of this cache being built further up the stack? */
bool
crm_kept_building(const CrmKept *cache)
{
	return cache->state != NULL && cache->state->building;
}

static MemoryContext
new_context(const char *what)
{
	static uint32 made = 0;
	MemoryContext context;

	/*
	 * The server keeps contexts of the usual sizes for reuse, with what is in
	 * them.  Sizes that differ make it less likely that the same thing is built
	 * at the same place again, where it would hide that it was used too long.
	 */
	if (crm_discard_kept)
		context = AllocSetContextCreate(CurrentMemoryContext, "crm kept entry",
										ALLOCSET_SMALL_MINSIZE, 4096 + 1024 * (made++ % 64),
										ALLOCSET_DEFAULT_MAXSIZE);
	else
		context = AllocSetContextCreate(CurrentMemoryContext, "crm kept entry",
										ALLOCSET_SMALL_SIZES);
	MemoryContextSetIdentifier(context, what);
	return context;
}

/* Wait for those who are changing the tables now, and see what they did. */
static void
lock_tables(CrmKeptState *state)
{
	for (int i = 0; i < state->nwatches; i++)
	{
		(void) crm_config_generation(&state->watches[i]);
		if (OidIsValid(state->watches[i].relid))
			LockRelationOid(state->watches[i].relid, AccessShareLock);
	}
}

/* Run the cache's function: as the owner of its first table, with SPI and the newest snapshot. */
static void
fill_entry(CrmKeptEntry *entry)
{
	CrmKept    *cache = entry->cache;
	CrmOwnerSwitch saved;
	bool		pushed = false;

	if (cache->state->nwatches == 0)
	{
		entry->value = cache->build(entry->key.bytes, entry->context);
		return;
	}
	crm_connect_as(cache->state->watches[0].owner, &saved);
	/* a parallel query may not take one; what it reads is read again after it */
	if (IsInParallelMode())
		crm_config_reread();
	else
	{
		PushActiveSnapshot(GetLatestSnapshot());
		pushed = true;
	}
	entry->value = cache->build(entry->key.bytes, entry->context);
	if (pushed)
		PopActiveSnapshot();
	crm_disconnect_self(&saved);
}

/* An entry without a value, below the current context. */
static CrmKeptEntry *
new_entry(CrmKept *cache, const KeptKey *key)
{
	MemoryContext context = new_context(cache->what);
	CrmKeptEntry *entry = (CrmKeptEntry *) MemoryContextAllocZero(context, sizeof(CrmKeptEntry));
	void	   *bytes = MemoryContextAlloc(context, Max(key->length, 1));

	memcpy(bytes, key->bytes, key->length);
	entry->key.bytes = bytes;
	entry->key.length = key->length;
	entry->cache = cache;
	entry->context = context;
	dlist_init(&entry->holds);
	return entry;
}

/* Build the entry of a key.  Nothing is listed, and nothing left behind by an error. */
static CrmKeptEntry *
build_entry(CrmKept *cache, const KeptKey *key)
{
	CrmKeptEntry *entry;

	/* this also bounds how deep one building can lead to another */
	if (cache->state->building)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("reading the %s of the CRM asks for them", cache->what),
				 errhint("Rules, policies and triggers of its tables must not ask for them.")));
	check_stack_depth();
	lock_tables(cache->state);
	entry = new_entry(cache, key);
	entry->news = crm_config_news();
	entry->generation = generation_of(cache);

	cache->state->building = true;
	entry->outer = under_way;
	under_way = entry;
	PG_TRY();
	{
		fill_entry(entry);
	}
	PG_CATCH();
	{
		under_way = entry->outer;
		entry->cache->state->building = false;
		MemoryContextDelete(entry->context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	under_way = entry->outer;
	cache->state->building = false;
	return entry;
}

/* Put an entry in its cache, in place of an older one. */
static void
list_entry(CrmKeptEntry *entry)
{
	CrmKeptState *state = entry->cache->state;
	int			limit = entry->cache->limit > 0 ? entry->cache->limit : DEFAULT_LIMIT;
	KeptSlot   *slot;
	bool		found;

	slot = (KeptSlot *) hash_search(state->slots, &entry->key, HASH_FIND, NULL);
	if (crm_discard_kept || (slot == NULL && hash_get_num_entries(state->slots) >= limit))
		drop_all(entry->cache);
	slot = (KeptSlot *) hash_search(state->slots, &entry->key, HASH_ENTER, &found);
	/* nothing can go wrong from here on */
	if (found)
	{
		slot->key = entry->key; /* the same bytes, where they will stay */
		unlist(slot->entry);
	}
	slot->entry = entry;
	entry->listed = true;
	MemoryContextSetParent(entry->context, kept_context);
}

/* ---- looking ---- */

static CrmKeptEntry *
find_entry(CrmKept *cache, const void *bytes, Size length)
{
	KeptKey		key = {bytes, length};
	CrmKeptState *state = cache->state ? cache->state : open_cache(cache);
	CrmKeptEntry *entry = state->latest;

	if (entry == NULL || match_key(&entry->key, &key, 0) != 0)
	{
		KeptSlot   *slot = (KeptSlot *) hash_search(state->slots, &key, HASH_FIND, NULL);

		entry = slot ? slot->entry : NULL;
	}
	if (entry == NULL || !is_current(entry))
	{
		entry = build_entry(cache, &key);
		if (entry->value == NULL && !cache->absence)
		{
			MemoryContextDelete(entry->context);
			return NULL;
		}
		list_entry(entry);
	}
	state->latest = entry;
	return entry;
}

/*
 * What is kept for a key, good as long as the current memory context; NULL
 * where the cache's function found nothing, which is kept only where the cache
 * says so (absence).
 */
void *
crm_kept(CrmKept *cache, const void *key, Size keylen)
{
	CrmKeptEntry *entry = find_entry(cache, key, keylen);

	if (entry == NULL)
		return NULL;
	hold_entry(entry, CurrentMemoryContext);
	return entry->value;
}

/*
 * The same for a look only: good until the next look into this cache, which
 * any SQL may contain.
 */
void *
crm_kept_peek(CrmKept *cache, const void *key, Size keylen)
{
	CrmKeptEntry *entry = find_entry(cache, key, keylen);

	return entry ? entry->value : NULL;
}

/* The owner of the first table of a cache, whom its entries are read as. */
Oid
crm_kept_owner(CrmKept *cache)
{
	CrmKeptState *state = cache->state ? cache->state : open_cache(cache);

	(void) crm_config_generation(&state->watches[0]);
	return state->watches[0].owner;
}

/* Assign hook of crm.debug_discard_kept. */
void
crm_assign_discard_kept(bool newval, void *extra)
{
#ifdef M_PERTURB
	if (newval != crm_discard_kept)
		mallopt(M_PERTURB, newval ? 0xA5 : 0);
#endif
}
