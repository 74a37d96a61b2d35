/*
 * condition.c
 *	  SQL/JSON paths as conditions, the same for whoever asks.
 *
 * Conditions are judged inside other people's writes, so what a path cannot
 * work out is an answer, not an error.  PostgreSQL lets one error through
 * even when asked to be silent: comparing a date with a moment that has a
 * time zone.  Its functions that know time zones compare them, but by the
 * zone of the session, and a condition must not depend on who looks: a date
 * without a zone is taken in UTC here.
 */
#include "base/crm.h"

#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(crm_path_holds);

/* Call one of the jsonb_path_..._tz functions, silently. */
Datum
crm_path_call(PGFunction function, Datum row, Datum path, bool *isnull)
{
	static Datum no_variables = (Datum) 0;
	static pg_tz *utc = NULL;
	LOCAL_FCINFO(fcinfo, 4);
	pg_tz	   *zone = session_timezone;
	Datum		result;

	if (no_variables == (Datum) 0)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		no_variables = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));
		MemoryContextSwitchTo(old);
		utc = pg_tzset("UTC");	/* kept by the server for good */
	}
	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = row;
	fcinfo->args[1].value = path;
	fcinfo->args[2].value = no_variables;
	fcinfo->args[3].value = BoolGetDatum(true);
	for (int i = 0; i < 4; i++)
		fcinfo->args[i].isnull = false;
	session_timezone = utc;
	PG_TRY();
	{
		result = function(fcinfo);
	}
	PG_FINALLY();
	{
		session_timezone = zone;
	}
	PG_END_TRY();
	*isnull = fcinfo->isnull;
	return result;
}

/*
 * Does a condition hold?  Both forms of a path are understood: a predicate,
 * which has to be true, and a filter, which has to find something.
 */
bool
crm_condition_holds(Datum row, Datum path)
{
	bool		isnull;
	Datum		result = crm_path_call(jsonb_path_query_first_tz, row, path, &isnull);
	Jsonb	   *found;
	JsonbValue	value;

	if (isnull)
		return false;
	found = DatumGetJsonbP(result);
	if (!JB_ROOT_IS_SCALAR(found) || !JsonbExtractScalar(&found->root, &value))
		return true;
	if (value.type == jbvBool)
		return value.val.boolean;
	return value.type != jbvNull;
}

Datum
crm_path_holds(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(crm_condition_holds(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)));
}
