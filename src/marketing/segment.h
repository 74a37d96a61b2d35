/*
 * segment.h
 *	  The conditions of segments as a backend keeps them.
 */
#ifndef CRM_SEGMENT_H
#define CRM_SEGMENT_H

#include "base/crm.h"

#include "utils/rel.h"

typedef struct Segment
{
	int64		id;
	Datum		condition;		/* jsonpath; 0: every row */
	bool		more;			/* asks for more than the row says */
	bool		announce;
	bool		scores;			/* asks for scores of leads */
	int			nrefers;
	int64	   *refers;			/* segments it refers to */
	bool		whole;			/* may look at any column */
	Bitmapset  *columns;		/* else at these */
} Segment;

/* The segments of a table and tenant. */
typedef struct SegmentGroup
{
	int			n;
	Segment    *segments;
	bool		more;			/* some segment asks for more */
	bool		whole;			/* some may look at any column */
	Bitmapset  *columns;		/* else they look at these */
	CrmRowShape *shape;
} SegmentGroup;

/* What segments of all tenants ask for. */
typedef struct SegmentUses
{
	bool		any;
	int			n;
	char	  **names;			/* as in the column uses */
} SegmentUses;

extern SegmentGroup *crm_segment_group(Oid relid, int64 tenant, const char *subject_table);
extern const SegmentUses *crm_segment_uses(void);
extern bool crm_segments_use(const char *source);
extern const char *crm_segment_query(const char *what, const char *subject_table,
									 const char *source);
extern Oid	crm_segment_owner(void);

#endif							/* CRM_SEGMENT_H */
