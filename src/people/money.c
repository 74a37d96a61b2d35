/*
 * money.c
 *	  Amounts from one currency into another, at dated rates.
 *
 * A rate holds from its date until the next one of the same pair.  Where a
 * pair has no rate of its own, its inverse serves, then the way through the
 * tenant's base currency.  A rate that is missing is an error, never 1.
 *
 * Conversions ask again and again, so the rates of a pair are kept in the
 * backend, sorted by date, until a rate changes.  Reports ask for the rate of
 * every group; theirs are read once a query, through its snapshot and with the
 * rights of whoever asks.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "access/identity.h"
#include "people/tenant.h"

typedef struct PairKey
{
	int64		tenant;
	char		from[4];
	char		to[4];
} PairKey;

typedef struct Pair
{
	PairKey		key;			/* hash key: must be first */
	int			n;
	DateADT    *since;			/* sorted */
	Numeric    *rate;
} Pair;

/* The days and rates of the last result, kept in a memory context. */
static void
take_rates(Pair *pair, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	pair->n = (int) SPI_processed;
	pair->since = palloc(sizeof(DateADT) * Max(pair->n, 1));
	pair->rate = palloc(sizeof(Numeric) * Max(pair->n, 1));
	for (int i = 0; i < pair->n; i++)
	{
		bool		isnull;

		pair->since[i] = DatumGetDateADT(crm_spi_value(i, 1, &isnull));
		pair->rate[i] = DatumGetNumericCopy(crm_spi_value(i, 2, &isnull));
	}
	MemoryContextSwitchTo(old);
}

static void *
build_rates(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, BPCHAROID, BPCHAROID};
	Pair	   *pair = MemoryContextAllocZero(context, sizeof(Pair));
	Datum		values[3];

	pair->key = *(const PairKey *) key;
	values[0] = Int64GetDatum(pair->key.tenant);
	values[1] = CStringGetTextDatum(pair->key.from);
	values[2] = CStringGetTextDatum(pair->key.to);
	crm_read_config("SELECT r.valid_from, r.rate FROM crm.exchange_rates AS r"
					" WHERE r.tenant_id = $1 AND r.from_currency = $2 AND r.to_currency = $3"
					" ORDER BY r.valid_from", 3, types, values);
	take_rates(pair, context);
	return pair;
}

static CrmKept kept_rates = {
	.what = "exchange rates",
	.tables = {"exchange_rates", "currencies"},
	.build = build_rates,
};

static const Pair *
rates_of(int64 tenant, const char *from, const char *to)
{
	PairKey		key;

	MemSet(&key, 0, sizeof(key));
	key.tenant = tenant;
	strlcpy(key.from, from, sizeof(key.from));
	strlcpy(key.to, to, sizeof(key.to));
	return crm_kept(&kept_rates, &key, sizeof(key));
}

static const CrmTenant *
tenant_of(int64 id)
{
	const CrmTenant *tenant = crm_tenant_settings(id);

	if (tenant == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("there is no tenant " INT64_FORMAT, id),
				 errhint("Tenants are rows of crm.tenants.")));
	return tenant;
}

/* The place of the rate that holds on a day; -1 before the first. */
static int
find_rate(const Pair *pair, DateADT day)
{
	int			low = 0;
	int			high = pair->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (pair->since[middle] <= day)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

/*
 * How much one unit of a currency is of another, as numerator and denominator
 * to be applied to an amount.  The later of a rate and its inverse counts, a
 * rate of its own where they are of one day.  False where there is neither.
 */
static bool
pair_rate(int64 tenant, const char *from, const char *to, DateADT day,
		  Numeric *times, Numeric *over)
{
	const Pair *direct;
	const Pair *inverse;
	int			d;
	int			i;

	*times = *over = NULL;
	if (strcmp(from, to) == 0)
		return true;
	direct = rates_of(tenant, from, to);
	inverse = rates_of(tenant, to, from);
	d = find_rate(direct, day);
	i = find_rate(inverse, day);
	if (d >= 0 && (i < 0 || direct->since[d] >= inverse->since[i]))
		*times = direct->rate[d];
	else if (i >= 0)
		*over = inverse->rate[i];
	else
		return false;
	return true;
}

static Datum
apply(Datum amount, Numeric times, Numeric over)
{
	if (times != NULL)
		amount = DirectFunctionCall2(numeric_mul, amount, NumericGetDatum(times));
	if (over != NULL)
		amount = DirectFunctionCall2(numeric_div, amount, NumericGetDatum(over));
	return amount;
}

/* A currency's code in capitals; an error for what cannot be one. */
static void
currency_code(text *value, char *code)
{
	char	   *given = text_to_cstring(value);
	int			i;

	for (i = 0; i < 3 && given[i] != '\0'; i++)
		code[i] = pg_toupper((unsigned char) given[i]);
	code[i] = '\0';
	if (i != 3 || given[3] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not the code of a currency", given),
				 errhint("Codes are those of ISO 4217, such as USD; crm.currencies lists them.")));
}

static char *
date_text(DateADT day)
{
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)));
}

/*
 * Whose rates count: the tenant that is named, else the caller's.  Triggers name
 * that of their row.  Another one's rates are for whoever owns them all.
 */
static int64
rates_tenant(const Datum *named)
{
	bool		isnull;
	int64		mine = crm_current_tenant(&isnull);

	if (named != NULL && (isnull || DatumGetInt64(*named) != mine))
	{
		Oid			owner = crm_table_owner(crm_table_oid("exchange_rates", false));

		if (!has_privs_of_role(GetUserId(), owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the exchange rates of tenant " INT64_FORMAT " are for its own users",
							DatumGetInt64(*named)),
					 errhint("Leave tenant_id out for the rates of your own company.")));
		return DatumGetInt64(*named);
	}
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("the current role works for no tenant, so there are no rates"),
				 errhint("Map the role to a user of a tenant (crm.users, column db_role), or pass tenant_id.")));
	return mine;
}

PG_FUNCTION_INFO_V1(crm_convert_currency);

/*
 * crm.convert_currency(amount, from_currency, to_currency, mode, event_date,
 * close_date, as_of, tenant_id) -> numeric
 */
Datum
crm_convert_currency(PG_FUNCTION_ARGS)
{
	char		from[4];
	char		to[4];
	char	   *mode;
	Datum		amount;
	const CrmTenant *tenant;
	Numeric		times;
	Numeric		over;
	Numeric		base_times;
	Numeric		base_over;
	DateADT		day;
	int64		tenant_id;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(6))
		PG_RETURN_NULL();
	amount = PG_GETARG_DATUM(0);
	if (numeric_is_nan(DatumGetNumeric(amount)) || numeric_is_inf(DatumGetNumeric(amount)))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount must be a finite number")));
	currency_code(PG_GETARG_TEXT_PP(1), from);
	currency_code(PG_GETARG_TEXT_PP(2), to);
	mode = text_to_cstring(PG_GETARG_TEXT_PP(3));

	tenant_id = rates_tenant(PG_ARGISNULL(7) ? NULL : &fcinfo->args[7].value);
	tenant = tenant_of(tenant_id);

	if (strcmp(mode, "at_event_date") == 0)
	{
		if (PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("conversion at_event_date needs event_date"),
					 errhint("Give the date of the event, or choose mode at_today.")));
		day = PG_GETARG_DATEADT(4);
	}
	else if (strcmp(mode, "at_close_date") == 0 && !PG_ARGISNULL(5))
		day = PG_GETARG_DATEADT(5);
	else if (strcmp(mode, "at_today") == 0 || strcmp(mode, "at_close_date") == 0)
		day = crm_tenant_day(tenant, PG_GETARG_TIMESTAMPTZ(6));
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown mode of conversion \"%s\"", mode),
				 errhint("Modes are at_event_date, at_close_date and at_today.")));
	if (strcmp(from, to) == 0)
		PG_RETURN_DATUM(amount);

	if (pair_rate(tenant_id, from, to, day, &times, &over))
		PG_RETURN_DATUM(apply(amount, times, over));
	if (pair_rate(tenant_id, from, tenant->base, day, &times, &over) &&
		pair_rate(tenant_id, tenant->base, to, day, &base_times, &base_over))
	{
		/* multiply before dividing, so that little is lost */
		amount = apply(apply(amount, times, NULL), base_times, NULL);
		PG_RETURN_DATUM(apply(apply(amount, NULL, over), NULL, base_over));
	}
	ereport(ERROR,
			(errcode(ERRCODE_CRM_RATE_MISSING),
			 errmsg("there is no exchange rate from %s to %s on %s", from, to, date_text(day)),
			 errdetail("Neither this pair, nor its inverse, nor the way through the base currency %s has a rate on or before that day.",
					   tenant->base),
			 errhint("Add it to crm.exchange_rates.")));
	PG_RETURN_NULL();
}

/* The rates of a query: those of one pair after the other, as they are asked for. */
typedef struct QueryRates
{
	HTAB	   *pairs;
	MemoryContext context;
	Oid			user;			/* whose they are, and as of when */
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	CommandId	curcid;
	uint64		completed;
	Pair	   *last;
} QueryRates;

/*
 * A call site may live longer than a statement (that of a PL/pgSQL expression
 * does), so what it keeps is worth something only while its snapshot and its
 * user are the same.
 */
static QueryRates *
rates_of_query(FmgrInfo *flinfo)
{
	QueryRates *known = (QueryRates *) flinfo->fn_extra;
	Snapshot	now = GetActiveSnapshot();
	HASHCTL		ctl = {0};

	if (known != NULL && known->user == GetUserId() && known->curcid == now->curcid &&
		known->xmin == now->xmin && known->xmax == now->xmax && known->xcnt == now->xcnt &&
		known->completed == now->snapXactCompletionCount)
		return known;
	if (known == NULL)
	{
		known = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(QueryRates));
		known->context = AllocSetContextCreate(flinfo->fn_mcxt, "crm rates of a query",
											   ALLOCSET_SMALL_SIZES);
		flinfo->fn_extra = known;
	}
	MemoryContextReset(known->context);
	ctl.hcxt = known->context;
	ctl.keysize = sizeof(PairKey);
	ctl.entrysize = sizeof(Pair);
	known->pairs = hash_create("crm rates of a query", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	known->last = NULL;
	known->user = GetUserId();
	known->xmin = now->xmin;
	known->xmax = now->xmax;
	known->xcnt = now->xcnt;
	known->curcid = now->curcid;
	known->completed = now->snapXactCompletionCount;
	return known;
}

/* Rates of a pair and reciprocals of its inverse, of one day the former. */
static Pair *
read_rates(QueryRates *known, const PairKey *key)
{
	Pair		fresh;
	Pair	   *pair;
	Oid			types[3] = {INT8OID, BPCHAROID, BPCHAROID};
	Datum		values[3];
	bool		found;

	MemSet(&fresh, 0, sizeof(fresh));
	fresh.key = *key;
	values[0] = Int64GetDatum(key->tenant);
	values[1] = CStringGetTextDatum(key->from);
	values[2] = CStringGetTextDatum(key->to);
	crm_connect();
	crm_execute("SELECT DISTINCT ON (x.valid_from) x.valid_from, x.rate"
				" FROM (SELECT r.valid_from, 0 AS inverse, r.rate FROM crm.exchange_rates AS r"
				"       WHERE r.tenant_id = $1 AND r.from_currency = $2 AND r.to_currency = $3"
				"       UNION ALL"
				"       SELECT r.valid_from, 1, 1 / r.rate FROM crm.exchange_rates AS r"
				"       WHERE r.tenant_id = $1 AND r.from_currency = $3 AND r.to_currency = $2) AS x"
				" ORDER BY x.valid_from, x.inverse", 3, types, values, NULL, true, 0);
	take_rates(&fresh, known->context);
	crm_disconnect();
	pair = (Pair *) hash_search(known->pairs, key, HASH_ENTER, &found);
	*pair = fresh;
	return pair;
}

PG_FUNCTION_INFO_V1(crm_exchange_rate_on);

/*
 * crm.exchange_rate_on(tenant_id, from_currency, to_currency, on_date) -> numeric
 */
Datum
crm_exchange_rate_on(PG_FUNCTION_ARGS)
{
	BpChar	   *from = PG_GETARG_BPCHAR_PP(1);
	BpChar	   *to = PG_GETARG_BPCHAR_PP(2);
	QueryRates *known;
	PairKey		key;
	Pair	   *pair;
	bool		found;
	int			i;

	if (VARSIZE_ANY_EXHDR(from) != 3 || VARSIZE_ANY_EXHDR(to) != 3)
		PG_RETURN_NULL();
	if (memcmp(VARDATA_ANY(from), VARDATA_ANY(to), 3) == 0)
		PG_RETURN_DATUM(DirectFunctionCall1(int4_numeric, Int32GetDatum(1)));

	known = rates_of_query(fcinfo->flinfo);
	MemSet(&key, 0, sizeof(key));
	key.tenant = PG_GETARG_INT64(0);
	memcpy(key.from, VARDATA_ANY(from), 3);
	memcpy(key.to, VARDATA_ANY(to), 3);
	pair = known->last;
	if (pair == NULL || memcmp(&pair->key, &key, sizeof(key)) != 0)
	{
		pair = (Pair *) hash_search(known->pairs, &key, HASH_FIND, &found);
		if (pair == NULL)
			pair = read_rates(known, &key);
		known->last = pair;
	}
	i = find_rate(pair, PG_GETARG_DATEADT(3));
	if (i < 0)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(pair->rate[i]);
}
