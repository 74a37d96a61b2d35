/*
 * aggregate.c
 *	  Settings of aggregates.
 *
 * SQL passes the settings of an aggregate (a penalty, a number of clusters) as
 * arguments of every row, but an aggregate has one of each: that of the first
 * row.  Another value in a later row would have been ignored, so it is refused.
 */
#include "base/crm.h"

/*
 * Whether an argument is a constant or a parameter of the query, so that no
 * row can have another value.  Saves the comparison where it costs something.
 */
bool
crm_setting_is_fixed(FunctionCallInfo fcinfo, int argument)
{
	return get_fn_expr_arg_stable(fcinfo->flinfo, argument);
}

void
crm_setting_differs(const char *aggregate, const char *setting)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("parameter \"%s\" of \"%s\" differs from row to row", setting, aggregate),
			 errhint("Pass one value for all rows, or group by it.")));
}
