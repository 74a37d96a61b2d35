/*
 * reveal.c
 *	  crm.reveal(): the one way by which a sealed text becomes readable, and
 *	  the record of who read what.
 *
 * A record is written at the end of the transaction, one row for each value,
 * into crm.reveal_log.  Whoever reads and then rolls back has read all the same:
 * what a transaction that failed had revealed stays in the backend's memory,
 * is told to the server's log at once, and is written with the next transaction
 * of the session, or in one of its own when the session ends.  So a program
 * that reads and leaves no trace does not exist, short of killing the server.
 *
 * A transaction that can write nothing, on a standby for instance, can record
 * nothing, so it is shown nothing.
 */
#include "base/crm.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "access/identity_kept.h"
#include "access/keys.h"
#include "access/reveal.h"
#include "access/sealed_text.h"

/* as many different values are recorded one by one; what is beyond is counted */
#define RECORDED_ONE_BY_ONE 10000

/* What was read, by whom and why: no bytes between the members, it is hashed as it is. */
typedef struct ReadKey
{
	int64		tenant;
	int64		user;			/* 0: a role that is no user */
	Oid			role;
	uint32		reason;			/* number of its text, below */
	unsigned char tag[CRM_SEALED_TAG_BYTES];	/* all zero: many values */
} ReadKey;

typedef struct ReadEntry
{
	ReadKey		key;
	int64		times;
	TimestampTz first_at;
} ReadEntry;

static HTAB *reads = NULL;		/* what was read and is not recorded yet */
static MemoryContext reads_context = NULL;
static char **reasons = NULL;
static int	nreasons = 0;
static uint64 unsaid = 0;		/* values read by the present transaction */

/* ---- recording ---- */

static void
forget_reads(void)
{
	if (reads_context != NULL)
		MemoryContextDelete(reads_context);
	reads_context = NULL;
	reads = NULL;
	reasons = NULL;
	nreasons = 0;
}

static void
begin_reads(void)
{
	HASHCTL		ctl = {0};

	reads_context = AllocSetContextCreate(TopMemoryContext, "crm reveals", ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(ReadKey);
	ctl.entrysize = sizeof(ReadEntry);
	ctl.hcxt = reads_context;
	reads = hash_create("crm reveals", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static uint32
number_of_reason(const char *reason)
{
	for (int i = nreasons - 1; i >= 0; i--)
		if (strcmp(reasons[i], reason) == 0)
			return i;
	if (nreasons % 16 == 0)
		reasons = nreasons == 0 ? MemoryContextAlloc(reads_context, sizeof(char *) * 16) :
			repalloc(reasons, sizeof(char *) * (nreasons + 16));
	reasons[nreasons] = MemoryContextStrdup(reads_context, reason);
	return nreasons++;
}

static void
note_read(const Identity *who, const CrmSealedHead *head, const char *reason)
{
	ReadKey		key;
	ReadEntry  *entry;
	bool		found;

	StaticAssertStmt(sizeof(ReadKey) == 8 + 8 + 4 + 4 + CRM_SEALED_TAG_BYTES, "no holes");
	if (reads == NULL)
		begin_reads();
	key.tenant = head->tenant;
	key.user = who->has_user ? who->user : 0;
	key.role = crm_current_role();
	key.reason = number_of_reason(nreasons < RECORDED_ONE_BY_ONE ? reason : "");
	memcpy(key.tag, head->tag, sizeof(key.tag));
	if (hash_get_num_entries(reads) >= RECORDED_ONE_BY_ONE &&
		hash_search(reads, &key, HASH_FIND, NULL) == NULL)
		memset(key.tag, 0, sizeof(key.tag));
	entry = hash_search(reads, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->times = 0;
		entry->first_at = GetCurrentTimestamp();
	}
	entry->times++;
	unsaid++;
}

static Datum
reads_array(Datum *values, bool *nulls, int n, Oid type)
{
	int			lower = 1;

	switch (type)
	{
		case TIMESTAMPTZOID:
		case INT8OID:
			return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, 8,
													  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		case NAMEOID:
			return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type,
													  NAMEDATALEN, false, TYPALIGN_CHAR));
		default:
			return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, -1,
													  false, TYPALIGN_INT));
	}
}

#define READ_COLUMNS 7

/* Write what was read into crm.reveal_log, as its owner; it is forgotten once it is kept. */
static void
write_reads(void)
{
	static const Oid element[READ_COLUMNS] = {INT8OID, INT8OID, NAMEOID, TEXTOID, BYTEAOID, INT8OID,
	TIMESTAMPTZOID};
	static const Oid types[READ_COLUMNS] = {INT8ARRAYOID, INT8ARRAYOID, NAMEARRAYOID, TEXTARRAYOID,
	BYTEAARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID};
	static const unsigned char many[CRM_SEALED_TAG_BYTES] = {0};
	long		n = hash_get_num_entries(reads);
	Datum	   *columns[READ_COLUMNS];
	bool	   *nulls[READ_COLUMNS];
	Datum		values[READ_COLUMNS];
	HASH_SEQ_STATUS seq;
	ReadEntry  *entry;
	CrmOwnerSwitch saved;
	int			i = 0;

	crm_connect_as(crm_table_owner(crm_table_oid("reveal_log", false)), &saved);
	for (int c = 0; c < READ_COLUMNS; c++)
	{
		columns[c] = palloc(sizeof(Datum) * n);
		nulls[c] = palloc0(sizeof(bool) * n);
	}
	hash_seq_init(&seq, reads);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		char	   *role = GetUserNameFromId(entry->key.role, true);
		Name		name = palloc0(sizeof(NameData));
		bytea	   *tag = palloc(VARHDRSZ + CRM_SEALED_TAG_BYTES);

		namestrcpy(name, role != NULL ? role : psprintf("%u", entry->key.role));
		SET_VARSIZE(tag, VARHDRSZ + CRM_SEALED_TAG_BYTES);
		memcpy(VARDATA(tag), entry->key.tag, CRM_SEALED_TAG_BYTES);
		columns[0][i] = Int64GetDatum(entry->key.tenant);
		columns[1][i] = Int64GetDatum(entry->key.user);
		nulls[1][i] = entry->key.user == 0;
		columns[2][i] = NameGetDatum(name);
		columns[3][i] = CStringGetTextDatum(reasons[entry->key.reason]);
		nulls[3][i] = reasons[entry->key.reason][0] == '\0';
		columns[4][i] = PointerGetDatum(tag);
		nulls[4][i] = memcmp(entry->key.tag, many, sizeof(many)) == 0;
		columns[5][i] = Int64GetDatum(entry->times);
		columns[6][i] = TimestampTzGetDatum(entry->first_at);
		i++;
	}
	for (int c = 0; c < READ_COLUMNS; c++)
		values[c] = reads_array(columns[c], nulls[c], (int) n, element[c]);
	crm_execute("INSERT INTO crm.reveal_log (tenant_id, user_id, db_role, reason, tag, times, revealed_at)"
				" SELECT u.* FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3),"
				" pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7)) AS u",
				READ_COLUMNS, types, values, NULL, false, 0);
	crm_disconnect_self(&saved);
}

static bool wrote = false;

static void
transaction_of_reads_ends(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* what an earlier transaction read can wait for one that writes */
			if (reads == NULL || XactReadOnly || IsInParallelMode() ||
				!OidIsValid(crm_table_oid("reveal_log", true)))
				break;
			PushActiveSnapshot(GetTransactionSnapshot());
			write_reads();
			PopActiveSnapshot();
			wrote = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (wrote)
				forget_reads();
			wrote = false;
			unsaid = 0;
			break;
		case XACT_EVENT_ABORT:
			if (unsaid > 0)
				ereport(LOG,
						(errmsg("a transaction that was rolled back had revealed " UINT64_FORMAT
								" sealed values", unsaid),
						 errdetail("It is recorded by the next transaction of its session, or at its end."),
						 errhidestmt(true), errhidecontext(true)));
			wrote = false;
			unsaid = 0;
			break;
		default:
			break;
	}
}

/* The session ends: what transactions that failed have read is recorded now or never. */
static void
session_ends(int code, Datum arg)
{
	if (reads == NULL || RecoveryInProgress() || !OidIsValid(MyDatabaseId))
		return;
	AbortOutOfAnyTransaction();
	StartTransactionCommand();
	/* whatever the session had chosen for its transactions */
	XactReadOnly = false;
	CommitTransactionCommand();
}

void
crm_reveal_init(void)
{
	RegisterXactCallback(transaction_of_reads_ends, NULL);
}

/* ---- who may ---- */

typedef struct RightKey
{
	int64		tenant;
	int64		user;
} RightKey;

static void *
build_right(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, INT8OID};
	const RightKey *k = key;
	Datum		values[2] = {Int64GetDatum(k->tenant), Int64GetDatum(k->user)};
	TimestampTz *until = MemoryContextAlloc(context, sizeof(TimestampTz));
	bool		isnull;

	*until = DT_NOBEGIN;
	crm_read_config("SELECT r.valid_until FROM crm.reveal_rights AS r"
					" WHERE r.tenant_id = $1 AND r.user_id = $2", 2, types, values);
	if (SPI_processed == 1)
	{
		Datum		at = crm_spi_value(0, 1, &isnull);

		*until = isnull ? DT_NOEND : DatumGetTimestampTz(at);
	}
	return until;
}

static CrmKept rights = {
	.what = "rights to reveal",
	.tables = {"reveal_rights"},
	.build = build_right,
};

/*
 * The owner of the CRM, and users to whom an admin gave the right.  Admins have
 * to give it to themselves, which is seen.
 */
static bool
may_reveal(const Identity *who)
{
	RightKey	key = {who->tenant, who->user};

	if (who->obeys_setting)
		return true;
	if (!who->has_user)
		return false;
	return *(const TimestampTz *) crm_kept_peek(&rights, &key, sizeof(key)) > GetCurrentTimestamp();
}

PG_FUNCTION_INFO_V1(crm_may_reveal);

Datum
crm_may_reveal(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(may_reveal(crm_current_identity()));
}

PG_FUNCTION_INFO_V1(crm_reveal);

/* crm.reveal(value, reason) -> text */
Datum
crm_reveal(PG_FUNCTION_ARGS)
{
	static bool at_exit = false;
	const Identity *who;
	bytea *sealed;
	CrmSealedHead head;
	int64		tenant;
	bool		isnull;
	size_t		len;
	char	   *opened;
	Datum		result;

	if (!may_reveal(crm_current_identity()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("you may not reveal sealed values"),
				 errhint("An admin gives the right by a row of crm.reveal_rights.")));
	if (XactReadOnly || RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("nothing is revealed in a read-only transaction"),
				 errdetail("Who reads a sealed value is recorded, and nothing can be recorded here."),
				 errhint("Read it on the primary server, in a transaction that may write.")));
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	tenant = crm_current_tenant(&isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("it is not clear whose values are to be revealed"),
				 errhint("Say SET crm.tenant = 'id' as the owner of the CRM.")));

	sealed = PG_GETARG_BYTEA_PP(0);
	if (crm_sealed_tenant_of((unsigned char *) VARDATA_ANY(sealed)) != tenant)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_SEALED_DAMAGED),
				 errmsg("a sealed value belongs to another company"),
				 errhint("It was sealed for another one, and is opened by nobody here."),
				 crm_tell_nothing()));
	opened = crm_open_sealed(sealed, &head, &len);
	who = crm_current_identity();
	note_read(who, &head, PG_ARGISNULL(1) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (!at_exit)
	{
		before_shmem_exit(session_ends, (Datum) 0);
		at_exit = true;
	}
	result = PointerGetDatum(cstring_to_text_with_len(opened, len));
	explicit_bzero(opened, len);
	pfree(opened);
	PG_RETURN_DATUM(result);
}
