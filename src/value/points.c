/*
 * points.c
 *	  Loyalty points that expire: what is left of them at an instant.
 *
 * Points are earned in lots; all that expire at one instant are one lot.
 * What is spent is taken from the lot that expires first.  What is taken
 * back, as when goods are returned, is taken from the lot it was earned in:
 * of what is left there, then of what expired there unspent, then, as it was
 * spent already, from the other lots; what these do not hold is owed, and
 * paid by what is earned next.
 *
 * At one instant points expire first, then they are earned, taken back and
 * spent, so that the answer does not depend on the order of equal rows.
 */
#include "base/crm.h"

#include "value/points_math.h"

/* The walk through the entries, in order of time. */
typedef struct Walk
{
	CrmPointsLot *lot;			/* in order of expiry */
	int64		nlots;
	int64		dead;			/* lots that have expired */
	int64		first;			/* no lot before it has points left */
	int64		debt;
	CrmPointsState *state;
	CrmPointsExpired tell;
	void	   *told;
} Walk;

int
crm_points_compare(const void *a, const void *b)
{
	const CrmPointsEntry *x = a,
			   *y = b;
	int			kind_x = x->points > 0 ? 0 : x->spends ? 2 : 1,
				kind_y = y->points > 0 ? 0 : y->spends ? 2 : 1;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (kind_x != kind_y)
		return kind_x - kind_y;
	if (x->expires != y->expires)
		return x->expires < y->expires ? -1 : 1;
	return x->points < y->points ? -1 : x->points > y->points;
}

static int
compare_lots(const void *a, const void *b)
{
	const CrmPointsLot *x = a,
			   *y = b;

	return x->expires < y->expires ? -1 : x->expires > y->expires;
}

/*
 * The lots of some entries, in order of expiry, into an array with room for
 * as many as there are entries; how many there are.
 */
static int64
find_lots(const CrmPointsEntry *entry, int64 n, CrmPointsLot *lot)
{
	int64		count = 0,
				kept = 0;

	for (int64 i = 0; i < n; i++)
		if (!entry[i].spends && (count == 0 || lot[count - 1].expires != entry[i].expires))
		{
			lot[count].expires = entry[i].expires;
			lot[count].left = lot[count].expired = 0;
			count++;
		}
	for (int64 i = 1; i < count; i++)
		if (lot[i].expires < lot[i - 1].expires)
		{
			/* mostly they come in order */
			qsort(lot, count, sizeof(CrmPointsLot), compare_lots);
			break;
		}
	for (int64 i = 0; i < count; i++)
		if (i == 0 || lot[i].expires != lot[kept - 1].expires)
			lot[kept++] = lot[i];
	return kept;
}

static int64
find_lot(const Walk *w, int64 expires)
{
	int64		low = 0,
				high = w->nlots - 1;

	while (low < high)
	{
		int64		middle = low + (high - low) / 2;

		if (w->lot[middle].expires < expires)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
note_expired(Walk *w, int64 at, int64 points)
{
	w->state->expired += points;
	if (points != 0 && w->tell != NULL)
		w->tell(w->told, at, points);
}

/* A lot lives up to the instant at which it expires, and not at it. */
static void
expire_until(Walk *w, int64 at)
{
	while (w->dead < w->nlots && w->lot[w->dead].expires <= at &&
		   w->lot[w->dead].expires != CRM_POINTS_NEVER)
	{
		CrmPointsLot *l = &w->lot[w->dead++];

		note_expired(w, l->expires, l->left);
		l->expired += l->left;
		l->left = 0;
	}
	w->first = Max(w->first, w->dead);
}

/* What the lots do not hold is owed. */
static void
take_from_lots(Walk *w, int64 points)
{
	while (points > 0 && w->first < w->nlots)
	{
		CrmPointsLot *l = &w->lot[w->first];
		int64		taken = Min(points, l->left);

		l->left -= taken;
		points -= taken;
		if (l->left == 0)
			w->first++;
	}
	w->debt += points;
}

static void
earn(Walk *w, const CrmPointsEntry *e)
{
	int64		place = find_lot(w, e->expires),
				points = e->points;
	CrmPointsLot *l = &w->lot[place];

	w->state->earned += points;
	if (place < w->dead)
	{
		/* it was no longer good on the day it was earned */
		l->expired += points;
		note_expired(w, e->at, points);
		return;
	}
	if (w->debt > 0)
	{
		int64		paid = Min(w->debt, points);

		w->debt -= paid;
		points -= paid;
	}
	l->left += points;
	if (points > 0)
		w->first = Min(w->first, place);
}

static void
take_back(Walk *w, const CrmPointsEntry *e)
{
	CrmPointsLot *l = &w->lot[find_lot(w, e->expires)];
	int64		points = -e->points,
				taken = Min(points, l->left);

	w->state->earned -= points;
	l->left -= taken;
	points -= taken;
	taken = Min(points, l->expired);
	l->expired -= taken;
	points -= taken;
	note_expired(w, e->at, -taken);
	take_from_lots(w, points);
}

/*
 * What entries, in order of crm_points_compare(), come to at an instant.
 * There is room for as many lots as there are entries.
 */
void
crm_points_run(const CrmPointsEntry *entry, int64 n, int64 as_of,
			   CrmPointsLot *lot, CrmPointsState *state,
			   CrmPointsExpired tell, void *told)
{
	Walk		w = {.lot = lot, .state = state, .tell = tell, .told = told};

	memset(state, 0, sizeof(*state));
	state->next_expires = CRM_POINTS_NEVER;
	w.nlots = find_lots(entry, n, lot);
	for (int64 i = 0; i < n && entry[i].at <= as_of; i++)
	{
		expire_until(&w, entry[i].at);
		if (entry[i].points > 0)
			earn(&w, &entry[i]);
		else if (!entry[i].spends)
			take_back(&w, &entry[i]);
		else
		{
			state->burned -= entry[i].points;
			take_from_lots(&w, -entry[i].points);
		}
	}
	expire_until(&w, as_of);
	state->balance = -w.debt;
	for (int64 i = w.first; i < w.nlots; i++)
	{
		if (lot[i].left > 0 && state->expiring == 0 &&
			lot[i].expires != CRM_POINTS_NEVER)
		{
			state->next_expires = lot[i].expires;
			state->expiring = lot[i].left;
		}
		state->balance += lot[i].left;
	}
}
