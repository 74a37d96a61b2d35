/*
 * cohort.c
 *	  crm.cohort_clv: what customers of the past were worth, period by period.
 *
 * For customers without a history of their own: margin of all cohorts in
 * their i-th period, over the customers old enough to have had one.  It
 * promises nothing beyond the last period that was observed.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"

#include "value/value_face.h"

#define MOST_PERIODS 1200

typedef struct CohortState
{
	double		rate;
	double		margin[MOST_PERIODS];
	double		customers[MOST_PERIODS];
} CohortState;

PG_FUNCTION_INFO_V1(crm_cohort_clv_accumulate);
Datum
crm_cohort_clv_accumulate(PG_FUNCTION_ARGS)
{
	CohortState *s;
	int32		period;
	double		margin;

	if (PG_ARGISNULL(0))
	{
		MemoryContext context = crm_value_state_context(fcinfo);

		if (PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("rate must not be null")));
		s = MemoryContextAllocZero(context, sizeof(CohortState));
		s->rate = crm_value_not_negative(PG_GETARG_FLOAT8(4), "rate");
	}
	else
		s = (CohortState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(4) || s->rate != PG_GETARG_FLOAT8(4))
		crm_setting_differs("crm.cohort_clv", "rate");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_POINTER(s);
	period = PG_GETARG_INT32(1);
	margin = PG_GETARG_FLOAT8(2);
	if (period < 0 || period >= MOST_PERIODS)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("period %d is not from 0 to %d", period,
						MOST_PERIODS - 1),
				 errhint("0 is the period of the first purchase.")));
	if (!(fabs(margin) <= CRM_VALUE_MOST))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("margin must be finite and at most %g", CRM_VALUE_MOST),
				 errdetail("It is %g.", margin),
				 errhint("Replace the value, or leave the row out.")));
	s->margin[period] += margin;
	s->customers[period] += crm_value_not_negative(PG_GETARG_FLOAT8(3),
												   "customers");
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(crm_cohort_clv_final);
Datum
crm_cohort_clv_final(PG_FUNCTION_ARGS)
{
	CohortState *s;
	TupleDesc	desc;
	Datum		value[4];
	bool		null[4] = {false};
	double		sum = 0,
				factor = 1;
	int			i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (CohortState *) PG_GETARG_POINTER(0);
	for (i = 0; i < MOST_PERIODS && s->customers[i] > 0; i++)
	{
		sum += factor * (s->margin[i] / s->customers[i]);
		factor /= 1 + s->rate;
	}
	if (i == 0)
		PG_RETURN_NULL();
	desc = crm_result_row(fcinfo);
	value[0] = Float8GetDatum(sum);
	value[1] = Int32GetDatum(i);
	value[2] = Float8GetDatum(s->customers[0]);
	value[3] = Float8GetDatum(s->customers[i - 1]);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}
