/*
 * model_sql.c
 *	  Small functions around models: z-scores, p-values, drift.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/float.h"

#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_two_sided_p);
PG_FUNCTION_INFO_V1(crm_z_scores);
PG_FUNCTION_INFO_V1(crm_psi);

Datum
crm_two_sided_p(PG_FUNCTION_ARGS)
{
	double		z = PG_GETARG_FLOAT8(0);

	if (isnan(z))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(erfc(fabs(z) / sqrt(2)));
}

Datum
crm_z_scores(PG_FUNCTION_ARGS)
{
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P(0);
	const double *m;
	const double *s;
	int			n,
				nm,
				ns;
	bool		null_m,
				null_s;
	ArrayType  *result;
	double	   *v;
	const bits8 *bitmap = ARR_NULLBITMAP(a);
	int			values = 0;

	(void) crm_model_double_array(PointerGetDatum(a), &n, &null_m);
	m = crm_model_double_array(PG_GETARG_DATUM(1), &nm, &null_m);
	s = crm_model_double_array(PG_GETARG_DATUM(2), &ns, &null_s);
	if (nm != n || ns != n || null_m || null_s)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%d features do not fit %d means and %d standard deviations", n, nm, ns),
				 errdetail("All three have the same length; means and standard deviations have no nulls.")));
	result = palloc(VARSIZE(a));
	memcpy(result, a, VARSIZE(a));
	v = (double *) ARR_DATA_PTR(result);
	for (int i = 0; i < n; i++)
	{
		double		score;

		if (bitmap && !(bitmap[i / 8] & (1 << (i % 8))))
			continue;
		if (!isfinite(m[i]) || !isfinite(s[i]) || isinf(v[values]))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("feature %d, its mean or standard deviation is not finite", i + 1),
					 errdetail("They are %g, %g and %g.", v[values], m[i], s[i]),
					 errhint("Replace the value, and use means and deviations of the training rows.")));
		score = s[i] > 0 ? (v[values] - m[i]) / s[i] : 0;
		if (isinf(score))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("feature %d is too many standard deviations from its mean", i + 1),
					 errdetail("They are %g, %g and %g.", v[values], m[i], s[i]),
					 errhint("Replace the value, and use means and deviations of the training rows.")));
		v[values++] = score;
	}
	PG_RETURN_ARRAYTYPE_P(result);
}

Datum
crm_psi(PG_FUNCTION_ARGS)
{
	const double *h[2];
	int			n[2];
	bool		has_null[2];
	double		sum[2] = {0, 0};
	double		psi = 0;

	for (int i = 0; i < 2; i++)
	{
		h[i] = crm_model_double_array(PG_GETARG_DATUM(i), &n[i], &has_null[i]);
		for (int j = 0; !has_null[i] && j < n[i]; j++)
		{
			/* so that their sum is finite, too */
			if (!(h[i][j] >= 0 && h[i][j] <= 1e100))
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DOMAIN),
						 errmsg("bin %d of a histogram holds %g", j + 1, h[i][j]),
						 errdetail("Bins hold counts or shares from 0 on."),
						 errhint("Replace what is negative, NaN or infinite by 0.")));
			sum[i] += h[i][j];
		}
	}
	if (n[0] != n[1] || has_null[0] || has_null[1])
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 n[0] != n[1] ? errmsg("the histograms have %d and %d bins", n[0], n[1]) :
				 errmsg("a bin of a histogram is null"),
				 errdetail("Both have the same bins, none of them null.")));
	if (sum[0] == 0 || sum[1] == 0)
		PG_RETURN_NULL();
	for (int j = 0; j < n[0]; j++)
	{
		double		share[2];

		if (h[0][j] == 0 && h[1][j] == 0)
			continue;
		for (int i = 0; i < 2; i++)
		{
			share[i] = h[i][j] / sum[i];
			if (share[i] == 0)
				share[i] = sum[i] > 1.5 ? 0.5 / sum[i] : 0.5e-4;
		}
		psi += (share[1] - share[0]) * log(share[1] / share[0]);
	}
	PG_RETURN_FLOAT8(psi);
}
