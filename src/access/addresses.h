/*
 * addresses.h (public)
 *	  Addresses in the form in which they are compared.
 */
#ifndef CRM_ADDRESSES_H
#define CRM_ADDRESSES_H

#include "base/crm.h"

extern Datum crm_contact_point_key(PG_FUNCTION_ARGS);

#endif							/* CRM_ADDRESSES_H */
