/*
 * reveal.h (public)
 *	  Setting up the record of what is revealed.
 */
#ifndef CRM_REVEAL_H
#define CRM_REVEAL_H

extern void crm_reveal_init(void);

#endif							/* CRM_REVEAL_H */
