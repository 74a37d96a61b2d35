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

/* as in the column uses */
const char *const crm_segment_source_names[SEGMENT_SOURCES] = {
	"score_events", "activities", "orders", "lead_scores"
};

typedef struct GroupKey
{
	int64		tenant;
	int64		relid;			/* of the subjects' table, as wide as the tenant */
} GroupKey;

/* Adds to the bits of sources; whether there is any. */
static bool
read_uses(ArrayType *uses, uint32 *bits)
{
	Datum	   *names;
	bool	   *nulls;
	int			n;

	deconstruct_array(uses, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
		for (int j = 0; !nulls[i] && j < SEGMENT_SOURCES; j++)
			if (strcmp(TextDatumGetCString(names[i]), crm_segment_source_names[j]) == 0)
				*bits |= 1u << j;
	return n > 0;
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
	Relation	rel;
	Datum		args[2];
	SegmentGroup *g;
	MemoryContext old;

	crm_kept_depends((Oid) k->relid);
	rel = table_open((Oid) k->relid, AccessShareLock);
	args[0] = Int64GetDatum(k->tenant);
	args[1] = CStringGetTextDatum(RelationGetRelationName(rel));
	crm_read_config("SELECT s.id, s.condition, s.uses, s.announce, s.refers_to_ids FROM crm.segments AS s"
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
		s->more = read_uses(DatumGetArrayTypeP(crm_spi_value(i, 3, &isnull)), &s->uses);
		s->announce = DatumGetBool(crm_spi_value(i, 4, &isnull));
		read_refers(s, DatumGetArrayTypeP(crm_spi_value(i, 5, &isnull)));
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
crm_segment_group(Oid relid, int64 tenant)
{
	GroupKey	key = {tenant, relid};

	return crm_kept(&groups, &key, sizeof(key));
}

static void *
build_segment_uses(const void *key, MemoryContext context)
{
	SegmentUses *all = MemoryContextAllocZero(context, sizeof(SegmentUses));

	crm_read_config("SELECT DISTINCT s.uses FROM crm.segments AS s"
					" WHERE s.active AND s.kind OPERATOR(pg_catalog.=) 'dynamic'", 0, NULL, NULL);
	all->any = SPI_processed > 0;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;

		(void) read_uses(DatumGetArrayTypeP(crm_spi_value(i, 1, &isnull)), &all->used);
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

/* The owner of the segments, as whom their states are written. */
Oid
crm_segment_owner(void)
{
	return crm_kept_owner(&groups);
}
