/*
 * judge.c
 *	  All that stands against a write of a row with a stage, at once.
 *
 * The row is only turned into jsonb where a transition has a guard, and what
 * costs queries comes last.
 */
#include "process/process.h"
#include "access/identity.h"
#include "base/json.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"

static bool
is_blank(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
			return false;
	return true;
}

static bool
custom_is_filled(Move *move, HeapTuple row, const char *key, const char *name)
{
	bool		isnull;
	Datum		custom;
	JsonbValue	found;
	JsonbValue *v;

	if (move->columns->custom == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("stage \"%s\" requires \"%s\", but %s has no column \"custom\"",
						move->to->code, name, move->subject)));
	custom = crm_process_value(row, move->desc, move->columns->custom, &isnull);
	if (isnull)
		return false;
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(custom)))
		return false;
	v = crm_json_member(&DatumGetJsonbP(custom)->root, key, &found);
	if (v == NULL || v->type == jbvNull)
		return false;
	if (v->type == jbvString)
		return !is_blank(v->val.string.val, v->val.string.len);
	if (v->type == jbvBinary)
		return JsonContainerSize(v->val.binary.data) > 0;
	return true;
}

/* Has a required column a value?  Blank text and empty arrays are none. */
static bool
is_filled(Move *move, HeapTuple row, const char *name)
{
	TupleDesc	desc = move->desc;

	if (strncmp(name, "custom.", 7) == 0)
		return custom_is_filled(move, row, name + 7, name);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;
		Datum		value;

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		value = heap_getattr(row, i + 1, desc, &isnull);
		if (isnull)
			return false;
		if (att->atttypid == TEXTOID || att->atttypid == VARCHAROID || att->atttypid == BPCHAROID)
		{
			text	   *t = DatumGetTextPP(value);

			return !is_blank(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
		}
		if (OidIsValid(get_element_type(att->atttypid)))
			return ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(value)),
								  ARR_DIMS(DatumGetArrayTypeP(value))) > 0;
		return true;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stage \"%s\" requires column \"%s\", which %s does not have",
					move->to->code, name, move->subject),
			 errhint("Correct required_columns of the stage or of the transition into it.")));
	return false;
}

/* Add a name to a list that has each once. */
void
crm_process_add_name(List **names, char *name)
{
	ListCell   *cell;

	foreach(cell, *names)
		if (strcmp((char *) lfirst(cell), name) == 0)
			return;
	*names = lappend(*names, name);
}

/*
 * What a stage requires must be there when it is entered, and may not be given
 * up within it.  A row that lacks it already, as it was taken in without or the
 * requirement is newer, can still be worked on.
 */
static void
add_missing(Move *move, Verdict *verdict, char **names, int n)
{
	if (crm_incomplete_kept > 0)
		return;
	for (int i = 0; i < n; i++)
		if (!is_filled(move, move->after, names[i]) &&
			(move->moved || is_filled(move, move->before, names[i])))
			crm_process_add_name(&verdict->missing, names[i]);
}

/* The row as jsonb, as far as a condition looks at it. */
static Datum
row_for(Move *move, Datum condition)
{
	Bitmapset  *columns;

	if (!crm_path_columns(condition, move->desc, &columns))
		columns = NULL;
	else if (columns == NULL)
		columns = bms_make_singleton(0);	/* an empty set would mean all */
	return crm_row_jsonb(crm_row_shape(move->desc, columns), move->after, move->desc, false);
}

static LossReason *
find_reason(ProcessConfig *config, Datum code)
{
	text	   *t = DatumGetTextPP(code);

	for (int i = 0; i < config->nreasons; i++)
		if (strlen(config->reasons[i].code) == VARSIZE_ANY_EXHDR(t) &&
			memcmp(config->reasons[i].code, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)) == 0)
			return &config->reasons[i];
	return NULL;
}

/*
 * A lost row needs its reason when it becomes lost, and may not give it up
 * afterwards; rows imported without one can still be worked on.
 */
static void
judge_loss(Move *move, Verdict *verdict)
{
	const ProcessColumns *c = move->columns;
	bool		was_null;
	bool		isnull;
	Datum		was;
	Datum		reason;
	LossReason *known;
	bool		blank;

	if (c->loss_reason == 0 || move->to->type != STAGE_LOST)
		return;
	was = crm_process_value(move->before, move->desc, c->loss_reason, &was_null);
	reason = crm_process_value(move->after, move->desc, c->loss_reason, &isnull);
	blank = isnull || is_blank(VARDATA_ANY(DatumGetTextPP(reason)),
							   VARSIZE_ANY_EXHDR(DatumGetTextPP(reason)));
	if (blank)
	{
		if (move->moved || !was_null)
			verdict->loss_reason_missing = true;
		return;
	}
	known = find_reason(move->config, reason);
	if (known == NULL)
		return;					/* the foreign key's business */
	if (!known->active &&
		(was_null || !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, was, reason))))
		verdict->loss_reason_inactive = true;
	if (known->note_required && c->loss_note)
	{
		Datum		note = crm_process_value(move->after, move->desc, c->loss_note, &isnull);

		if (isnull || is_blank(VARDATA_ANY(DatumGetTextPP(note)),
							   VARSIZE_ANY_EXHDR(DatumGetTextPP(note))))
			verdict->loss_note_missing = true;
	}
}

/* Look for, and with use = true use up, an approval of a move */
bool
crm_process_use_approval(const char *subject, int64 tenant, int64 id, int64 stage)
{
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, INT8OID};
	Datum		values[4];
	CrmOwnerSwitch saved;
	bool		done;

	values[0] = Int64GetDatum(tenant);
	values[1] = CStringGetTextDatum(subject);
	values[2] = Int64GetDatum(id);
	values[3] = Int64GetDatum(stage);
	crm_connect_as(crm_process_periods_owner(), &saved);
	crm_execute("UPDATE crm.approvals AS a SET used_at = pg_catalog.now()"
				" WHERE a.tenant_id OPERATOR(pg_catalog.=) $1 AND a.id OPERATOR(pg_catalog.=) ("
				"SELECT pg_catalog.min(b.id) FROM crm.approvals AS b"
				" WHERE b.tenant_id OPERATOR(pg_catalog.=) $1"
				" AND b.subject_table OPERATOR(pg_catalog.=) $2"
				" AND b.subject_id OPERATOR(pg_catalog.=) $3"
				" AND b.to_stage_id OPERATOR(pg_catalog.=) $4"
				" AND b.state OPERATOR(pg_catalog.=) 'approved' AND b.used_at IS NULL)"
				" AND a.used_at IS NULL",
				4, types, values, NULL, false, 0);
	done = SPI_processed > 0;
	crm_disconnect_self(&saved);
	return done;
}

/* The best approval there is: NULL none */
static const char *
approval_state(Move *move)
{
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, INT8OID};
	Datum		values[4];
	CrmOwnerSwitch saved;
	const char *state = "needed";
	bool		isnull;

	values[0] = Int64GetDatum(move->config->tenant);
	values[1] = CStringGetTextDatum(move->subject);
	values[2] = Int64GetDatum(move->id);
	values[3] = Int64GetDatum(move->to->id);
	crm_connect_as(crm_process_periods_owner(), &saved);
	crm_execute("SELECT pg_catalog.bool_or(b.state OPERATOR(pg_catalog.=) 'approved')"
				" FROM crm.approvals AS b"
				" WHERE b.tenant_id OPERATOR(pg_catalog.=) $1"
				" AND b.subject_table OPERATOR(pg_catalog.=) $2"
				" AND b.subject_id OPERATOR(pg_catalog.=) $3"
				" AND b.to_stage_id OPERATOR(pg_catalog.=) $4"
				" AND b.state OPERATOR(pg_catalog.<>) 'rejected' AND b.used_at IS NULL",
				4, types, values, NULL, true, 1);
	if (SPI_processed > 0)
	{
		Datum		approved = crm_spi_value(0, 1, &isnull);

		if (!isnull)
			state = DatumGetBool(approved) ? "approved" : "requested";
	}
	crm_disconnect_self(&saved);
	return state;
}

/* All that stands against a write.  What costs queries comes last. */
void
crm_process_judge(Move *move, Verdict *verdict)
{
	Stage	   *to = move->to;
	Edge	   *edge = move->edge;
	bool		comes_in;		/* from elsewhere into this pipeline */

	memset(verdict, 0, sizeof(Verdict));
	if (to->nrequired > 0)
		add_missing(move, verdict, to->required, to->nrequired);
	if (to->type == STAGE_LOST)
		judge_loss(move, verdict);
	if (!move->moved)
		return;

	comes_in = move->from == NULL || move->from->pipeline != to->pipeline;
	verdict->inactive = !to->active || (!to->pipeline->active && comes_in);
	if (edge == NULL)
	{
		if (to->pipeline->strict)
			verdict->not_allowed = !(comes_in && crm_process_initial(to->pipeline) == to);
		return;
	}
	if (edge->nrequired > 0)
		add_missing(move, verdict, edge->required, edge->nrequired);
	if (edge->guard != (Datum) 0)
		verdict->guard_failed = !crm_condition_holds(row_for(move, edge->guard), edge->guard);
	if (edge->nroles >= 0)
	{
		verdict->access = crm_access_name(crm_current_access());
		verdict->role_refused = true;
		for (int i = 0; i < edge->nroles; i++)
			if (strcmp(verdict->access, edge->roles[i]) == 0)
				verdict->role_refused = false;
	}
	if (edge->approval != NULL)
		verdict->approval = approval_state(move);
}
