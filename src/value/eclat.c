/*
 * eclat.c
 *	  Frequent sets of items by intersecting vertical bitsets (Zaki 2000).
 *
 * One bit a basket and item.  A depth-first walk extends each set by later
 * items; the baskets of a longer set are the AND of two bit vectors, of
 * which only those words are kept where the shorter set has any bit.
 */
#include "value/cluster_math.h"

#include <stdlib.h>
#include <string.h>

typedef struct Walk
{
	const CrmFitHost *host;
	CrmItemsets *result;
	int64_t		least;
	int			max_length;
	int		   *prefix;
	int			length;
	int64_t		steps;
} Walk;

/* One extension of the current set */
typedef struct Branch
{
	int			item;
	int64_t		count;
	uint64_t   *bits;
} Branch;

/* into = a AND b; returns the number of bits set */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx2", "popcnt", "default")))
#endif
static int64_t
intersect(uint64_t *into, const uint64_t *a, const uint64_t *b, size_t words)
{
	int64_t		count = 0;
	size_t		i;

	for (i = 0; i < words; i++)
	{
		uint64_t	w = a[i] & b[i];

		into[i] = w;
		count += __builtin_popcountll(w);
	}
	return count;
}

static uint64_t
hash_items(const int *item, int length)
{
	uint64_t	h = length;
	int			i;

	for (i = 0; i < length; i++)
	{
		h = (h ^ (uint64_t) item[i]) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return h;
}

static void
found(Walk *w, int64_t count)
{
	CrmItemsets *r = w->result;
	CrmItemset *set;
	int		   *item;

	if (r->n == r->room)
	{
		CrmItemset *wider = w->host->alloc(r->room * 4 * sizeof(CrmItemset));

		memcpy(wider, r->set, r->n * sizeof(CrmItemset));
		r->set = wider;
		r->room *= 4;
	}
	set = &r->set[r->n++];
	item = w->host->alloc(w->length * sizeof(int));
	memcpy(item, w->prefix, w->length * sizeof(int));
	set->length = w->length;
	set->item = item;
	set->count = count;
}

/* All sets that begin with the prefix and go on with one of the branches */
static void
extend_sets(Walk *w, const Branch *branch, int n, size_t words)
{
	int			i,
				j;

	for (i = 0; i < n; i++)
	{
		w->prefix[w->length++] = branch[i].item;
		found(w, branch[i].count);
		if (w->length < w->max_length && i + 1 < n)
		{
			Branch	   *next = w->host->alloc(sizeof(Branch) * (n - i));
			uint32_t   *live = w->host->alloc(words * sizeof(uint32_t));
			uint64_t   *own,
					   *at;
			size_t		kept = 0,
						k;
			int			m = 0;

			/*
			 * The words in which this set occurs: its extensions look at
			 * no others.  A set of few baskets has few words.
			 */
			for (k = 0; k < words; k++)
				if (branch[i].bits[k])
					live[kept++] = k;
			own = w->host->alloc(kept * sizeof(uint64_t) * (size_t) (n - i));
			for (k = 0; k < kept; k++)
				own[k] = branch[i].bits[live[k]];
			at = own + kept;
			for (j = i + 1; j < n; j++)
			{
				int64_t		count;

				if ((w->steps += kept) > 1000000)
				{
					w->host->poll();
					w->steps = 0;
				}
				if (kept == words)
					count = intersect(at, own, branch[j].bits, words);
				else
				{
					for (k = 0; k < kept; k++)
						at[k] = branch[j].bits[live[k]];
					count = intersect(at, at, own, kept);
				}
				if (count >= w->least)
				{
					next[m].item = branch[j].item;
					next[m].count = count;
					next[m++].bits = at;
					at += kept;
				}
			}
			if (m > 0)
				extend_sets(w, next, m, kept);
			w->host->release(own);
			w->host->release(live);
			w->host->release(next);
		}
		w->length--;
	}
}

static int
rarer_first(const void *a, const void *b)
{
	const Branch *x = a,
			   *y = b;

	if (x->count != y->count)
		return x->count < y->count ? -1 : 1;
	return x->item - y->item;
}

/*
 * All sets of at most max_length items that occur in at least that many
 * baskets; rows may repeat.  Items of a set are in one order throughout,
 * the rarer first.
 */
void
crm_eclat(const uint32_t *basket, const int *item, size_t rows,
		  uint32_t baskets, int items, int64_t least, int max_length,
		  const CrmFitHost *host, CrmItemsets *result)
{
	size_t		words = ((size_t) baskets + 63) / 64,
				i;
	Branch	   *branch = host->alloc(sizeof(Branch) * (items + 1));
	uint64_t  **bits = host->alloc(sizeof(uint64_t *) * (items + 1));
	int64_t    *rough = host->alloc(sizeof(int64_t) * (items + 1));
	int			n = 0,
				j;
	Walk		w = {host, result, least, max_length, NULL, 0, 0};

	result->n = 0;
	result->room = 1024;
	result->set = host->alloc(result->room * sizeof(CrmItemset));

	/* repeats only raise this count, so what is below it is out */
	memset(rough, 0, sizeof(int64_t) * (items + 1));
	for (i = 0; i < rows; i++)
		rough[item[i]]++;
	for (j = 0; j < items; j++)
	{
		bits[j] = NULL;
		if (rough[j] >= least)
		{
			bits[j] = host->alloc(words * sizeof(uint64_t));
			memset(bits[j], 0, words * sizeof(uint64_t));
		}
	}
	for (i = 0; i < rows; i++)
	{
		if (i % 65536 == 0)
			host->poll();
		if (bits[item[i]])
			bits[item[i]][basket[i] / 64] |= UINT64_C(1) << (basket[i] % 64);
	}
	for (j = 0; j < items; j++)
	{
		if (bits[j] == NULL)
			continue;
		branch[n].item = j;
		branch[n].bits = bits[j];
		branch[n].count = intersect(bits[j], bits[j], bits[j], words);
		if (branch[n].count >= least)
			n++;
	}
	qsort(branch, n, sizeof(Branch), rarer_first);
	w.prefix = host->alloc(sizeof(int) * (n + 1));
	if (max_length > 0)
		extend_sets(&w, branch, n, words);

	/* and a way to find them again */
	result->mask = 63;
	while (result->mask < result->n * 2)
		result->mask = result->mask * 2 + 1;
	result->slot = host->alloc((result->mask + 1) * sizeof(uint32_t));
	memset(result->slot, 0xff, (result->mask + 1) * sizeof(uint32_t));
	for (i = 0; i < result->n; i++)
	{
		size_t		at = hash_items(result->set[i].item,
									result->set[i].length) & result->mask;

		while (result->slot[at] != UINT32_MAX)
			at = (at + 1) & result->mask;
		result->slot[at] = i;
	}
}

/* Baskets with all of these items, in the order of the sets; 0 if rare */
int64_t
crm_itemset_count(const CrmItemsets *sets, const int *item, int length)
{
	size_t		at = hash_items(item, length) & sets->mask;

	while (sets->slot[at] != UINT32_MAX)
	{
		const CrmItemset *set = &sets->set[sets->slot[at]];

		if (set->length == length &&
			memcmp(set->item, item, length * sizeof(int)) == 0)
			return set->count;
		at = (at + 1) & sets->mask;
	}
	return 0;
}
