/*
 * value_face.c
 *	  Checks of arguments and answers that all SQL functions of this room share.
 *
 * Everything is checked here, so that the mathematics may rely on it: numbers
 * lie between 1e-100 and 1e100, so that no product or quotient of a few of them
 * leaves the range and no step of an integration becomes zero.
 */
#include "base/crm.h"

#include <math.h>

#include "value/value_face.h"

double
crm_value_positive(double v, const char *name)
{
	if (!(v > 0) || isinf(v))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("parameter \"%s\" must be greater than zero and finite",
						name),
				 errdetail("It is %g.", v),
				 errhint("Give the parameters that a fit of the model returned.")));
	if (v < CRM_VALUE_LEAST || v > CRM_VALUE_MOST)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("parameter \"%s\" must be between %g and %g", name,
						CRM_VALUE_LEAST, CRM_VALUE_MOST),
				 errdetail("It is %g.", v),
				 errhint("Give the parameters that a fit of the model returned.")));
	return v;
}

double
crm_value_not_negative(double v, const char *name)
{
	if (!(v >= 0) || isinf(v))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("\"%s\" must be zero or more, and finite", name),
				 errdetail("It is %g.", v),
				 errhint("Times and amounts are numbers that are not negative.")));
	if (v > CRM_VALUE_MOST || (v > 0 && v < CRM_VALUE_LEAST))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("\"%s\" must be zero or between %g and %g", name,
						CRM_VALUE_LEAST, CRM_VALUE_MOST),
				 errdetail("It is %g.", v),
				 errhint("Count times and amounts in units that make them ordinary numbers.")));
	return v;
}

/* An amount that may be negative: refuse what is no number. */
double
crm_value_finite(double v, const char *what)
{
	if (isnan(v) || isinf(v))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("%s must be finite", what),
				 errhint("Replace the value, or leave the customer out.")));
	return v;
}

double
crm_value_whole(double v, const char *name)
{
	crm_value_not_negative(v, name);
	if (v != floor(v) || v > 9e15)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("\"%s\" must be a whole number", name),
				 errdetail("It is %g.", v),
				 errhint("It counts purchases or opportunities.")));
	return v;
}

/*
 * Is the history possible?  A last purchase later than the age by rounding
 * alone is taken to be at the age.
 */
void
crm_value_history(double x, double *t_x, double age)
{
	crm_value_whole(x, "x");
	crm_value_not_negative(*t_x, "t_x");
	crm_value_not_negative(age, "age");
	if (*t_x > age)
	{
		if (*t_x - age > 1e-9 * *t_x)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("last purchase at %g is later than the age %g",
							*t_x, age),
					 errhint("Both are counted from the first purchase, in the same unit.")));
		*t_x = age;
	}
	if (x == 0 && *t_x != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a customer without a repeat purchase has t_x = 0, not %g",
						*t_x),
				 errhint("x counts the purchases after the first, and t_x is the time of the last of them.")));
}

/* Opportunities of BG/BB: whole numbers, x <= t_x <= n */
void
crm_value_opportunities(double x, double t_x, double n)
{
	crm_value_whole(x, "x");
	crm_value_whole(t_x, "t_x");
	crm_value_whole(n, "n");
	if (t_x > n || x > t_x || (x == 0 && t_x > 0))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("x = %g purchases, the last at opportunity %g of %g, cannot be",
						x, t_x, n),
				 errhint("x <= t_x <= n, and t_x = 0 exactly where x = 0.")));
	if (n > 1e7)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("too many opportunities: %g", n),
				 errhint("At most 10 million are taken; count longer periods as one opportunity.")));
}

Datum
crm_value_result(FunctionCallInfo fcinfo, double v)
{
	if (isnan(v))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("the answer is out of the range of double precision")));
	if (isinf(v))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(v);
}

/* Memory of an aggregate's state, which lives as long as its group. */
MemoryContext
crm_value_state_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called outside an aggregate");
	return context;
}
