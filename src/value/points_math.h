/*
 * points_math.h
 *	  Loyalty points that expire: what is left of them at an instant.
 */
#ifndef CRM_POINTS_MATH_H
#define CRM_POINTS_MATH_H

/* Instants are microseconds; one that never comes is CRM_POINTS_NEVER. */
#define CRM_POINTS_NEVER INT64_MAX

typedef struct CrmPointsEntry
{
	int64		at;
	int64		expires;		/* of what is earned or taken back */
	int64		points;			/* never 0 */
	bool		spends;			/* below 0 and of no lot: spent */
} CrmPointsEntry;

typedef struct CrmPointsState
{
	int64		earned;			/* less what was taken back */
	int64		burned;
	int64		expired;
	int64		balance;
	int64		next_expires;	/* CRM_POINTS_NEVER: nothing will expire */
	int64		expiring;
} CrmPointsState;

/* told whenever points expire, or fewer did than was thought */
typedef void (*CrmPointsExpired) (void *told, int64 at, int64 points);

/* points that expire at one instant */
typedef struct CrmPointsLot
{
	int64		expires;
	int64		left;
	int64		expired;
} CrmPointsLot;

extern int	crm_points_compare(const void *a, const void *b);
extern void crm_points_run(const CrmPointsEntry *entry, int64 n, int64 as_of,
						   CrmPointsLot *lot, CrmPointsState *state,
						   CrmPointsExpired tell, void *told);

#endif							/* CRM_POINTS_MATH_H */
