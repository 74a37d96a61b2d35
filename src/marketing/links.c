/*
 * links.c
 *	  crm.link_seal(): what makes a link in a message unguessable.
 *
 * A link says which message it stands in, and carries a seal of that under a
 * key of the company.  So no token is stored, a message that is given out
 * again has the same links, and a link of another company fits nowhere else.
 */
#include "base/crm.h"

#include <sodium.h>

#include "utils/builtins.h"

#define SEAL_BYTES 16

PG_FUNCTION_INFO_V1(crm_link_seal);

/* crm.link_seal(key, said) -> text: 22 letters, digits, - and _ */
Datum
crm_link_seal(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	text	   *said = PG_GETARG_TEXT_PP(1);
	unsigned char seal[SEAL_BYTES];
	char		out[sodium_base64_ENCODED_LEN(SEAL_BYTES,
										  sodium_base64_VARIANT_URLSAFE_NO_PADDING)];

	if (VARSIZE_ANY_EXHDR(key) < crypto_generichash_KEYBYTES_MIN ||
		VARSIZE_ANY_EXHDR(key) > crypto_generichash_KEYBYTES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the key of a seal has %d to %d bytes", (int) crypto_generichash_KEYBYTES_MIN,
						(int) crypto_generichash_KEYBYTES_MAX)));
	if (crypto_generichash(seal, SEAL_BYTES, (const unsigned char *) VARDATA_ANY(said),
						   VARSIZE_ANY_EXHDR(said), (const unsigned char *) VARDATA_ANY(key),
						   VARSIZE_ANY_EXHDR(key)) != 0)
		elog(ERROR, "could not seal a link");
	sodium_bin2base64(out, sizeof(out), seal, SEAL_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	PG_RETURN_TEXT_P(cstring_to_text(out));
}
