/*
 * row_checks.c
 *	  Checks that every record of the CRM has: a version against lost
 *	  updates, the time of the last change, and tags.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/sort.h"
#include "text/text.h"

#define MAX_TAG_LENGTH 100

static void
check_trigger(FunctionCallInfo fcinfo, const char *name, bool before, bool for_row)
{
	TriggerEvent event;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", name)));
	event = ((TriggerData *) fcinfo->context)->tg_event;
	if ((TRIGGER_FIRED_BEFORE(event) != 0) != before ||
		(TRIGGER_FIRED_FOR_ROW(event) != 0) != for_row)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired %s each row", name,
						before ? "before" : "after")));
}

PG_FUNCTION_INFO_V1(crm_check_version);

/*
 * crm.check_version() -- BEFORE UPDATE row trigger.
 *
 * A writer who says which version it read must have read the present one.
 * What comes out is one version on.  One that writes the next version itself,
 * as object mappers do, has read the present one too: versions only grow.
 */
Datum
crm_check_version(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	TupleDesc	desc;
	int			columns[2];
	Datum		values[2];
	bool		nulls[2] = {false, false};
	bool		old_null;
	bool		new_null;
	int32		old_version;
	int32		new_version;

	check_trigger(fcinfo, "crm.check_version", true, true);
	if (!TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ?
							   trigdata->tg_trigtuple : NULL);
	rel = trigdata->tg_relation;
	desc = RelationGetDescr(rel);
	columns[0] = crm_typed_column(RelationGetDescr(rel), "version", INT4OID);
	columns[1] = crm_typed_column(RelationGetDescr(rel), "updated_at", TIMESTAMPTZOID);

	old_version = DatumGetInt32(heap_getattr(trigdata->tg_trigtuple, columns[0], desc, &old_null));
	new_version = DatumGetInt32(heap_getattr(trigdata->tg_newtuple, columns[0], desc, &new_null));
	if (old_null)
		old_version = 0;
	if (new_null || (new_version != old_version && (int64) new_version != (int64) old_version + 1))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_STALE_VERSION),
				 errmsg("row of table \"%s\" has been changed since it was read",
						RelationGetRelationName(rel)),
				 new_null ? errdetail("Its version is %d, the update carries none.", old_version) :
				 errdetail("Its version is %d, the update carries %d.", old_version, new_version),
				 errhint("Read the row again and repeat the change."),
				 errtable(rel)));

	/* two thousand million changes of one row begin anew */
	values[0] = Int32GetDatum(old_version == PG_INT32_MAX ? 1 : old_version + 1);
	values[1] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	return PointerGetDatum(heap_modify_tuple_by_cols(trigdata->tg_newtuple, desc, 2,
													 columns, values, nulls));
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Tags folded, sorted, each once, without empty ones. */
static ArrayType *
normalize_tags(ArrayType *tags)
{
	Datum	   *elements;
	bool	   *nulls;
	char	  **folded;
	StringInfoData out;
	int			count;
	int			n = 0;
	int			kept = 0;

	deconstruct_array(tags, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	folded = palloc(sizeof(char *) * Max(count, 1));
	initStringInfo(&out);
	for (int i = 0; i < count; i++)
	{
		text	   *tag;

		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			continue;
		tag = DatumGetTextPP(elements[i]);
		resetStringInfo(&out);
		crm_fold(VARDATA_ANY(tag), VARSIZE_ANY_EXHDR(tag), &out);
		if (pg_mbstrlen_with_len(out.data, out.len) > MAX_TAG_LENGTH)
			ereport(ERROR,
					(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
					 errmsg("tag is too long: \"%s\"",
							pnstrdup(out.data, pg_mbcliplen(out.data, out.len, 40))),
					 errdetail("A tag has at most %d characters.", MAX_TAG_LENGTH)));
		if (out.len > 0)
			folded[n++] = pnstrdup(out.data, out.len);
	}
	if (n > 1)
		crm_sort(folded, n, sizeof(char *), compare_texts);
	for (int i = 0; i < n; i++)
		if (kept == 0 || strcmp(folded[i], folded[kept - 1]) != 0)
			folded[kept++] = folded[i];
	for (int i = 0; i < kept; i++)
		elements[i] = CStringGetTextDatum(folded[i]);
	return construct_array(elements, kept, TEXTOID, -1, false, TYPALIGN_INT);
}

PG_FUNCTION_INFO_V1(crm_normalize_tags);

Datum
crm_normalize_tags(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(normalize_tags(PG_GETARG_ARRAYTYPE_P(0)));
}

PG_FUNCTION_INFO_V1(crm_check_tags);

/* crm.check_tags() -- BEFORE INSERT OR UPDATE row trigger: tags in one form. */
Datum
crm_check_tags(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	Relation	rel;
	Datum		value;
	int			attnum;
	bool		isnull;

	check_trigger(fcinfo, "crm.check_tags", true, true);
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	rel = trigdata->tg_relation;
	attnum = crm_typed_column(RelationGetDescr(rel), "tags", TEXTARRAYOID);
	value = heap_getattr(tuple, attnum, RelationGetDescr(rel), &isnull);
	if (isnull || ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(value)),
								 ARR_DIMS(DatumGetArrayTypeP(value))) == 0)
		return PointerGetDatum(tuple);
	value = PointerGetDatum(normalize_tags(DatumGetArrayTypeP(value)));
	return PointerGetDatum(heap_modify_tuple_by_cols(tuple, RelationGetDescr(rel), 1,
													 &attnum, &value, &isnull));
}
