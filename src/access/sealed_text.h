/*
 * sealed_text.h
 *	  Values of type crm.sealed_text, for the files of this room.
 */
#ifndef CRM_SEALED_TEXT_H
#define CRM_SEALED_TEXT_H

#include "base/crm.h"

#include "access/sealed_math.h"

extern char *crm_open_sealed(bytea *sealed, CrmSealedHead *head, size_t *len);
extern bytea *crm_seal_anew(bytea *sealed);

#endif							/* CRM_SEALED_TEXT_H */
