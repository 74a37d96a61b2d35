/*
 * points.h
 *	  Points for what a lead is and does, with decay.
 */
#ifndef CRM_POINTS_H
#define CRM_POINTS_H

#define POINTS_MAX_RULES 500
#define POINTS_MAX_THRESHOLDS 32
#define POINTS_MAX_TIMES 1000
#define POINTS_KEPT_TIMES 64	/* that counted, for events that come late */
#define POINTS_SCALE 10			/* decimal digits of a score */
#define POINTS_LIMIT 1e12		/* of points, caps and limits */
#define POINTS_NO_KEY (-1e300)	/* rank key of a lead without decaying points */

typedef enum PointsDecay
{
	DECAY_NONE,
	DECAY_HALF_LIFE,
	DECAY_LINEAR,
	DECAY_STEP
} PointsDecay;

typedef enum PointsRepeat
{
	REPEAT_EVERY,
	REPEAT_ONCE,
	REPEAT_ONCE_PER_OBJECT,
	REPEAT_LIMITED
} PointsRepeat;

typedef struct PointsRule
{
	char	   *name;
	char	   *event;			/* NULL: a fit rule */
	struct varlena *when;		/* jsonpath, or NULL */
	bool		predicate;		/* the path is a predicate, not a search */
	int			group;
	double		points;
	double		cap;			/* of the rule's sum, either side; infinite: none */
	PointsDecay decay;
	double		period;			/* seconds: half-life, life, or step */
	double		share;			/* lost at each step */
	PointsRepeat repeat;
	int			times;			/* counted at most, within window */
	double		window;			/* seconds */
} PointsRule;

typedef struct PointsGroup
{
	char	   *name;
	bool		fit;
	double		cap;
} PointsGroup;

typedef struct PointsThreshold
{
	char	   *name;
	double		enter;
	double		leave;
} PointsThreshold;

typedef struct PointsModel
{
	uint64		fingerprint;
	int			nrules;
	PointsRule *rules;
	int			ngroups;
	PointsGroup *groups;
	int			nthresholds;
	PointsThreshold *thresholds;
	double		min;
	double		max;
	int			fit_levels;		/* lower bounds, best first: A, B, C */
	double		fit_level[3];
	int			engagement_levels;
	double		engagement_level[3];
	double		hysteresis;
	double		rank_half_life; /* longest equivalent half-life; 0: nothing decays */
} PointsModel;

/* A list that grows, and shrinks without giving room back. */
typedef struct PointsList
{
	int64	   *at;				/* NULL while it never held anything */
	int			n;
	int			room;
} PointsList;

/* The state of one rule for one lead. */
typedef struct PointsRuleState
{
	double		value;			/* at as_of, before the cap; fit: 1 where it holds */
	int64		as_of;			/* microseconds since 2000 */
	int64		count;			/* events that counted */
	PointsList	times;			/* linear and step decay: the events alive */
	PointsList	recent;			/* limited repeats: the last that counted */
	PointsList	objects;		/* once for each object: those that counted */
} PointsRuleState;

typedef struct PointsState
{
	int64		clock;			/* thresholds are settled up to here */
	uint32		inside;			/* thresholds the lead is above */
	int			fit_grade;		/* 0 best .. levels; -1 none yet */
	int			engagement_grade;
	PointsRuleState *rules;
	bool	   *failed;			/* rules whose condition could not be worked out
								 * just now; not kept */
} PointsState;

typedef struct PointsScore
{
	double		fit;
	double		engagement;
	double		unclamped;
	double		total;
	double	   *rule;			/* per rule: after its cap */
	double	   *raw;			/* before it */
	double	   *group;			/* per group: after its cap */
} PointsScore;

typedef struct PointsCrossing
{
	int			threshold;
	bool		up;
	int64		at;
	double		score;
	struct PointsCrossing *next;
} PointsCrossing;

extern double crm_points_decayed(double points, double age, PointsDecay decay,
								 double period, double share);
extern PointsState *crm_points_new_state(const PointsModel *m);
extern bool crm_points_fold(const PointsModel *m, PointsState *s, int rule,
							int64 at, int64 object, bool has_object);
extern void crm_points_evaluate(const PointsModel *m, const PointsState *s,
								int64 at, PointsScore *out);
extern void crm_points_score_memory(const PointsModel *m, PointsScore *out);
extern PointsCrossing *crm_points_bring_to(const PointsModel *m, PointsState *s, int64 until);
extern PointsCrossing *crm_points_settle(const PointsModel *m, PointsState *s);
extern bool crm_points_next_crossing(const PointsModel *m, const PointsState *s,
									 int64 after, int64 until, int64 *at);
extern void crm_points_rank_key(const PointsModel *m, const PointsState *s,
								int64 basis, double *ceiling, double *key);
extern double crm_points_rank_bound(const PointsModel *m, double ceiling, double key,
									int64 at);
extern void crm_points_grade(const PointsModel *m, const PointsState *s,
							 const PointsScore *score, int *fit, int *engagement);
extern void crm_points_keep_engagement(const PointsModel *m, PointsState *s, int64 at,
									   PointsScore *work);
extern void crm_points_keep_fit(const PointsModel *m, PointsState *s);
extern void crm_points_apportion(const double *value, int n, double total, int128 *units);

#endif							/* CRM_POINTS_H */
