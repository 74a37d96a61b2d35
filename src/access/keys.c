/*
 * keys.c
 *	  The keeper of the keys: they are read out of the file of crm.key_file by
 *	  the backend that needs one, and never leave its locked memory.
 *
 * No key stands in a table, a log, an argument or a setting; a setting names
 * the file, and only the server's configuration can set it.  Nothing that seals
 * or signs uses a key of the file itself: each tenant has keys of its own,
 * derived from it by the tenant's number and by what they are for.
 *
 * The file is looked at once a transaction.  A key that was added, or a file
 * that is gone, counts from the next transaction on, without a reload.
 */
#include "base/crm.h"

#include <sodium.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "access/keys.h"

#define DERIVED_KEPT 16			/* a key stays until as many others were asked for */

typedef struct DerivedKey
{
	CrmKeyPurpose purpose;
	uint32		id;				/* 0: of no key, the slot is free or holds a tag's */
	int64		tenant;			/* 0: the slot is free */
	unsigned char bytes[CRM_KEY_BYTES];
} DerivedKey;

typedef struct DerivedKeys
{
	int			next;
	DerivedKey	kept[DERIVED_KEPT];
} DerivedKeys;

static CrmMasterKeys *masters = NULL;	/* locked, and read only but while they are read */
static DerivedKeys *derived = NULL; /* locked */
static char *loaded_from = NULL;
static struct stat stamp;
static TimestampTz looked_at = 0;	/* transaction that last looked at the file, by its beginning */
static const char *problem = NULL;	/* NULL: the keys are there */
static int	problem_line = 0;

static void
forget_keys(void)
{
	looked_at = 0;
	if (masters != NULL)
	{
		sodium_mprotect_readwrite(masters);
		sodium_memzero(masters, sizeof(*masters));
	}
	if (derived != NULL)
		sodium_memzero(derived, sizeof(*derived));
}

static void
forget_at_exit(int code, Datum arg)
{
	forget_keys();
}

/* Locked memory, out of core dumps and the swap as far as the system allows. */
static void
get_memory(void)
{
	if (derived != NULL)
		return;
	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("libsodium could not be initialised")));
	if (masters == NULL)
		masters = sodium_malloc(sizeof(*masters));
	if (masters != NULL)
		derived = sodium_malloc(sizeof(*derived));
	if (derived == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("There is no locked memory for keys.")));
	on_proc_exit(forget_at_exit, (Datum) 0);
	forget_keys();
}

/* What a backup of the data directory copies is no place for keys. */
static bool
inside_data_directory(const char *path)
{
	char	   *file = realpath(path, NULL);
	char	   *data = realpath(DataDir, NULL);
	bool		inside = file != NULL && data != NULL &&
		strncmp(file, data, strlen(data)) == 0 && file[strlen(data)] == '/';

	free(file);
	free(data);
	return inside;
}

static void
read_keys(void)
{
	forget_keys();
	problem = NULL;
	problem_line = 0;
	if (inside_data_directory(loaded_from))
		problem = "it lies in the data directory, which backups copy";
	else if (!crm_keyfile_read(loaded_from, masters, &stamp, &problem, &problem_line))
		sodium_memzero(masters, sizeof(*masters));
	sodium_mprotect_readonly(masters);
}

/* Whether the file is the one that was read, and as it was. */
static bool
is_unchanged(void)
{
	struct stat now;

	return loaded_from != NULL && problem == NULL && strcmp(loaded_from, crm_key_file) == 0 &&
		lstat(loaded_from, &now) == 0 &&
		now.st_dev == stamp.st_dev && now.st_ino == stamp.st_ino &&
		now.st_size == stamp.st_size && now.st_mode == stamp.st_mode &&
		now.st_uid == stamp.st_uid &&
		now.st_mtim.tv_sec == stamp.st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == stamp.st_mtim.tv_nsec &&
		now.st_ctim.tv_sec == stamp.st_ctim.tv_sec &&
		now.st_ctim.tv_nsec == stamp.st_ctim.tv_nsec;
}

/* Whether there are keys; they are read where they are not, or not any more. */
static bool
find_keys(void)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (looked_at == now && now != 0 && problem == NULL && strcmp(loaded_from, crm_key_file) == 0)
		return true;
	if (crm_key_file[0] == '\0')
	{
		forget_keys();
		return false;
	}
	get_memory();
	if (!is_unchanged())
	{
		char	   *path = strdup(crm_key_file);

		if (path == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
		free(loaded_from);
		loaded_from = path;
		read_keys();
	}
	looked_at = now;
	return problem == NULL;
}

/*
 * Part of an error about secrets: neither the log nor anybody on the way to the
 * user adds what was being done, which holds a text where one is being sealed:
 * COPY its line, PL/pgSQL its statement.  Whoever catches the error has the
 * stack back.
 */
int
crm_tell_nothing(void)
{
	error_context_stack = NULL;
	return errhidestmt(true);
}

/* Where the file is and what is wrong with it is for the server's log and superusers. */
static void
need_keys(void)
{
	if (likely(find_keys()))
		return;
	if (crm_key_file[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_CRM_KEY_UNAVAILABLE),
				 errmsg("the server has no key file"),
				 errhint("The administrator of the server makes one with the command crm-keys, and "
						 "names it in the setting crm.key_file."),
				 crm_tell_nothing()));
	ereport(ERROR,
			(errcode(ERRCODE_CRM_KEY_UNAVAILABLE),
			 errmsg("the key file of the server cannot be used"),
			 superuser() ? errdetail("File \"%s\", line %d: %s.", crm_key_file, problem_line, problem) :
			 errdetail_log("File \"%s\", line %d: %s.", crm_key_file, problem_line, problem),
			 errhint("The administrator of the server finds the reason in the server's log."),
			 crm_tell_nothing()));
}

/* The id of the key with which everything new is sealed and signed. */
uint32
crm_current_key(void)
{
	need_keys();
	return masters->keys[masters->n - 1].id;
}

static const CrmMasterKey *
find_key(uint32 id)
{
	/* the newest is wanted most */
	for (int i = masters->n - 1; i >= 0; i--)
		if (masters->keys[i].id == id)
			return &masters->keys[i];
	return NULL;
}

bool
crm_key_is_known(uint32 id)
{
	need_keys();
	return find_key(id) != NULL;
}

void
crm_key_missing(uint32 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_CRM_KEY_UNAVAILABLE),
			 errmsg("key %08x is not in the key file", id),
			 errdetail("What was sealed or signed with it cannot be opened here."),
			 errhint("Bring the key back into the file from a copy of it."),
			 crm_tell_nothing()));
}

/*
 * A tenant's key for a purpose, out of the key with this id (0 for tags, whose
 * key is never rotated).  It stays where it is until DERIVED_KEPT others were
 * asked for, or the transaction ends.
 */
const unsigned char *
crm_derived_key(CrmKeyPurpose purpose, uint32 id, int64 tenant)
{
	/* one for each purpose, of 8 characters */
	static const char *const contexts[] = {"crm_seal", "crm_tags", "crm_sess", "crm_audt"};
	const CrmMasterKey *master;
	DerivedKey *slot;

	need_keys();
	for (int i = 0; i < DERIVED_KEPT; i++)
		if (derived->kept[i].tenant == tenant && derived->kept[i].id == id &&
			derived->kept[i].purpose == purpose && tenant != 0)
			return derived->kept[i].bytes;
	master = purpose == CRM_KEY_TAG ? NULL : find_key(id);
	if (purpose != CRM_KEY_TAG && master == NULL)
		crm_key_missing(id);
	slot = &derived->kept[derived->next++ % DERIVED_KEPT];
	slot->purpose = purpose;
	slot->id = id;
	slot->tenant = tenant;
	StaticAssertStmt(crypto_kdf_KEYBYTES == CRM_KEY_BYTES, "keys are derived from keys of the file");
	(void) crypto_kdf_derive_from_key(slot->bytes, CRM_KEY_BYTES, (uint64) tenant,
									  contexts[purpose],
									  master != NULL ? master->bytes : masters->tags);
	return slot->bytes;
}

PG_FUNCTION_INFO_V1(crm_key_ids);

/* crm.key_ids() -> text[]: the current one last; NULL: there is no file that can be used */
Datum
crm_key_ids(PG_FUNCTION_ARGS)
{
	Datum		ids[CRM_KEYFILE_MAX_KEYS];

	if (!find_keys())
		PG_RETURN_NULL();
	for (int i = 0; i < masters->n; i++)
		ids[i] = CStringGetTextDatum(psprintf("%08x", masters->keys[i].id));
	PG_RETURN_ARRAYTYPE_P(construct_array(ids, masters->n, TEXTOID, -1, false, TYPALIGN_INT));
}
