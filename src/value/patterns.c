/*
 * patterns.c
 *	  crm.<model>_fit: maximum likelihood as an aggregate.
 *
 * Customers with the same history count once, with a weight: the state is a
 * hash table of distinct histories, so that memory is bounded by them, a
 * parallel plan merges partial tables, and the fit in the final function
 * reads each history once per evaluation.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "value/value_face.h"
#include "value/value_math.h"

typedef struct PatternState
{
	MemoryContext context;
	int			width;			/* doubles a pattern: 3, and covariates */
	int			ndropout;
	int			npurchase;
	uint64		count;
	uint64		room;			/* patterns that fit into row and weight */
	uint64		mask;			/* slots - 1 */
	double	   *row;
	double	   *weight;
	uint32	   *slot;			/* number of a pattern, or EMPTY */
	int64		left_out;
} PatternState;

#define EMPTY PG_UINT32_MAX
#define FIRST_SLOTS 1024

static PatternState *
new_state(MemoryContext context, int ndropout, int npurchase)
{
	PatternState *s = MemoryContextAllocZero(context, sizeof(PatternState));

	s->context = context;
	s->ndropout = ndropout;
	s->npurchase = npurchase;
	s->width = 3 + ndropout + npurchase;
	s->mask = FIRST_SLOTS - 1;
	s->room = FIRST_SLOTS / 2;
	s->slot = MemoryContextAlloc(context, FIRST_SLOTS * sizeof(uint32));
	memset(s->slot, 0xff, FIRST_SLOTS * sizeof(uint32));
	s->row = MemoryContextAlloc(context, s->room * s->width * sizeof(double));
	s->weight = MemoryContextAlloc(context, s->room * sizeof(double));
	return s;
}

static inline uint64
hash_row(const double *row, int width)
{
	uint64		h = UINT64CONST(0x9E3779B97F4A7C15);
	int			i;

	for (i = 0; i < width; i++)
	{
		uint64		bits;

		memcpy(&bits, &row[i], sizeof(bits));
		h = (h ^ bits) * UINT64CONST(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	return h;
}

static void
grow(PatternState *s)
{
	uint64		slots = (s->mask + 1) * 2,
				i;

	if (s->count >= EMPTY - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many distinct histories"),
				 errhint("Measure time in a coarser unit, such as days or weeks.")));
	s->room = slots / 2;
	s->row = repalloc_huge(s->row, s->room * s->width * sizeof(double));
	s->weight = repalloc_huge(s->weight, s->room * sizeof(double));
	pfree(s->slot);
	s->slot = MemoryContextAllocHuge(s->context, slots * sizeof(uint32));
	memset(s->slot, 0xff, slots * sizeof(uint32));
	s->mask = slots - 1;
	for (i = 0; i < s->count; i++)
	{
		uint64		at = hash_row(s->row + i * s->width, s->width) & s->mask;

		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		while (s->slot[at] != EMPTY)
			at = (at + 1) & s->mask;
		s->slot[at] = i;
	}
}

static void
count_pattern(PatternState *s, double *row, double weight)
{
	uint64		at;
	int			i;

	/* -0 and 0 are one value */
	for (i = 0; i < s->width; i++)
		row[i] += 0.0;
	at = hash_row(row, s->width) & s->mask;
	while (s->slot[at] != EMPTY)
	{
		if (memcmp(s->row + (uint64) s->slot[at] * s->width, row,
				   s->width * sizeof(double)) == 0)
		{
			s->weight[s->slot[at]] += weight;
			return;
		}
		at = (at + 1) & s->mask;
	}
	s->slot[at] = s->count;
	memcpy(s->row + s->count * s->width, row, s->width * sizeof(double));
	s->weight[s->count++] = weight;
	if (s->count == s->room)
		grow(s);
}

/* The weight of this row, or -1 where an argument is NULL */
static double
row_weight(FunctionCallInfo fcinfo, int nargs, bool weighted)
{
	double		weight = 1;
	int			i;

	for (i = 1; i <= nargs + (weighted ? 1 : 0); i++)
		if (PG_ARGISNULL(i))
			return -1;
	if (weighted)
		weight = crm_value_not_negative(PG_GETARG_FLOAT8(nargs + 1),
										"customers");
	return weight;
}

typedef enum Door
{
	HISTORIES,
	OPPORTUNITIES,
	SPEND
} Door;

static Datum
accumulate(FunctionCallInfo fcinfo, Door door, bool weighted)
{
	PatternState *s = PG_ARGISNULL(0) ?
		new_state(crm_value_state_context(fcinfo), 0, 0) :
		(PatternState *) PG_GETARG_POINTER(0);
	double		weight = row_weight(fcinfo, door == SPEND ? 2 : 3, weighted),
				row[3];

	if (weight < 0)
	{
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	row[0] = PG_GETARG_FLOAT8(1);
	row[1] = PG_GETARG_FLOAT8(2);
	row[2] = door == SPEND ? 0 : PG_GETARG_FLOAT8(3);
	switch (door)
	{
		case HISTORIES:
			crm_value_history(row[0], &row[1], row[2]);
			break;
		case OPPORTUNITIES:
			crm_value_opportunities(row[0], row[1], row[2]);
			break;
		case SPEND:
			crm_value_whole(row[0], "x");
			(void) crm_value_finite(row[1], "mean spend");

			/* the model knows neither spend without purchase nor none */
			if (row[0] == 0 || row[1] <= 0)
			{
				s->left_out++;
				PG_RETURN_POINTER(s);
			}
			break;
	}
	if (weight > 0)
		count_pattern(s, row, weight);
	PG_RETURN_POINTER(s);
}

#define ACCUMULATE(name, door, weighted) \
PG_FUNCTION_INFO_V1(name); \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return accumulate(fcinfo, door, weighted); \
}

ACCUMULATE(crm_history_accumulate, HISTORIES, false)
ACCUMULATE(crm_history_accumulate_weighted, HISTORIES, true)
ACCUMULATE(crm_opportunity_accumulate, OPPORTUNITIES, false)
ACCUMULATE(crm_opportunity_accumulate_weighted, OPPORTUNITIES, true)
ACCUMULATE(crm_spend_accumulate, SPEND, false)
ACCUMULATE(crm_spend_accumulate_weighted, SPEND, true)

/* Covariates of one kind into row[]; returns their number */
static int
read_covariates(ArrayType *array, double *row, int room, const char *kind)
{
	int			n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)),
				i;
	double	   *value = (double *) ARR_DATA_PTR(array);

	if (ARR_HASNULL(array))
		return -1;
	if (n > room)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("too many covariates of %s", kind),
				 errdetail("A fit has at most %d parameters.", CRM_FIT_MAX),
				 errhint("Pass fewer covariates.")));
	for (i = 0; i < n; i++)
	{
		(void) crm_value_finite(value[i], "covariates");
		row[i] = value[i];
	}
	return n;
}

PG_FUNCTION_INFO_V1(crm_covariate_accumulate);
Datum
crm_covariate_accumulate(PG_FUNCTION_ARGS)
{
	PatternState *s = PG_ARGISNULL(0) ? NULL :
		(PatternState *) PG_GETARG_POINTER(0);
	double		row[3 + CRM_FIT_MAX];
	int			i,
				nd = -1,
				np = -1;
	bool		whole = true;

	for (i = 1; i <= 5; i++)
		whole &= !PG_ARGISNULL(i);
	if (whole)
	{
		nd = read_covariates(PG_GETARG_ARRAYTYPE_P(4), row + 3,
							 CRM_FIT_MAX - 4, "dropout");
		if (nd >= 0)
			np = read_covariates(PG_GETARG_ARRAYTYPE_P(5), row + 3 + nd,
								 CRM_FIT_MAX - 4 - nd, "purchasing");
		whole = np >= 0;
	}
	if (!whole)
	{
		/* the first whole row says how many covariates there are */
		if (s == NULL)
		{
			s = new_state(crm_value_state_context(fcinfo), 0, 0);
			s->ndropout = -1;
		}
		s->left_out++;
		PG_RETURN_POINTER(s);
	}
	if (s == NULL || s->ndropout < 0)
	{
		int64		left_out = s ? s->left_out : 0;

		s = new_state(crm_value_state_context(fcinfo), nd, np);
		s->left_out = left_out;
	}
	if (nd != s->ndropout || np != s->npurchase)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("every customer needs the same number of covariates"),
				 errdetail("%d and %d after %d and %d.", nd, np,
						   s->ndropout, s->npurchase),
				 errhint("Pass arrays of one length; 0 stands for what a customer does not have.")));
	row[0] = PG_GETARG_FLOAT8(1);
	row[1] = PG_GETARG_FLOAT8(2);
	row[2] = PG_GETARG_FLOAT8(3);
	crm_value_history(row[0], &row[1], row[2]);
	count_pattern(s, row, 1);
	PG_RETURN_POINTER(s);
}

/* Adds the patterns of one table to another */
static void
merge(PatternState *into, const PatternState *from)
{
	uint64		i;
	double		row[3 + CRM_FIT_MAX];

	into->left_out += from->left_out;
	if (from->count == 0)
		return;
	if (from->width != into->width || from->ndropout != into->ndropout)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("every customer needs the same number of covariates"),
				 errhint("Pass arrays of one length; 0 stands for what a customer does not have.")));
	for (i = 0; i < from->count; i++)
	{
		if (i % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		memcpy(row, from->row + i * from->width,
			   from->width * sizeof(double));
		count_pattern(into, row, from->weight[i]);
	}
}

PG_FUNCTION_INFO_V1(crm_patterns_combine);
Datum
crm_patterns_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = crm_value_state_context(fcinfo);
	PatternState *a = PG_ARGISNULL(0) ? NULL :
		(PatternState *) PG_GETARG_POINTER(0);
	PatternState *b = PG_ARGISNULL(1) ? NULL :
		(PatternState *) PG_GETARG_POINTER(1);

	if (b == NULL)
	{
		if (a == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(a);
	}
	if (a == NULL || (a->count == 0 && a->width != b->width))
	{
		int64		left_out = a ? a->left_out : 0;

		a = new_state(context, b->ndropout, b->npurchase);
		a->left_out = left_out;
	}
	merge(a, b);
	PG_RETURN_POINTER(a);
}

typedef struct PatternHeader
{
	int32		ndropout;
	int32		npurchase;
	uint64		count;
	int64		left_out;
} PatternHeader;

PG_FUNCTION_INFO_V1(crm_patterns_serialize);
Datum
crm_patterns_serialize(PG_FUNCTION_ARGS)
{
	PatternState *s = (PatternState *) PG_GETARG_POINTER(0);
	PatternHeader header = {s->ndropout, s->npurchase, s->count, s->left_out};
	Size		rows = s->count * s->width * sizeof(double),
				weights = s->count * sizeof(double);
	bytea	   *out = palloc(VARHDRSZ + sizeof(header) + rows + weights);
	char	   *p = VARDATA(out);

	SET_VARSIZE(out, VARHDRSZ + sizeof(header) + rows + weights);
	memcpy(p, &header, sizeof(header));
	memcpy(p + sizeof(header), s->row, rows);
	memcpy(p + sizeof(header) + rows, s->weight, weights);
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_patterns_deserialize);
Datum
crm_patterns_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *in = PG_GETARG_BYTEA_PP(0);
	char	   *p = VARDATA_ANY(in);
	PatternHeader header;
	PatternState *s;

	/* only rows and weights are there: it is merged, never searched */
	memcpy(&header, p, sizeof(header));
	s = MemoryContextAllocZero(crm_value_state_context(fcinfo), sizeof(PatternState));
	s->context = crm_value_state_context(fcinfo);
	s->ndropout = header.ndropout;
	s->npurchase = header.npurchase;
	s->width = 3 + Max(header.ndropout, 0) + header.npurchase;
	s->count = header.count;
	s->left_out = header.left_out;
	s->row = palloc(Max(header.count * s->width, 1) * sizeof(double));
	s->weight = palloc(Max(header.count, 1) * sizeof(double));
	memcpy(s->row, p + sizeof(header),
		   header.count * s->width * sizeof(double));
	memcpy(s->weight, p + sizeof(header) +
		   header.count * s->width * sizeof(double),
		   header.count * sizeof(double));
	PG_RETURN_POINTER(s);
}

/* ---- the fit ---- */

static const char *const state_names[] = {
	"converged", "no interior optimum", "not converged", "too few customers"
};

static const char *const state_advice[] = {
	NULL,
	"The data do not determine every parameter: one runs to a bound, or can change at no cost. Do not use the estimates of the flat ones; use a simpler model (NBD instead of one with dropout), or more history.",
	"The search stopped before the gradient vanished. Check the unit of time (no customer should be thousands of units old) and outliers, then fit again.",
	"There are not more distinct histories than parameters. Use a rule of thumb, or the figures of the whole cohort."
};

/* A float8[] out of doubles, NaN as NULL */
static Datum
float_array(const double *v, int n)
{
	Datum	   *value = palloc(Max(n, 1) * sizeof(Datum));
	bool	   *null = palloc(Max(n, 1) * sizeof(bool));
	int			lower = 1,
				i;

	for (i = 0; i < n; i++)
	{
		null[i] = isnan(v[i]) || isinf(v[i]);
		value[i] = Float8GetDatum(v[i]);
	}
	return PointerGetDatum(construct_md_array(value, null, n > 0 ? 1 : 0, &n,
											  &lower, FLOAT8OID, 8,
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * The estimate as a row: parameters, their standard errors, (effects of
 * covariates and theirs,) and how the fit went.
 */
static CrmValueFit *
fit_patterns(PatternState *s, CrmValueModel model)
{
	CrmValueFit *fit = palloc(sizeof(*fit));
	CrmPatterns patterns;
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "crm fit",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(work);

	patterns.count = s->count;
	patterns.width = s->width;
	patterns.ndropout = Max(s->ndropout, 0);
	patterns.npurchase = s->npurchase;
	patterns.row = s->row;
	patterns.weight = s->weight;
	crm_value_fit(model, &patterns, &crm_value_host, fit);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(work);
	return fit;
}

static Datum
fit_row(FunctionCallInfo fcinfo, CrmValueModel model, bool covariates)
{
	PatternState *s;
	CrmValueFit *fit;
	TupleDesc	desc;
	Datum		value[32];
	bool		null[32] = {false};
	int			np = crm_value_parameters(model),
				c = 0,
				i,
				kind;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (PatternState *) PG_GETARG_POINTER(0);
	desc = crm_result_row(fcinfo);

	fit = fit_patterns(s, model);
	for (kind = 0; kind < 2; kind++)
		for (i = 0; i < np; i++)
		{
			double		v = kind == 0 ? fit->estimate[i] : fit->se[i];

			null[c] = fit->state == CRM_FIT_TOO_FEW || isnan(v) || isinf(v);
			value[c++] = Float8GetDatum(v);
		}
	if (covariates)
	{
		int			nd = Max(s->ndropout, 0);

		for (kind = 0; kind < 2; kind++)
		{
			const double *v = kind == 0 ? fit->estimate : fit->se;

			null[c] = null[c + 1] = fit->state == CRM_FIT_TOO_FEW;
			value[c++] = float_array(v + np, nd);
			value[c++] = float_array(v + np + nd, s->npurchase);
		}
	}
	null[c] = fit->state == CRM_FIT_TOO_FEW ||
		isnan(fit->log_likelihood) || isinf(fit->log_likelihood);
	value[c++] = Float8GetDatum(fit->log_likelihood);
	value[c++] = Float8GetDatum(fit->customers);
	value[c++] = Int64GetDatum(s->count);
	value[c++] = Int64GetDatum(s->left_out);
	value[c++] = CStringGetTextDatum(state_names[fit->state]);
	null[c] = state_advice[fit->state] == NULL;
	value[c] = null[c] ? (Datum) 0 :
		CStringGetTextDatum(state_advice[fit->state]);
	c++;
	value[c++] = Int32GetDatum(fit->iterations);
	value[c++] = Int32GetDatum(fit->evaluations);
	null[c] = fit->state == CRM_FIT_TOO_FEW || isinf(fit->gradient_norm);
	value[c++] = Float8GetDatum(fit->gradient_norm);
	null[c] = fit->state == CRM_FIT_TOO_FEW || isnan(fit->smallest_eigenvalue);
	value[c++] = Float8GetDatum(fit->smallest_eigenvalue);
	null[c] = fit->state == CRM_FIT_TOO_FEW ||
		!(fit->smallest_eigenvalue > 0);
	value[c] = null[c] ? (Datum) 0 :
		float_array(fit->covariance, fit->n * fit->n);
	c++;
	value[c++] = Int64GetDatum(fit->bytes +
							   s->room * (s->width + 1) * sizeof(double) +
							   (s->mask + 1) * sizeof(uint32));
	if (c != desc->natts)
		elog(ERROR, "fit has %d columns, its type %d", c, desc->natts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}

#define FIT_FINAL(name, model, covariates) \
PG_FUNCTION_INFO_V1(name); \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return fit_row(fcinfo, model, covariates); \
}

FIT_FINAL(crm_bgnbd_fit_final, CRM_BGNBD, false)
FIT_FINAL(crm_mbgnbd_fit_final, CRM_MBGNBD, false)
FIT_FINAL(crm_paretonbd_fit_final, CRM_PARETONBD, false)
FIT_FINAL(crm_nbd_fit_final, CRM_NBD, false)
FIT_FINAL(crm_bgbb_fit_final, CRM_BGBB, false)
FIT_FINAL(crm_gamma_gamma_fit_final, CRM_GAMMA_GAMMA, false)
FIT_FINAL(crm_bgnbd_fit_covariates_final, CRM_BGNBD, true)
FIT_FINAL(crm_paretonbd_fit_covariates_final, CRM_PARETONBD, true)

/*
 * exp(sum of effect times covariate): what a customer's parameters are
 * multiplied (dropout, BG/NBD) or divided by.
 */
PG_FUNCTION_INFO_V1(crm_covariate_factor);
Datum
crm_covariate_factor(PG_FUNCTION_ARGS)
{
	ArrayType  *effects = PG_GETARG_ARRAYTYPE_P(0),
			   *covariates = PG_GETARG_ARRAYTYPE_P(1);
	int			n = ArrayGetNItems(ARR_NDIM(effects), ARR_DIMS(effects)),
				i;
	double		sum = 0;

	if (ARR_HASNULL(effects) || ARR_HASNULL(covariates))
		PG_RETURN_NULL();
	if (n != ArrayGetNItems(ARR_NDIM(covariates), ARR_DIMS(covariates)))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("as many effects as covariates are needed"),
				 errhint("Pass the covariates in the order and number of the fit.")));
	for (i = 0; i < n; i++)
		sum += ((double *) ARR_DATA_PTR(effects))[i] *
			((double *) ARR_DATA_PTR(covariates))[i];
	return crm_value_result(fcinfo, exp(sum));
}
