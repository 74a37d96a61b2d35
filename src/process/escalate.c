/*
 * escalate.c
 *	  Doing what ladders say is due.
 *
 * A pass locks due clocks in the order of time, leaving out those another pass
 * holds, computes anew what is due by now (hours may have changed since), and
 * does it set by set.  That a step is done once is a unique key, not a matter
 * of timing: a clock, a cycle, a step, a repeat.
 *
 * A pass works with the ladder that was current when it came to a tenant.
 */
#include "process/ladder.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

typedef struct Firing
{
	int			clock;			/* index */
	const Step *step;
	int			repeat_no;
	TimestampTz at;
	int			collapsed;
} Firing;

static int
by_instant(const void *a, const void *b)
{
	const Firing *x = (const Firing *) a;
	const Firing *y = (const Firing *) b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->step->position != y->step->position)
		return x->step->position < y->step->position ? -1 : 1;
	return x->clock < y->clock ? -1 : x->clock > y->clock;
}

/*
 * What of a clock is due by as_of, appended to a list.  Of repeats that were
 * missed the last one stands for all.  The counters advance.
 */
static void
collect_due(const Ladder *ladder, LadderClock *c, int index, TimestampTz as_of,
			Firing **list, int *n, int *space)
{
	for (;;)
	{
		TimestampTz at;
		int			repeat_no;
		const Step *s = crm_ladder_next(ladder, c, &repeat_no, &at);
		Firing	   *f;
		int			first = repeat_no;

		if (s == NULL || at > as_of)
			return;
		while (repeat_no > 0 && repeat_no < s->repeat_max)
		{
			TimestampTz later;

			if (!crm_ladder_repeat(c, s, repeat_no + 1, &later) || later > as_of)
				break;
			repeat_no++;
			at = later;
		}
		*crm_ladder_done(c, s->id, true) = repeat_no + 1;
		if (*n == *space)
		{
			*space *= 2;
			*list = repalloc(*list, sizeof(Firing) * *space);
		}
		f = &(*list)[(*n)++];
		f->clock = index;
		f->step = s;
		f->repeat_no = repeat_no;
		f->at = at;
		f->collapsed = repeat_no - first;
	}
}

static Datum
make_array(Datum *values, int n, Oid type)
{
	switch (type)
	{
		case INT8OID:
		case TIMESTAMPTZOID:
			return PointerGetDatum(construct_array(values, n, type, 8, FLOAT8PASSBYVAL,
												   TYPALIGN_DOUBLE));
		case INT4OID:
			return PointerGetDatum(construct_array(values, n, type, 4, true, TYPALIGN_INT));
		default:
			return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
	}
}

/* Counters as the text of an array, since arrays of arrays cannot be unnested. */
static char *
done_text(const LadderClock *c)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoChar(&s, '{');
	for (int i = 0; i < 2 * c->ndone; i++)
		appendStringInfo(&s, i ? ",%lld" : "%lld", (long long) c->done[i]);
	appendStringInfoChar(&s, '}');
	return s.data;
}

/*
 * The counters of some clocks of one tenant and type.  The trigger of
 * crm.sla_clocks finds the instant of the next step as the row is written.
 */
static void
advance_clocks(LadderClock *clocks, const int *which, int n)
{
	Oid			types[6] = {INT8OID, TEXTOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
	TEXTARRAYOID};
	Datum		args[6];
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *metrics = palloc(sizeof(Datum) * n);
	Datum	   *cycles = palloc(sizeof(Datum) * n);
	Datum	   *done = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
	{
		LadderClock *c = &clocks[which[i]];

		ids[i] = Int64GetDatum(c->subject_id);
		metrics[i] = CStringGetTextDatum(c->metric);
		cycles[i] = Int32GetDatum(c->cycle);
		done[i] = CStringGetTextDatum(done_text(c));
	}
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = make_array(ids, n, INT8OID);
	args[3] = make_array(metrics, n, TEXTOID);
	args[4] = make_array(cycles, n, INT4OID);
	args[5] = make_array(done, n, TEXTOID);
	crm_execute("UPDATE crm.sla_clocks AS c "
				"SET escalated = nullif(f.done, '{}')::pg_catalog.int8[] "
				"FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), "
				"pg_catalog.unnest($5), pg_catalog.unnest($6)) "
				"AS f (subject_id, metric, cycle, done) "
				"WHERE c.tenant_id = $1 AND c.subject_type = $2 AND c.subject_id = f.subject_id "
				"AND c.metric = f.metric AND c.cycle = f.cycle",
				6, types, args, NULL, false, 0);
}

/*
 * Do some steps of one tenant and type: advance the clocks, write the firings
 * down, tell the outbox, and carry out what changes the subject.
 */
static int
fire(LadderClock *clocks, const int *which, int nwhich, const Firing *list, int n,
	 TimestampTz as_of)
{
	Oid			types[11] = {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8ARRAYOID, TEXTARRAYOID,
	INT4ARRAYOID, INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID,
	TIMESTAMPTZARRAYOID};
	Datum		args[11];
	Datum	   *column[8];
	Datum	   *dues;
	bool	   *no_due;
	int			dims[1];
	int			lbs[1] = {1};
	int			done;

	advance_clocks(clocks, which, nwhich);
	if (n == 0)
		return 0;
	for (int k = 0; k < 8; k++)
		column[k] = palloc(sizeof(Datum) * n);
	dues = palloc(sizeof(Datum) * n);
	no_due = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		const Firing *f = &list[i];
		const LadderClock *c = &clocks[f->clock];

		column[0][i] = Int64GetDatum(c->subject_id);
		column[1][i] = CStringGetTextDatum(c->metric);
		column[2][i] = Int32GetDatum(c->cycle);
		column[3][i] = Int64GetDatum(f->step->id);
		column[4][i] = Int32GetDatum(f->repeat_no);
		column[5][i] = TimestampTzGetDatum(f->at);
		column[6][i] = Int32GetDatum(f->collapsed);
		dues[i] = TimestampTzGetDatum(c->due);
		no_due[i] = !c->has_due;
	}
	dims[0] = n;
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = TimestampTzGetDatum(as_of);
	args[3] = make_array(column[0], n, INT8OID);
	args[4] = make_array(column[1], n, TEXTOID);
	args[5] = make_array(column[2], n, INT4OID);
	args[6] = make_array(column[3], n, INT8OID);
	args[7] = make_array(column[4], n, INT4OID);
	args[8] = make_array(column[5], n, TIMESTAMPTZOID);
	args[9] = make_array(column[6], n, INT4OID);
	args[10] = PointerGetDatum(construct_md_array(dues, no_due, 1, dims, lbs, TIMESTAMPTZOID, 8,
												  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	crm_execute("SELECT crm_internal.fire_escalations($1, $2, $3, $4, $5, $6, $7, $8, $9, "
				"$10, $11)",
				11, types, args, NULL, false, 0);
	{
		bool		isnull;

		done = DatumGetInt32(crm_spi_value(0, 1, &isnull));
	}
	return done;
}

/* Subjects that steps of the list would change and that somebody else holds. */
static void
leave_out_busy(LadderClock *clocks, int *which, int *nwhich, Firing *list, int *n)
{
	Oid			types[3] = {INT8OID, TEXTOID, INT8ARRAYOID};
	Datum		args[3];
	Datum	   *ids = palloc(sizeof(Datum) * Max(*n, 1));
	int			nids = 0;
	int			kept;

	for (int i = 0; i < *n; i++)
		if (list[i].step->changes)
			ids[nids++] = Int64GetDatum(clocks[list[i].clock].subject_id);
	if (nids == 0)
		return;
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = make_array(ids, nids, INT8OID);
	crm_execute("SELECT b FROM crm_internal.busy_subjects($1, $2, $3) AS b",
				3, types, args, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		busy = DatumGetInt64(crm_spi_value(i, 1, &isnull));

		kept = 0;
		for (int k = 0; k < *nwhich; k++)
			if (clocks[which[k]].subject_id != busy)
				which[kept++] = which[k];
		*nwhich = kept;
		kept = 0;
		for (int k = 0; k < *n; k++)
			if (clocks[list[k].clock].subject_id != busy)
				list[kept++] = list[k];
		*n = kept;
	}
}

/*
 * fire() in a subtransaction.  Returns how many were done, or -1 and the error.
 */
static int
try_fire(LadderClock *clocks, const int *which, int nwhich, const Firing *list, int n,
		 TimestampTz as_of, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int done = 0;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = fire(clocks, which, nwhich, list, n, as_of);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		done = -1;
		/* somebody wants us to stop */
		if ((*error)->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			ERRCODE_TO_CATEGORY((*error)->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(*error);
	}
	PG_END_TRY();
	return done;
}

/* An error that goes away by itself: the step stays due. */
static bool
passing(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/*
 * One clock whose steps cannot be done: written down as failed, so that it does
 * not come up for ever.
 */
static void
note_failure(LadderClock *clocks, int which, const Firing *list, int n, TimestampTz as_of,
			 const ErrorData *error)
{
	Oid			types[11] = {INT8OID, TEXTOID, INT8OID, TEXTOID, INT4OID, INT8OID, INT4OID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	LadderClock *c = &clocks[which];

	ereport(WARNING,
			(errmsg("escalation of %s %lld failed: %s",
					c->subject_type, (long long) c->subject_id, error->message)));
	advance_clocks(clocks, &which, 1);
	for (int i = 0; i < n; i++)
	{
		Datum		args[11];

		args[0] = Int64GetDatum(c->tenant);
		args[1] = CStringGetTextDatum(c->subject_type);
		args[2] = Int64GetDatum(c->subject_id);
		args[3] = CStringGetTextDatum(c->metric);
		args[4] = Int32GetDatum(c->cycle);
		args[5] = Int64GetDatum(list[i].step->id);
		args[6] = Int32GetDatum(list[i].repeat_no);
		args[7] = TimestampTzGetDatum(list[i].at);
		args[8] = TimestampTzGetDatum(as_of);
		args[9] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		args[10] = CStringGetTextDatum(error->message);
		crm_execute("INSERT INTO crm.escalation_firings (tenant_id, subject_type, subject_id, "
					"metric, cycle, step_id, repeat_no, scheduled_at, fired_at, outcome, detail) "
					"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'failed', "
					"pg_catalog.jsonb_build_object('sqlstate', $10, 'message', $11)) "
					"ON CONFLICT DO NOTHING",
					11, types, args, NULL, false, 0);
	}
}

/* What is due of the clocks of one tenant and type. */
static int
fire_group(LadderClock *clocks, int *which, int nwhich, TimestampTz as_of)
{
	int			space = nwhich * 2;
	int			n = 0;
	Firing	   *list = palloc(sizeof(Firing) * space);
	/* firings point into it; it may be edited while we wait for locks or act */
	const Ladder *ladder = crm_ladder(clocks[which[0]].tenant);
	ErrorData  *error;
	int			done;
	char		tenant[32];

	/* triggers of what is changed work for this tenant */
	snprintf(tenant, sizeof(tenant), "%lld", (long long) clocks[which[0]].tenant);
	(void) set_config_option("crm.tenant", tenant, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	for (int i = 0; i < nwhich; i++)
		collect_due(ladder, &clocks[which[i]], which[i], as_of, &list, &n, &space);
	qsort(list, n, sizeof(Firing), by_instant);
	leave_out_busy(clocks, which, &nwhich, list, &n);
	if (nwhich == 0)
		return 0;
	done = try_fire(clocks, which, nwhich, list, n, as_of, &error);
	if (done >= 0)
		return done;

	/* one of them is bad: each by itself */
	done = 0;
	for (int i = 0; i < nwhich; i++)
	{
		Firing	   *own = palloc(sizeof(Firing) * Max(n, 1));
		int			nown = 0;
		int			k;

		CHECK_FOR_INTERRUPTS();
		for (k = 0; k < n; k++)
			if (list[k].clock == which[i])
				own[nown++] = list[k];
		k = try_fire(clocks, &which[i], 1, own, nown, as_of, &error);
		if (k >= 0)
			done += k;
		else if (!passing(error))
			note_failure(clocks, which[i], own, nown, as_of, error);
		pfree(own);
	}
	return done;
}

/*
 * fire_group() in a subtransaction: where a company's configuration cannot even
 * be read, its clocks are left out for a while, and the others have their turn.
 */
static int
try_group(LadderClock *clocks, int *which, int nwhich, TimestampTz as_of)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const LadderClock *first = &clocks[which[0]];
	ErrorData  *volatile error = NULL;
	volatile int done = 0;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = fire_group(clocks, which, nwhich, as_of);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		done = 0;
		/* somebody wants us to stop */
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(error);
	}
	PG_END_TRY();
	if (error != NULL && !passing(error))
	{
		Oid			types[5] = {INT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID};
		Datum		args[5];

		args[0] = Int64GetDatum(first->tenant);
		args[1] = CStringGetTextDatum(first->subject_type);
		args[2] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		args[3] = CStringGetTextDatum(error->message);
		args[4] = TimestampTzGetDatum(as_of);
		crm_execute("SELECT crm_internal.note_failed_work('crm.escalate', $1, $2, $3, $4, $5)",
					5, types, args, NULL, false, 0);
	}
	return done;
}

PG_FUNCTION_INFO_V1(crm_escalate);

/* crm.escalate(as_of timestamptz, batch integer) -> bigint */
Datum
crm_escalate(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(0);
	int32		batch = PG_GETARG_INT32(1);
	Oid			types[2] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];
	LadderClock *clocks;
	bool	   *taken;
	int		   *which;
	int			n;
	int64		done = 0;
	int			nestlevel;

	PreventCommandIfReadOnly("crm.escalate()");
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("as_of must be a finite timestamp")));
	if (batch < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be positive")));

	crm_connect();
	args[0] = TimestampTzGetDatum(as_of);
	args[1] = Int32GetDatum(batch);
	crm_execute("SELECT " LADDER_CLOCK_COLUMNS " FROM crm.sla_clocks AS c "
				"WHERE c.escalate_at <= $1 AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f "
				"WHERE f.function_name = 'crm.escalate' AND f.tenant_id = c.tenant_id "
				"AND f.item = c.subject_type AND f.retry_at > $1) "
				"ORDER BY c.escalate_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
				2, types, args, NULL, false, 0);
	n = (int) SPI_processed;
	if (n == 0)
	{
		crm_disconnect();
		PG_RETURN_INT64(0);
	}
	clocks = palloc0(sizeof(LadderClock) * n);
	for (int i = 0; i < n; i++)
		crm_ladder_read_clock(&clocks[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);

	nestlevel = NewGUCNestLevel();
	taken = palloc0(sizeof(bool) * n);
	which = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
	{
		int			nwhich = 0;

		if (taken[i])
			continue;
		for (int k = i; k < n; k++)
			if (!taken[k] && clocks[k].tenant == clocks[i].tenant &&
				strcmp(clocks[k].subject_type, clocks[i].subject_type) == 0)
			{
				taken[k] = true;
				which[nwhich++] = k;
			}
		done += try_group(clocks, which, nwhich, as_of);
	}
	AtEOXact_GUC(true, nestlevel);
	crm_disconnect();
	PG_RETURN_INT64(done);
}
