/*
 * points_sql.h
 *	  What the SQL faces of the points engine share.
 */
#ifndef CRM_POINTS_SQL_H
#define CRM_POINTS_SQL_H

#include "utils/float.h"
#include "utils/jsonb.h"

#include "scoring/points.h"

extern void *points_compile(Jsonb *definition);
extern PointsState *points_unpack(const PointsModel *m, bytea *packed);
extern char *points_grade_text(const PointsModel *m, const PointsState *s,
							   const PointsScore *score);
extern Datum points_numeric(int128 units);
extern Datum points_rounded(double value);

#endif							/* CRM_POINTS_SQL_H */
