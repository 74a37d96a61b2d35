/*
 * lock.c
 *	  Locks on what is no row and no table yet, and on rows of any table, until
 *	  the transaction ends.
 *
 * They are those of pg_advisory_xact_lock(), but of a class of their own: the
 * functions of PostgreSQL that take advisory locks are for everybody, and
 * whoever guessed a key could hold it and stop everybody else.  No SQL but
 * these functions can take ours.  In pg_locks they have objsubid CRM_LOCK_CLASS.
 *
 * A lock is called by what it protects, a tenant (0: all of them) and a key.
 * These functions are the owner's; crm.lock_own() is for what runs as its
 * caller.
 *
 * The table of locks is of one size for the whole server, so locks are for
 * things of which a transaction takes few.  Addresses, numbers of messages and
 * ids of other systems, of which an import takes any number, are held by
 * crm_hold_key() instead.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

/* those of PostgreSQL are 1 and 2 */
#define CRM_LOCK_CLASS 0xC47

/*
 * Changes that somebody is to wait for are told apart by so many numbers only:
 * a transaction that makes a million of them must not fill the table of locks.
 */
#define CHANGE_SLOTS 1024

static uint64
lock_hash(const char *what, int64 tenant, const char *key)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) what, (int) strlen(what), 0);

	hash = hash_bytes_extended((const unsigned char *) &tenant, sizeof(tenant), hash);
	return hash_bytes_extended((const unsigned char *) key, (int) strlen(key), hash);
}

/* Takes a lock until the transaction ends; false: somebody has it, and we are not to wait. */
bool
crm_take_lock(const char *what, int64 tenant, const char *key, bool shared, bool wait)
{
	LOCKTAG		tag;
	uint64		hash = lock_hash(what, tenant, key);

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, CRM_LOCK_CLASS);
	return LockAcquire(&tag, shared ? ShareLock : ExclusiveLock, false, !wait) !=
		LOCKACQUIRE_NOT_AVAIL;
}

static void
set_change_tag(LOCKTAG *tag, const char *what, int64 tenant, const char *key)
{
	uint32		slot = (uint32) (lock_hash("change of", tenant, key) % CHANGE_SLOTS);

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (lock_hash(what, tenant, "") >> 32), slot,
						 CRM_LOCK_CLASS);
}

/*
 * Until this transaction ends, crm_await_changes() of the same thing waits for
 * it.  Two who change it do not wait for each other.
 */
void
crm_announce_change(const char *what, int64 tenant, const char *key)
{
	LOCKTAG		tag;

	set_change_tag(&tag, what, tenant, key);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
}

/*
 * Waits until changes that others have announced are committed or rolled back,
 * and keeps nothing: whoever changes it next does not wait for us.  What is
 * read afterwards must be read through the newest snapshot.
 */
void
crm_await_changes(const char *what, int64 tenant, const char *key)
{
	LOCKTAG		tag;

	set_change_tag(&tag, what, tenant, key);
	(void) LockAcquire(&tag, ShareLock, false, false);
	(void) LockRelease(&tag, ShareLock, false);
}

/* ---- any number of keys ---- */

/* A key that this transaction holds, by the transaction or subtransaction that took it. */
typedef struct
{
	int64		key[2];			/* tenant, hash */
	TransactionId xid;
} HeldKey;

/*
 * The keys held by the current transaction, in its own memory.  Looked at only
 * while held_by is that transaction: the memory of another one is gone.
 */
static HTAB *held = NULL;
static FullTransactionId held_by;

static HeldKey *
held_entry(const int64 *key, bool *found)
{
	FullTransactionId current = GetTopFullTransactionId();

	if (held == NULL || !FullTransactionIdEquals(held_by, current))
	{
		HASHCTL		info = {.keysize = sizeof(((HeldKey *) 0)->key), .entrysize = sizeof(HeldKey),
		.hcxt = TopTransactionContext};

		held = hash_create("crm held keys", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		held_by = current;
	}
	return hash_search(held, key, HASH_ENTER, found);
}

/*
 * Holds a key until the transaction, or the subtransaction, ends, and waits
 * for whoever holds it.  Any number can be held, of which the table of locks
 * would know some thousands: what others wait for is a row of a table with a
 * unique key.  It is deleted at once, but as long as we have not committed,
 * nobody else can insert one with the same key, deleted or not.  When we have,
 * the row is nothing but space to use again.  The table is unlogged, as
 * nothing in it outlives a transaction.
 *
 * Keys are told apart by a hash of 64 bits.  Two that share one wait for each
 * other without need.  Whoever takes several at a time takes them in one
 * order, as with locks; the detector of deadlocks sees these waits, too.
 */
void
crm_hold_key(const char *what, int64 tenant, const char *key)
{
	static const Oid key_types[] = {INT8OID, INT8OID};
	static const Oid row_types[] = {TIDOID};
	int64		hashed[2] = {tenant, (int64) lock_hash(what, tenant, key)};
	bool		found,
				isnull;
	HeldKey    *entry = held_entry(hashed, &found);
	CrmOwnerSwitch saved;
	Datum		values[2];

	/* what a subtransaction held that was rolled back is held no more */
	if (found && TransactionIdIsCurrentTransactionId(entry->xid))
		return;
	entry->xid = InvalidTransactionId;
	values[0] = Int64GetDatum(hashed[0]);
	values[1] = Int64GetDatum(hashed[1]);
	crm_connect_as(crm_table_owner(crm_table_oid("installation", false)), &saved);
	crm_execute("INSERT INTO crm_internal.held_keys AS h (tenant_id, hash) VALUES ($1, $2) RETURNING h.ctid",
				2, key_types, values, NULL, false, 0);
	values[0] = crm_spi_value(0, 1, &isnull);
	crm_execute("DELETE FROM crm_internal.held_keys AS h WHERE h.ctid OPERATOR(pg_catalog.=) $1",
				1, row_types, values, NULL, false, 0);
	crm_disconnect_self(&saved);
	/*
	 * Only now, as the wait may have ended in an error that somebody caught;
	 * and looked up anew, as triggers of the owner may hold keys, too.
	 */
	held_entry(hashed, &found)->xid = GetCurrentTransactionId();
}

PG_FUNCTION_INFO_V1(crm_hold_key_of);

/* crm.hold_key(what, tenant_id, key) -- waits for it */
Datum
crm_hold_key_of(PG_FUNCTION_ARGS)
{
	crm_hold_key(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT64(1),
				 text_to_cstring(PG_GETARG_TEXT_PP(2)));
	PG_RETURN_VOID();
}

/* ---- SQL ---- */

PG_FUNCTION_INFO_V1(crm_lock);

/* crm.lock(what, tenant_id, key, shared) -- waits for it */
Datum
crm_lock(PG_FUNCTION_ARGS)
{
	(void) crm_take_lock(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT64(1),
						 text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_BOOL(3), true);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_try_lock);

/* crm.try_lock(what, tenant_id, key, shared) -> boolean: whether it was free */
Datum
crm_try_lock(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(crm_take_lock(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT64(1),
								 text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_BOOL(3), false));
}

PG_FUNCTION_INFO_V1(crm_hold_row);

/* crm.hold_row(relation, tenant_id, id) -- waits for it */
Datum
crm_hold_row(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID};
	char	   *relation = crm_qualified_name(PG_GETARG_OID(0));
	Datum		values[2];

	if (relation == NULL)
		PG_RETURN_VOID();
	values[0] = PG_GETARG_DATUM(1);
	values[1] = PG_GETARG_DATUM(2);
	crm_connect();
	crm_execute_variant(psprintf("SELECT FROM %s AS x WHERE x.tenant_id OPERATOR(pg_catalog.=) $1"
								 " AND x.id OPERATOR(pg_catalog.=) $2 FOR NO KEY UPDATE", relation),
						2, types, values, NULL, false, 0);
	crm_disconnect();
	PG_RETURN_VOID();
}
