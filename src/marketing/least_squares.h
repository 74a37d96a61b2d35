/*
 * least_squares.h
 *	  Small dense systems: least squares with a ridge and with signs.
 */
#ifndef CRM_LEAST_SQUARES_H
#define CRM_LEAST_SQUARES_H

extern bool crm_solve_positive(double *a, int n, double *b);
extern int	crm_invert_gram(const double *gram, int n, double *inverse, bool *aliased);
extern bool crm_solve_signed(const double *gram, const double *moment, int n,
							 const bool *not_negative,
							 const bool *left_out, double *solution);

#endif							/* CRM_LEAST_SQUARES_H */
