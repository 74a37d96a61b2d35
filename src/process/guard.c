/*
 * guard.c
 *	  crm.guard_stage(): what holds for every writer of a row with a stage.
 *
 * A write is taken in three steps, which crm.allowed_moves_of() shares: the row
 * is prepared (prepare.c), judged (judge.c), and refused or let through here.
 * All three work with the configuration that was current when the row came,
 * whatever the queries they run bring in news.
 */
#include "process/process.h"

#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/jsonpath.h"
#include "utils/rel.h"

static char *
names_joined(List *names)
{
	StringInfoData s;
	ListCell   *cell;

	initStringInfo(&s);
	foreach(cell, names)
	{
		if (s.len > 0)
			appendStringInfoString(&s, ", ");
		appendStringInfoString(&s, (char *) lfirst(cell));
	}
	return s.data;
}

static char *
allowed_stages(Move *move)
{
	List	   *names = NIL;
	Pipeline   *p = move->to->pipeline;

	for (int i = 0; i < p->nstages; i++)
	{
		Stage	   *s = &p->stages[i];

		if (!s->active || s == move->from)
			continue;
		if (crm_process_edge(p, move->from ? move->from->id : 0, s->id) != NULL ||
			(move->from == NULL && s == crm_process_initial(p)))
			names = lappend(names, s->code);
	}
	return names == NIL ? "none" : names_joined(names);
}

/* Refuse a loss without the reason or the note it needs. */
static void
refuse_loss(Move *move, Verdict *v)
{
	if (v->loss_reason_missing)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("%s needs a loss reason in stage \"%s\"", crm_process_row_name(move), move->to->code),
				 errdetail("Missing: loss_reason."),
				 errhint("Set loss_reason to a code of crm.loss_reasons.")));
	if (v->loss_note_missing)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("the loss reason of %s needs a note", crm_process_row_name(move)),
				 errdetail("Missing: loss_note."),
				 errhint("Say in loss_note what happened.")));
	if (v->loss_reason_inactive)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("the loss reason of %s is no longer in use", crm_process_row_name(move)),
				 errhint("Choose an active one of crm.loss_reasons.")));
}

static void
refuse(Move *move, Verdict *v)
{
	Stage	   *to = move->to;
	Edge	   *edge = move->edge;

	if (v->inactive)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
				 errmsg("%s cannot enter stage \"%s\" of pipeline \"%s\": it is no longer in use",
						crm_process_row_name(move), to->code, to->pipeline->code),
				 errhint("Choose an active stage: see crm.allowed_moves_of().")));
	if (v->not_allowed)
	{
		if (move->from == NULL || move->from->pipeline != to->pipeline)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
					 errmsg("%s cannot enter pipeline \"%s\" in stage \"%s\"",
							crm_process_row_name(move), to->pipeline->code, to->code),
					 errdetail("Stages to begin in: %s.", allowed_stages(move)),
					 errhint("Begin in one of these stages, then move on.")));
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
				 errmsg("%s cannot move from stage \"%s\" to \"%s\"",
						crm_process_row_name(move), move->from->code, to->code),
				 errdetail("Stages it can move to: %s.", allowed_stages(move)),
				 errhint("Move through one of these stages, or let an administrator add the move with crm.define_pipeline().")));
	}
	if (v->role_refused)
	{
		List	   *roles = NIL;

		for (int i = 0; i < edge->nroles; i++)
			roles = lappend(roles, edge->roles[i]);
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLE_NOT_ALLOWED),
				 errmsg("access level %s may not move %s to stage \"%s\"",
						v->access, crm_process_row_name(move), to->code),
				 errdetail("Levels that may: %s.", names_joined(roles)),
				 errhint("Ask somebody with one of these levels to move it.")));
	}
	if (v->missing != NIL)
	{
		if (v->loss_reason_missing)
			crm_process_add_name(&v->missing, "loss_reason");
		ereport(ERROR,
				(errcode(ERRCODE_CRM_REQUIRED_FIELDS),
				 errmsg("%s lacks what stage \"%s\" requires", crm_process_row_name(move), to->code),
				 errdetail("Missing: %s.", names_joined(v->missing)),
				 errhint("Fill these columns in the same statement.")));
	}
	refuse_loss(move, v);
	if (v->guard_failed)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_GUARD_FAILED),
				 errmsg("%s cannot move to stage \"%s\": %s", crm_process_row_name(move), to->code,
						edge->message ? edge->message : "its condition does not hold"),
				 errdetail("Condition: %s.",
						   DatumGetCString(DirectFunctionCall1(jsonpath_out, edge->guard))),
				 errhint("Change the record so that the condition holds, then move it.")));
	if (v->approval != NULL && strcmp(v->approval, "approved") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_APPROVAL_MISSING),
				 errmsg("%s needs an approval to move to stage \"%s\"", crm_process_row_name(move), to->code),
				 errdetail("Approval: %s; it takes access level %s.", v->approval, edge->approval),
				 strcmp(v->approval, "requested") == 0 ?
				 errhint("Somebody else has to decide it: crm.decide_approval().") :
				 errhint("Ask for one: crm.request_approval().")));
}

PG_FUNCTION_INFO_V1(crm_guard_stage);

/*
 * crm.guard_stage(subject) -- BEFORE INSERT OR UPDATE FOR EACH ROW, put on a
 * table by crm.attach_process().  The argument is the name its pipelines and
 * history go by, which is the same for partitions and shards.
 */
Datum
crm_guard_stage(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	const ProcessColumns *columns;
	const char *subject;
	HeapTuple	before;
	HeapTuple	after;
	ProcessConfig *config;
	Move		move;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.guard_stage must be a row trigger before INSERT or UPDATE with one argument"),
				 errhint("crm.attach_process() makes it.")));

	rel = trigdata->tg_relation;
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		before = trigdata->tg_trigtuple;
		after = trigdata->tg_newtuple;
	}
	else
	{
		before = NULL;
		after = trigdata->tg_trigtuple;
	}

	subject = trigdata->tg_trigger->tgargs[0];
	columns = crm_process_columns(rel);
	config = crm_process_config(crm_process_tenant(subject, columns, RelationGetDescr(rel), after));
	crm_process_prepare(&move, config, subject, columns, RelationGetDescr(rel), before, after);
	if (crm_bypass_reason[0] == '\0' && crm_history_reason[0] == '\0')
	{
		Verdict		verdict;

		crm_process_judge(&move, &verdict);
		refuse(&move, &verdict);
	}
	return PointerGetDatum(move.after);
}
