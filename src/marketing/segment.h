/*
 * segment.h
 *	  The conditions of segments as a backend keeps them.
 */
#ifndef CRM_SEGMENT_H
#define CRM_SEGMENT_H

#include "base/crm.h"

#include "utils/rel.h"

/* what segments look at besides the row, by place in crm_segment_source_names */
#define SEGMENT_SOURCES 4
#define SEGMENT_SCORES 3

typedef struct Segment
{
	int64		id;
	Datum		condition;		/* jsonpath; 0: every row */
	bool		more;			/* asks for more than the row says */
	bool		announce;
	uint32		uses;			/* bits, by place in sources */
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
	uint32		used;			/* bits, by place in sources */
} SegmentUses;

extern const char *const crm_segment_source_names[SEGMENT_SOURCES];

extern SegmentGroup *crm_segment_group(Oid relid, int64 tenant);
extern const SegmentUses *crm_segment_uses(void);
extern Oid	crm_segment_owner(void);

#endif							/* CRM_SEGMENT_H */
