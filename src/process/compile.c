/*
 * compile.c
 *	  Pipelines, stages, transitions and loss reasons of a tenant, compiled once
 *	  per backend.
 *
 * A tenant's configuration is read whole at its first use and kept (see
 * kept.c).  Columns are found once per relation and again after ALTER TABLE.
 */
#include "process/process.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static CrmConfigWatch periods_watch = {.table = "stage_periods"};

static const char *const type_names[] = {
	"open", "on_hold", "won", "lost", "done", "cancelled"
};

static StageType
stage_type(const char *name)
{
	for (int i = 0; i < lengthof(type_names); i++)
		if (strcmp(name, type_names[i]) == 0)
			return (StageType) i;
	elog(ERROR, "unknown stage type \"%s\"", name);
}

static int64
row_int(uint64 row, int column)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static bool
row_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	return isnull ? false : DatumGetBool(value);
}

static char *
row_text(uint64 row, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row],
									 SPI_tuptable->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(context, value);
}

/* text[] as an array of strings; -1 for NULL */
static int
row_texts(uint64 row, int column, char ***result, MemoryContext context)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);
	Datum	   *elems;
	bool	   *nulls;
	int			n;
	int			kept = 0;

	*result = NULL;
	if (isnull)
		return -1;
	deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false,
					  TYPALIGN_INT, &elems, &nulls, &n);
	*result = MemoryContextAlloc(context, sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		if (!nulls[i])
			(*result)[kept++] = MemoryContextStrdup(context,
													TextDatumGetCString(elems[i]));
	return kept;
}

static void
read_pipelines(ProcessConfig *config, Datum *tenant, MemoryContext context)
{
	Oid			types[1] = {INT8OID};

	crm_read_config("SELECT p.id, p.code, p.subject_table, p.is_default, p.active, p.strict_order"
				" FROM crm.pipelines AS p WHERE p.tenant_id OPERATOR(pg_catalog.=) $1"
				" ORDER BY p.id", 1, types, tenant);
	config->npipelines = SPI_processed;
	config->pipelines = MemoryContextAllocZero(context,
											   sizeof(Pipeline) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Pipeline   *p = &config->pipelines[i];

		p->id = row_int(i, 1);
		p->code = row_text(i, 2, context);
		p->subject = row_text(i, 3, context);
		p->is_default = row_bool(i, 4);
		p->active = row_bool(i, 5);
		p->strict = row_bool(i, 6);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* How many rows of the last result, from row on, have the same first column */
static int
run_length(uint64 row)
{
	int64		id = row_int(row, 1);
	uint64		end = row + 1;

	while (end < SPI_processed && row_int(end, 1) == id)
		end++;
	return (int) (end - row);
}

static void
read_stages(ProcessConfig *config, Datum *tenant, MemoryContext context)
{
	Oid			types[1] = {INT8OID};
	int			n = 0;

	crm_read_config("SELECT s.pipeline_id, s.id, s.code, s.name, s.type, s.probability,"
				" s.required_columns, s.is_initial, s.active"
				" FROM crm.stages AS s WHERE s.tenant_id OPERATOR(pg_catalog.=) $1"
				" ORDER BY s.pipeline_id, s.position", 1, types, tenant);
	for (uint64 i = 0; i < SPI_processed; i += n)
	{
		Pipeline   *p = crm_process_pipeline(config, row_int(i, 1));

		n = run_length(i);
		if (p == NULL)
			continue;
		p->nstages = n;
		p->stages = MemoryContextAllocZero(context, sizeof(Stage) * n);
		for (int j = 0; j < n; j++)
		{
			Stage	   *s = &p->stages[j];
			char	   *type = row_text(i + j, 5, context);
			bool		isnull;
			Datum		probability = crm_spi_value(i + j, 6, &isnull);

			s->pipeline = p;
			s->id = row_int(i + j, 2);
			s->code = row_text(i + j, 3, context);
			s->name = row_text(i + j, 4, context);
			s->type = stage_type(type);
			s->type_name = type;
			s->has_probability = !isnull;
			if (!isnull)
			{
				MemoryContext old = MemoryContextSwitchTo(context);

				s->probability = datumCopy(probability, false, -1);
				MemoryContextSwitchTo(old);
			}
			s->nrequired = Max(row_texts(i + j, 7, &s->required, context), 0);
			s->initial = row_bool(i + j, 8);
			s->active = row_bool(i + j, 9);
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
read_transitions(ProcessConfig *config, Datum *tenant, MemoryContext context)
{
	Oid			types[1] = {INT8OID};
	int			n = 0;

	crm_read_config("SELECT t.pipeline_id, t.from_stage_id, t.to_stage_id, t.guard, t.guard_message,"
				" t.required_columns, t.roles, t.approval_access"
				" FROM crm.transitions AS t WHERE t.tenant_id OPERATOR(pg_catalog.=) $1"
				" ORDER BY t.pipeline_id, t.id", 1, types, tenant);
	for (uint64 i = 0; i < SPI_processed; i += n)
	{
		Pipeline   *p = crm_process_pipeline(config, row_int(i, 1));

		n = run_length(i);
		if (p == NULL)
			continue;
		p->nedges = n;
		p->edges = MemoryContextAllocZero(context, sizeof(Edge) * n);
		for (int j = 0; j < n; j++)
		{
			Edge	   *e = &p->edges[j];
			bool		isnull;
			Datum		guard = crm_spi_value(i + j, 4, &isnull);

			e->from = row_int(i + j, 2);
			e->to = row_int(i + j, 3);
			if (!isnull)
			{
				MemoryContext old = MemoryContextSwitchTo(context);

				e->guard = PointerGetDatum(PG_DETOAST_DATUM_COPY(guard));
				MemoryContextSwitchTo(old);
			}
			e->message = row_text(i + j, 5, context);
			e->nrequired = Max(row_texts(i + j, 6, &e->required, context), 0);
			e->nroles = row_texts(i + j, 7, &e->roles, context);
			e->approval = row_text(i + j, 8, context);
		}
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
read_rest(ProcessConfig *config, Datum *tenant, MemoryContext context)
{
	Oid			types[1] = {INT8OID};

	crm_read_config("SELECT r.code, r.note_required, r.active"
				" FROM crm.loss_reasons AS r WHERE r.tenant_id OPERATOR(pg_catalog.=) $1",
				1, types, tenant);
	config->nreasons = SPI_processed;
	config->reasons = MemoryContextAllocZero(context,
											 sizeof(LossReason) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		config->reasons[i].code = row_text(i, 1, context);
		config->reasons[i].note_required = row_bool(i, 2);
		config->reasons[i].active = row_bool(i, 3);
	}
	SPI_freetuptable(SPI_tuptable);

	crm_read_config("SELECT t.time_zone FROM crm.tenants AS t"
				" WHERE t.tenant_id OPERATOR(pg_catalog.=) $1",
				1, types, tenant);
	if (SPI_processed > 0)
		config->zone = pg_tzset(row_text(0, 1, context));
	if (config->zone == NULL)
		config->zone = pg_tzset("UTC");
	SPI_freetuptable(SPI_tuptable);
}

static void *
build_config(const void *key, MemoryContext context)
{
	ProcessConfig *config = MemoryContextAllocZero(context, sizeof(ProcessConfig));
	Datum		value;

	config->tenant = *(const int64 *) key;
	value = Int64GetDatum(config->tenant);
	read_pipelines(config, &value, context);
	read_stages(config, &value, context);
	read_transitions(config, &value, context);
	read_rest(config, &value, context);
	return config;
}

static CrmKept configurations = {
	.what = "pipelines",
	.tables = {"pipelines", "stages", "transitions", "loss_reasons", "tenants"},
	.build = build_config,
};

/* The configuration of a tenant, good as long as the current memory context. */
ProcessConfig *
crm_process_config(int64 tenant)
{
	return crm_kept(&configurations, &tenant, sizeof(tenant));
}

Pipeline *
crm_process_pipeline(ProcessConfig *config, int64 id)
{
	for (int i = 0; i < config->npipelines; i++)
		if (config->pipelines[i].id == id)
			return &config->pipelines[i];
	return NULL;
}

Stage *
crm_process_stage(ProcessConfig *config, int64 id)
{
	for (int i = 0; i < config->npipelines; i++)
	{
		Pipeline   *p = &config->pipelines[i];

		for (int j = 0; j < p->nstages; j++)
			if (p->stages[j].id == id)
				return &p->stages[j];
	}
	return NULL;
}

/* The pipeline of rows that name none: the default, or the only active one */
Pipeline *
crm_process_default(ProcessConfig *config, const char *subject)
{
	Pipeline   *only = NULL;
	int			n = 0;

	for (int i = 0; i < config->npipelines; i++)
	{
		Pipeline   *p = &config->pipelines[i];

		if (!p->active || strcmp(p->subject, subject) != 0)
			continue;
		if (p->is_default)
			return p;
		only = p;
		n++;
	}
	return n == 1 ? only : NULL;
}

/* Where rows begin: the stage marked so, or the first active one that is open */
Stage *
crm_process_initial(Pipeline *pipeline)
{
	for (int i = 0; i < pipeline->nstages; i++)
		if (pipeline->stages[i].initial && pipeline->stages[i].active)
			return &pipeline->stages[i];
	for (int i = 0; i < pipeline->nstages; i++)
		if (pipeline->stages[i].active && !stage_is_closed(&pipeline->stages[i]))
			return &pipeline->stages[i];
	return NULL;
}

/* The transition from one stage to another; one from anywhere counts where
 * there is none of its own. */
Edge *
crm_process_edge(Pipeline *pipeline, int64 from, int64 to)
{
	Edge	   *any = NULL;

	for (int i = 0; i < pipeline->nedges; i++)
	{
		Edge	   *e = &pipeline->edges[i];

		if (e->to != to)
			continue;
		if (e->from == 0)
			any = e;
		else if (e->from == from)
			return e;
	}
	return any;
}

static AttrNumber
find_column(TupleDesc desc, const char *relation, const char *name,
			Oid type1, Oid type2, Oid type3, bool required)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		if (att->atttypid != type1 && att->atttypid != type2 && att->atttypid != type3)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of table \"%s\" has type %s, a process needs %s",
							name, relation, format_type_be(att->atttypid),
							format_type_be(type1))));
		return att->attnum;
	}
	if (required)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\", which a process needs",
						relation, name),
				 errhint("Add the columns id, pipeline_id and stage_id, all of type bigint.")));
	return 0;
}

void
crm_process_find_columns(TupleDesc desc, const char *relation,
						 ProcessColumns *c)
{
#define INTEGER(name, required) \
	c->name = find_column(desc, relation, #name, INT8OID, INT4OID, INT4OID, required)
#define OPTIONAL(name, t1, t2) \
	c->name = find_column(desc, relation, #name, t1, t2, t2, false)

	INTEGER(tenant_id, false);
	INTEGER(id, true);
	INTEGER(pipeline_id, true);
	INTEGER(stage_id, true);
	OPTIONAL(amount, NUMERICOID, NUMERICOID);
	OPTIONAL(currency, BPCHAROID, TEXTOID);
	OPTIONAL(probability, NUMERICOID, NUMERICOID);
	OPTIONAL(expected_close_date, DATEOID, DATEOID);
	OPTIONAL(close_date, DATEOID, DATEOID);
	OPTIONAL(closed_at, TIMESTAMPTZOID, TIMESTAMPTZOID);
	OPTIONAL(stage_entered_at, TIMESTAMPTZOID, TIMESTAMPTZOID);
	OPTIONAL(loss_reason, TEXTOID, VARCHAROID);
	OPTIONAL(loss_note, TEXTOID, VARCHAROID);
	INTEGER(owner_id, false);
	INTEGER(team_id, false);
	OPTIONAL(custom, JSONBOID, JSONBOID);
#undef INTEGER
#undef OPTIONAL
}

static void *
build_columns(const void *key, MemoryContext context)
{
	Oid			relid = *(const Oid *) key;
	ProcessColumns *columns = MemoryContextAllocZero(context, sizeof(ProcessColumns));
	Relation	rel;

	crm_kept_depends(relid);
	rel = table_open(relid, NoLock);	/* whoever asks has it open */
	crm_process_find_columns(RelationGetDescr(rel), RelationGetRelationName(rel), columns);
	table_close(rel, NoLock);
	return columns;
}

static CrmKept kept_columns = {
	.what = "columns of tables with stages",
	.build = build_columns,
};

/* The columns of a relation that is open, good as long as the current memory context. */
const ProcessColumns *
crm_process_columns(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);

	return crm_kept(&kept_columns, &relid, sizeof(relid));
}

/* The role that history is written as */
Oid
crm_process_periods_owner(void)
{
	(void) crm_config_generation(&periods_watch);
	return periods_watch.owner;
}
