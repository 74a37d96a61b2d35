/*
 * points_kept.c
 *	  Score models compiled once per backend.
 *
 * A definition is an argument like any other, and a trigger that scores one
 * lead is a query of its own: compiling twenty rules for it takes longer than
 * scoring.  So the last few definitions are kept with their bytes, and a new one
 * is compared with these; a change of rules needs no invalidation.
 * A user of a model holds it until a memory context of its own goes.
 */
#include "base/crm.h"

#include "lib/ilist.h"
#include "utils/memutils.h"

#include "scoring/points_sql.h"

#define KEPT_MODELS 64

typedef struct KeptModel
{
	dlist_node	node;			/* in kept, the last used first */
	MemoryContext context;
	struct varlena *source;
	int			holders;
	bool		listed;
	PointsModel *model;
} KeptModel;

static dlist_head kept = DLIST_STATIC_INIT(kept);
static int	nkept = 0;

/* Held by a call site or an aggregate. */
typedef struct Hold
{
	MemoryContextCallback callback;
	KeptModel  *model;
	struct varlena *passed;		/* the bytes of the argument, toast pointer or value */
	struct Hold *next;
} Hold;

static void
let_go(void *arg)
{
	KeptModel  *k = ((Hold *) arg)->model;

	if (--k->holders == 0 && !k->listed)
		MemoryContextDelete(k->context);
}

static bool
same_bytes(const struct varlena *a, const struct varlena *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

static KeptModel *
compile_model(const struct varlena *source)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "crm score model", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KeptModel  *k = palloc0(sizeof(KeptModel));

	k->context = context;
	k->source = palloc(VARSIZE_ANY(source));
	memcpy(k->source, source, VARSIZE_ANY(source));
	k->model = crm_points_compile((Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(source)));
	MemoryContextSwitchTo(old);
	/* nothing was wrong with it */
	MemoryContextSetParent(context, TopMemoryContext);
	return k;
}

static KeptModel *
kept_model(const struct varlena *source)
{
	dlist_iter	i;
	KeptModel  *k;

	dlist_foreach(i, &kept)
	{
		k = dlist_container(KeptModel, node, i.cur);
		if (same_bytes(k->source, source))
		{
			dlist_move_head(&kept, &k->node);
			return k;
		}
	}
	k = compile_model(source);
	k->listed = true;
	dlist_push_head(&kept, &k->node);
	if (++nkept > KEPT_MODELS)
	{
		KeptModel  *last = dlist_tail_element(KeptModel, node, &kept);

		dlist_delete(&last->node);
		nkept--;
		last->listed = false;
		if (last->holders == 0)
			MemoryContextDelete(last->context);
	}
	return k;
}

static Hold *
hold_model(struct varlena *source, MemoryContext holder)
{
	Hold	   *hold = MemoryContextAllocZero(holder, sizeof(Hold));

	hold->model = kept_model(source);
	hold->model->holders++;
	hold->callback.func = let_go;
	hold->callback.arg = hold;
	MemoryContextRegisterResetCallback(holder, &hold->callback);
	return hold;
}

/* The compiled form of a definition, for as long as a memory context is not reset. */
const PointsModel *
crm_points_held_model(Datum definition, MemoryContext holder)
{
	return hold_model(PG_DETOAST_DATUM(definition), holder)->model->model;
}

/*
 * The compiled form of argument argno, a definition as jsonb.  It stays as
 * long as the call site.
 */
const PointsModel *
crm_points_model(FunctionCallInfo fcinfo, int argno)
{
	struct varlena *passed = (struct varlena *) PG_GETARG_POINTER(argno);
	MemoryContext holder = fcinfo->flinfo->fn_mcxt;
	struct varlena *known;
	Hold	   *hold;

	/* an aggregate may meet several */
	for (hold = fcinfo->flinfo->fn_extra; hold; hold = hold->next)
		if (same_bytes(hold->passed, passed))
			return hold->model->model;
	known = MemoryContextAlloc(holder, VARSIZE_ANY(passed));
	memcpy(known, passed, VARSIZE_ANY(passed));
	/* a pointer lasts no longer than the row it points from */
	hold = hold_model(VARATT_IS_EXTERNAL(passed) ?
					  PG_DETOAST_DATUM(PointerGetDatum(passed)) : passed, holder);
	hold->passed = known;
	hold->next = fcinfo->flinfo->fn_extra;
	fcinfo->flinfo->fn_extra = hold;
	return hold->model->model;
}
