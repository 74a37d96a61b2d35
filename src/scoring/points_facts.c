/*
 * points_facts.c
 *	  What rules see of leads, read for many at a time.
 *
 * Every query takes the leads one by one from a list, in their order, and looks
 * each up by its key.  A plan that is kept from the time when tables were empty
 * is then still right when they are full, and rows are locked in the order in
 * which everybody locks them.
 */
#include "base/crm.h"
#include "base/json.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "scoring/points_batch.h"

static const Oid list_types[] = {INT8OID, INT8ARRAYOID};

static const char facts_of_list[] =
"SELECT f.lead_id, f.attributes FROM pg_catalog.unnest($2) AS i (id) "
"CROSS JOIN LATERAL (SELECT x.lead_id, x.attributes FROM crm_internal.lead_facts AS x "
"WHERE x.tenant_id = $1 AND x.lead_id = i.id OFFSET 0) AS f";

/* ---- reading ---- */

static Datum
bigint_list(const int64 *ids, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(ids[i]);
	return PointerGetDatum(construct_array(values, n, INT8OID, 8, FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/* Run a query over a list of ids of the tenant. */
void
crm_batch_run_list(const Batch *b, const char *sql, const int64 *ids, int n)
{
	Datum		args[2] = {Int64GetDatum(b->s->tenant), bigint_list(ids, n)};

	crm_execute(sql, 2, list_types, args, NULL, false, 0);
}

/* The lead of a row of the last result; rows are in the order of leads. */
BatchLead *
crm_batch_lead(const Batch *b, int row, int *at)
{
	bool		isnull;
	int64		id = DatumGetInt64(crm_spi_value(row, 1, &isnull));

	while (*at < b->n && b->leads[*at].id < id)
		(*at)++;
	return *at < b->n && b->leads[*at].id == id ? &b->leads[*at] : NULL;
}

static Jsonb *
document(int row, int column)
{
	bool		isnull;
	Datum		d = crm_spi_value(row, column, &isnull);

	return isnull ? NULL : (Jsonb *) PG_DETOAST_DATUM(d);
}

/*
 * What leads are now and what was known of them, whose rows are locked.  Those
 * that are gone are left out.  entered: nothing is known of them, most likely.
 */
void
crm_batch_read_leads(Batch *b, const int64 *ids, int n, bool entered)
{
	if (entered)
		crm_batch_run_list(b, facts_of_list, ids, n);
	else
		crm_batch_run_list(b,
						   "SELECT f.lead_id, f.attributes, u.attributes, u.last_event_id, u.last_event_at "
						   "FROM pg_catalog.unnest($2) AS i (id) "
						   "CROSS JOIN LATERAL (SELECT x.lead_id, x.attributes FROM crm_internal.lead_facts AS x "
						   "WHERE x.tenant_id = $1 AND x.lead_id = i.id OFFSET 0) AS f "
						   "LEFT JOIN LATERAL (SELECT x.attributes, x.last_event_id, x.last_event_at "
						   "FROM crm.score_subjects AS x "
						   "WHERE x.tenant_id = $1 AND x.lead_id = i.id FOR NO KEY UPDATE) AS u ON true", ids, n);
	b->n = (int) SPI_processed;
	b->leads = palloc0(sizeof(BatchLead) * Max(b->n, 1));
	for (int i = 0; i < b->n; i++)
	{
		BatchLead  *l = &b->leads[i];
		bool		isnull;

		l->id = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		l->facts = document(i, 2);
		l->last_at = DT_NOBEGIN;
		if (entered)
			continue;
		l->known = document(i, 3);
		l->last_id = DatumGetInt64(crm_spi_value(i, 4, &isnull));
		l->subject = !isnull;
		if (l->subject)
			l->last_at = DatumGetTimestampTz(crm_spi_value(i, 5, &isnull));
	}
}

/* ---- accounts and contacts that leads are given ---- */

/* The number under a key of an object; 0 where there is none. */
static int64
number_in(Jsonb *object, const char *key)
{
	JsonbValue	v;

	if (object == NULL ||
		crm_json_member(&object->root, key, &v) == NULL ||
		v.type != jbvNumeric)
		return 0;
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(v.val.numeric)));
}

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * A change of an account looks for its leads, and does not see one that is
 * being given to it just now; so the account is held still until that is done.
 * Waiting for who changes it already could go round in a circle: then the lead is
 * doubted.
 */
static void
hold_relatives(Batch *b, const char *column, const char *sql)
{
	int64	   *wanted = palloc(sizeof(int64) * Max(b->n, 1));
	int64	   *of = palloc0(sizeof(int64) * Max(b->n, 1));
	int64	   *held;
	int			n = 0;
	int			nheld;
	bool		isnull;

	for (int i = 0; i < b->n; i++)
	{
		int64		id = number_in(b->leads[i].facts, column);

		if (id != 0 && id != number_in(b->leads[i].known, column))
			wanted[n++] = of[i] = id;
	}
	if (n == 0)
		return;
	qsort(wanted, n, sizeof(int64), compare_ids);
	for (int i = nheld = 0; i < n; i++)
		if (i == 0 || wanted[i] != wanted[i - 1])
			wanted[nheld++] = wanted[i];
	crm_batch_run_list(b, sql, wanted, nheld);
	nheld = (int) SPI_processed;
	held = palloc(sizeof(int64) * Max(nheld, 1));
	for (int i = 0; i < nheld; i++)
		held[i] = DatumGetInt64(crm_spi_value(i, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < b->n; i++)
	{
		if (of[i] == 0)
			continue;
		if (bsearch(&of[i], held, nheld, sizeof(int64), compare_ids))
			b->leads[i].again = true;
		else
			b->leads[i].doubted = true;
	}
}

/* What leads are now, of those in the list. */
static void
read_facts(Batch *b, const int64 *ids, int n)
{
	int			at = 0;

	crm_batch_run_list(b, facts_of_list, ids, n);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		BatchLead  *l = crm_batch_lead(b, i, &at);

		if (l)
			l->facts = document(i, 2);
	}
}

/* The same once more where accounts and contacts that are new are held since. */
void
crm_batch_settle_facts(Batch *b)
{
	int64	   *ids = palloc(sizeof(int64) * Max(b->n, 1));
	int			n = 0;

	hold_relatives(b, "account_id",
				   "SELECT a.id FROM pg_catalog.unnest($2) AS i (id) "
				   "CROSS JOIN LATERAL (SELECT x.id FROM crm.accounts AS x "
				   "WHERE x.tenant_id = $1 AND x.id = i.id FOR SHARE SKIP LOCKED) AS a");
	hold_relatives(b, "contact_id",
				   "SELECT c.id FROM pg_catalog.unnest($2) AS i (id) "
				   "CROSS JOIN LATERAL (SELECT x.id FROM crm.contacts AS x "
				   "WHERE x.tenant_id = $1 AND x.id = i.id FOR SHARE SKIP LOCKED) AS c");
	for (int i = 0; i < b->n; i++)
		if (b->leads[i].again)
			ids[n++] = b->leads[i].id;
	if (n > 0)
		read_facts(b, ids, n);
}

/*
 * A lead that is locked, as rules see it; NULL where it is not there.  known: as
 * they saw it before.  doubted is set where somebody is changing that just now.
 */
Jsonb *
crm_scorer_settled_facts(Scorer *s, int64 lead, Jsonb *known, bool *doubted)
{
	BatchLead	l = {.id = lead, .known = known};
	Batch		b = {.s = s, .n = 1, .leads = &l};

	read_facts(&b, &lead, 1);
	crm_batch_settle_facts(&b);
	*doubted |= l.doubted;
	return l.facts;
}
