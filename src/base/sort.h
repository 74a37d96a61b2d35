/*
 * sort.h (public)
 *	  Sorting what a caller gave, in any number: it can be cancelled.
 */
#ifndef CRM_SORT_H
#define CRM_SORT_H

typedef struct CrmOrder
{
	int			(*compare) (const void *, const void *);
} CrmOrder;

static inline int
crm_in_order(const void *a, const void *b, void *order)
{
	return ((CrmOrder *) order)->compare(a, b);
}

/* As qsort(), which goes on to its end whatever happens. */
static inline void
crm_sort(void *base, size_t n, size_t size, int (*compare) (const void *, const void *))
{
	CrmOrder	order = {compare};

	qsort_interruptible(base, n, size, crm_in_order, &order);
}

#endif							/* CRM_SORT_H */
