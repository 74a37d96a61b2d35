/*
 * points_sql.h
 *	  Shared by the SQL faces of the points engine.
 */
#ifndef CRM_POINTS_SQL_H
#define CRM_POINTS_SQL_H

#include "fmgr.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/jsonb.h"

#include "scoring/points.h"

/* A row of lead_scores. */
typedef struct PointsKept
{
	bytea	   *state;
	double		ceiling;
	double		rank_key;
	bool		crosses;		/* time alone will cross a threshold */
	int64		next_crossing;
} PointsKept;

/* Events being taken into a state. */
typedef struct PointsFolding
{
	const PointsModel *model;
	PointsState *state;
	PointsCrossing *crossings;
	PointsCrossing **end;
	PointsScore work;			/* where grades are kept */
	bool		counted;		/* some event has counted */
} PointsFolding;

/* points_compile.c */
extern PointsModel *crm_points_compile(Jsonb *definition);

/* points_kept.c */
extern const PointsModel *crm_points_model(FunctionCallInfo fcinfo, int argno);
extern const PointsModel *crm_points_held_model(Datum definition);

/* points_state.c */
extern uint64 crm_points_hash(const char *bytes, Size length, uint8 purpose);
extern bytea *crm_points_pack(const PointsModel *m, const PointsState *s);
extern PointsState *crm_points_unpack(const PointsModel *m, bytea *packed);
extern bool crm_points_equal(bytea *a, bytea *b);
extern void crm_points_go_on_from(const PointsModel *m, PointsState *s, bytea *before);

/* points_sql.c */
extern PointsState *crm_points_refit(const PointsModel *m, bytea *packed, ArrayType *inside,
									 Jsonb *attributes, int64 at, bytea *before,
									 PointsCrossing **crossings);
extern void crm_points_keep(const PointsModel *m, PointsState *s, int64 basis,
							PointsKept *kept);
extern void crm_points_keep_rank(PointsKept *now, double ceiling, double rank_key);
extern PointsFolding *crm_points_begin_folding(const PointsModel *m, bytea *base);
extern void crm_points_fold_event(PointsFolding *f, MemoryContext context, text *kind, text *object,
								  TimestampTz at, Jsonb *attributes, bool notice);
extern ArrayType *crm_points_inside(const PointsModel *m, const PointsState *s);
extern ArrayType *crm_points_failed(const PointsModel *m, const PointsState *s);
extern char *crm_points_grade_text(const PointsModel *m, const PointsState *s,
								   const PointsScore *score);
extern int128 crm_points_units(double value);
extern Datum crm_points_numeric(int128 units);
extern Datum crm_points_rounded(double value);

#endif							/* CRM_POINTS_SQL_H */
