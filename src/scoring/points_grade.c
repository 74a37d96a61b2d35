/*
 * points_grade.c
 *	  Grades of fit and engagement, with hysteresis.
 *
 * A grade gets better as soon as the score does, and worse only when the score
 * is clearly below its bound, so that a lead at a bound does not flicker.
 */
#include "postgres.h"

#include "scoring/points.h"

static int
level_of(int level, double v, const double *bounds, int n, double hysteresis)
{
	int			plain = 0;

	while (plain < n && v < bounds[plain])
		plain++;
	if (level < 0 || plain <= level)
		return plain;			/* better, or new: at once */
	/* worse: only as far as the value is clearly below */
	while (level < plain && v < bounds[level] - hysteresis)
		level++;
	return level;
}

void
crm_points_grade(const PointsModel *m, const PointsState *s,
				 const PointsScore *score, int *fit, int *engagement)
{
	*fit = level_of(s->fit_grade, score->fit, m->fit_level, m->fit_levels, m->hysteresis);
	*engagement = level_of(s->engagement_grade, score->engagement,
						   m->engagement_level, m->engagement_levels, m->hysteresis);
}

/*
 * Keep the grade of engagement as of the last event that counts.  Between
 * events it follows from this one, and what is not of the events themselves,
 * such as when somebody looked, must not be in it: a replay makes the same.
 */
void
crm_points_keep_engagement(const PointsModel *m, PointsState *s, int64 at,
						   PointsScore *work)
{
	for (int i = 0; i < m->nrules; i++)
		if (m->rules[i].event && s->rules[i].count > 0)
			at = Max(at, s->rules[i].as_of);
	crm_points_evaluate(m, s, at, work);
	s->engagement_grade = level_of(s->engagement_grade, work->engagement, m->engagement_level,
								   m->engagement_levels, m->hysteresis);
}

/* The grade of fit changes with what the lead is, not with time. */
void
crm_points_keep_fit(const PointsModel *m, PointsState *s)
{
	PointsScore work;

	crm_points_score_memory(m, &work);
	crm_points_evaluate(m, s, s->clock, &work);
	s->fit_grade = level_of(s->fit_grade, work.fit, m->fit_level, m->fit_levels, m->hysteresis);
	pfree(work.rule);
	pfree(work.raw);
	pfree(work.group);
}
