/*
 * same.c
 *	  When two values of a column, or of a row before and after, are the same.
 *
 * The same stored value, whatever its compression: what triggers ask that must
 * not miss a change of 1 to 1.0.  Equal to its type, as IS DISTINCT FROM asks:
 * where such a change says nothing new.
 */
#include "base/crm.h"

#include "utils/datum.h"
#include "utils/typcache.h"

bool
crm_same_stored(Datum a, bool a_null, Datum b, bool b_null, bool by_value, int16 length)
{
	if (a_null || b_null)
		return a_null == b_null;
	return datum_image_eq(a, b, by_value, length);
}

/* The usual way first: the same bytes.  A type without equality is compared as it is stored. */
bool
crm_same_value(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null)
{
	TypeCacheEntry *type;

	if (a_null || b_null)
		return a_null == b_null;
	if (datumIsEqual(a, b, att->attbyval, att->attlen))
		return true;
	type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR_FINFO);
	if (!OidIsValid(type->eq_opr_finfo.fn_oid))
		return datum_image_eq(a, b, att->attbyval, att->attlen);
	return DatumGetBool(FunctionCall2Coll(&type->eq_opr_finfo, att->attcollation, a, b));
}
