/*
 * acting.h (public)
 *	  Setting up what watches over applications.
 */
#ifndef CRM_ACTING_H
#define CRM_ACTING_H

extern void crm_acting_init(void);

#endif							/* CRM_ACTING_H */
