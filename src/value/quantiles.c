/*
 * quantiles.c
 *	  Customer segments as SQL: quantile edges and scores (RFM), k-means.
 *
 * Edges are data: computed once, stored, and a score means the same until
 * they are renewed.  Equal values always have equal scores.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/memutils.h"

#include "base/sort.h"
#include "value/cluster_math.h"
#include "value/value_face.h"

/*
 * Rows of doubles: the state of all aggregates here.  Settings come from
 * the first row.
 */
typedef struct RowState
{
	MemoryContext context;
	int32		width;
	int32		number;			/* buckets, clusters */
	int32		starts;
	int64		seed;
	int64		left_out;
	uint64		count;
	uint64		room;
	double	   *row;
} RowState;

#define HEADER offsetof(RowState, room)

static void
reserve(RowState *s, uint64 more)
{
	uint64		room = Max(s->room, 256);

	while (room < s->count + more)
		room *= 2;
	if (s->row == NULL)
		s->row = MemoryContextAllocHuge(s->context,
										room * s->width * sizeof(double));
	else if (room > s->room)
		s->row = repalloc_huge(s->row, room * s->width * sizeof(double));
	s->room = room;
}

static inline double *
new_row(RowState *s)
{
	if (s->count == s->room)
		reserve(s, 1);
	return s->row + s->count++ * s->width;
}

/* The first row tells how wide all are. */
static void
take_width(RowState *s, int width)
{
	if (s->count == 0)
		s->width = width;
	if (s->width != width)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("all points need the same number of coordinates"),
				 errhint("Pass arrays of one length for all rows.")));
}

PG_FUNCTION_INFO_V1(crm_rows_combine);
Datum
crm_rows_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = crm_value_state_context(fcinfo);
	RowState   *a = PG_ARGISNULL(0) ? NULL : (RowState *) PG_GETARG_POINTER(0);
	RowState   *b = PG_ARGISNULL(1) ? NULL : (RowState *) PG_GETARG_POINTER(1);

	if (b == NULL)
	{
		if (a == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(a);
	}
	if (a == NULL)
	{
		a = MemoryContextAllocZero(context, sizeof(RowState));
		memcpy(a, b, HEADER);
		a->context = context;
		a->count = 0;
		a->left_out = 0;
	}
	/* each worker has compared its own rows only */
	if (a->number != b->number || a->starts != b->starts || a->seed != b->seed)
		crm_setting_differs("crm.quantile_edges or crm.kmeans", "buckets, clusters, seed or starts");
	a->left_out += b->left_out;
	if (b->count > 0)
	{
		take_width(a, b->width);
		reserve(a, b->count);
		memcpy(a->row + a->count * a->width, b->row,
			   b->count * b->width * sizeof(double));
		a->count += b->count;
	}
	PG_RETURN_POINTER(a);
}

PG_FUNCTION_INFO_V1(crm_rows_serialize);
Datum
crm_rows_serialize(PG_FUNCTION_ARGS)
{
	RowState   *s = (RowState *) PG_GETARG_POINTER(0);
	Size		rows = s->count * s->width * sizeof(double);
	bytea	   *out = palloc(VARHDRSZ + HEADER + rows);

	SET_VARSIZE(out, VARHDRSZ + HEADER + rows);
	memcpy(VARDATA(out), s, HEADER);
	if (rows > 0)
		memcpy(VARDATA(out) + HEADER, s->row, rows);
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_rows_deserialize);
Datum
crm_rows_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *in = PG_GETARG_BYTEA_PP(0);
	RowState   *s = palloc0(sizeof(RowState));
	Size		rows;

	memcpy(s, VARDATA_ANY(in), HEADER);
	s->context = CurrentMemoryContext;
	rows = s->count * s->width * sizeof(double);
	s->room = s->count;
	s->row = palloc(Max(rows, 8));
	memcpy(s->row, VARDATA_ANY(in) + HEADER, rows);
	PG_RETURN_POINTER(s);
}

/* ---- quantile edges ---- */

PG_FUNCTION_INFO_V1(crm_quantile_edges_accumulate);
Datum
crm_quantile_edges_accumulate(PG_FUNCTION_ARGS)
{
	RowState   *s;
	double		v;

	if (PG_ARGISNULL(0))
	{
		int32		buckets = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
		MemoryContext context = crm_value_state_context(fcinfo);

		if (buckets < 2 || buckets > 1000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("number of buckets must be from 2 to 1000")));
		s = MemoryContextAllocZero(context, sizeof(RowState));
		s->context = context;
		s->width = 1;
		s->number = buckets;
	}
	else
	{
		s = (RowState *) PG_GETARG_POINTER(0);
		if (PG_ARGISNULL(2) || s->number != PG_GETARG_INT32(2))
			crm_setting_differs("crm.quantile_edges", "buckets");
	}
	if (PG_ARGISNULL(1))
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	v = PG_GETARG_FLOAT8(1);
	(void) crm_value_finite(v, "values");
	*new_row(s) = v;
	PG_RETURN_POINTER(s);
}

static int
compare_doubles(const void *a, const void *b)
{
	static unsigned int calls = 0;
	double		x = *(const double *) a,
				y = *(const double *) b;

	if ((++calls & 0xffff) == 0)
		CHECK_FOR_INTERRUPTS();
	return x < y ? -1 : x > y;
}

PG_FUNCTION_INFO_V1(crm_quantile_edges_final);
Datum
crm_quantile_edges_final(PG_FUNCTION_ARGS)
{
	RowState   *s;
	Datum	   *edge;
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (RowState *) PG_GETARG_POINTER(0);
	if (s->count == 0)
		PG_RETURN_NULL();

	/* order is nothing to a state whose rows are a set */
	crm_sort(s->row, s->count, sizeof(double), compare_doubles);
	edge = palloc(sizeof(Datum) * (s->number - 1));
	for (i = 1; i < s->number; i++)
	{
		double		at = (double) i * (s->count - 1) / s->number,
					below = s->row[(uint64) floor(at)],
					above = s->row[(uint64) ceil(at)];

		edge[i - 1] = Float8GetDatum(below + (above - below) *
									 (at - floor(at)));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(edge, s->number - 1, FLOAT8OID, 8,
										  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* ---- k-means ---- */

#define MOST_COORDINATE 1e100	/* squares of distances stay in the range */
/* Doubles of a point; -1 coordinates where one is NULL */
static int
point_arg(FunctionCallInfo fcinfo, int i, double **value)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(i);
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

	if (ARR_HASNULL(array))
		return -1;
	*value = (double *) ARR_DATA_PTR(array);
	for (int j = 0; j < n; j++)
		if (!(fabs((*value)[j]) <= MOST_COORDINATE))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("coordinates must be finite and at most %g", MOST_COORDINATE),
					 errhint("Bring them to one scale, for instance by crm.z_scores().")));
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a point needs at least one coordinate"),
				 errhint("Pass an array with one number or more.")));
	return n;
}

PG_FUNCTION_INFO_V1(crm_kmeans_accumulate);
Datum
crm_kmeans_accumulate(PG_FUNCTION_ARGS)
{
	RowState   *s;
	double	   *value;
	int			n;

	if (PG_ARGISNULL(0))
	{
		MemoryContext context = crm_value_state_context(fcinfo);

		if (PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("clusters, seed and starts must not be null")));
		s = MemoryContextAllocZero(context, sizeof(RowState));
		s->context = context;
		s->number = PG_GETARG_INT32(2);
		s->seed = PG_GETARG_INT64(3);
		s->starts = PG_GETARG_INT32(4);
		if (s->number < 1 || s->number > 10000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("number of clusters must be from 1 to 10000")));
		if (s->starts < 1 || s->starts > 10000)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("number of starts must be from 1 to 10000")));
	}
	else
	{
		s = (RowState *) PG_GETARG_POINTER(0);
		if (PG_ARGISNULL(2) || s->number != PG_GETARG_INT32(2))
			crm_setting_differs("crm.kmeans", "clusters");
		if (PG_ARGISNULL(3) || s->seed != PG_GETARG_INT64(3))
			crm_setting_differs("crm.kmeans", "seed");
		if (PG_ARGISNULL(4) || s->starts != PG_GETARG_INT32(4))
			crm_setting_differs("crm.kmeans", "starts");
	}
	n = PG_ARGISNULL(1) ? -1 : point_arg(fcinfo, 1, &value);
	if (n < 0)
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	take_width(s, n);
	memcpy(new_row(s), value, n * sizeof(double));
	PG_RETURN_POINTER(s);
}

typedef struct Keyed
{
	uint64		key;
	uint64		row;
} Keyed;

static const RowState *comparing;

static int
compare_keyed(const void *a, const void *b)
{
	static unsigned int calls = 0;
	const Keyed *x = a,
			   *y = b;

	if ((++calls & 0xffff) == 0)
		CHECK_FOR_INTERRUPTS();
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return memcmp(comparing->row + x->row * comparing->width,
				  comparing->row + y->row * comparing->width,
				  comparing->width * sizeof(double));
}

/*
 * The points in an order of their own, so that neither the order of rows
 * nor the plan decides what a seed gives: that of a hash, by its leading
 * bits into places of a few points each, which are then sorted.
 */
static double *
canonical(const RowState *s)
{
	uint64	   *key = MemoryContextAllocHuge(CurrentMemoryContext,
											 s->count * sizeof(uint64));
	Keyed	   *keyed = MemoryContextAllocHuge(CurrentMemoryContext,
											   s->count * sizeof(Keyed));
	double	   *point = MemoryContextAllocHuge(CurrentMemoryContext,
											   s->count * s->width *
											   sizeof(double));
	uint64	   *end;
	uint64		i,
				from = 0;
	int			bits = 1,
				j;

	while (bits < 22 && (UINT64CONST(4) << bits) < s->count)
		bits++;
	end = MemoryContextAllocHuge(CurrentMemoryContext,
								 (sizeof(uint64) << bits));
	memset(end, 0, sizeof(uint64) << bits);
	for (i = 0; i < s->count; i++)
	{
		uint64		h = 0;

		for (j = 0; j < s->width; j++)
		{
			uint64		b;
			double		v = s->row[i * s->width + j] + 0.0;

			memcpy(&b, &v, sizeof(b));
			h = (h ^ b) * UINT64CONST(0xff51afd7ed558ccd);
			h ^= h >> 32;
		}
		key[i] = h;
		end[h >> (64 - bits)]++;
	}
	for (i = 0; i < UINT64CONST(1) << bits; i++)
	{
		uint64		n = end[i];

		end[i] = from;
		from += n;
	}
	for (i = 0; i < s->count; i++)
	{
		Keyed	   *k = &keyed[end[key[i] >> (64 - bits)]++];

		k->key = key[i];
		k->row = i;
	}
	pfree(key);
	comparing = s;
	from = 0;
	for (i = 0; i < UINT64CONST(1) << bits; i++)
	{
		if (end[i] - from > 1)
			crm_sort(keyed + from, end[i] - from, sizeof(Keyed),
					 compare_keyed);
		from = end[i];
	}
	for (i = 0; i < s->count; i++)
		memcpy(point + i * s->width, s->row + keyed[i].row * s->width,
			   s->width * sizeof(double));
	pfree(end);
	pfree(keyed);
	return point;
}

PG_FUNCTION_INFO_V1(crm_kmeans_final);
Datum
crm_kmeans_final(PG_FUNCTION_ARGS)
{
	RowState   *s;
	CrmKmeans	result;
	TupleDesc	desc;
	MemoryContext work,
				old;
	Datum		value[8],
			   *cell,
			   *size;
	bool		null[8] = {false};
	int			dims[2],
				lower[2] = {1, 1},
				i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (RowState *) PG_GETARG_POINTER(0);
	if (s->count == 0)
		PG_RETURN_NULL();
	desc = crm_result_row(fcinfo);

	work = AllocSetContextCreate(CurrentMemoryContext, "crm k-means",
								 ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(work);
	crm_kmeans_run(canonical(s), s->count, s->width, s->number,
				   (uint64) s->seed, s->starts, &crm_value_host, &result);
	MemoryContextSwitchTo(old);

	cell = palloc(sizeof(Datum) * result.k * s->width);
	for (i = 0; i < result.k * s->width; i++)
		cell[i] = Float8GetDatum(result.centre[i]);
	size = palloc(sizeof(Datum) * result.k);
	for (i = 0; i < result.k; i++)
		size[i] = Int64GetDatum(result.size[i]);
	dims[0] = result.k;
	dims[1] = s->width;
	value[0] = Int32GetDatum(result.k);
	value[1] = PointerGetDatum(construct_md_array(cell, NULL, 2, dims, lower,
												  FLOAT8OID, 8,
												  FLOAT8PASSBYVAL,
												  TYPALIGN_DOUBLE));
	value[2] = PointerGetDatum(construct_array(size, result.k, INT8OID, 8,
											   FLOAT8PASSBYVAL,
											   TYPALIGN_DOUBLE));
	value[3] = Float8GetDatum(result.inertia);
	value[4] = Int64GetDatum(s->count);
	value[5] = Int64GetDatum(s->left_out);
	value[6] = Int32GetDatum(result.iterations);
	value[7] = BoolGetDatum(result.settled);
	MemoryContextDelete(work);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}

/* Number of the nearest centre, from 1 */
PG_FUNCTION_INFO_V1(crm_nearest_centre);
Datum
crm_nearest_centre(PG_FUNCTION_ARGS)
{
	double	   *point,
				square;
	int			n = point_arg(fcinfo, 0, &point);
	ArrayType  *centres = PG_GETARG_ARRAYTYPE_P(1);

	if (n < 0)
		PG_RETURN_NULL();
	if (ARR_NDIM(centres) != 2 || ARR_HASNULL(centres) ||
		ARR_DIMS(centres)[1] != n)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("centres must be a matrix with a row a centre, as wide as the point"),
				 errhint("Pass the centres as crm.kmeans() returned them.")));
	PG_RETURN_INT32(1 + crm_kmeans_nearest((double *) ARR_DATA_PTR(centres),
										   ARR_DIMS(centres)[0], n, point,
										   &square));
}

/*
 * Mean silhouette of a clustering.  The state's rows are a point and its
 * cluster; every pair of points is compared.
 */
#define SILHOUETTE_MOST 50000

PG_FUNCTION_INFO_V1(crm_silhouette_accumulate);
Datum
crm_silhouette_accumulate(PG_FUNCTION_ARGS)
{
	RowState   *s;
	double	   *value,
			   *row;
	int			n;

	if (PG_ARGISNULL(0))
	{
		MemoryContext context = crm_value_state_context(fcinfo);

		s = MemoryContextAllocZero(context, sizeof(RowState));
		s->context = context;
	}
	else
		s = (RowState *) PG_GETARG_POINTER(0);
	n = PG_ARGISNULL(1) || PG_ARGISNULL(2) ? -1 :
		point_arg(fcinfo, 1, &value);
	if (n < 0)
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	take_width(s, n + 1);
	if (s->count >= SILHOUETTE_MOST)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("silhouette of more than %d points", SILHOUETTE_MOST),
				 errhint("It compares all pairs: take a sample, such as TABLESAMPLE BERNOULLI (1).")));
	row = new_row(s);
	memcpy(row, value, n * sizeof(double));
	row[n] = PG_GETARG_INT32(2);
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(crm_silhouette_final);
Datum
crm_silhouette_final(PG_FUNCTION_ARGS)
{
	RowState   *s;
	int32	   *of;
	double	   *label,
			   *sum,
				total = 0;
	int64	   *size;
	int			clusters = 0,
				d,
				c;
	uint64		i,
				j;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (RowState *) PG_GETARG_POINTER(0);
	if (s->count == 0)
		PG_RETURN_NULL();
	d = s->width - 1;
	of = palloc(s->count * sizeof(int32));
	label = palloc(s->count * sizeof(double));
	size = palloc0(s->count * sizeof(int64));
	for (i = 0; i < s->count; i++)
	{
		double		v = s->row[i * s->width + d];

		for (c = 0; c < clusters && label[c] != v; c++)
			CHECK_FOR_INTERRUPTS();
		if (c == clusters)
			label[clusters++] = v;
		of[i] = c;
		size[c]++;
	}
	if (clusters < 2)
		PG_RETURN_NULL();
	sum = palloc(clusters * sizeof(double));
	for (i = 0; i < s->count; i++)
	{
		double		own,
					other = INFINITY;

		CHECK_FOR_INTERRUPTS();
		if (size[of[i]] == 1)
			continue;
		memset(sum, 0, clusters * sizeof(double));
		for (j = 0; j < s->count; j++)
		{
			double		square = 0;

			for (c = 0; c < d; c++)
			{
				double		v = s->row[i * s->width + c] -
					s->row[j * s->width + c];

				square += v * v;
			}
			sum[of[j]] += sqrt(square);
		}
		own = sum[of[i]] / (size[of[i]] - 1);
		for (c = 0; c < clusters; c++)
			if (c != of[i])
				other = fmin(other, sum[c] / size[c]);
		if (fmax(own, other) > 0)
			total += (other - own) / fmax(own, other);
	}
	PG_RETURN_FLOAT8(total / s->count);
}
