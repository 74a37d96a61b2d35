/*
 * journeys.h
 *	  What the aggregates of attribution keep of the journeys they have seen.
 */
#ifndef CRM_JOURNEYS_H
#define CRM_JOURNEYS_H

#include "utils/array.h"
#include "utils/jsonb.h"

#include "base/names.h"
#include "marketing/attribution_math.h"

#define CRM_TOUCH_MODELS \
	"first, last, last_non_direct, linear, position, w_shaped, time_decay, shapley"

/* A sum that keeps what rounding loses. */
typedef struct ExactSum
{
	double		sum;
	double		lost;
} ExactSum;

typedef struct JourneyState
{
	MemoryContext context;
	CrmNames	names;
	int			room;			/* of the sums by channel */
	ExactSum   *conversions;
	ExactSum   *amounts;
	ExactSum	all_conversions;
	ExactSum	all_amounts;
	ExactSum	credited_conversions;
	ExactSum	credited_amounts;
	int64		journeys;		/* with a touch */
	int64		left_out;		/* without, or with a null */
	TouchRules	rules;
	bool		direct_met;
	int			order;
	MarkovChain *chain;
	double		lambda;
	PresenceRows *presence;
	/* of the journey at hand */
	int			touches;
	int			touch_room;
	int		   *channels;
	double	   *ages;
	double	   *weights;
} JourneyState;

extern void crm_exact_add(ExactSum *s, double x);
extern double crm_exact_value(const ExactSum *s);
extern TouchModel crm_touch_model(text *name);
extern void crm_touch_options(Jsonb *options, JourneyState *s, TouchModel model,
							  TouchRules *rules);
extern void crm_journeys_begin(JourneyState *s, MemoryContext context);
extern bool crm_read_touches(JourneyState *s, ArrayType *channels, ArrayType *at,
							 const TimestampTz *converted);
extern void crm_channel_room(JourneyState *s);
extern bool crm_journey_take(JourneyState *s, double conversions, double amount);

#endif							/* CRM_JOURNEYS_H */
