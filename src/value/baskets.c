/*
 * baskets.c
 *	  Association rules as an aggregate over (basket, item).
 *
 * The state keeps the rows, with items numbered as they first come.  Sets
 * are counted by crm_eclat, rules and their measures made here.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/names.h"
#include "value/cluster_math.h"
#include "value/value_face.h"

/* What the caller asks for; compared byte by byte, so it is zeroed first. */
typedef struct BasketSettings
{
	double		min_support;
	double		min_confidence;
	int32		min_length;
	int32		max_length;
	int32		max_right;
} BasketSettings;

typedef struct BasketState
{
	MemoryContext context;
	BasketSettings set;
	uint64		count;
	uint64		room;
	int64	   *basket;
	int32	   *item;			/* -1: a basket without item */
	CrmNames	items;
} BasketState;

static int32
length_arg(FunctionCallInfo fcinfo, int i, int32 otherwise, const char *name)
{
	int32		v = PG_ARGISNULL(i) ? otherwise : PG_GETARG_INT32(i);

	if (v < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least 1", name)));
	return v;
}

static double
share_arg(FunctionCallInfo fcinfo, int i, const char *name)
{
	double		v = PG_ARGISNULL(i) ? 0 : PG_GETARG_FLOAT8(i);

	if (!(v >= 0 && v <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must lie between 0 and 1", name)));
	return v;
}

static BasketSettings
basket_settings(FunctionCallInfo fcinfo)
{
	BasketSettings set;

	memset(&set, 0, sizeof(set));
	set.min_support = share_arg(fcinfo, 3, "min_support");
	set.max_length = length_arg(fcinfo, PG_NARGS() > 5 ? 6 : 4, 10, "max_length");
	set.min_length = 1;
	if (PG_NARGS() > 5)
	{
		set.min_confidence = share_arg(fcinfo, 4, "min_confidence");
		set.min_length = length_arg(fcinfo, 5, 2, "min_length");
		set.max_right = length_arg(fcinfo, 7, 1, "max_right");
	}
	if (set.max_length > 20)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_length must be at most 20")));
	return set;
}

/* Settings that the query gives as constants need no comparison. */
static void
check_settings(FunctionCallInfo fcinfo, const BasketState *s)
{
	BasketSettings set;

	for (int i = 3; i < PG_NARGS(); i++)
		if (!crm_setting_is_fixed(fcinfo, i))
		{
			set = basket_settings(fcinfo);
			if (memcmp(&set, &s->set, sizeof(set)) != 0)
				crm_setting_differs(PG_NARGS() > 5 ? "crm.association_rules"
									: "crm.frequent_itemsets",
									"min_support or another limit");
			return;
		}
}

/*
 * For sets: state, basket, item, min_support, max_length; for rules: state,
 * basket, item, min_support, min_confidence, min_length, max_length,
 * max_right.
 */
PG_FUNCTION_INFO_V1(crm_baskets_accumulate);
Datum
crm_baskets_accumulate(PG_FUNCTION_ARGS)
{
	BasketState *s;

	if (PG_ARGISNULL(0))
	{
		MemoryContext context = crm_value_state_context(fcinfo);

		s = MemoryContextAllocZero(context, sizeof(BasketState));
		s->context = context;
		s->set = basket_settings(fcinfo);
		s->room = 1024;
		s->basket = MemoryContextAlloc(context, s->room * sizeof(int64));
		s->item = MemoryContextAlloc(context, s->room * sizeof(int32));
		crm_names_begin(&s->items, context);
	}
	else
	{
		s = (BasketState *) PG_GETARG_POINTER(0);
		check_settings(fcinfo, s);
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(s);
	if (s->count == s->room)
	{
		s->room *= 2;
		s->basket = repalloc_huge(s->basket, s->room * sizeof(int64));
		s->item = repalloc_huge(s->item, s->room * sizeof(int32));
	}
	s->basket[s->count] = PG_GETARG_INT64(1);
	s->item[s->count] = PG_ARGISNULL(2) ? -1 :
		crm_name_number(&s->items, PG_GETARG_TEXT_PP(2));
	s->count++;
	PG_RETURN_POINTER(s);
}

/* Baskets numbered from 0; sets counted.  Returns the number of baskets. */
static uint32
count_sets(const BasketState *s, CrmItemsets *sets)
{
	uint64		slots = 1024,
				i,
				rows = 0;
	uint32	   *slot,
			   *number = MemoryContextAllocHuge(CurrentMemoryContext,
												(s->count + 1) * sizeof(uint32));
	int		   *item = MemoryContextAllocHuge(CurrentMemoryContext,
											  (s->count + 1) * sizeof(int));
	int64	   *key = MemoryContextAllocHuge(CurrentMemoryContext,
											 (s->count + 1) * sizeof(int64));
	uint32		n = 0;
	int64		least;

	while (slots < s->count * 2)
		slots *= 2;
	slot = MemoryContextAllocHuge(CurrentMemoryContext,
								  slots * sizeof(uint32));
	memset(slot, 0xff, slots * sizeof(uint32));
	for (i = 0; i < s->count; i++)
	{
		uint64		h = (uint64) s->basket[i] * UINT64CONST(0x9E3779B97F4A7C15),
					at = (h ^ (h >> 32)) & (slots - 1);

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		while (slot[at] != PG_UINT32_MAX && key[slot[at]] != s->basket[i])
			at = (at + 1) & (slots - 1);
		if (slot[at] == PG_UINT32_MAX)
		{
			slot[at] = n;
			key[n++] = s->basket[i];
		}
		if (s->item[i] >= 0)
		{
			number[rows] = slot[at];
			item[rows++] = s->item[i];
		}
	}
	pfree(slot);
	pfree(key);

	/* count >= support * baskets, where rounding must not add a basket */
	least = (int64) ceil(s->set.min_support * n * (1 - 1e-12));
	crm_eclat(number, item, rows, n, s->items.count, Max(least, 1), s->set.max_length,
			  &crm_value_host, sets);
	return n;
}

static Datum
name_array(const BasketState *s, const int *item, int n)
{
	Datum	   *name = palloc(Max(n, 1) * sizeof(Datum));
	int			i;

	for (i = 0; i < n; i++)
		name[i] = PointerGetDatum(s->items.name[item[i]]);
	return PointerGetDatum(construct_array(name, n, TEXTOID, -1, false,
										   TYPALIGN_INT));
}

static const BasketState *sorting;

static int
compare_names(const void *a, const void *b)
{
	text	   *x = sorting->items.name[*(const int *) a],
			   *y = sorting->items.name[*(const int *) b];
	int			nx = VARSIZE_ANY_EXHDR(x),
				ny = VARSIZE_ANY_EXHDR(y),
				c = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(nx, ny));

	return c != 0 ? c : nx - ny;
}

static Datum
sorted_names(const BasketState *s, const int *item, int n)
{
	int			copy[32];

	memcpy(copy, item, n * sizeof(int));
	sorting = s;
	pg_qsort(copy, n, sizeof(int), compare_names);
	return name_array(s, copy, n);
}

/* The row type of which the function returns an array */
static TupleDesc
element_desc(FunctionCallInfo fcinfo, Oid *type)
{
	Oid			array = get_fn_expr_rettype(fcinfo->flinfo);

	*type = get_element_type(array);
	return lookup_rowtype_tupdesc_copy(*type, -1);
}

typedef struct Collected
{
	Datum	   *value;
	int			n;
	int			room;
} Collected;

static void
put_rule(Collected *c, TupleDesc desc, Datum *value, bool *null)
{
	if (c->n == c->room)
	{
		c->room *= 2;
		c->value = repalloc_huge(c->value, c->room * sizeof(Datum));
	}
	c->value[c->n++] = HeapTupleGetDatum(heap_form_tuple(desc, value, null));
}

PG_FUNCTION_INFO_V1(crm_frequent_itemsets_final);
Datum
crm_frequent_itemsets_final(PG_FUNCTION_ARGS)
{
	BasketState *s;
	CrmItemsets sets;
	Collected	out = {NULL, 0, 256};
	TupleDesc	desc;
	Oid			type;
	uint32		n;
	size_t		i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (BasketState *) PG_GETARG_POINTER(0);
	desc = element_desc(fcinfo, &type);
	n = count_sets(s, &sets);
	out.value = palloc(out.room * sizeof(Datum));
	for (i = 0; i < sets.n; i++)
	{
		Datum		value[3];
		bool		null[3] = {false};

		CHECK_FOR_INTERRUPTS();
		value[0] = sorted_names(s, sets.set[i].item, sets.set[i].length);
		value[1] = Int64GetDatum(sets.set[i].count);
		value[2] = Float8GetDatum((double) sets.set[i].count / n);
		put_rule(&out, desc, value, null);
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(out.value, out.n, type, -1, false,
										  TYPALIGN_DOUBLE));
}

/* One rule, if it is confident enough */
static void
make_rule(const BasketState *s, TupleDesc desc, Collected *out, double n,
		  const int *left, int nleft, const int *right, int nright,
		  double both, double on_left, double on_right)
{
	Datum		value[16];
	bool		null[16] = {false};
	double		sxy = both / n,
				sx = on_left / n,
				sy = on_right / n,
				confidence = both / on_left,
				leverage = sxy - sx * sy,
				zhang,
				chi,
				spread;
	int			c = 0;

	if (confidence < s->set.min_confidence * (1 - 1e-12))
		return;
	/* exact where counts are */
	leverage = (both * n - on_left * on_right) / (n * n);
	zhang = fmax(sxy * (1 - sx), sx * (sy - sxy));
	spread = on_left * (n - on_left) * on_right * (n - on_right);
	value[c++] = nleft == 0 ? name_array(s, left, 0) :
		sorted_names(s, left, nleft);
	value[c++] = sorted_names(s, right, nright);
	value[c++] = Int64GetDatum((int64) both);
	value[c++] = Int64GetDatum((int64) on_left);
	value[c++] = Int64GetDatum((int64) on_right);
	value[c++] = Float8GetDatum(sxy);
	value[c++] = Float8GetDatum(confidence);
	value[c++] = Float8GetDatum(both * n / (on_left * on_right));
	value[c++] = Float8GetDatum(leverage);
	value[c++] = Float8GetDatum(both == on_left ? INFINITY :
								(1 - sy) / (1 - confidence));
	value[c++] = Float8GetDatum(zhang > 0 ? leverage / zhang : 0);
	value[c++] = Float8GetDatum(both / (on_left + on_right - both));
	value[c++] = Float8GetDatum(both / sqrt(on_left * on_right));
	value[c++] = Float8GetDatum((confidence + both / on_right) / 2);

	/* Pearson's chi-square of the two by two table; none without spread */
	null[c] = null[c + 1] = !(spread > 0);
	chi = spread > 0 ? n * leverage * n * leverage * n * n * n / spread : 0;
	value[c++] = Float8GetDatum(chi);
	value[c++] = Float8GetDatum(erfc(sqrt(chi / 2)));
	put_rule(out, desc, value, null);
}

PG_FUNCTION_INFO_V1(crm_association_rules_final);
Datum
crm_association_rules_final(PG_FUNCTION_ARGS)
{
	BasketState *s;
	CrmItemsets sets;
	Collected	out = {NULL, 0, 256};
	TupleDesc	desc;
	Oid			type;
	uint32		n;
	size_t		i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (BasketState *) PG_GETARG_POINTER(0);
	desc = element_desc(fcinfo, &type);
	n = count_sets(s, &sets);
	out.value = palloc(out.room * sizeof(Datum));
	for (i = 0; i < sets.n; i++)
	{
		const CrmItemset *set = &sets.set[i];
		uint32		mask;
		int			k;

		if (set->length < s->set.min_length)
			continue;
		CHECK_FOR_INTERRUPTS();
		/* mask: the items on the right */
		for (mask = 1; mask < (1u << set->length); mask++)
		{
			int			left[32],
						right[32],
						nleft = 0,
						nright = 0;

			if (pg_popcount32(mask) > s->set.max_right)
				continue;
			if (mask == (1u << set->length) - 1 && s->set.min_length > 1)
				continue;
			for (k = 0; k < set->length; k++)
				if (mask & (1u << k))
					right[nright++] = set->item[k];
				else
					left[nleft++] = set->item[k];
			make_rule(s, desc, &out, n, left, nleft, right, nright,
					  set->count,
					  nleft == 0 ? n : crm_itemset_count(&sets, left, nleft),
					  crm_itemset_count(&sets, right, nright));
		}
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(out.value, out.n, type, -1, false,
										  TYPALIGN_DOUBLE));
}
