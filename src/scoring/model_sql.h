/*
 * model_sql.h (public)
 *	  Shared by the SQL faces of the models.
 */
#ifndef CRM_MODEL_SQL_H
#define CRM_MODEL_SQL_H

#include "funcapi.h"
#include "utils/array.h"
#include "scoring/metrics.h"

extern void crm_model_memory(FunctionCallInfo fcinfo, MemoryContext *context,
							 const char *name);
extern bool crm_model_outcome(double y, const char *function);
extern double crm_model_weight(double weight);
extern void crm_model_refuse_missing_class(int64 n, int64 wins);
extern ArrayType *crm_model_doubles(const double *v, int n, bool nan_is_null);
extern const double *crm_model_double_array(Datum array, int *n, bool *has_null);

#endif							/* CRM_MODEL_SQL_H */
