/*
 * value_face.h
 *	  Checks and results shared by the SQL functions of this room.
 */
#ifndef CRM_VALUE_FACE_H
#define CRM_VALUE_FACE_H

#include "fmgr.h"

#include "base/compat.h"

#include "value/value_math.h"

/* arguments other than zero and counts lie between these */
#define CRM_VALUE_LEAST 1e-100
#define CRM_VALUE_MOST 1e100

extern double crm_value_positive(double v, const char *name);
extern double crm_value_not_negative(double v, const char *name);
extern double crm_value_finite(double v, const char *what);
extern double crm_value_whole(double v, const char *name);
extern void crm_value_history(double x, double *t_x, double age);
extern void crm_value_opportunities(double x, double t_x, double n);
extern const CrmFitHost crm_value_host;
extern Datum crm_value_result(FunctionCallInfo fcinfo, double v);
extern MemoryContext crm_value_state_context(FunctionCallInfo fcinfo);

#endif							/* CRM_VALUE_FACE_H */
