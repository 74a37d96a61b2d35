/*
 * cluster_math.h
 *	  k-means and frequent sets of items, without a server.
 */
#ifndef CRM_CLUSTER_MATH_H
#define CRM_CLUSTER_MATH_H

#include "value/value_math.h"

/* ---- kmeans.c ---- */
typedef struct CrmKmeans
{
	int			k;				/* clusters found, at most those asked for */
	int			iterations;
	bool		settled;		/* no point changed its cluster any more */
	double		inertia;		/* sum of squared distances */
	double	   *centre;			/* k rows of d */
	int64_t    *size;
} CrmKmeans;

extern void crm_kmeans_run(const double *point, size_t n, int d, int k,
						   uint64_t seed, int starts,
						   const CrmFitHost *host, CrmKmeans *result);
extern int	crm_kmeans_nearest(const double *centre, int k, int d,
							   const double *point, double *square);

/* ---- eclat.c ---- */
typedef struct CrmItemset
{
	int			length;
	const int  *item;			/* ascending */
	int64_t		count;
} CrmItemset;

typedef struct CrmItemsets
{
	size_t		n;
	size_t		room;
	CrmItemset *set;
	uint32_t   *slot;			/* hash of sets, for crm_itemset_count */
	size_t		mask;
} CrmItemsets;

extern void crm_eclat(const uint32_t *basket, const int *item, size_t rows,
					  uint32_t baskets, int items, int64_t least,
					  int max_length, const CrmFitHost *host,
					  CrmItemsets *result);
extern int64_t crm_itemset_count(const CrmItemsets *sets, const int *item,
								 int length);

#endif							/* CRM_CLUSTER_MATH_H */
