/*
 * attribution_math.h
 *	  Credit for the touches of journeys: the mathematics, without SQL.
 *
 * Channels are numbers from 0 on here; what they are called is the caller's
 * matter.
 */
#ifndef CRM_ATTRIBUTION_MATH_H
#define CRM_ATTRIBUTION_MATH_H

/* ---- weights of the touches of one journey (touch_weights.c) ---- */

typedef enum TouchModel
{
	TOUCH_FIRST,
	TOUCH_LAST,
	TOUCH_LAST_NON_DIRECT,
	TOUCH_LINEAR,
	TOUCH_POSITION,				/* first and last a fixed share each, the others the rest */
	TOUCH_W,					/* the touch that made the lead a fixed share as well */
	TOUCH_TIME_DECAY,
	TOUCH_SHAPLEY				/* every distinct channel the same */
} TouchModel;

#define TOUCH_MODELS 8

typedef struct TouchRules
{
	TouchModel	model;
	double		half_life;		/* of TOUCH_TIME_DECAY, in units of age */
	double		window;			/* touches older than this have no weight */
	double		first_share;	/* of TOUCH_POSITION and TOUCH_W */
	double		last_share;
	double		key_share;		/* of TOUCH_W */
	int			key;			/* the touch that made the lead, from 0; -1: none */
	int			direct;			/* channel that says nothing; -1: none */
	bool		ties_share;		/* touches of one instant get the same */
} TouchRules;

/*
 * ages: of the touches at the conversion, NULL where they have none: then the
 * last touch has age 0, the one before it 1.  The weights sum to 1, or are all
 * 0 where no touch lies within the window; the answer says which.
 */
extern bool crm_weigh_touches(const TouchRules *rules, int n, const int *channels,
							  const double *ages, double *weights);

extern int	crm_compare_channels(const void *a, const void *b);

/* ---- absorbing Markov chains (markov.c) ---- */

typedef struct MarkovChain MarkovChain;

typedef struct MarkovAnswer
{
	double		probability;	/* that a journey converts */
	double	   *removal;		/* by channel: share of conversions lost without it */
} MarkovAnswer;

/* One way from a state to another; STATE_... where it is none of the chain. */
#define MARKOV_START (-1)
#define MARKOV_CONVERSION (-2)
#define MARKOV_NULL (-3)

typedef struct MarkovStep
{
	int			from;
	int			to;
	double		weight;
	double		probability;
} MarkovStep;

#define MARKOV_MAX_ORDER 8

extern MarkovChain *crm_markov_new(int order);
extern void crm_markov_add(MarkovChain *chain, int n, const int *channels,
						   double conversions, double nulls);
extern void crm_markov_solve(MarkovChain *chain, int nchannels, MarkovAnswer *answer);
extern MarkovStep *crm_markov_steps(MarkovChain *chain, int *n);
extern int	crm_markov_state(const MarkovChain *chain, int state, const int **channels);

/* ---- what a channel adds to the odds (presence.c) ---- */

typedef struct PresenceRows PresenceRows;

extern PresenceRows *crm_presence_new(void);
extern void crm_presence_add(PresenceRows *rows, int n, const int *channels,
							 double conversions, double nulls, double amount);
extern bool crm_presence_fit(PresenceRows *rows, int nchannels, double lambda,
							 double *coefficients);
extern void crm_presence_credit(const PresenceRows *rows, int nchannels,
								const double *coefficients,
								double *conversions, double *amounts);

#endif							/* CRM_ATTRIBUTION_MATH_H */
