/*
 * restore.c
 *	  Restores of rows alone are refused: they would run every trigger once
 *	  more over what triggers have written.
 *
 * A trigger of every table asks at each INSERT.  It is C and has no WHEN: that
 * expression would be read from the catalog and prepared by every statement,
 * which costs more than all the rest of it.
 */
#include "base/crm.h"

#include "commands/trigger.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

static bool
is_set_to(const char *setting, const char *value)
{
	const char *now = GetConfigOption(setting, true, false);

	return now != NULL && strcmp(now, value) == 0;
}

PG_FUNCTION_INFO_V1(crm_refuse_rows_alone);

/*
 * crm.refuse_rows_alone() -- BEFORE INSERT statement trigger.
 *
 * pg_dump writes these settings at the top of a dump, and nobody works under
 * all of them.  In a whole dump triggers come after the rows.
 */
Datum
crm_refuse_rows_alone(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"crm.refuse_rows_alone\" must be fired by a statement")));
	if (is_set_to("search_path", "") && is_set_to("row_security", "off") && is_set_to("check_function_bodies", "off"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s.%s takes no rows from a restore of rows alone",
						get_namespace_name(RelationGetNamespace(trigdata->tg_relation)),
						RelationGetRelationName(trigdata->tg_relation)),
				 errdetail("Its triggers are on and would write history, clocks and sums a second time."),
				 errhint("Restore schema and rows together (pg_restore --clean --if-exists over an installed CRM), or give --disable-triggers "
						 "and restore the rows into the schema of the same dump.")));
	return PointerGetDatum(NULL);
}
