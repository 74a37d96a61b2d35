/*
 * outbound.c
 *	  The guard of crm.outbound_messages: no consent, no message, whoever writes.
 *
 * A message is entered as queued and judged where it is entered; COPY, MERGE
 * and programs of any kind meet the same trigger.  One that may not go is
 * refused, or kept as suppressed with the reason, as the company has said.  It
 * is judged again when it comes back to the queue, or goes elsewhere or for
 * something else, and when it is given out (sql/marketing/code/57_claims.sql).
 *
 * Where it has got to is written by functions of the CRM alone, which run as
 * the owner; others may cancel, queue again and correct what is still queued.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "marketing/contact.h"

typedef struct Message
{
	CrmContactQuestion question;
	const char *state;
	const char *address;
	bool		complete;		/* nothing is missing that is judged */
} Message;

static char *
message_text(HeapTuple tuple, TupleDesc desc, const char *column)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, crm_typed_column(desc, column, TEXTOID), desc, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static void
read_message(HeapTuple tuple, TupleDesc desc, Message *m)
{
	bool		no_tenant,
				no_id;

	m->question.tenant =
		DatumGetInt64(heap_getattr(tuple, crm_typed_column(desc, "tenant_id", INT8OID), desc,
								   &no_tenant));
	m->question.subject_id =
		DatumGetInt64(heap_getattr(tuple, crm_typed_column(desc, "subject_id", INT8OID), desc,
								   &no_id));
	m->question.subject_table = message_text(tuple, desc, "subject_table");
	m->question.purpose = message_text(tuple, desc, "purpose");
	m->question.channel = message_text(tuple, desc, "channel");
	m->question.address_key = NULL;
	m->address = message_text(tuple, desc, "address");
	m->state = message_text(tuple, desc, "state");
	m->complete = !no_tenant && !no_id && m->question.subject_table != NULL &&
		m->question.purpose != NULL && m->question.channel != NULL && m->address != NULL &&
		m->state != NULL;
}

/* Whether the caller sees the person; an answer about others would tell of them. */
static bool
sees_person(const Message *m)
{
	static const Oid types[] = {TEXTOID, INT8OID};
	Datum		values[2] = {CStringGetTextDatum(m->question.subject_table),
	Int64GetDatum(m->question.subject_id)};
	bool		isnull;
	bool		seen;

	crm_connect();
	(void) crm_execute("SELECT crm.can_see_record($1, $2)", 2, types, values, NULL, true, 1);
	seen = DatumGetBool(crm_spi_value(0, 1, &isnull)) && !isnull;
	crm_disconnect();
	return seen;
}

/*
 * Judges a message and writes down what was found: the address in its normal
 * form, the statement it rests on, the reason where it is kept back.
 */
static HeapTuple
judge_message(Relation rel, HeapTuple tuple, Message *m, bool may_divert)
{
	TupleDesc	desc = RelationGetDescr(rel);
	CrmContactAnswer answer = {.known = true};
	int			columns[4];
	Datum		values[4] = {0};
	bool		nulls[4] = {false, false, false, false};

	m->question.address_key = crm_address_key(m->question.tenant, m->question.channel, m->address);
	if (m->question.address_key == NULL)
		answer.reason = psprintf("no address of channel %s", m->question.channel);
	else
		answer = crm_may_contact_now(&m->question);
	/* an unknown purpose is refused by its foreign key */
	if (!answer.known)
		return tuple;
	if (!answer.allowed && !(may_divert && crm_diverts(m->question.tenant)))
	{
		bool		told = sees_person(m);

		ereport(ERROR,
				(errcode(ERRCODE_CRM_CONSENT_MISSING),
				 errmsg("no message for \"%s\" may go to this person by %s", m->question.purpose,
						m->question.channel),
				 told ? errdetail("Row " INT64_FORMAT " of \"%s\": %s.", m->question.subject_id,
								  m->question.subject_table, answer.reason) : 0,
				 errhint("crm.may_contact() says what holds; crm.record_consent() writes down what"
						 " a person says."),
				 errtable(rel)));
	}
	columns[0] = crm_typed_column(desc, "address_key", TEXTOID);
	nulls[0] = m->question.address_key == NULL;
	if (!nulls[0])
		values[0] = CStringGetTextDatum(m->question.address_key);
	columns[1] = crm_typed_column(desc, "consent_id", INT8OID);
	values[1] = Int64GetDatum(answer.statement);
	nulls[1] = !answer.has_statement;
	columns[2] = crm_typed_column(desc, "reason", TEXTOID);
	nulls[2] = answer.allowed;
	if (!answer.allowed)
		values[2] = CStringGetTextDatum(answer.reason);
	columns[3] = crm_typed_column(desc, "state", TEXTOID);
	values[3] = CStringGetTextDatum(answer.allowed ? "queued" : "suppressed");
	return heap_modify_tuple_by_cols(tuple, desc, 4, columns, values, nulls);
}

static bool
acts_as_owner(Relation rel)
{
	return has_privs_of_role(GetUserId(), rel->rd_rel->relowner);
}

/* Which state may follow which: by anybody who may change the message, or by the owner alone. */
static bool
may_become(const char *from, const char *to, bool owner)
{
	static const struct
	{
		const char *from;
		const char *to;
		bool		owner;
	}			known[] = {
		{"queued", "cancelled", false}, {"suppressed", "queued", false},
		{"cancelled", "queued", false}, {"failed", "queued", false},
		{"suppressed", "cancelled", false}, {"failed", "cancelled", false},
		{"queued", "sending", true}, {"queued", "suppressed", true}, {"queued", "failed", true},
		{"sending", "queued", true}, {"sending", "sent", true}, {"sending", "failed", true},
		{"sending", "suppressed", true}, {"sending", "uncertain", true},
		{"uncertain", "sending", true},
		{"uncertain", "sent", true}, {"uncertain", "queued", true}, {"uncertain", "failed", true},
	};

	for (int i = 0; i < lengthof(known); i++)
		if (strcmp(known[i].from, from) == 0 && strcmp(known[i].to, to) == 0)
			return owner || !known[i].owner;
	return false;
}

/* What a message says and to whom, which stands once it has left the queue. */
static bool
says_the_same(HeapTuple a, HeapTuple b, TupleDesc desc)
{
	static const char *const columns[] = {"purpose", "channel", "address", "subject", "body",
	"dedupe_key"};

	for (int i = 0; i < lengthof(columns); i++)
	{
		char	   *x = message_text(a, desc, columns[i]);
		char	   *y = message_text(b, desc, columns[i]);

		if ((x == NULL) != (y == NULL) || (x != NULL && strcmp(x, y) != 0))
			return false;
	}
	return true;
}

static HeapTuple
check_change(TriggerData *trigdata)
{
	Relation	rel = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	HeapTuple	tuple = trigdata->tg_newtuple;
	bool		owner = acts_as_owner(rel);
	Message		was,
				is;
	bool		elsewhere;

	read_message(trigdata->tg_trigtuple, desc, &was);
	read_message(tuple, desc, &is);
	if (!is.complete || !was.complete)
		return tuple;
	if (strcmp(was.state, is.state) != 0 && !may_become(was.state, is.state, owner))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a message that is %s cannot become %s", was.state, is.state),
				 errhint("Others than the functions of the CRM may cancel a message, or queue one"
						 " again that was not sent."),
				 errtable(rel)));
	if (strcmp(was.state, "queued") != 0 && strcmp(is.state, "queued") != 0 && !owner &&
		!says_the_same(trigdata->tg_trigtuple, tuple, desc))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what a message says stands once it has left the queue"),
				 errhint("Cancel it, and queue another."),
				 errtable(rel)));
	elsewhere = strcmp(was.question.purpose, is.question.purpose) != 0 ||
		strcmp(was.question.channel, is.question.channel) != 0 ||
		strcmp(was.address, is.address) != 0;
	/* one that was given out and comes back for another try is judged when it is given out again */
	if (strcmp(is.state, "queued") == 0 &&
		(elsewhere || (strcmp(was.state, "queued") != 0 && strcmp(was.state, "sending") != 0)))
		return judge_message(rel, tuple, &is, false);
	return tuple;
}

PG_FUNCTION_INFO_V1(crm_guard_message);

/* crm.guard_message() -- BEFORE INSERT OR UPDATE OR DELETE row trigger of crm.outbound_messages */
Datum
crm_guard_message(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Message		m;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired before each row", "crm.guard_message")));
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
		return PointerGetDatum(check_change(trigdata));
	read_message(trigdata->tg_trigtuple, RelationGetDescr(trigdata->tg_relation), &m);
	if (TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
	{
		if (m.state != NULL && !acts_as_owner(trigdata->tg_relation) &&
			(strcmp(m.state, "sent") == 0 || strcmp(m.state, "sending") == 0 ||
			 strcmp(m.state, "uncertain") == 0))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("a message that is %s cannot be deleted", m.state),
					 errhint("It is the proof of what was written to the person."),
					 errtable(trigdata->tg_relation)));
		return PointerGetDatum(trigdata->tg_trigtuple);
	}
	if (!m.complete)
		return PointerGetDatum(trigdata->tg_trigtuple);
	/* what was sent before there was a CRM is written down as it was */
	if (crm_history_reason[0] != '\0' && strcmp(m.state, "queued") != 0 &&
		strcmp(m.state, "sending") != 0 && strcmp(m.state, "uncertain") != 0)
		return PointerGetDatum(trigdata->tg_trigtuple);
	if (strcmp(m.state, "queued") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a message cannot be entered as %s", m.state),
				 errhint("Enter it as queued; messages of the past are entered after crm.begin_history()."),
				 errtable(trigdata->tg_relation)));
	return PointerGetDatum(judge_message(trigdata->tg_relation, trigdata->tg_trigtuple, &m, true));
}
