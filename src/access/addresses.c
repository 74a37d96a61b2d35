/*
 * addresses.c
 *	  Telephone numbers and contact points as SQL functions.  The normal forms
 *	  are those of room text.  They stand in this room because a number
 *	  without a country code belongs to the tenant's country.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "access/addresses.h"
#include "text/text.h"

PG_FUNCTION_INFO_V1(crm_normalize_phone);

Datum
crm_normalize_phone(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	char	   *country = text_to_cstring(PG_GETARG_TEXT_PP(1));
	StringInfoData out;

	crm_check_encoding();
	initStringInfo(&out);
	if (!crm_phone_normalize(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), country, &out))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/*
 * Does one number end and the next begin at a character?  A comma may also
 * stand before an extension, and a slash within a number: behind them another
 * number must be seen to begin.
 */
static bool
separates_numbers(const char *in, int len, int at)
{
	int			digits = 0;

	if (strchr(";|\n\r", in[at]) != NULL)
		return true;
	if (in[at] != ',' && in[at] != '/')
		return false;
	do
		at++;
	while (at < len && in[at] == ' ');
	if (at < len && in[at] == '+')
		return true;
	if (in[at - 1] == '/')
		return false;
	for (; at < len && strchr("0123456789 ()-", in[at]) != NULL; at++)
		digits += in[at] >= '0' && in[at] <= '9';
	return digits >= 7;
}

PG_FUNCTION_INFO_V1(crm_phone_numbers);

/*
 * crm.phone_numbers(value, country) -> text[]
 *
 * The numbers of a text that holds one or several, in their order.
 */
Datum
crm_phone_numbers(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	char	   *country = text_to_cstring(PG_GETARG_TEXT_PP(1));
	const char *in = VARDATA_ANY(value);
	int			len = VARSIZE_ANY_EXHDR(value);
	ArrayBuildState *found = NULL;
	StringInfoData out;
	int			start = 0;

	crm_check_encoding();
	initStringInfo(&out);
	for (int i = 0; i <= len; i++)
	{
		if (i < len && !separates_numbers(in, len, i))
			continue;
		resetStringInfo(&out);
		if (i > start && crm_phone_normalize(in + start, i - start, country, &out))
		{
			text	   *number = cstring_to_text_with_len(out.data, out.len);

			found = accumArrayResult(found, PointerGetDatum(number), false, TEXTOID,
									 CurrentMemoryContext);
		}
		start = i + 1;
	}
	if (found == NULL)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(makeArrayResult(found, CurrentMemoryContext));
}

PG_FUNCTION_INFO_V1(crm_contact_point_key);

/*
 * crm.contact_point_key(kind, value, country) -> text
 *
 * The form in which two ways to reach somebody are compared; null where the
 * value is not one of its kind.
 */
Datum
crm_contact_point_key(PG_FUNCTION_ARGS)
{
	char	   *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	text	   *value = PG_GETARG_TEXT_PP(1);
	char	   *country = text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *in = VARDATA_ANY(value);
	int			len = VARSIZE_ANY_EXHDR(value);
	StringInfoData out;
	bool		valid;

	crm_check_encoding();
	initStringInfo(&out);
	if (strcmp(kind, "email") == 0)
		valid = crm_email_normalize(in, len, &out);
	else if (strcmp(kind, "phone") == 0 || strcmp(kind, "mobile") == 0 ||
			 strcmp(kind, "fax") == 0)
		valid = crm_phone_normalize(in, len, country, &out);
	else if (strcmp(kind, "web") == 0)
		valid = crm_web_normalize(in, len, &out);
	else
	{
		int			skip;

		crm_fold(in, len, &out);
		/* @name and name are one account */
		skip = out.len > 1 && out.data[0] == '@' ? 1 : 0;
		out.len -= skip;
		memmove(out.data, out.data + skip, out.len + 1);
		valid = out.len > 0;
	}
	if (!valid)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
