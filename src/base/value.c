/*
 * value.c
 *	  crm.kept_value(): the answer of a query whose text PL/pgSQL makes, from a
 *	  kept plan; crm.kept_text(): such a text, kept.
 *
 * Functions that serve any table make their queries of its name and columns.
 * EXECUTE analyses and plans such a text each time, which for a row found by
 * its key costs several times what running it does.  A table gives always the
 * same few texts, so their plans are kept, as those of C are.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datum.h"

PG_FUNCTION_INFO_V1(crm_kept_value);

/*
 * crm.kept_value(query, arguments ...): the first column, a jsonb, of the first
 * row; NULL where there is none.  Runs with the caller's rights.  The types of
 * the arguments are part of the text under which the plan is kept.
 */
Datum
crm_kept_value(PG_FUNCTION_ARGS)
{
	int			nargs = PG_NARGS() - 1;
	StringInfoData sql;
	Oid		   *types = palloc(sizeof(Oid) * Max(nargs, 1));
	Datum	   *values = palloc(sizeof(Datum) * Max(nargs, 1));
	char	   *nulls = palloc(Max(nargs, 1));
	MemoryContext caller = CurrentMemoryContext;
	Datum		answer = (Datum) 0;
	bool		isnull = true;

	if (PG_ARGISNULL(0) || get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("crm.kept_value() takes a query and its arguments one by one"),
				 errhint("Leave out the word VARIADIC.")));
	initStringInfo(&sql);
	appendStringInfoString(&sql, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	appendStringInfoString(&sql, " /*");
	for (int i = 0; i < nargs; i++)
	{
		types[i] = get_fn_expr_argtype(fcinfo->flinfo, i + 1);
		values[i] = PG_ARGISNULL(i + 1) ? (Datum) 0 : PG_GETARG_DATUM(i + 1);
		nulls[i] = PG_ARGISNULL(i + 1) ? 'n' : ' ';
		appendStringInfo(&sql, " %u", types[i]);
	}
	appendStringInfoString(&sql, " */");

	crm_connect();
	/* no limit: a command that stops after its first row never fires its statement triggers */
	crm_execute_variant(sql.data, nargs, types, values, nulls, false, 0);
	if (SPI_processed > 0)
	{
		if (SPI_gettypeid(SPI_tuptable->tupdesc, 1) != JSONBOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("the query of crm.kept_value() does not give a jsonb"),
					 errhint("Let it select or return to_jsonb() of what it gives.")));
		answer = crm_spi_value(0, 1, &isnull);
		if (!isnull)
		{
			MemoryContext old = MemoryContextSwitchTo(caller);

			answer = datumCopy(answer, false, -1);
			MemoryContextSwitchTo(old);
		}
	}
	crm_disconnect();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(answer);
}

/* ---- texts ---- */

/* The key: name of the function that makes the text, its end, the table's name. */
static void *
build_text(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	const char *maker = key;
	Datum		values[1] = {CStringGetTextDatum(maker + strlen(maker) + 1)};
	bool		isnull;
	Datum		made;

	crm_read_config("SELECT r.relation FROM crm.registry AS r WHERE r.subject = $1", 1, types, values);
	if (SPI_processed > 0)
		crm_kept_depends(DatumGetObjectId(crm_spi_value(0, 1, &isnull)));
	crm_read_config(psprintf("SELECT crm_internal.%s($1)", quote_identifier(maker)), 1, types, values);
	made = crm_spi_value(0, 1, &isnull);
	return isnull ? NULL : MemoryContextStrdup(context, TextDatumGetCString(made));
}

static CrmKept kept_texts = {
	.what = "queries made for tables",
	.tables = {"registry", "erased_addresses", "person_restrictions"},
	.build = build_text,
};

/* The text that crm.kept_text() gives, NULL for none; it is there until somebody asks again. */
const char *
crm_kept_text_of(const char *maker, const char *subject)
{
	StringInfoData key;

	/* the parser reads a name to its end, however long that takes */
	if (strlen(maker) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("the name of the function that makes a text is too long"),
				 errhint("Name a function of schema crm_internal, without the schema.")));
	initStringInfo(&key);
	appendStringInfoString(&key, maker);
	appendStringInfoChar(&key, '\0');
	appendStringInfoString(&key, subject);
	return crm_kept(&kept_texts, key.data, key.len + 1);
}

PG_FUNCTION_INFO_V1(crm_kept_text);

/*
 * crm.kept_text(maker, subject): what the function crm_internal.<maker>(text)
 * says of a registered table, kept until the registry or the table changes.
 */
Datum
crm_kept_text(PG_FUNCTION_ARGS)
{
	const char *made = crm_kept_text_of(text_to_cstring(PG_GETARG_TEXT_PP(0)),
										text_to_cstring(PG_GETARG_TEXT_PP(1)));

	if (made == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(made));
}

PG_FUNCTION_INFO_V1(crm_set_by_trigger);

/* crm.set_by_trigger() -- NULL: the default of a column that a trigger fills */
Datum
crm_set_by_trigger(PG_FUNCTION_ARGS)
{
	PG_RETURN_NULL();
}
