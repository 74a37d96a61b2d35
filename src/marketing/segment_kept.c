/*
 * segment_kept.c
 *	  The segments of a table and tenant, compiled once per backend (see kept.c)
 *	  with the columns that each of them can look at.
 */
#include "base/crm.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "marketing/segment.h"

/* The name a table goes by follows, which a partition has from its parent. */
typedef struct GroupKey
{
	int64		tenant;
	int64		relid;			/* whose rows these are, as wide as the tenant */
} GroupKey;

/* names of tables with their schema, quoted, and more than once */
#define KEY_SIZE 1024

/* Append a string with its end to the bytes of a key. */
static Size
key_add(char *key, Size used, const char *text)
{
	Size		length = strlen(text) + 1;

	if (used + length > KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("no table goes by so long a name: \"%.60s...\"", text)));
	memcpy(key + used, text, length);
	return used + length;
}

static void
read_refers(Segment *s, ArrayType *ids)
{
	Datum	   *values;
	bool	   *nulls;

	deconstruct_array(ids, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls,
					  &s->nrefers);
	s->refers = palloc(sizeof(int64) * Max(s->nrefers, 1));
	for (int i = 0; i < s->nrefers; i++)
		s->refers[i] = DatumGetInt64(values[i]);
}

/* Which columns of a row matter to the segments of a group. */
static void
note_columns(SegmentGroup *g, TupleDesc desc)
{
	for (int i = 0; i < g->n; i++)
	{
		Segment    *s = &g->segments[i];

		if (s->condition != (Datum) 0)
			s->whole = !crm_path_columns(s->condition, desc, &s->columns);
		g->whole |= s->whole;
		g->columns = bms_add_members(g->columns, s->columns);
	}
	/* no columns are not the same as all */
	g->shape = crm_row_shape(desc, g->whole ? NULL :
							 g->columns ? g->columns : bms_make_singleton(0));
}

static void *
build_group(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, TEXTOID};
	const GroupKey *k = (const GroupKey *) key;
	const char *subject_table = (const char *) key + sizeof(GroupKey);
	Relation	rel;
	Datum		args[2];
	SegmentGroup *g;
	MemoryContext old;

	crm_kept_depends((Oid) k->relid);
	rel = table_open((Oid) k->relid, AccessShareLock);
	args[0] = Int64GetDatum(k->tenant);
	args[1] = CStringGetTextDatum(subject_table);
	crm_read_config("SELECT s.id, s.condition, s.uses OPERATOR(pg_catalog.<>) '{}',"
					" 'lead_scores' OPERATOR(pg_catalog.=) ANY (s.uses), s.announce, s.refers_to_ids FROM crm.segments AS s"
					" WHERE s.tenant_id OPERATOR(pg_catalog.=) $1"
					" AND s.subject_table OPERATOR(pg_catalog.=) $2"
					" AND s.active AND s.kind OPERATOR(pg_catalog.=) 'dynamic' ORDER BY s.id",
					2, types, args);
	old = MemoryContextSwitchTo(context);
	g = palloc0(sizeof(SegmentGroup));
	g->n = (int) SPI_processed;
	g->segments = palloc0(sizeof(Segment) * Max(g->n, 1));
	for (int i = 0; i < g->n; i++)
	{
		Segment    *s = &g->segments[i];
		bool		isnull;
		Datum		path;

		s->id = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		path = crm_spi_value(i, 2, &isnull);
		if (!isnull)
			s->condition = PointerGetDatum(PG_DETOAST_DATUM_COPY(path));
		s->more = DatumGetBool(crm_spi_value(i, 3, &isnull));
		s->scores = DatumGetBool(crm_spi_value(i, 4, &isnull));
		s->announce = DatumGetBool(crm_spi_value(i, 5, &isnull));
		read_refers(s, DatumGetArrayTypeP(crm_spi_value(i, 6, &isnull)));
		g->more |= s->more;
	}
	note_columns(g, RelationGetDescr(rel));
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	return g;
}

static CrmKept groups = {
	.what = "segments",
	.tables = {"segments"},
	.build = build_group,
};

/* The segments of a table and tenant, good as long as the current memory context. */
SegmentGroup *
crm_segment_group(Oid relid, int64 tenant, const char *subject_table)
{
	GroupKey	key = {tenant, relid};
	char		bytes[KEY_SIZE];

	memcpy(bytes, &key, sizeof(key));
	return crm_kept(&groups, bytes, key_add(bytes, sizeof(key), subject_table));
}

static void *
build_segment_uses(const void *key, MemoryContext context)
{
	SegmentUses *all = MemoryContextAllocZero(context, sizeof(SegmentUses));

	crm_read_config("SELECT DISTINCT u.name FROM crm.segments AS s"
					" LEFT JOIN LATERAL pg_catalog.unnest(s.uses) AS u (name) ON true"
					" WHERE s.active AND s.kind OPERATOR(pg_catalog.=) 'dynamic'", 0, NULL, NULL);
	all->any = SPI_processed > 0;
	all->names = MemoryContextAlloc(context, sizeof(char *) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		name = crm_spi_value(i, 1, &isnull);

		if (!isnull)
			all->names[all->n++] = MemoryContextStrdup(context, TextDatumGetCString(name));
	}
	return all;
}

static CrmKept kept_uses = {
	.what = "uses of segments",
	.tables = {"segments"},
	.build = build_segment_uses,
};

/*
 * What all segments ask for, for a look: most rows are written where there are
 * none.
 */
const SegmentUses *
crm_segment_uses(void)
{
	return crm_kept_peek(&kept_uses, "", 0);
}

/* Whether a segment looks at a table besides the row. */
bool
crm_segments_use(const char *source)
{
	const SegmentUses *all = crm_segment_uses();

	for (int i = 0; i < all->n; i++)
		if (strcmp(all->names[i], source) == 0)
			return true;
	return false;
}

/*
 * Queries by which segments of one table count what another one tells.  They
 * follow from the registry, which takes longer to read than they take to run:
 * so their text is kept.
 */
static void *
build_query(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID, TEXTOID, TEXTOID};
	const char *part = (const char *) key;
	Datum		args[3];
	Datum		value;
	bool		isnull;

	for (int i = 0; i < 3; i++)
	{
		args[i] = CStringGetTextDatum(part);
		part += strlen(part) + 1;
	}
	/* the table that tells may get another name, or other columns */
	crm_read_config("SELECT crm.subject_relation($1)::pg_catalog.oid", 1, types, &args[2]);
	value = crm_spi_value(0, 1, &isnull);
	if (isnull)
		return NULL;
	crm_kept_depends(DatumGetObjectId(value));
	crm_read_config("SELECT crm_internal.segment_query_text($1, $2, $3)", 3, types, args);
	value = crm_spi_value(0, 1, &isnull);
	return isnull ? NULL : MemoryContextStrdup(context, TextDatumGetCString(value));
}

static CrmKept kept_queries = {
	.what = "queries of segments",
	.tables = {"registry"},
	.build = build_query,
};

/*
 * The text of a query (see crm_internal.segment_query_text()), good as long as
 * the current memory context; NULL where one table tells nothing of the other.
 */
const char *
crm_segment_query(const char *what, const char *subject_table, const char *source)
{
	char		key[KEY_SIZE];
	Size		length = key_add(key, 0, what);

	length = key_add(key, length, subject_table);
	length = key_add(key, length, source);
	return crm_kept(&kept_queries, key, length);
}

PG_FUNCTION_INFO_V1(crm_segment_query_kept);

/* crm.segment_query(text, text, text) */
Datum
crm_segment_query_kept(PG_FUNCTION_ARGS)
{
	char	   *what = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *subject_table = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *source = text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *query = crm_segment_query(what, subject_table, source);

	if (query == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(query));
}

/* The owner of the segments, as whom their states are written. */
Oid
crm_segment_owner(void)
{
	return crm_kept_owner(&groups);
}
