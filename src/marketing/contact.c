/*
 * contact.c
 *	  May this person be written to, for this purpose, by this channel, at this
 *	  address?
 *
 * Everybody who asks gets the answer from here: crm.may_contact(), the trigger
 * of the outbox, and those who give messages out.  A suppression of the address
 * is the strongest, then the last statement of the person, then whether the
 * purpose needs consent; none of it counts for a person whose data is not to be
 * used at all.
 *
 * Asked about now, the answer counts at the moment it is given.  It is read
 * through the newest snapshot, whatever the statement or transaction of the
 * caller sees, and after waiting for withdrawals and suppressions that others
 * are writing; from indexes directly, where the tables are as the CRM made
 * them (contact_scan.c), else by a query.  Nothing is kept of that wait: a transaction that enters
 * a million messages must not stop somebody from leaving.  Who leaves after the
 * answer is found when the message is given out, where it is asked again.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "access/addresses.h"
#include "marketing/contact.h"
#include "people/tenant.h"

#define STATEMENTS "statements about consent"
#define SUPPRESSIONS "suppressed addresses"

/* what follows $7, the instant, is of past answers; the last statement is the first of its kind */
#define STATEMENT_SQL \
	" LEFT JOIN LATERAL (SELECT c.id, c.state, c.stated_at, c.address_key FROM crm.consents AS c" \
	" WHERE c.tenant_id OPERATOR(pg_catalog.=) $1 AND c.subject_table OPERATOR(pg_catalog.=) $2" \
	" AND c.subject_id OPERATOR(pg_catalog.=) $3 AND c.purpose OPERATOR(pg_catalog.=) $4" \
	" AND c.channel OPERATOR(pg_catalog.=) $5 AND c.stated_at OPERATOR(pg_catalog.<=) $7" \
	" ORDER BY c.stated_at DESC, c.state OPERATOR(pg_catalog.=) 'withdrawn' DESC, c.id DESC LIMIT 1) AS c ON true"
#define SUPPRESSED_SQL \
	" LEFT JOIN LATERAL (SELECT s.reason, s.suppressed_at FROM crm.suppressions AS s" \
	" WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.channel OPERATOR(pg_catalog.=) $5" \
	" AND s.address_key OPERATOR(pg_catalog.=) $6 AND "
/* consent that names no address is for those of the person */
#define THEIRS_SQL \
	" CASE WHEN $6 IS NULL OR c.state OPERATOR(pg_catalog.<>) 'given' OR c.address_key OPERATOR(pg_catalog.=) $6 THEN true" \
	" WHEN c.address_key IS NOT NULL THEN false" \
	" WHEN $2 OPERATOR(pg_catalog.=) 'contacts' THEN EXISTS (SELECT FROM crm.contact_points AS p" \
	" WHERE p.tenant_id OPERATOR(pg_catalog.=) $1 AND p.value_key OPERATOR(pg_catalog.=) $6" \
	" AND p.contact_id OPERATOR(pg_catalog.=) $3)" \
	" ELSE EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id OPERATOR(pg_catalog.=) $1" \
	" AND l.id OPERATOR(pg_catalog.=) $3 AND $6 OPERATOR(pg_catalog.=) ANY (ARRAY[l.email_key, l.phone_key])) END"
#define ANSWER_SQL \
	"SELECT c.state, c.stated_at, c.id, s.reason, s.suppressed_at," THEIRS_SQL " FROM (SELECT) AS one"

/* ---- purposes ---- */

typedef struct Purpose
{
	NameData	code;
	bool		needs_consent;
	bool		active;
} Purpose;

typedef struct Purposes
{
	bool		divert;
	int			n;
	Purpose		purposes[FLEXIBLE_ARRAY_MEMBER];
} Purposes;

static void *
build_purposes(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(*(const int64 *) key)};
	Purposes   *made;
	bool		isnull;

	crm_read_config("SELECT p.code, p.needs_consent, p.active FROM crm.message_purposes AS p"
					" WHERE p.tenant_id OPERATOR(pg_catalog.=) $1", 1, types, values);
	made = MemoryContextAllocZero(context, offsetof(Purposes, purposes) +
								  sizeof(Purpose) * SPI_processed);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Purpose    *p = &made->purposes[made->n];
		char	   *code = TextDatumGetCString(crm_spi_value(i, 1, &isnull));

		/* a name has an end; purposes of longer ones are as if they were not there */
		if (strlen(code) >= NAMEDATALEN)
			continue;
		namestrcpy(&p->code, code);
		p->needs_consent = DatumGetBool(crm_spi_value(i, 2, &isnull));
		p->active = DatumGetBool(crm_spi_value(i, 3, &isnull));
		made->n++;
	}
	crm_read_config("SELECT true FROM crm.sending_settings AS s"
					" WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.without_consent OPERATOR(pg_catalog.=) 'divert'", 1, types, values);
	made->divert = SPI_processed > 0;
	return made;
}

static CrmKept kept_purposes = {
	.what = "purposes of messages",
	.tables = {"message_purposes", "sending_settings"},
	.build = build_purposes,
};

/* Whether messages without consent are kept as suppressed instead of being refused. */
bool
crm_diverts(int64 tenant)
{
	const Purposes *p = crm_kept_peek(&kept_purposes, &tenant, sizeof(tenant));

	return p != NULL && p->divert;
}

static bool
find_purpose(int64 tenant, const char *code, Purpose *found)
{
	const Purposes *p = crm_kept_peek(&kept_purposes, &tenant, sizeof(tenant));

	for (int i = 0; p != NULL && i < p->n; i++)
		if (strcmp(NameStr(p->purposes[i].code), code) == 0)
		{
			*found = p->purposes[i];
			return true;
		}
	return false;
}

/* An address in its normal form, NULL where it is none; numbers may be of the tenant's country. */
const char *
crm_address_key(int64 tenant, const char *channel, const char *address)
{
	const CrmTenant *settings = crm_tenant_settings(tenant);
	const char *kind = strcmp(channel, "sms") == 0 ? "mobile" : channel;
	LOCAL_FCINFO(fcinfo, 3);
	Datum		key;

	InitFunctionCallInfoData(*fcinfo, NULL, 3, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(kind);
	fcinfo->args[1].value = CStringGetTextDatum(address);
	fcinfo->args[2].value = CStringGetTextDatum(settings != NULL ? settings->country : "");
	for (int i = 0; i < 3; i++)
		fcinfo->args[i].isnull = false;
	key = crm_contact_point_key(fcinfo);
	return fcinfo->isnull ? NULL : TextDatumGetCString(key);
}

/* ---- the answer ---- */

/* The facts from the row that SPI has: that of ANSWER_SQL. */
static void
read_contact_facts(CrmContactFacts *facts)
{
	bool		isnull[6];
	Datum		v[6];

	memset(facts, 0, sizeof(CrmContactFacts));
	for (int i = 0; i < 6; i++)
		v[i] = crm_spi_value(0, i + 1, &isnull[i]);
	if (!isnull[0])
	{
		facts->state = TextDatumGetCString(v[0]);
		facts->stated_at = DatumGetTimestampTz(v[1]);
		facts->statement = DatumGetInt64(v[2]);
	}
	if (!isnull[3])
	{
		facts->suppressed = TextDatumGetCString(v[3]);
		facts->suppressed_at = DatumGetTimestampTz(v[4]);
	}
	facts->theirs = !isnull[5] && DatumGetBool(v[5]);
}

static CrmContactAnswer
judge_facts(const Purpose *purpose, const CrmContactFacts *facts)
{
	CrmContactAnswer answer = {.known = true};

	if (facts->suppressed != NULL)
	{
		answer.reason = psprintf("suppressed: %s", facts->suppressed);
		answer.has_since = true;
		answer.since = facts->suppressed_at;
		return answer;
	}
	if (!purpose->active)
	{
		answer.reason = "purpose is off";
		return answer;
	}
	if (facts->state != NULL)
	{
		answer.has_since = answer.has_statement = true;
		answer.since = facts->stated_at;
		answer.statement = facts->statement;
	}
	if (facts->state != NULL && strcmp(facts->state, "withdrawn") == 0)
		answer.reason = "withdrawn";
	else if (!purpose->needs_consent)
	{
		answer.allowed = true;
		answer.reason = "no consent needed";
	}
	else if (facts->state == NULL)
		answer.reason = "never given";
	else if (strcmp(facts->state, "given") != 0)
		answer.reason = "not confirmed";
	else if (!facts->theirs)
		answer.reason = "given for another address";
	else
	{
		answer.allowed = true;
		answer.reason = "given";
	}
	return answer;
}

/*
 * Whether data of the person is not to be used at an instant (crm.restrict_person):
 * the answer then, which is of no channel and no purpose.  Companies that have
 * restricted nobody, as most, are asked nothing.
 */
static bool
answer_restricted(const CrmContactQuestion *q, TimestampTz at, bool now, CrmContactAnswer *answer)
{
	static const char *const sql =
		"SELECT r.restricted_at FROM crm.person_restrictions AS r"
		" WHERE r.tenant_id OPERATOR(pg_catalog.=) $1 AND r.subject_table OPERATOR(pg_catalog.=) $2"
		" AND r.subject_id OPERATOR(pg_catalog.=) $3 AND r.restricted_at OPERATOR(pg_catalog.<=) $4"
		" AND (r.until IS NULL OR r.until OPERATOR(pg_catalog.>) $4)"
		" AND (r.lifted_at IS NULL OR r.lifted_at OPERATOR(pg_catalog.>) $4)"
		" ORDER BY r.restricted_at LIMIT 1";
	static const Oid types[] = {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	const char *kept = crm_kept_text_of("restrictions_of", psprintf(INT64_FORMAT, q->tenant));
	Datum		values[4];
	CrmOwnerSwitch saved;
	bool		isnull;
	bool		restricted;

	if (kept != NULL && strcmp(kept, "none") == 0)
		return false;
	values[0] = Int64GetDatum(q->tenant);
	values[1] = CStringGetTextDatum(q->subject_table);
	values[2] = Int64GetDatum(q->subject_id);
	values[3] = TimestampTzGetDatum(at);
	crm_connect_as(crm_kept_owner(&kept_purposes), &saved);
	if (now)
		crm_read_newest(sql, lengthof(types), types, values, 1);
	else
		(void) crm_execute(sql, lengthof(types), types, values, NULL, true, 1);
	restricted = SPI_processed > 0;
	if (restricted)
	{
		answer->reason = "restricted";
		answer->has_since = true;
		answer->since = DatumGetTimestampTz(crm_spi_value(0, 1, &isnull));
	}
	crm_disconnect_self(&saved);
	return restricted;
}

/*
 * Now: what is under way is waited for, then the newest is read.  As of an
 * instant: what the caller's snapshot sees.
 */
static CrmContactAnswer
answer_question(const CrmContactQuestion *q, const TimestampTz *as_of)
{
	static const Oid types[] = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID};
	Datum		values[7];
	char		nulls[8] = "       ";
	CrmContactAnswer answer = {0};
	CrmContactFacts facts;
	CrmOwnerSwitch saved;
	MemoryContext caller = CurrentMemoryContext;
	Purpose		purpose;
	TimestampTz at = as_of != NULL ? *as_of : GetCurrentTimestamp();

	if (!find_purpose(q->tenant, q->purpose, &purpose))
		return answer;
	if (as_of == NULL)
	{
		crm_await_changes(STATEMENTS, q->tenant, psprintf("%s:" INT64_FORMAT, q->subject_table,
														  q->subject_id));
		if (q->address_key != NULL)
			crm_await_changes(SUPPRESSIONS, q->tenant, psprintf("%s:%s", q->channel,
																q->address_key));
		/* a wait may have been long, and what was said meanwhile counts */
		at = GetCurrentTimestamp();
	}
	if (answer_restricted(q, at, as_of == NULL, &answer))
	{
		answer.known = true;
		return answer;
	}
	if (as_of == NULL)
	{
		if (q->address_key != NULL && crm_scan_contact(q, at, &facts))
			return judge_facts(&purpose, &facts);
	}
	values[0] = Int64GetDatum(q->tenant);
	values[1] = CStringGetTextDatum(q->subject_table);
	values[2] = Int64GetDatum(q->subject_id);
	values[3] = CStringGetTextDatum(q->purpose);
	values[4] = CStringGetTextDatum(q->channel);
	values[5] = q->address_key != NULL ? CStringGetTextDatum(q->address_key) : (Datum) 0;
	values[6] = TimestampTzGetDatum(at);
	if (q->address_key == NULL)
		nulls[5] = 'n';
	crm_connect_as(crm_kept_owner(&kept_purposes), &saved);
	if (as_of == NULL && q->address_key != NULL)
		crm_read_newest(ANSWER_SQL STATEMENT_SQL SUPPRESSED_SQL
						"s.lifted_at IS NULL ORDER BY s.reason LIMIT 1) AS s ON true", 7,
						types, values, 1);
	else
		(void) crm_execute(ANSWER_SQL STATEMENT_SQL SUPPRESSED_SQL
						   "s.suppressed_at OPERATOR(pg_catalog.<=) $7"
						   " AND (s.lifted_at IS NULL OR s.lifted_at OPERATOR(pg_catalog.>) $7)"
						   " ORDER BY s.suppressed_at, s.id LIMIT 1) AS s ON true",
						   7, types, values, nulls, true, 1);
	read_contact_facts(&facts);
	answer = judge_facts(&purpose, &facts);
	if (answer.reason != NULL)
		answer.reason = MemoryContextStrdup(caller, answer.reason);
	crm_disconnect_self(&saved);
	return answer;
}

CrmContactAnswer
crm_may_contact_now(const CrmContactQuestion *question)
{
	Assert(question->address_key != NULL);
	return answer_question(question, NULL);
}

PG_FUNCTION_INFO_V1(crm_contact_decision);

/*
 * crm.contact_decision(tenant_id, subject_table, subject_id, purpose, channel,
 * address_key, as_of) -> (allowed, reason, since, consent_id); NULL where there
 * is no such purpose
 */
Datum
crm_contact_decision(PG_FUNCTION_ARGS)
{
	TupleDesc	desc = crm_result_row(fcinfo);
	CrmContactQuestion q;
	CrmContactAnswer answer;
	TimestampTz as_of = 0;
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, true, true};

	for (int i = 0; i < 5; i++)
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
	q.tenant = PG_GETARG_INT64(0);
	q.subject_table = text_to_cstring(PG_GETARG_TEXT_PP(1));
	q.subject_id = PG_GETARG_INT64(2);
	q.purpose = text_to_cstring(PG_GETARG_TEXT_PP(3));
	q.channel = text_to_cstring(PG_GETARG_TEXT_PP(4));
	q.address_key = PG_ARGISNULL(5) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(5));
	if (!PG_ARGISNULL(6))
		as_of = PG_GETARG_TIMESTAMPTZ(6);
	answer = answer_question(&q, PG_ARGISNULL(6) ? NULL : &as_of);
	if (!answer.known)
		PG_RETURN_NULL();
	values[0] = BoolGetDatum(answer.allowed);
	values[1] = CStringGetTextDatum(answer.reason);
	if (answer.has_since)
	{
		values[2] = TimestampTzGetDatum(answer.since);
		nulls[2] = false;
	}
	if (answer.has_statement)
	{
		values[3] = Int64GetDatum(answer.statement);
		nulls[3] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* ---- those who change it ---- */

PG_FUNCTION_INFO_V1(crm_announce_consent);

/*
 * crm.announce_consent() -- BEFORE row trigger of crm.consents and
 * crm.suppressions: messages are not entered past what is being written.
 */
Datum
crm_announce_consent(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	bool		statements;
	bool		isnull[3];
	Datum		tenant,
				first,
				second;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired before each row", "crm.announce_consent")));
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	statements = crm_column_number(desc, "subject_id") != InvalidAttrNumber;
	tenant = heap_getattr(tuple, crm_typed_column(desc, "tenant_id", INT8OID), desc, &isnull[0]);
	first = heap_getattr(tuple,
						 crm_typed_column(desc, statements ? "subject_table" : "channel", TEXTOID),
						 desc, &isnull[1]);
	second = statements ?
		heap_getattr(tuple, crm_typed_column(desc, "subject_id", INT8OID), desc,
					 &isnull[2]) :
		heap_getattr(tuple, crm_typed_column(desc, "address_key", TEXTOID), desc,
					 &isnull[2]);
	/* what is missing is refused by the table */
	if (isnull[0] || isnull[1] || isnull[2])
		return PointerGetDatum(tuple);
	crm_announce_change(statements ? STATEMENTS : SUPPRESSIONS, DatumGetInt64(tenant),
						statements ?
						psprintf("%s:" INT64_FORMAT, TextDatumGetCString(first),
								 DatumGetInt64(second)) :
						psprintf("%s:%s", TextDatumGetCString(first),
								 TextDatumGetCString(second)));
	return PointerGetDatum(tuple);
}
