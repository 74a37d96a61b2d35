/*
 * json.h
 *	  Steps through a JSON document that somebody else wrote.
 */
#ifndef CRM_JSON_H
#define CRM_JSON_H

#include "utils/jsonb.h"

extern JsonbContainer *crm_json_object(const JsonbValue *v);
extern JsonbContainer *crm_json_array(const JsonbValue *v);
extern JsonbValue *crm_json_member(JsonbContainer *c, const char *key, JsonbValue *to);
extern JsonbValue *crm_json_element(JsonbContainer *c, int i);

#endif							/* CRM_JSON_H */
