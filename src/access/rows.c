/*
 * rows.c
 *	  May this user see, or change, the record with that id?
 *
 * A child is seen exactly as its parent, so the policies of children ask here
 * for the parent's row: crm.can_see_row(table, id).  What is asked is the
 * parent's own row security, by a query that is run as the user who is asking;
 * whatever policies the parent has, it obeys them, and no rule is written twice.
 * Whether it may be changed is what the parent's policy for UPDATE says.
 *
 * A few records are looked up one by one.  Where a query asks for many, all ids
 * that the user may see are fetched at once and kept as a bitmap, or a sorted
 * list where they lie far apart.  They are kept for the transaction, together
 * with the mark of the snapshot they were read through: another statement uses
 * them only if nothing can have changed.
 *
 * rows_support.c tells the planner how the child's index is used.
 */
#include "base/crm.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "rewrite/rowsecurity.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

#include "base/sort.h"
#include "access/identity_kept.h"
#include "access/rows.h"

#define SINGLE_LOOKS 32			/* looked up one by one before all are fetched */
#define LISTS 8					/* lists kept in a transaction */

/* All ids that answer a question with yes. */
typedef struct IdList
{
	RowQuestion question;
	uint64		version;		/* 0: empty place */
	MemoryContext context;
	int64		n;
	int64		low;
	int64		high;
	uint8	   *bits;			/* from low, or */
	int64	   *ids;			/* sorted */
} IdList;

/* An answer looked up for one record. */
typedef struct KnownRow
{
	int64		id;				/* hash key: must be first */
	bool		yes;
} KnownRow;

/* What a place of a query remembers; in its fn_extra. */
typedef struct RowLook
{
	RowQuestion question;
	HTAB	   *known;
	int			looks;
	IdList	   *list;
	uint64		version;
	/* of crm.can_see_record(): the table of the last name */
	char	   *subject;
	Oid			subject_relid;
	uint64		subject_news;
} RowLook;

/* What crm.subject_table_of() remembers in its place: the row last asked for. */
typedef struct SubjectLook
{
	RowQuestion question;
	int64		id;
	char	   *name;			/* of its table; NULL: none was asked for */
} SubjectLook;

static IdList lists[LISTS];
static uint64 last_version = 0;
static bool lists_watched = false;

/* ---- questions ---- */

static RowMark
current_mark(void)
{
	Snapshot	snapshot = GetActiveSnapshot();
	RowMark		mark;

	MemSet(&mark, 0, sizeof(mark));
	mark.xmin = snapshot->xmin;
	mark.xmax = snapshot->xmax;
	mark.xcnt = snapshot->xcnt;
	mark.curcid = snapshot->curcid;
	mark.completions = snapshot->snapXactCompletionCount;
	return mark;
}

RowQuestion
crm_row_question(Oid relid, bool change)
{
	RowQuestion question;

	MemSet(&question, 0, sizeof(question));
	question.relid = relid;
	question.change = change;
	question.identity = crm_identity_serial();
	question.mark = current_mark();
	return question;
}

static bool
same_question(const RowQuestion *a, const RowQuestion *b)
{
	return memcmp(a, b, sizeof(RowQuestion)) == 0;
}

/* ---- asking the table ---- */

/* Whether a policy is for the current role. */
static bool
is_policy_for_user(const RowSecurityPolicy *policy)
{
	Oid		   *roles = (Oid *) ARR_DATA_PTR(policy->roles);

	for (int i = 0; i < ARR_DIMS(policy->roles)[0]; i++)
		if (roles[i] == ACL_ID_PUBLIC || has_privs_of_role(GetUserId(), roles[i]))
			return true;
	return false;
}

/*
 * What must hold for a row that may be changed: the table's policies for
 * UPDATE, any of those that permit and all of those that restrict.  The path is
 * pinned, so every name comes out qualified.
 */
static char *
change_condition(Relation rel)
{
	StringInfoData any;
	StringInfoData all;
	ListCell   *lc;
	List	   *context;

	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, true) != RLS_ENABLED)
		return pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_UPDATE) == ACLCHECK_OK ?
			"true" : "false";
	initStringInfo(&any);
	initStringInfo(&all);
	context = deparse_context_for("p", RelationGetRelid(rel));
	foreach(lc, rel->rd_rsdesc->policies)
	{
		RowSecurityPolicy *policy = (RowSecurityPolicy *) lfirst(lc);

		char	   *condition;

		if ((policy->polcmd != 'w' && policy->polcmd != '*') || policy->qual == NULL ||
			!is_policy_for_user(policy))
			continue;
		condition = deparse_expression((Node *) policy->qual, context, false, false);
		if (policy->permissive)
			appendStringInfo(&any, "%s(%s)", any.len > 0 ? " OR " : "", condition);
		else
			appendStringInfo(&all, " AND (%s)", condition);
	}
	return any.len > 0 ? psprintf("(%s)%s", any.data, all.data) : "false";
}

/* The table of a question with the condition; NULL where it has no such rows. */
static char *
question_source(const RowQuestion *question)
{
	Relation	rel = try_table_open(question->relid, AccessShareLock);
	char	   *source;

	if (rel == NULL)
		return NULL;
	if (crm_typed_column(RelationGetDescr(rel), "tenant_id", INT8OID) == InvalidAttrNumber ||
		crm_typed_column(RelationGetDescr(rel), "id", INT8OID) == InvalidAttrNumber)
	{
		table_close(rel, NoLock);
		return NULL;
	}
	source = psprintf("%s AS p WHERE (%s) AND p.tenant_id OPERATOR(pg_catalog.=) $1",
					  crm_qualified_name(RelationGetRelid(rel)),
					  question->change ? change_condition(rel) : "true");
	table_close(rel, NoLock);
	return source;
}

/*
 * Run a query about a question as the user who asks, and give its only value.
 * The query's text is "before" source "after".
 */
static Datum
ask_rows(const RowQuestion *question, const char *before, const char *after, int64 id,
		 MemoryContext context, bool *isnull)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		values[2];
	CrmOwnerSwitch saved;
	Datum		result = (Datum) 0;
	bool		no_tenant;
	char	   *source;

	*isnull = true;
	values[0] = Int64GetDatum(crm_current_tenant(&no_tenant));
	values[1] = Int64GetDatum(id);
	if (no_tenant)
		return result;
	crm_connect_as(crm_current_role(), &saved);
	source = question_source(question);
	if (source != NULL)
	{
		crm_execute_variant(psprintf("%s%s%s", before, source, after), 2, types, values, NULL,
							true, 0);
		if (SPI_processed > 0)
		{
			Datum		value = crm_spi_value(0, 1, isnull);

			if (!*isnull)
			{
				MemoryContext inner = MemoryContextSwitchTo(context);

				result = SPI_gettypeid(SPI_tuptable->tupdesc, 1) == INT8ARRAYOID ?
					PointerGetDatum(DatumGetArrayTypePCopy(value)) : value;
				MemoryContextSwitchTo(inner);
			}
		}
	}
	crm_disconnect_self(&saved);
	return result;
}

/* How many rows the planner takes the user to see, by its statistics; -1: not known. */
double
crm_expected_rows(const RowQuestion *question)
{
	static const Oid types[] = {INT8OID};
	CrmOwnerSwitch saved;
	double		rows = -1;
	bool		no_tenant;
	char	   *source;

	(void) crm_current_tenant(&no_tenant);
	if (no_tenant)
		return 0;
	crm_connect_as(crm_current_role(), &saved);
	source = question_source(question);
	if (source != NULL)
		rows = crm_planned_rows(psprintf("SELECT FROM %s", source), 1, types);
	crm_disconnect_self(&saved);
	return rows;
}

static bool
ask_for_one(const RowQuestion *question, int64 id)
{
	bool		isnull;

	(void) ask_rows(question, "SELECT true FROM ", " AND p.id OPERATOR(pg_catalog.=) $2", id,
					CurrentMemoryContext, &isnull);
	return !isnull;
}

/* ---- all of them ---- */

static void
forget_list(IdList *list)
{
	if (list->version != 0)
		MemoryContextDelete(list->context);
	MemSet(list, 0, sizeof(IdList));
}

/* The transaction ends, and the lists' memory with it. */
static void
forget_lists(void *arg)
{
	MemSet(lists, 0, sizeof(lists));
	lists_watched = false;
}

static void
watch_lists(void)
{
	MemoryContextCallback *callback;

	if (lists_watched)
		return;
	callback = MemoryContextAllocZero(TopTransactionContext, sizeof(MemoryContextCallback));
	callback->func = forget_lists;
	MemoryContextRegisterResetCallback(TopTransactionContext, callback);
	lists_watched = true;
}

/* Put ids into the form that is quickest to look into. */
static void
arrange_ids(IdList *list, const int64 *ids, int64 n)
{
	bool		dense;

	list->n = n;
	if (n == 0)
		return;
	list->low = list->high = ids[0];
	for (int64 i = 1; i < n; i++)
	{
		list->low = Min(list->low, ids[i]);
		list->high = Max(list->high, ids[i]);
	}
	/* a bitmap takes no more than twice the memory of the list */
	dense = list->low >= 0 && list->high - list->low < n * 128;
	if (dense)
	{
		list->bits = MemoryContextAllocExtended(list->context, (list->high - list->low) / 8 + 1,
												MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		for (int64 i = 0; i < n; i++)
			list->bits[(ids[i] - list->low) / 8] |= 1 << ((ids[i] - list->low) % 8);
		return;
	}
	list->ids = MemoryContextAllocHuge(list->context, sizeof(int64) * n);
	memcpy(list->ids, ids, sizeof(int64) * n);
	crm_sort(list->ids, n, sizeof(int64), crm_compare_ids);
}

static bool
is_listed(const IdList *list, int64 id)
{
	if (list->n == 0 || id < list->low || id > list->high)
		return false;
	if (list->bits != NULL)
		return (list->bits[(id - list->low) / 8] >> ((id - list->low) % 8)) & 1;
	return bsearch(&id, list->ids, list->n, sizeof(int64), crm_compare_ids) != NULL;
}

/* The list of a question, fetched where it is not there; the oldest makes place. */
static IdList *
list_of(const RowQuestion *question)
{
	IdList	   *place = &lists[0];
	IdList		list;
	Datum		found;
	bool		isnull;

	for (int i = 0; i < LISTS; i++)
	{
		if (lists[i].version != 0 && same_question(&lists[i].question, question))
			return &lists[i];
		if (lists[i].version < place->version)
			place = &lists[i];
	}
	MemSet(&list, 0, sizeof(list));
	list.question = *question;
	/* below the caller's until nothing can go wrong any more */
	list.context = AllocSetContextCreate(CurrentMemoryContext, "crm visible rows",
										 ALLOCSET_DEFAULT_SIZES);
	found = ask_rows(question, "SELECT pg_catalog.array_agg(p.id) FROM ", " AND $2 IS NOT NULL",
					 0, list.context, &isnull);
	if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(found);

		arrange_ids(&list, (int64 *) ARR_DATA_PTR(array),
					ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)));
		pfree(array);
	}
	watch_lists();
	forget_list(place);
	MemoryContextSetParent(list.context, TopTransactionContext);
	list.version = ++last_version;
	*place = list;
	crm_remember_count(question, list.n);
	return place;
}

/* ---- answering ---- */

static RowLook *
look_of(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(RowLook));
	return (RowLook *) fcinfo->flinfo->fn_extra;
}

static void
start_look(RowLook *look, const RowQuestion *question, MemoryContext context)
{
	HASHCTL		ctl = {0};

	if (look->known != NULL)
		hash_destroy(look->known);
	ctl.keysize = sizeof(int64);
	ctl.entrysize = sizeof(KnownRow);
	ctl.hcxt = context;
	look->known = hash_create("crm looked-up rows", SINGLE_LOOKS, &ctl,
							  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	look->question = *question;
	look->looks = 0;
	look->list = NULL;
}

static bool
answer_for_row(FunctionCallInfo fcinfo, Oid relid, int64 id, bool change)
{
	RowLook    *look = look_of(fcinfo);
	RowQuestion question = crm_row_question(relid, change);
	KnownRow   *known;
	bool		yes;

	if (look->known == NULL || !same_question(&look->question, &question))
		start_look(look, &question, fcinfo->flinfo->fn_mcxt);
	if (look->list != NULL && look->list->version == look->version)
		return is_listed(look->list, id);
	known = (KnownRow *) hash_search(look->known, &id, HASH_FIND, NULL);
	if (known != NULL)
		return known->yes;
	if (look->looks >= SINGLE_LOOKS)
	{
		IdList	   *list = list_of(&question);

		look->list = list;
		look->version = list->version;
		return is_listed(list, id);
	}
	look->looks++;
	yes = ask_for_one(&question, id);
	/* the question may have met this very place again meanwhile: nothing is held across it */
	known = (KnownRow *) hash_search(look->known, &id, HASH_ENTER, NULL);
	known->yes = yes;
	return yes;
}

PG_FUNCTION_INFO_V1(crm_can_see_row);

/* crm.can_see_row(relation, id) -> boolean */
Datum
crm_can_see_row(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(answer_for_row(fcinfo, PG_GETARG_OID(0), PG_GETARG_INT64(1), false));
}

PG_FUNCTION_INFO_V1(crm_can_change_row);

/* crm.can_change_row(relation, id) -> boolean */
Datum
crm_can_change_row(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(crm_current_access() >= CRM_ACCESS_AGENT &&
				   answer_for_row(fcinfo, PG_GETARG_OID(0), PG_GETARG_INT64(1), true));
}

/* The table that a name means, as crm.registry has it; InvalidOid: none. */
static Oid
subject_relid(FunctionCallInfo fcinfo, text *name)
{
	RowLook    *look = look_of(fcinfo);
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {PointerGetDatum(name)};
	CrmOwnerSwitch saved;
	bool		isnull;
	uint64		news = crm_config_news();

	if (look->subject != NULL && look->subject_news == news &&
		strlen(look->subject) == VARSIZE_ANY_EXHDR(name) &&
		memcmp(look->subject, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)) == 0)
		return look->subject_relid;
	crm_connect_as(crm_table_owner(crm_table_oid("registry", false)), &saved);
	crm_execute("SELECT r.relation::pg_catalog.oid FROM crm.registry AS r"
				" WHERE r.subject OPERATOR(pg_catalog.=) $1", 1, types, values, NULL, true, 1);
	look->subject_relid = SPI_processed > 0 ?
		DatumGetObjectId(crm_spi_value(0, 1, &isnull)) : InvalidOid;
	crm_disconnect_self(&saved);
	if (look->subject != NULL)
		pfree(look->subject);
	look->subject = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, text_to_cstring(name));
	look->subject_news = news;
	return look->subject_relid;
}

PG_FUNCTION_INFO_V1(crm_can_see_record);

/*
 * crm.can_see_record(subject_table, id) -> boolean
 *
 * By the name of a table.  What is about no table belongs to the company.
 */
Datum
crm_can_see_record(PG_FUNCTION_ARGS)
{
	Oid			relid = subject_relid(fcinfo, PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(!OidIsValid(relid) || answer_for_row(fcinfo, relid, PG_GETARG_INT64(1), false));
}

PG_FUNCTION_INFO_V1(crm_can_change_record);

/* crm.can_change_record(subject_table, id) -> boolean */
Datum
crm_can_change_record(PG_FUNCTION_ARGS)
{
	Oid			relid = subject_relid(fcinfo, PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(crm_current_access() >= CRM_ACCESS_AGENT &&
				   (!OidIsValid(relid) || answer_for_row(fcinfo, relid, PG_GETARG_INT64(1), true)));
}

PG_FUNCTION_INFO_V1(crm_subject_table_of);

/* crm.subject_table_of(relation, id) -> text: what the row's column subject_table says */
Datum
crm_subject_table_of(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID};
	SubjectLook *look = fcinfo->flinfo->fn_extra;
	RowQuestion question = crm_row_question(PG_GETARG_OID(0), false);
	CrmOwnerSwitch saved;
	Datum		values[2];
	char	   *name = NULL;
	char	   *source;
	bool		isnull;

	if (look == NULL)
		look = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
																 sizeof(SubjectLook));
	if (look->name != NULL && look->id == PG_GETARG_INT64(1) &&
		same_question(&look->question, &question))
		PG_RETURN_TEXT_P(cstring_to_text(look->name));
	values[0] = Int64GetDatum(crm_current_tenant(&isnull));
	values[1] = Int64GetDatum(PG_GETARG_INT64(1));
	/* any number may be called a regclass */
	if (isnull || get_rel_relkind(PG_GETARG_OID(0)) == '\0')
		PG_RETURN_NULL();
	crm_connect_as(crm_table_owner(PG_GETARG_OID(0)), &saved);
	source = question_source(&question);
	if (source != NULL)
	{
		crm_execute_variant(psprintf("SELECT p.subject_table FROM %s"
									 " AND p.id OPERATOR(pg_catalog.=) $2", source), 2, types, values, NULL, true, 1);
		if (SPI_processed > 0)
			name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
		if (name != NULL)
			name = MemoryContextStrdup(fcinfo->flinfo->fn_mcxt, name);
	}
	crm_disconnect_self(&saved);
	if (name == NULL)
		PG_RETURN_NULL();
	if (look->name != NULL)
		pfree(look->name);
	look->name = name;
	look->id = PG_GETARG_INT64(1);
	look->question = question;
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

PG_FUNCTION_INFO_V1(crm_visible_ids);

/* crm.visible_ids(relation) -> bigint[] */
Datum
crm_visible_ids(PG_FUNCTION_ARGS)
{
	RowQuestion question = crm_row_question(PG_GETARG_OID(0), false);
	IdList	   *list = list_of(&question);
	Datum	   *ids;
	int64		n = 0;

	if (list->n > MaxAllocSize / (2 * sizeof(Datum)))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("there are too many visible rows to list")));
	ids = palloc(sizeof(Datum) * Max(list->n, 1));
	if (list->bits != NULL)
	{
		/* counted from the lowest one: an id past the highest may be no int64 */
		for (uint64 at = 0; at <= (uint64) list->high - (uint64) list->low; at++)
		{
			int64		id = (int64) ((uint64) list->low + at);

			if (at % 65536 == 0)
				CHECK_FOR_INTERRUPTS();
			if (is_listed(list, id))
				ids[n++] = Int64GetDatum(id);
		}
	}
	else
		for (; n < list->n; n++)
			ids[n] = Int64GetDatum(list->ids[n]);
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, (int) n, INT8OID, 8, FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}
