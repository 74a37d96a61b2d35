/*
 * contact_scan.c
 *	  What is known of a person and an address, read straight from indexes.
 *
 * A message that is entered must not cost much more for being judged, and
 * running a query, however small, costs several times what three looks into
 * indexes do.  So they are looked into as PostgreSQL looks into its catalogs.
 * That holds for plain tables with the indexes that the CRM gave them; where
 * an owner has made it otherwise (partitions, other indexes) the caller runs
 * the query, which says the same (contact.c).
 */
#include "base/crm.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "marketing/contact.h"

#define MOST_KEYS 6

/* A table and an index of it, open for a look. */
typedef struct Look
{
	Relation	table;
	Relation	index;
	SysScanDesc scan;
	int			nkeys;
	ScanKeyData keys[MOST_KEYS];
} Look;

static void
close_look(Look *look)
{
	if (look->scan != NULL)
		systable_endscan_ordered(look->scan);
	if (look->index != NULL)
		index_close(look->index, AccessShareLock);
	if (look->table != NULL)
		table_close(look->table, AccessShareLock);
}

/* Opens a table by an index that begins with these columns; false: it is not as the CRM made it. */
static bool
open_look(Look *look, const char *table, const char *index, int ncolumns,
		  const char *const *columns)
{
	Oid			schema;
	Oid			oid;

	memset(look, 0, sizeof(Look));
	look->table = table_open(crm_table_oid(table, false), AccessShareLock);
	schema = RelationGetNamespace(look->table);
	oid = get_relname_relid(index, schema);
	if (look->table->rd_rel->relkind != RELKIND_RELATION || look->table->rd_rel->relhassubclass ||
		!OidIsValid(oid) || get_rel_relkind(oid) != RELKIND_INDEX)
	{
		close_look(look);
		return false;
	}
	look->index = index_open(oid, AccessShareLock);
	if (look->index->rd_index->indrelid != RelationGetRelid(look->table) ||
		!look->index->rd_index->indisvalid || look->index->rd_index->indnkeyatts < ncolumns)
	{
		close_look(look);
		return false;
	}
	for (int i = 0; i < ncolumns; i++)
		if (look->index->rd_index->indkey.values[i] !=
			crm_column_number(RelationGetDescr(look->table), columns[i]))
		{
			close_look(look);
			return false;
		}
	return true;
}

/* The next column of the index, compared with a value. */
static void
add_scan_key(Look *look, StrategyNumber strategy, RegProcedure procedure, Datum value)
{
	ScanKeyEntryInitialize(&look->keys[look->nkeys], 0,
						   look->index->rd_index->indkey.values[look->nkeys], strategy, InvalidOid,
						   look->index->rd_indcollation[look->nkeys], procedure, value);
	look->nkeys++;
}

static void
add_id(Look *look, int64 value)
{
	add_scan_key(look, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(value));
}

static void
add_text(Look *look, const char *value)
{
	add_scan_key(look, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(value));
}

static HeapTuple
next_row(Look *look, Snapshot snapshot, ScanDirection direction)
{
	if (look->scan == NULL)
		look->scan = systable_beginscan_ordered(look->table, look->index, snapshot, look->nkeys,
												look->keys);
	return systable_getnext_ordered(look->scan, direction);
}

static Datum
scan_value(const Look *look, HeapTuple row, const char *column, bool *isnull)
{
	return heap_getattr(row, crm_column_number(RelationGetDescr(look->table), column),
						RelationGetDescr(look->table), isnull);
}

static char *
text_or_null(const Look *look, HeapTuple row, const char *column)
{
	bool		isnull;
	Datum		value = scan_value(look, row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* ---- the three looks ---- */

static bool
look_for_suppression(const CrmContactQuestion *q, Snapshot snapshot, CrmContactFacts *facts)
{
	static const char *const columns[] = {"tenant_id", "channel", "address_key"};
	Look		look;
	HeapTuple	row;
	bool		isnull;

	if (!open_look(&look, "suppressions", "suppressions_address_idx", 3, columns))
		return false;
	add_id(&look, q->tenant);
	add_text(&look, q->channel);
	add_text(&look, q->address_key);
	while (facts->suppressed == NULL &&
		   (row = next_row(&look, snapshot, ForwardScanDirection)) != NULL)
	{
		(void) scan_value(&look, row, "lifted_at", &isnull);
		if (!isnull)
			continue;
		facts->suppressed = text_or_null(&look, row, "reason");
		facts->suppressed_at =
			DatumGetTimestampTz(scan_value(&look, row, "suppressed_at", &isnull));
	}
	close_look(&look);
	return true;
}

/* The newest is the last of the index; of several at one instant a withdrawal counts. */
static bool
look_for_statement(const CrmContactQuestion *q, TimestampTz at, Snapshot snapshot,
				   CrmContactFacts *facts)
{
	static const char *const columns[] = {"tenant_id", "subject_table", "subject_id", "purpose",
	"channel", "stated_at"};
	Look		look;
	HeapTuple	row;
	bool		isnull;

	if (!open_look(&look, "consents", "consents_subject_idx", 6, columns))
		return false;
	add_id(&look, q->tenant);
	add_text(&look, q->subject_table);
	add_id(&look, q->subject_id);
	add_text(&look, q->purpose);
	add_text(&look, q->channel);
	add_scan_key(&look, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(at));
	while ((row = next_row(&look, snapshot, BackwardScanDirection)) != NULL)
	{
		TimestampTz stated = DatumGetTimestampTz(scan_value(&look, row, "stated_at", &isnull));
		char	   *state = text_or_null(&look, row, "state");

		if (facts->state != NULL && stated != facts->stated_at)
			break;
		if (facts->state == NULL || strcmp(state, "withdrawn") == 0)
		{
			facts->state = state;
			facts->stated_at = stated;
			facts->statement = DatumGetInt64(scan_value(&look, row, "id", &isnull));
			facts->named_address = text_or_null(&look, row, "address_key");
		}
		if (strcmp(state, "withdrawn") == 0)
			break;
	}
	close_look(&look);
	return true;
}

/* Whether the address is one of the person's. */
static bool
look_for_address(const CrmContactQuestion *q, Snapshot snapshot, CrmContactFacts *facts)
{
	static const char *const point_columns[] = {"tenant_id", "value_key"};
	static const char *const lead_columns[] = {"tenant_id", "id"};
	bool		contact = strcmp(q->subject_table, "contacts") == 0;
	Look		look;
	HeapTuple	row;
	bool		isnull;

	if (contact ?
		!open_look(&look, "contact_points", "contact_points_value_key_idx", 2, point_columns) :
		!open_look(&look, "leads", "leads_pkey", 2, lead_columns))
		return false;
	add_id(&look, q->tenant);
	if (contact)
		add_text(&look, q->address_key);
	else
		add_id(&look, q->subject_id);
	while (!facts->theirs && (row = next_row(&look, snapshot, ForwardScanDirection)) != NULL)
	{
		if (contact)
		{
			int64		whose = DatumGetInt64(scan_value(&look, row, "contact_id", &isnull));

			facts->theirs = !isnull && whose == q->subject_id;
		}
		else
		{
			const char *email = text_or_null(&look, row, "email_key");
			const char *phone = text_or_null(&look, row, "phone_key");

			facts->theirs = (email != NULL && strcmp(email, q->address_key) == 0) ||
				(phone != NULL && strcmp(phone, q->address_key) == 0);
		}
	}
	close_look(&look);
	return true;
}

/*
 * Everything known now of a person and an address, through the newest
 * snapshot; false where it has to be asked for by a query.
 */
bool
crm_scan_contact(const CrmContactQuestion *q, TimestampTz at, CrmContactFacts *facts)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	bool		done;

	memset(facts, 0, sizeof(CrmContactFacts));
	done = look_for_suppression(q, snapshot, facts) &&
		look_for_statement(q, at, snapshot, facts);
	if (done && facts->suppressed == NULL && facts->state != NULL &&
		strcmp(facts->state, "given") == 0)
	{
		if (facts->named_address != NULL)
			facts->theirs = strcmp(facts->named_address, q->address_key) == 0;
		else
			done = look_for_address(q, snapshot, facts);
	}
	UnregisterSnapshot(snapshot);
	return done;
}
