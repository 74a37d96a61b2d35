/*
 * tokens.h (public)
 *	  Setting up session tokens.
 */
#ifndef CRM_TOKENS_H
#define CRM_TOKENS_H

extern void crm_tokens_init(void);

#endif							/* CRM_TOKENS_H */
