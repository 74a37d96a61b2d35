/*
 * segment.c
 *	  Which segments a changed row may enter or leave.
 *
 * The conditions of all segments of a table are compiled once per backend.
 * A row trigger puts the row before and after the change to them; only where
 * the answer differs, or where a segment asks for more than the row says, is
 * anything read or written.  So a change that concerns no segment costs the
 * conditions alone, and one that does costs the same whatever the size of the
 * segment.
 */
#include "crm.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

typedef struct Segment
{
	NameData	table;
	int64		tenant;
	int64		id;
	Datum		condition;		/* jsonpath; 0: every row */
	bool		more;			/* asks for more than the row says */
} Segment;

static CrmConfigWatch watch = {.table = "segments"};
static MemoryContext config_context = NULL;
static Segment *segments = NULL;
static int	nsegments = 0;
static uint64 compiled_at = 0;

static int
compare_place(const char *table, int64 tenant, const Segment *s)
{
	int			c = strcmp(table, NameStr(s->table));

	if (c != 0)
		return c;
	return tenant < s->tenant ? -1 : tenant > s->tenant;
}

static void
compile(void)
{
	uint64		generation = crm_config_generation(&watch);
	MemoryContext fresh;
	MemoryContext old;
	CrmOwnerSwitch me;
	Segment    *list;
	int			n;

	if (compiled_at == generation)
		return;
	fresh = AllocSetContextCreate(TopMemoryContext, "crm segments",
								  ALLOCSET_SMALL_SIZES);
	crm_become(watch.owner, &me);
	crm_read_config("SELECT s.subject_table, s.tenant_id, s.id, s.condition, s.uses OPERATOR(pg_catalog.<>) '{}'"
					" FROM crm.segments AS s WHERE s.active AND s.kind OPERATOR(pg_catalog.=) 'dynamic'"
					" ORDER BY s.subject_table COLLATE \"C\", s.tenant_id, s.id",
					0, NULL, NULL);
	crm_become_self(&me);
	n = SPI_processed;
	old = MemoryContextSwitchTo(fresh);
	list = palloc0(sizeof(Segment) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Segment    *s = &list[i];
		bool		isnull;
		Datum		path;

		namestrcpy(&s->table, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
		s->tenant = DatumGetInt64(crm_spi_value(i, 2, &isnull));
		s->id = DatumGetInt64(crm_spi_value(i, 3, &isnull));
		path = crm_spi_value(i, 4, &isnull);
		if (!isnull)
			s->condition = PointerGetDatum(PG_DETOAST_DATUM_COPY(path));
		s->more = DatumGetBool(crm_spi_value(i, 5, &isnull));
	}
	MemoryContextSwitchTo(old);
	SPI_freetuptable(SPI_tuptable);
	if (config_context != NULL)
		MemoryContextDelete(config_context);
	config_context = fresh;
	segments = list;
	nsegments = n;
	compiled_at = generation;
}

/* The first segment of a table and tenant, and how many there are. */
static int
find(const char *table, int64 tenant, int *first)
{
	int			low = 0;
	int			high = nsegments;
	int			n = 0;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (compare_place(table, tenant, &segments[mid]) > 0)
			low = mid + 1;
		else
			high = mid;
	}
	*first = low;
	while (low + n < nsegments && compare_place(table, tenant, &segments[low + n]) == 0)
		n++;
	return n;
}

static Datum
row_to_jsonb(HeapTuple tuple, TupleDesc desc)
{
	static FmgrInfo to_jsonb;

	if (to_jsonb.fn_oid == InvalidOid)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		/* to_jsonb is polymorphic: it asks its call for the type */
		fmgr_info(F_TO_JSONB, &to_jsonb);
		fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
												 list_make1(makeNullConst(RECORDOID, -1, InvalidOid)),
												 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
						   &to_jsonb);
		MemoryContextSwitchTo(old);
	}
	return FunctionCall1(&to_jsonb, heap_copy_tuple_as_datum(tuple, desc));
}

/* As crm.condition_holds() in SQL. */
static bool
holds(Datum condition, Datum row)
{
	return condition == (Datum) 0 || crm_condition_holds(row, condition);
}

static int64
int_column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	int			attnum = SPI_fnumber(desc, name);
	bool		isnull = true;
	Datum		value = (Datum) 0;

	if (attnum > 0)
		value = SPI_getbinval(tuple, desc, attnum, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("segments need the column \"%s\"", name)));
	return DatumGetInt64(value);
}

PG_FUNCTION_INFO_V1(crm_segment_row);

/*
 * crm.segment_row() -- AFTER row trigger of tables that have segments.
 */
Datum
crm_segment_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	before = NULL;
	HeapTuple	after = NULL;
	const char *table;
	int64		tenant;
	int			first;
	int			n;
	int			ndirty = 0;
	Datum	   *ids;
	Datum	   *answers;
	Datum		was = (Datum) 0;
	Datum		now = (Datum) 0;
	static const Oid types[5] = {INT8OID, TEXTOID, INT8OID, INT8ARRAYOID, BOOLARRAYOID};
	static const Oid row_types[6] = {INT8OID, TEXTOID, INT8OID, INT8ARRAYOID, BOOLARRAYOID, JSONBOID};
	Datum		values[6];
	CrmOwnerSwitch me;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after each row by the trigger manager",
						"crm.segment_row")));
	desc = RelationGetDescr(trigdata->tg_relation);
	table = RelationGetRelationName(trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		before = trigdata->tg_trigtuple;
		after = trigdata->tg_newtuple;
	}
	else if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		after = trigdata->tg_trigtuple;
	else
		before = trigdata->tg_trigtuple;

	/* the news of a change may have come without anybody looking */
	if (compiled_at != crm_config_generation(&watch))
	{
		SPI_connect();
		compile();
		SPI_finish();
	}
	if (nsegments == 0)
		return PointerGetDatum(NULL);
	tenant = int_column(after ? after : before, desc, "tenant_id");
	n = find(table, tenant, &first);
	if (n == 0)
		return PointerGetDatum(NULL);

	ids = palloc(sizeof(Datum) * n);
	answers = palloc(sizeof(Datum) * n);
	if (after)
		now = row_to_jsonb(after, desc);
	if (before && after)
		was = row_to_jsonb(before, desc);
	for (int i = first; i < first + n; i++)
	{
		Segment    *s = &segments[i];
		bool		held = before && (!after || holds(s->condition, was));
		bool		hold = after && holds(s->condition, now);

		if (held != hold || (hold && s->more))
		{
			ids[ndirty] = Int64GetDatum(s->id);
			answers[ndirty++] = BoolGetDatum(hold);
		}
	}
	if (ndirty == 0)
		return PointerGetDatum(NULL);

	values[0] = Int64GetDatum(tenant);
	values[1] = CStringGetTextDatum(table);
	values[2] = Int64GetDatum(int_column(after ? after : before, desc, "id"));
	values[3] = PointerGetDatum(construct_array(ids, ndirty, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[4] = PointerGetDatum(construct_array(answers, ndirty, BOOLOID, 1, true, TYPALIGN_CHAR));
	SPI_connect();
	crm_become(watch.owner, &me);
	if (after)
	{
		values[5] = now;
		crm_execute("SELECT crm_internal.touch_segments($1, $2, $3, $4, $5, $6)",
					6, row_types, values, NULL, false, 0);
	}
	else
		crm_execute("SELECT crm_internal.touch_segments($1, $2, $3, $4, $5, NULL)",
					5, types, values, NULL, false, 0);
	crm_become_self(&me);
	SPI_finish();
	return PointerGetDatum(NULL);
}
