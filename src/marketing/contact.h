/*
 * contact.h
 *	  Whether a person may be written to, for the files of this room.
 */
#ifndef CRM_CONTACT_H
#define CRM_CONTACT_H

#include "base/crm.h"

/* Somebody, what for, how and where. */
typedef struct CrmContactQuestion
{
	int64		tenant;
	const char *subject_table;	/* contacts or leads */
	int64		subject_id;
	const char *purpose;
	const char *channel;
	const char *address_key;	/* NULL: no address is looked at */
} CrmContactQuestion;

typedef struct CrmContactAnswer
{
	bool		known;			/* there is such a purpose */
	bool		allowed;
	const char *reason;
	bool		has_since;
	TimestampTz since;
	bool		has_statement;
	int64		statement;		/* crm.consents.id that it rests on */
} CrmContactAnswer;

/* What is known: the statement that counts, a suppression of the address. */
typedef struct CrmContactFacts
{
	const char *suppressed;		/* its reason; NULL: none */
	TimestampTz suppressed_at;
	const char *state;			/* of the statement; NULL: there is none */
	TimestampTz stated_at;
	int64		statement;
	const char *named_address;	/* that the statement is for; NULL: those of the person */
	bool		theirs;			/* the address is one that a statement given is for */
} CrmContactFacts;

/* contact_scan.c */
extern bool crm_scan_contact(const CrmContactQuestion *q, TimestampTz at, CrmContactFacts *facts);

/* contact.c */
extern CrmContactAnswer crm_may_contact_now(const CrmContactQuestion *question);
extern bool crm_diverts(int64 tenant);
extern const char *crm_address_key(int64 tenant, const char *channel, const char *address);

#endif							/* CRM_CONTACT_H */
