/*
 * edges.c
 *	  Scores of values by edges that were computed once and are stored.
 */
#include "base/crm.h"

#include <math.h>

#include "utils/array.h"

#include "value/value_face.h"

/* 1 + edges strictly below the value; from the top if lower is better */
PG_FUNCTION_INFO_V1(crm_edge_score);
Datum
crm_edge_score(PG_FUNCTION_ARGS)
{
	double		v = PG_GETARG_FLOAT8(0);
	ArrayType  *edges = PG_GETARG_ARRAYTYPE_P(1);
	bool		lower_is_better = PG_GETARG_BOOL(2);
	int			n = ArrayGetNItems(ARR_NDIM(edges), ARR_DIMS(edges)),
				below = 0,
				i;
	double	   *edge = (double *) ARR_DATA_PTR(edges);

	if (ARR_HASNULL(edges) || isnan(v))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("value and edges must be numbers"),
				 errhint("Edges are what crm.quantile_edges() returned.")));
	for (i = 0; i < n; i++)
	{
		if (isnan(edge[i]) || (i > 0 && edge[i] < edge[i - 1]))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("edges must be numbers that do not fall"),
					 errhint("Edges are what crm.quantile_edges() returned.")));
		below += edge[i] < v;
	}
	PG_RETURN_INT32(lower_is_better ? n + 1 - below : 1 + below);
}
