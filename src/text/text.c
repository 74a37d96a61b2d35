/*
 * text.c
 *	  SQL functions over folding and normal forms.
 */
#include "base/crm.h"

#include "base/compat.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "text/text.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define MAX_TOKENS 256

/* The folding is over UTF-8, as is every database the CRM is installed in. */
void
crm_check_encoding(void)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("text can be folded only in a database with encoding UTF8")));
}

static Datum
text_result(StringInfo out)
{
	return PointerGetDatum(cstring_to_text_with_len(out->data, out->len));
}

PG_FUNCTION_INFO_V1(crm_fold_text);

Datum
crm_fold_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	StringInfoData out;

	crm_check_encoding();
	initStringInfo(&out);
	crm_fold(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out);
	return text_result(&out);
}

PG_FUNCTION_INFO_V1(crm_name_key);

Datum
crm_name_key(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	StringInfoData out;

	crm_check_encoding();
	initStringInfo(&out);
	crm_fold_name_key(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out);
	return text_result(&out);
}

PG_FUNCTION_INFO_V1(crm_name_words);

Datum
crm_name_words(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	StringInfoData out;
	char	   *tokens[MAX_TOKENS];
	Datum		words[MAX_TOKENS];
	int			n;

	crm_check_encoding();
	initStringInfo(&out);
	crm_fold(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out);
	n = crm_fold_tokens(&out, tokens, MAX_TOKENS);
	for (int i = 0; i < n; i++)
		words[i] = CStringGetTextDatum(tokens[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(words, n, TEXTOID, -1, false, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(crm_name_terms);

/* Words with their tenant, so that a search reads nothing of another one. */
Datum
crm_name_terms(PG_FUNCTION_ARGS)
{
	int64		tenant = PG_GETARG_INT64(0);
	text	   *value = PG_GETARG_TEXT_PP(1);
	StringInfoData out;
	char	   *tokens[MAX_TOKENS];
	Datum		terms[MAX_TOKENS];
	int			n;

	crm_check_encoding();
	initStringInfo(&out);
	crm_fold(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out);
	n = crm_fold_tokens(&out, tokens, MAX_TOKENS);
	for (int i = 0; i < n; i++)
		terms[i] = CStringGetTextDatum(psprintf(INT64_FORMAT ":%s", tenant, tokens[i]));
	PG_RETURN_ARRAYTYPE_P(construct_array(terms, n, TEXTOID, -1, false, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(crm_normalize_email);

Datum
crm_normalize_email(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	StringInfoData out;

	crm_check_encoding();
	initStringInfo(&out);
	if (!crm_email_normalize(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out))
		PG_RETURN_NULL();
	return text_result(&out);
}
