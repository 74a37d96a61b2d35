/*
 * events.c
 *	  Which transaction an event belongs to, and on which server it was written.
 *
 * Consumers of events remember what they have read as a snapshot: an event is
 * new to them where its transaction was not finished in it.  That leaves out
 * nothing, although transactions commit in another order than they begin, and
 * waits for nobody.  But numbers of transactions mean something on one server
 * alone: restored elsewhere, what is written next may have lower ones than what
 * was read last.  So the table event_servers says from which event on the
 * numbers are those of another server; whoever writes the first event there
 * puts its row down, before the event has its number.
 */
#include "base/crm.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define SERVERS "event_servers"
#define CHANNEL "crm_events"

/* ---- servers ---- */

/* Is this server's row there, and of a transaction that has committed? */
static bool
server_is_known(Datum *server, bool *finished)
{
	static const Oid types[] = {INT8OID};
	bool		isnull;
	bool		found;

	crm_read_newest("SELECT e.xact IS DISTINCT FROM pg_current_xact_id_if_assigned()"
					" FROM crm.event_servers AS e WHERE e.server_id = $1", 1, types, server, 1);
	found = SPI_processed > 0;
	*finished = found && DatumGetBool(crm_spi_value(0, 1, &isnull));
	return found;
}

/*
 * To be called before an event gets its number.  The look is for the first event
 * of a session alone.
 */
void
crm_know_event_server(void)
{
	static const Oid types[] = {INT8OID};
	static Oid	known_in = InvalidOid;
	Oid			relid = crm_table_oid(SERVERS, false);
	Datum		server[1];
	CrmOwnerSwitch saved;
	bool		finished;

	if (relid == known_in)
		return;
	server[0] = Int64GetDatum((int64) GetSystemIdentifier());
	crm_connect_as(crm_table_owner(relid), &saved);
	/* a row of this transaction may yet be rolled back: look again next time */
	if (server_is_known(server, &finished))
	{
		if (finished)
			known_in = relid;
	}
	else
		/* who comes second waits for the first here, and finds the row */
		crm_execute("INSERT INTO crm.event_servers AS e (server_id, first_event_id)"
					" SELECT $1, 1 + coalesce(max(m.id), 0) FROM crm.tenants AS t CROSS JOIN LATERAL"
					" (SELECT v.id FROM crm.events AS v WHERE v.tenant_id = t.tenant_id ORDER BY v.id DESC LIMIT 1) AS m"
					" ON CONFLICT ON CONSTRAINT event_servers_pkey DO NOTHING",
					1, types, server, NULL, false, 0);
	crm_disconnect_self(&saved);
}

/* ---- waking ---- */

static void *
build_wanted(const void *key, MemoryContext context)
{
	bool	   *wanted = MemoryContextAlloc(context, sizeof(bool));
	bool		isnull;

	crm_read_config("SELECT EXISTS (SELECT FROM crm.event_subscriptions AS s WHERE s.active AND s.notify)",
					0, NULL, NULL);
	*wanted = DatumGetBool(crm_spi_value(0, 1, &isnull));
	return wanted;
}

static CrmKept waking = {
	.what = "subscriptions to events",
	.tables = {"event_subscriptions"},
	.build = build_wanted,
};

/*
 * The transaction that events written now belong to.  Those who sleep are woken
 * when it commits: but only where somebody asked for it, because a transaction
 * that notifies keeps others from committing at the same time.
 */
FullTransactionId
crm_event_transaction_id(void)
{
	const bool *wanted;

	crm_know_event_server();
	wanted = crm_kept_peek(&waking, "", 1);
	if (wanted != NULL && *wanted)
		Async_Notify(CHANNEL, "");
	return GetTopFullTransactionId();
}

PG_FUNCTION_INFO_V1(crm_event_transaction);

/* crm.event_transaction() -- default of crm.events.xact */
Datum
crm_event_transaction(PG_FUNCTION_ARGS)
{
	PG_RETURN_FULLTRANSACTIONID(crm_event_transaction_id());
}

PG_FUNCTION_INFO_V1(crm_server_number);

/* crm.server_number() -- the number of this server, by which event_servers knows it */
Datum
crm_server_number(PG_FUNCTION_ARGS)
{
	crm_know_event_server();
	PG_RETURN_INT64((int64) GetSystemIdentifier());
}
