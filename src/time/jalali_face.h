/*
 * jalali_face.h
 *	  Checks of Jalali dates that the SQL functions share.
 */
#ifndef CRM_JALALI_FACE_H
#define CRM_JALALI_FACE_H

#include "base/crm.h"

/* The Jalali date of a civil day, or an error outside the years that are certain. */
extern void crm_jalali_checked(DateADT date, int *year, int *month, int *day);

/* The civil day of a Jalali date, or an error where there is no such date. */
extern DateADT crm_jalali_date_of(int32 year, int32 month, int32 day);

#endif							/* CRM_JALALI_FACE_H */
