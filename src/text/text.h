/*
 * text.h (public)
 *	  Bringing names, e-mail addresses and telephone numbers to one form.
 *
 * Functions over UTF-8 that look at nothing but their arguments.  Results are
 * appended to a StringInfo; false means that the value has no normal form.
 */
#ifndef CRM_TEXT_H
#define CRM_TEXT_H

#include "postgres.h"

#include "lib/stringinfo.h"

/* text.c */
extern void crm_check_encoding(void);

/* fold.c */
extern bool crm_is_invisible(uint32 c);
extern void crm_fold(const char *in, int len, StringInfo out);
extern int	crm_fold_tokens(StringInfo folded, char **tokens, int max);
extern void crm_fold_name_key(const char *in, int len, StringInfo out);

/* address.c */
extern bool crm_email_normalize(const char *in, int len, StringInfo out);
extern bool crm_web_normalize(const char *in, int len, StringInfo out);

/* phone.c */
extern bool crm_phone_normalize(const char *in, int len, const char *country,
								StringInfo out);

#endif							/* CRM_TEXT_H */
