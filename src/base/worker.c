/*
 * worker.c
 *	  The optional background worker: whoever calls crm.run_maintenance() when
 *	  nobody else does.
 *
 * Under shared_preload_libraries one launcher is registered.  It is connected
 * to no database and only decides when which of the databases named in
 * crm.worker_databases deserves a pass; the pass itself is made by a worker
 * that lives as long as the pass, so that no permanent connection stands in the
 * way of DROP DATABASE or CREATE DATABASE ... TEMPLATE.
 *
 * Nobody polls.  A pass ends by asking crm.next_maintenance_at() when the next
 * thing falls due and leaves that instant in shared memory; a transaction that
 * makes something due sooner says so when it commits (crm.wake_worker).  The
 * launcher sleeps until the least of these instants, and at most for
 * crm.worker_naptime, so that a lost message costs a delay and nothing else.
 *
 * All that is done is done by plain SQL functions.  Whatever dies here, a later
 * pass finds in the tables what is left to do.
 */
#include "base/crm.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define MAX_DATABASES 64
#define MAX_RUNNING 4			/* workers at a time: others need slots, too */
#define SLICE_MS 3000			/* a worker's life: DROP DATABASE waits 5 s */
#define BREATH_MS 100			/* between two passes where work is left */
#define REST_MS 1000			/* between two passes otherwise */
#define LAUNCHER_RESTART_S 5

typedef struct WorkerSlot
{
	Oid			database;
	int			pid;			/* of the worker, while it runs */
	TimestampTz started;		/* of the last pass */
	TimestampTz finished;		/* before started: running, or died */
	TimestampTz due;			/* what the last pass said comes next */
	TimestampTz requested;		/* earliest wish since the last pass started */
	bool		work_left;		/* the last pass ran out of time */
	int64		done;			/* things done by the last pass */
	int			failures;		/* passes in a row that did not finish */
} WorkerSlot;

typedef struct WorkerShared
{
	LWLock	   *lock;
	Latch	   *launcher;		/* NULL while there is none */
	int			nslots;
	WorkerSlot	slots[MAX_DATABASES];
} WorkerShared;

/* what the launcher alone knows of a database */
typedef struct LaunchEntry
{
	char		name[NAMEDATALEN];
	Oid			database;
	BackgroundWorkerHandle *handle; /* of the running worker */
	bool		complained;		/* about the database's absence */
} LaunchEntry;

bool		crm_worker_enabled = true;
char	   *crm_worker_databases = NULL;
int			crm_worker_naptime = 60;
char	   *crm_worker_role = NULL;

static WorkerShared *shared = NULL;
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* the earliest instant this transaction asks for; DT_NOEND: none */
static TimestampTz wish = DT_NOEND;

pg_noreturn PGDLLEXPORT void crm_launcher_main(Datum arg);
pg_noreturn PGDLLEXPORT void crm_worker_main(Datum arg);

/* ---- settings and shared memory ---- */

bool
crm_worker_check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		ok = true;

	if (!SplitIdentifierString(copy, ',', &names))
	{
		GUC_check_errdetail("The value is not a list of database names.");
		GUC_check_errhint("Separate names by commas and put those with capitals or other characters in double quotes.");
		ok = false;
	}
	else if (list_length(names) > MAX_DATABASES)
	{
		GUC_check_errdetail("The list names %d databases, more than %d.",
							list_length(names), MAX_DATABASES);
		ok = false;
	}
	pfree(copy);
	return ok;
}

static void
worker_shmem_request(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(WorkerShared)));
	RequestNamedLWLockTranche("crm worker", 1);
}

static void
worker_shmem_startup(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("crm worker", sizeof(WorkerShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WorkerShared));
		shared->lock = &(GetNamedLWLockTranche("crm worker"))->lock;
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Called by _PG_init: registers the launcher where the library is preloaded. */
void
crm_worker_init(void)
{
	BackgroundWorker launcher = {0};

	if (!process_shared_preload_libraries_in_progress || !crm_worker_enabled)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = worker_shmem_request;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = worker_shmem_startup;

	launcher.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	/* not on a standby; on promotion the postmaster starts it */
	launcher.bgw_start_time = BgWorkerStart_RecoveryFinished;
	launcher.bgw_restart_time = LAUNCHER_RESTART_S;
	strlcpy(launcher.bgw_library_name, "crm", BGW_MAXLEN);
	strlcpy(launcher.bgw_function_name, "crm_launcher_main", BGW_MAXLEN);
	strlcpy(launcher.bgw_name, "crm launcher", BGW_MAXLEN);
	strlcpy(launcher.bgw_type, "crm launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&launcher);
}

/* The slot of a database; the caller holds the lock. */
static WorkerSlot *
find_slot(Oid database)
{
	for (int i = 0; i < shared->nslots; i++)
		if (shared->slots[i].database == database)
			return &shared->slots[i];
	return NULL;
}

/* ---- waking ---- */

static void
wake_at_commit(XactEvent event, void *arg)
{
	TimestampTz at = wish;
	Latch	   *launcher = NULL;
	WorkerSlot *slot;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	wish = DT_NOEND;
	if (event != XACT_EVENT_COMMIT || at == DT_NOEND || shared == NULL)
		return;

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot(MyDatabaseId);
	if (slot != NULL && at < slot->requested)
	{
		slot->requested = at;
		if (at < slot->due)
			launcher = shared->launcher;
	}
	if (launcher != NULL)
		SetLatch(launcher);
	LWLockRelease(shared->lock);
}

/*
 * Something falls due at an instant: when this transaction commits, the
 * launcher learns of it if it meant to sleep longer.  Does nothing where the
 * library is not preloaded.
 */
void
crm_wake_worker_at(TimestampTz at)
{
	static bool registered = false;

	if (shared == NULL || at >= wish)
		return;
	if (!registered)
	{
		RegisterXactCallback(wake_at_commit, NULL);
		registered = true;
	}
	wish = at;
}

PG_FUNCTION_INFO_V1(crm_wake_worker);

/* crm.wake_worker(due_at timestamptz DEFAULT now()) -> void */
Datum
crm_wake_worker(PG_FUNCTION_ARGS)
{
	crm_wake_worker_at(PG_GETARG_TIMESTAMPTZ(0));
	PG_RETURN_VOID();
}

/* ---- the launcher ---- */

static void
launcher_gone(int code, Datum arg)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = NULL;
	LWLockRelease(shared->lock);
}

/*
 * Read the list of databases and find their oids; entries of databases that
 * stay keep their running worker.  Names are looked up in pg_database by a
 * heap scan, since a process without a database cannot use its indexes before
 * the caches are built.
 */
static int
resolve_databases(LaunchEntry *entries, int nentries)
{
	LaunchEntry fresh[MAX_DATABASES];
	int			nfresh = 0;
	char	   *copy;
	List	   *names;
	ListCell   *cell;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();

	copy = pstrdup(crm_worker_databases ? crm_worker_databases : "");
	if (!SplitIdentifierString(copy, ',', &names))
		names = NIL;
	foreach(cell, names)
	{
		char	   *name = (char *) lfirst(cell);
		bool		twice = false;

		for (int i = 0; i < nfresh; i++)
			if (strcmp(fresh[i].name, name) == 0)
				twice = true;
		if (twice || nfresh == MAX_DATABASES)
			continue;
		memset(&fresh[nfresh], 0, sizeof(LaunchEntry));
		strlcpy(fresh[nfresh].name, name, NAMEDATALEN);
		for (int i = 0; i < nentries; i++)
			if (strcmp(entries[i].name, name) == 0)
				fresh[nfresh].complained = entries[i].complained;
		nfresh++;
	}

	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database db = (Form_pg_database) GETSTRUCT(tuple);

		for (int i = 0; i < nfresh; i++)
			if (strcmp(fresh[i].name, NameStr(db->datname)) == 0 && db->datallowconn)
				fresh[i].database = db->oid;
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();

	for (int i = 0; i < nfresh; i++)
	{
		for (int j = 0; j < nentries; j++)
			if (OidIsValid(fresh[i].database) &&
				entries[j].database == fresh[i].database)
			{
				fresh[i].handle = entries[j].handle;
				entries[j].handle = NULL;
			}
		if (OidIsValid(fresh[i].database))
			fresh[i].complained = false;
		else if (!fresh[i].complained)
		{
			ereport(LOG,
					(errmsg("crm launcher: database \"%s\" of crm.worker_databases does not exist or takes no connections",
							fresh[i].name)));
			fresh[i].complained = true;
		}
	}
	/* a worker of a database no longer listed finishes by itself */
	for (int j = 0; j < nentries; j++)
		if (entries[j].handle != NULL)
			pfree(entries[j].handle);
	memcpy(entries, fresh, sizeof(LaunchEntry) * nfresh);

	/* the same databases in shared memory, keeping what is known of them */
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	{
		WorkerSlot	old[MAX_DATABASES];
		int			nold = shared->nslots;

		memcpy(old, shared->slots, sizeof(WorkerSlot) * nold);
		shared->nslots = 0;
		for (int i = 0; i < nfresh; i++)
		{
			WorkerSlot *slot;

			if (!OidIsValid(entries[i].database))
				continue;
			slot = &shared->slots[shared->nslots++];
			memset(slot, 0, sizeof(WorkerSlot));
			slot->database = entries[i].database;
			slot->started = slot->finished = DT_NOBEGIN;
			slot->due = DT_NOBEGIN;
			slot->requested = DT_NOEND;
			for (int j = 0; j < nold; j++)
				if (old[j].database == slot->database)
					*slot = old[j];
		}
	}
	LWLockRelease(shared->lock);
	return nfresh;
}

static bool
start_worker(LaunchEntry *entry)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "crm", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "crm_worker_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "crm worker for database %s", entry->name);
	strlcpy(worker.bgw_type, "crm worker", BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(entry->database);
	worker.bgw_notify_pid = MyProcPid;
	return RegisterDynamicBackgroundWorker(&worker, &entry->handle);
}

/* When the next pass of a database should start. */
static TimestampTz
next_pass(const WorkerSlot *slot)
{
	TimestampTz next;
	TimestampTz least;

	if (slot->started == DT_NOBEGIN)
		return DT_NOBEGIN;
	next = TimestampTzPlusMilliseconds(slot->started, crm_worker_naptime * INT64CONST(1000));
	/* a pass that died is not tried again at once */
	if (slot->finished >= slot->started)
	{
		next = Min(next, slot->due);
		next = Min(next, slot->requested);
		least = TimestampTzPlusMilliseconds(slot->finished,
											slot->work_left ? BREATH_MS : REST_MS);
		next = Max(next, least);
	}
	return next;
}

void
crm_launcher_main(Datum arg)
{
	LaunchEntry entries[MAX_DATABASES];
	int			nentries;
	MemoryContext own;
	bool		no_slot_logged = false;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	shared->launcher = &MyProc->procLatch;
	LWLockRelease(shared->lock);
	before_shmem_exit(launcher_gone, (Datum) 0);

	/* handles outlive the transactions of resolve_databases() */
	own = AllocSetContextCreate(TopMemoryContext, "crm launcher", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(own);
	memset(entries, 0, sizeof(entries));
	nentries = 0;
	pgstat_report_activity(STATE_IDLE, NULL);

	for (;;)
	{
		TimestampTz now;
		TimestampTz wake = DT_NOEND;
		int			running = 0;
		long		timeout;

		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		/* exit code 1: the postmaster starts us again, 0 would be for good */
		if (ShutdownRequestPending)
			proc_exit(1);

		for (int i = 0; i < nentries; i++)
		{
			pid_t		pid;

			if (entries[i].handle == NULL)
				continue;
			if (GetBackgroundWorkerPid(entries[i].handle, &pid) != BGWH_STOPPED)
			{
				running++;
				continue;
			}
			pfree(entries[i].handle);
			entries[i].handle = NULL;
			LWLockAcquire(shared->lock, LW_EXCLUSIVE);
			{
				WorkerSlot *slot = find_slot(entries[i].database);

				if (slot != NULL)
				{
					slot->pid = 0;
					if (slot->finished < slot->started)
						slot->failures++;
				}
			}
			LWLockRelease(shared->lock);
		}

		nentries = resolve_databases(entries, nentries);
		MemoryContextSwitchTo(own);

		for (int i = 0; i < nentries; i++)
		{
			WorkerSlot	slot;
			WorkerSlot *place;
			TimestampTz next;

			if (!OidIsValid(entries[i].database))
			{
				wake = Min(wake, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															 crm_worker_naptime * INT64CONST(1000)));
				continue;
			}
			if (entries[i].handle != NULL)
				continue;		/* its end wakes us */
			LWLockAcquire(shared->lock, LW_SHARED);
			slot = *find_slot(entries[i].database);
			LWLockRelease(shared->lock);
			now = GetCurrentTimestamp();
			next = next_pass(&slot);
			if (next <= now && running < MAX_RUNNING)
			{
				/* wishes from here on are for the pass after this one */
				LWLockAcquire(shared->lock, LW_EXCLUSIVE);
				place = find_slot(entries[i].database);
				place->started = now;
				place->requested = DT_NOEND;
				LWLockRelease(shared->lock);
				if (start_worker(&entries[i]))
				{
					running++;
					no_slot_logged = false;
					continue;
				}
				if (!no_slot_logged)
					ereport(LOG,
							(errmsg("crm launcher: no slot for a background worker"),
							 errhint("Raise max_worker_processes.")));
				no_slot_logged = true;
				LWLockAcquire(shared->lock, LW_EXCLUSIVE);
				*find_slot(entries[i].database) = slot;
				LWLockRelease(shared->lock);
				next = TimestampTzPlusMilliseconds(now, 5000);
			}
			else if (next <= now)
				continue;		/* the end of a running one wakes us */
			wake = Min(wake, next);
		}

		now = GetCurrentTimestamp();
		if (wake == DT_NOEND)
			timeout = -1;
		else
			timeout = Max(TimestampDifferenceMilliseconds(now, wake), 1);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout >= 0 ? WL_TIMEOUT : 0),
						 timeout, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* ---- the worker ---- */

/*
 * Begin a transaction of the pass: as the role the pass runs as, in a database
 * whose extension cannot be dropped before it ends.  False where there is
 * nothing to maintain (any more).
 */
static bool
begin_pass(void)
{
	Oid			extension;
	Oid			table;
	Oid			role;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	extension = get_extension_oid("crm", true);
	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	if (get_extension_oid("crm", true) != extension)
		return false;
	table = crm_table_oid("maintenance_tasks", true);
	if (!OidIsValid(table))
		return false;

	role = crm_table_owner(table);
	if (crm_worker_role != NULL && crm_worker_role[0] != '\0')
	{
		role = get_role_oid(crm_worker_role, true);
		if (!OidIsValid(role))
		{
			ereport(LOG,
					(errmsg("crm worker: role \"%s\" of crm.worker_role does not exist",
							crm_worker_role)));
			return false;
		}
	}
	/* like a function of the role's own: no way back to the superuser */
	SetUserIdAndSecContext(role, SECURITY_LOCAL_USERID_CHANGE);
	PushActiveSnapshot(GetTransactionSnapshot());
	crm_connect();
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	return true;
}

static void
end_pass(bool begun)
{
	if (begun)
	{
		crm_disconnect();
		PopActiveSnapshot();
	}
	CommitTransactionCommand();
	disable_timeout(STATEMENT_TIMEOUT, false);
	SetUserIdAndSecContext(GetSessionUserId(), 0);
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

/* The names of the tasks, in the worker's own memory; NIL: nothing to do. */
static List *
read_tasks(MemoryContext cxt)
{
	List	   *tasks = NIL;
	bool		begun = begin_pass();

	if (begun)
	{
		crm_execute("SELECT t.name FROM crm.maintenance_tasks AS t "
					"WHERE t.active ORDER BY t.\"position\", t.name", 0, NULL, NULL, NULL, true, 0);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(cxt);

			tasks = lappend(tasks, SPI_getvalue(SPI_tuptable->vals[i],
												SPI_tuptable->tupdesc, 1));
			MemoryContextSwitchTo(old);
		}
	}
	end_pass(begun);
	return tasks;
}

/* One batch of one task in a transaction of its own; *more: another is due. */
static int64
run_task(const char *task, bool *more)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1];
	int64		done = 0;
	bool		isnull;
	bool		begun;

	*more = false;
	pgstat_report_activity(STATE_RUNNING, psprintf("crm.run_maintenance(%s)",
												   quote_literal_cstr(task)));
	begun = begin_pass();
	if (begun)
	{
		values[0] = CStringGetTextDatum(task);
		crm_execute("SELECT coalesce(sum(r.done), 0)::pg_catalog.int8, "
					"coalesce(bool_or(r.more), false) "
					"FROM crm.run_maintenance($1) AS r",
					1, types, values, NULL, false, 0);
		done = DatumGetInt64(crm_spi_value(0, 1, &isnull));
		*more = DatumGetBool(crm_spi_value(0, 2, &isnull));
	}
	end_pass(begun);
	return done;
}

static TimestampTz
ask_next(void)
{
	TimestampTz next = DT_NOEND;
	bool		begun = begin_pass();

	if (begun)
	{
		bool		isnull;
		Datum		value;

		crm_execute("SELECT crm.next_maintenance_at()", 0, NULL, NULL, NULL, true, 1);
		value = crm_spi_value(0, 1, &isnull);
		if (!isnull)
			next = DatumGetTimestampTz(value);
	}
	end_pass(begun);
	return next;
}

void
crm_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	TimestampTz until;
	TimestampTz next;
	List	   *tasks;
	int64		done = 0;
	bool		work_left;
	MemoryContext cxt;
	WorkerSlot *slot;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot(database);
	if (slot != NULL)
		slot->pid = MyProcPid;
	LWLockRelease(shared->lock);

	SetConfigOption("application_name", "crm worker", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("search_path", "pg_catalog, pg_temp", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	if (LockTimeout == 0)
		SetConfigOption("lock_timeout", "10s", PGC_SUSET, PGC_S_OVERRIDE);

	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SLICE_MS);
	cxt = AllocSetContextCreate(TopMemoryContext, "crm worker", ALLOCSET_DEFAULT_SIZES);
	tasks = read_tasks(cxt);

	/* tasks take turns, a batch each, so that none keeps the others waiting */
	do
	{
		ListCell   *cell;

		work_left = false;
		foreach(cell, tasks)
		{
			bool		more;

			CHECK_FOR_INTERRUPTS();
			MemoryContextSwitchTo(cxt);
			done += run_task((char *) lfirst(cell), &more);
			work_left |= more;
		}
	} while (work_left && GetCurrentTimestamp() < until);

	next = tasks == NIL ? DT_NOEND : ask_next();

	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	slot = find_slot(database);
	if (slot != NULL)
	{
		slot->due = work_left ? GetCurrentTimestamp() : next;
		slot->work_left = work_left;
		slot->done = done;
		slot->failures = 0;
		slot->finished = GetCurrentTimestamp();
		slot->pid = 0;
	}
	LWLockRelease(shared->lock);
	proc_exit(0);
}

/* ---- what it is doing ---- */

static Datum
instant_or_null(TimestampTz t, bool *isnull)
{
	*isnull = TIMESTAMP_NOT_FINITE(t);
	return TimestampTzGetDatum(t);
}

PG_FUNCTION_INFO_V1(crm_worker_status);

/* crm.worker_slots() -> one row for each database under care */
Datum
crm_worker_status(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (shared == NULL)
		return (Datum) 0;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < shared->nslots; i++)
	{
		WorkerSlot *s = &shared->slots[i];
		Datum		values[7];
		bool		nulls[7] = {0};

		values[0] = ObjectIdGetDatum(s->database);
		values[1] = Int32GetDatum(s->pid);
		nulls[1] = s->pid == 0;
		values[2] = instant_or_null(s->started, &nulls[2]);
		values[3] = instant_or_null(s->finished, &nulls[3]);
		values[4] = instant_or_null(next_pass(s), &nulls[4]);
		values[5] = Int64GetDatum(s->done);
		values[6] = Int32GetDatum(s->failures);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	LWLockRelease(shared->lock);
	return (Datum) 0;
}
