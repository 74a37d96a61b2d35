/*
 * json.c
 *	  Steps through a JSON document that somebody else wrote.
 *
 * PostgreSQL's own functions take what they are given for an object or an
 * array and for a container at all; where it is something else they read
 * memory that is not theirs, or say "internal error".  A model, a definition or
 * a kept document may have been written by hand, so every step goes through
 * these: what is not there, or not of the kind asked for, is NULL.
 */
#include "postgres.h"

#include "base/json.h"

/* The container of an object; NULL for anything else, NULL included. */
JsonbContainer *
crm_json_object(const JsonbValue *v)
{
	return v != NULL && v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data) ?
		v->val.binary.data : NULL;
}

JsonbContainer *
crm_json_array(const JsonbValue *v)
{
	return v != NULL && v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data) &&
		!JsonContainerIsScalar(v->val.binary.data) ? v->val.binary.data : NULL;
}

/* The value of a key; to: where to put it, or NULL for new memory. */
JsonbValue *
crm_json_member(JsonbContainer *c, const char *key, JsonbValue *to)
{
	return c != NULL && JsonContainerIsObject(c) ?
		getKeyJsonValueFromContainer(c, key, strlen(key), to) : NULL;
}

/* An element, counted from 0. */
JsonbValue *
crm_json_element(JsonbContainer *c, int i)
{
	return c != NULL && JsonContainerIsArray(c) && i >= 0 && i < JsonContainerSize(c) ?
		getIthJsonbValueFromContainer(c, i) : NULL;
}
