/*
 * touch_weights.c
 *	  How much each touch of one journey counts, by rules that look at no other
 *	  journey.
 *
 * What lies outside the window is set aside first; every rule then sees only
 * the touches that are left, in their order.
 */
#include "postgres.h"

#include <math.h>

#include "marketing/attribution_math.h"

/* Shares of the first, the last and perhaps a key touch; the others share what is left. */
static void
weigh_places(const TouchRules *rules, int n, const int *left, double *weights)
{
	int			key = -1;
	double		named = 0,
				sum = 0;
	int			others = 0;

	if (rules->model == TOUCH_W)
		for (int i = 0; i < n; i++)
			if (left[i] == rules->key)
				key = i;
	for (int i = 0; i < n; i++)
	{
		weights[left[i]] = (i == 0 ? rules->first_share : 0) + (i == n - 1 ? rules->last_share :
																0) +
			(i == key ? rules->key_share : 0);
		named += weights[left[i]];
		if (i > 0 && i < n - 1 && i != key)
			others++;
	}
	if (others > 0)
		for (int i = 1; i < n - 1; i++)
			if (i != key)
				weights[left[i]] = Max(1 - named, 0) / others;
	/* where nobody takes the rest, those named share it in proportion */
	for (int i = 0; i < n; i++)
		sum += weights[left[i]];
	for (int i = 0; i < n; i++)
		weights[left[i]] = sum > 0 ? weights[left[i]] / sum : 1.0 / n;
}

/* for qsort: numbers of channels, ascending */
int
crm_compare_channels(const void *a, const void *b)
{
	int			x = *(const int *) a,
				y = *(const int *) b;

	return (x > y) - (x < y);
}

/* Where a channel's touches begin among sorted ones. */
static int
first_place(const int *sorted, int n, int channel)
{
	int			low = 0;

	while (n > 0)
	{
		int			half = n / 2;

		if (sorted[low + half] < channel)
		{
			low += half + 1;
			n -= half + 1;
		}
		else
			n = half;
	}
	return low;
}

/* Every distinct channel the same, split evenly among its touches. */
static void
weigh_channels(int n, const int *left, const int *channels, double *weights)
{
	int		   *sorted = palloc(sizeof(int) * n);
	int			distinct = 1;

	for (int i = 0; i < n; i++)
		sorted[i] = channels[left[i]];
	qsort(sorted, n, sizeof(int), crm_compare_channels);
	for (int i = 1; i < n; i++)
		distinct += sorted[i] != sorted[i - 1];
	for (int i = 0; i < n; i++)
	{
		int			channel = channels[left[i]];

		weights[left[i]] = 1.0 / distinct /
			(first_place(sorted, n, channel + 1) - first_place(sorted, n, channel));
	}
	pfree(sorted);
}

/* Half the weight each half-life; counted from the newest touch, so that nothing vanishes. */
static void
weigh_ages(const TouchRules *rules, int n, const int *left, const double *ages, double *weights)
{
	double		newest = INFINITY,
				sum = 0;

	for (int i = 0; i < n; i++)
		newest = Min(newest, ages ? ages[left[i]] : n - 1 - i);
	for (int i = 0; i < n; i++)
	{
		weights[left[i]] = exp2(-((ages ? ages[left[i]] : n - 1 - i) - newest) / rules->half_life);
		sum += weights[left[i]];
	}
	for (int i = 0; i < n; i++)
		weights[left[i]] /= sum;
}

/* Touches of one instant stand in no order: they share what they have together. */
static void
share_ties(int n, const int *left, const double *ages, double *weights)
{
	for (int i = 0; i < n;)
	{
		int			end = i + 1;
		double		sum = weights[left[i]];

		while (end < n && ages[left[end]] == ages[left[i]])
			sum += weights[left[end++]];
		for (int j = i; j < end; j++)
			weights[left[j]] = sum / (end - i);
		i = end;
	}
}

/* What rounding left over goes to the last touch with a weight: added up in order, they are 1. */
static void
sum_to_one(int n, const int *left, double *weights)
{
	double		sum = 0;

	while (n > 1 && weights[left[n - 1]] == 0)
		n--;
	for (int i = 0; i < n - 1; i++)
		sum += weights[left[i]];
	weights[left[n - 1]] = 1 - sum;
}

bool
crm_weigh_touches(const TouchRules *rules, int n, const int *channels,
				  const double *ages, double *weights)
{
	int		   *left = palloc(sizeof(int) * Max(n, 1));
	int			m = 0,
				at;

	for (int i = 0; i < n; i++)
	{
		weights[i] = 0;
		if (ages == NULL || (ages[i] >= 0 && ages[i] <= rules->window))
			left[m++] = i;
	}
	if (m == 0)
	{
		pfree(left);
		return false;
	}
	switch (rules->model)
	{
		case TOUCH_FIRST:
			weights[left[0]] = 1;
			break;
		case TOUCH_LAST:
			weights[left[m - 1]] = 1;
			break;
		case TOUCH_LAST_NON_DIRECT:
			/* a journey of nothing else is the direct channel's */
			for (at = m - 1; at > 0 && channels[left[at]] == rules->direct;)
				at--;
			if (channels[left[at]] == rules->direct)
				at = m - 1;
			weights[left[at]] = 1;
			break;
		case TOUCH_LINEAR:
			for (int i = 0; i < m; i++)
				weights[left[i]] = 1.0 / m;
			break;
		case TOUCH_POSITION:
		case TOUCH_W:
			weigh_places(rules, m, left, weights);
			break;
		case TOUCH_TIME_DECAY:
			weigh_ages(rules, m, left, ages, weights);
			break;
		case TOUCH_SHAPLEY:
			weigh_channels(m, left, channels, weights);
			break;
	}
	if (rules->ties_share && ages != NULL && rules->model != TOUCH_SHAPLEY)
		share_ties(m, left, ages, weights);
	sum_to_one(m, left, weights);
	pfree(left);
	return true;
}
