/*
 * privacy.c
 *	  What erasing a person needs that SQL cannot do: writing without triggers,
 *	  and tags by which somebody is known again whose address is kept nowhere.
 *
 * What is erased must not be written down once more while it goes: triggers
 * would put the old values into the log of changes and the outbox, and guards
 * would refuse rows whose required values are missing from then on.  So the
 * statements of sql/access/code/56_erase.sql run as those of a replica do, with
 * the triggers silent that do not say ENABLE ALWAYS.  Those of rollups do.
 * Foreign keys are silent too: such a statement changes no key, and deletes
 * only rows that nothing refers to (crm.table_options(), erase).
 */
#include "base/crm.h"

#include <sodium.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "access/keys.h"

#define TAG_BYTES 16

PG_FUNCTION_INFO_V1(crm_write_quietly);

/*
 * crm.write_quietly(statement, tenant, ids, texts) -> bigint[]
 *
 * Runs one statement with $1, $2 and $3, which returns a bigint[].  For the
 * owner alone, who can disable triggers anyway.
 */
Datum
crm_write_quietly(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8ARRAYOID, TEXTARRAYOID};
	char	   *statement = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Datum		values[3] = {PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3)};
	MemoryContext caller = CurrentMemoryContext;
	ArrayType  *counts = NULL;
	int			level;

	crm_connect();
	/* an error puts the setting back with the subtransaction */
	level = NewGUCNestLevel();
	(void) set_config_option("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	if (crm_execute_once(statement, lengthof(types), types, values, NULL, false,
						 0) == SPI_OK_SELECT &&
		SPI_processed == 1 && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == INT8ARRAYOID)
	{
		bool		isnull;
		Datum		found = crm_spi_value(0, 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (!isnull)
			counts = DatumGetArrayTypePCopy(found);
		MemoryContextSwitchTo(old);
	}
	AtEOXact_GUC(true, level);
	crm_disconnect();
	if (counts == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a statement that writes quietly returns one row, with a bigint[]"),
				 errhint("Say WITH ... UPDATE ... RETURNING ..., and SELECT ARRAY[count(*)].")));
	PG_RETURN_ARRAYTYPE_P(counts);
}

PG_FUNCTION_INFO_V1(crm_person_tag);

/*
 * crm.person_tag(tenant, said, key) -> bytea
 *
 * Keyed hash of what somebody is known by.  key NULL: by the tenant's key of
 * the key file that is never rotated, NULL where there is no such file.
 */
Datum
crm_person_tag(PG_FUNCTION_ARGS)
{
	/* what is sealed has tags under the same key: no two of them are ever one */
	static const char domain[] = "crm person:";
	text	   *said;
	const unsigned char *key;
	size_t		key_len = CRM_KEY_BYTES;
	crypto_generichash_state *state;
	char		space[sizeof(crypto_generichash_state) + 64];
	bytea	   *out;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	said = PG_GETARG_TEXT_PP(1);
	if (PG_ARGISNULL(2))
		key = crm_derived_key(CRM_KEY_TAG, 0, PG_GETARG_INT64(0));
	else
	{
		bytea	   *given = PG_GETARG_BYTEA_PP(2);

		key = (const unsigned char *) VARDATA_ANY(given);
		key_len = VARSIZE_ANY_EXHDR(given);
		if (key_len < crypto_generichash_KEYBYTES_MIN || key_len > crypto_generichash_KEYBYTES_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the key of a tag has %d to %d bytes",
							(int) crypto_generichash_KEYBYTES_MIN,
							(int) crypto_generichash_KEYBYTES_MAX)));
	}
	out = palloc(VARHDRSZ + TAG_BYTES);
	SET_VARSIZE(out, VARHDRSZ + TAG_BYTES);
	/* of an alignment that the stack does not promise */
	state = (crypto_generichash_state *) TYPEALIGN(64, space);
	(void) crypto_generichash_init(state, key, key_len, TAG_BYTES);
	(void) crypto_generichash_update(state, (const unsigned char *) domain, sizeof(domain));
	(void) crypto_generichash_update(state, (const unsigned char *) VARDATA_ANY(said),
									 VARSIZE_ANY_EXHDR(said));
	(void) crypto_generichash_final(state, (unsigned char *) VARDATA(out), TAG_BYTES);
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_is_erased);

/*
 * crm.is_erased(tenant, tags) -> boolean
 *
 * By the newest state: a transaction that has looked at the database before
 * somebody was erased must not bring them back.
 */
Datum
crm_is_erased(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, BYTEAARRAYOID};
	Datum		values[2] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	bool		found;

	crm_connect();
	crm_read_newest("SELECT FROM crm.erased_addresses AS e WHERE e.tenant_id OPERATOR(pg_catalog.=) $1"
					" AND e.tag OPERATOR(pg_catalog.=) ANY ($2) AND e.readmitted_at IS NULL",
					lengthof(types), types, values, 1);
	found = SPI_processed > 0;
	crm_disconnect();
	PG_RETURN_BOOL(found);
}
