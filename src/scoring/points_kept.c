/*
 * points_kept.c
 *	  Score models compiled once per backend.
 *
 * A definition is an argument like any other, and a trigger that scores one
 * lead is a query of its own: compiling twenty rules for it takes longer than
 * scoring.  So definitions are kept (see kept.c) with their bytes as the key; a
 * change of rules needs no invalidation.
 */
#include "base/crm.h"

#include "utils/memutils.h"

#include "scoring/points_sql.h"

static void *
build_model(const void *key, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	PointsModel *model = crm_points_compile((Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(key)));

	MemoryContextSwitchTo(old);
	return model;
}

static CrmKept definitions = {
	.what = "score models by definition",
	.limit = 256,
	.build = build_model,
};

/* The compiled form of a definition, good as long as the current memory context. */
const PointsModel *
crm_points_held_model(Datum definition)
{
	struct varlena *source = PG_DETOAST_DATUM(definition);

	return crm_kept(&definitions, source, VARSIZE_ANY(source));
}

/* What a call site knows, for as long as it lives. */
typedef struct KnownModel
{
	struct varlena *passed;		/* the bytes of the argument, toast pointer or value */
	const PointsModel *model;
	struct KnownModel *next;
} KnownModel;

static bool
same_bytes(const struct varlena *a, const struct varlena *b)
{
	return VARSIZE_ANY(a) == VARSIZE_ANY(b) && memcmp(a, b, VARSIZE_ANY(a)) == 0;
}

/*
 * The compiled form of argument argno, a definition as jsonb.  It stays as
 * long as the call site.
 */
const PointsModel *
crm_points_model(FunctionCallInfo fcinfo, int argno)
{
	struct varlena *passed = (struct varlena *) PG_GETARG_POINTER(argno);
	struct varlena *source = passed;
	KnownModel *known;
	MemoryContext old;

	/* an aggregate may meet several */
	for (known = fcinfo->flinfo->fn_extra; known; known = known->next)
		if (same_bytes(known->passed, passed))
			return known->model;
	/* a pointer lasts no longer than the row it points from */
	if (VARATT_IS_EXTERNAL(passed))
		source = PG_DETOAST_DATUM(PointerGetDatum(passed));
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	known = palloc(sizeof(KnownModel));
	known->passed = palloc(VARSIZE_ANY(passed));
	memcpy(known->passed, passed, VARSIZE_ANY(passed));
	known->model = crm_kept(&definitions, source, VARSIZE_ANY(source));
	MemoryContextSwitchTo(old);
	known->next = fcinfo->flinfo->fn_extra;
	fcinfo->flinfo->fn_extra = known;
	return known->model;
}
