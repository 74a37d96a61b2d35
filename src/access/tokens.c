/*
 * tokens.c
 *	  Session tokens: crm.issue_token() makes one, SET LOCAL crm.session or
 *	  crm.present_token() presents it, and the rest of the transaction is the user it names.
 *
 * A token is for applications that are trusted to pass on who is served, and not
 * to decide it: who holds no token serves nobody.  What is presented is checked
 * in the check hook of the setting, in this order: its form, its key, its
 * signature, its time, whether the role may serve the user, and whether the
 * tokens of that user were revoked.  Then it is crm.act_as() that is said, with
 * what the token allows (see acting.c), so it ends with the transaction whatever
 * is left in the setting, and workers of parallel queries know of it.
 *
 * A token that only reads makes the transaction one that only reads, and its
 * user a reader who sees as much as ever.  One that only tries lets everything
 * be done, and refuses to commit it.
 */
#include "base/crm.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "access/identity_kept.h"
#include "access/keys.h"
#include "access/token_math.h"
#include "access/tokens.h"

#define LONGEST_LIFE ((TimestampTz) 366 * USECS_PER_DAY)

/* a token that only tries was presented in this transaction, whatever became of it */
static bool only_tries = false;

/* Where a token is valid: this server, this database. */
static void
fill_place(unsigned char *place)
{
	uint64		system = GetSystemIdentifier();
	uint32		database = MyDatabaseId;

	StaticAssertStmt(sizeof(system) + sizeof(database) == CRM_TOKEN_PLACE_BYTES, "place of a token");
	memcpy(place, &system, sizeof(system));
	memcpy(place + sizeof(system), &database, sizeof(database));
}

/* ---- presenting ---- */

/* What a text says that was signed here, and is still valid. */
static void
check_token(const char *given, CrmToken *token)
{
	unsigned char bytes[CRM_TOKEN_BYTES];
	unsigned char place[CRM_TOKEN_PLACE_BYTES];

	if (!crm_token_parse(given, strlen(given), token, bytes))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TOKEN_INVALID),
				 errmsg("this is not a session token"),
				 errhint("A token is what crm.issue_token() returned, whole and unchanged."),
				 crm_tell_nothing()));
	if (!crm_key_is_known(token->key))
		crm_key_missing(token->key);
	fill_place(place);
	if (!crm_token_is_ours(bytes, crm_derived_key(CRM_KEY_SESSION, token->key, token->tenant),
						   place))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TOKEN_INVALID),
				 errmsg("the session token was not issued here, or was changed"),
				 errhint("Tokens are valid in the database that issued them."),
				 crm_tell_nothing()));
	if (token->expires <= GetCurrentTimestamp())
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TOKEN_EXPIRED),
				 errmsg("the session token has expired"),
				 errhint("Ask for a new one: crm.issue_token()."),
				 crm_tell_nothing()));
}

/* The check hook of crm.session hands on what is presented by a session in a transaction. */
static bool
present_token(const char *given)
{
	CrmToken	token;
	CrmActing	acting;

	check_token(given, &token);
	MemSet(&acting, 0, sizeof(acting));
	acting.role = crm_current_role();
	acting.tenant = token.tenant;
	acting.user = token.user;
	acting.issued = token.issued;
	acting.scope = CRM_ACTS_BY_TOKEN | token.level << CRM_ACTS_LEVEL_SHIFT |
		(token.scope & CRM_TOKEN_READ_ONLY ? CRM_ACTS_READ_ONLY : 0);
	/* first: what follows may fail, and is then as if nothing had been said */
	if (token.scope & CRM_TOKEN_DRY_RUN)
		only_tries = true;
	(void) crm_begin_acting(&acting);
	if (token.scope & CRM_TOKEN_READ_ONLY)
		(void) set_config_option("transaction_read_only", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	return true;
}

PG_FUNCTION_INFO_V1(crm_present_token);

/* crm.present_token(token) -> text: the level at which the transaction acts */
Datum
crm_present_token(PG_FUNCTION_ARGS)
{
	(void) set_config_option("crm.session", text_to_cstring(PG_GETARG_TEXT_PP(0)), PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, ERROR, false);
	PG_RETURN_TEXT_P(cstring_to_text(crm_access_name(crm_current_access())));
}

static void
transaction_of_token_ends(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (only_tries)
				ereport(ERROR,
						(errcode(ERRCODE_CRM_DRY_RUN),
						 errmsg("the session token only tries: nothing was kept"),
						 errhint("End such a transaction with ROLLBACK.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			only_tries = false;
			break;
		default:
			break;
	}
}

void
crm_tokens_init(void)
{
	crm_present_session = present_token;
	RegisterXactCallback(transaction_of_token_ends, NULL);
}

/* ---- issuing ---- */

/* Scope and highest level, out of words. */
static void
read_scope(ArrayType *words, CrmToken *token)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(words, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *word = nulls[i] ? pstrdup("NULL") : TextDatumGetCString(elements[i]);
		int			level = CRM_ACCESS_NONE;

		for (int l = CRM_ACCESS_READER; l <= CRM_ACCESS_ADMIN; l++)
			if (strcmp(word, crm_access_name(l)) == 0)
				level = l;
		if (strcmp(word, "read_only") == 0)
			token->scope |= CRM_TOKEN_READ_ONLY;
		else if (strcmp(word, "dry_run") == 0)
			token->scope |= CRM_TOKEN_DRY_RUN;
		else if (level != CRM_ACCESS_NONE && token->level == CRM_ACCESS_NONE)
			token->level = level;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg(level == CRM_ACCESS_NONE ? "unknown scope \"%s\" of a token" :
							"a token has one highest level, and \"%s\" is another one", word),
					 errhint("Scopes are read_only, dry_run, and one of reader, agent, manager and "
							 "admin as the highest level.")));
	}
}

/*
 * The owner of the CRM issues any token, admins those of their company, everybody
 * else their own; nobody by a token.
 */
static void
check_issuer(const Identity *who, const CrmToken *token)
{
	bool		isnull;
	int64		tenant = crm_current_tenant(&isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("it is not clear for whose user a token is to be"),
				 errhint("Say SET crm.tenant = 'id' first.")));
	if (who->key.acting_scope != 0 || tenant != token->tenant ||
		!(who->obeys_setting || (who->has_user && who->user == token->user) ||
		  who->access == CRM_ACCESS_ADMIN))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("you may not issue a token for user " INT64_FORMAT, token->user),
				 errhint("Users issue their own, admins those of their company; nobody does who acts by a "
						 "token.")));
}

PG_FUNCTION_INFO_V1(crm_issue_token);

/* crm.issue_token(user_id, expires_at, scope) -> text */
Datum
crm_issue_token(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID};
	unsigned char place[CRM_TOKEN_PLACE_BYTES];
	char		written[CRM_TOKEN_WRITTEN];
	CrmToken	token = {0};
	CrmOwnerSwitch saved;
	Datum		values[2];
	bool		isnull;
	bool		there;

	token.tenant = crm_current_tenant(&isnull);
	token.user = PG_GETARG_INT64(0);
	token.expires = PG_GETARG_TIMESTAMPTZ(1);
	token.issued = GetCurrentTimestamp();
	read_scope(PG_GETARG_ARRAYTYPE_P(2), &token);
	check_issuer(crm_current_identity(), &token);
	if (TIMESTAMP_NOT_FINITE(token.expires) || token.expires <= token.issued ||
		token.expires - token.issued > LONGEST_LIFE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a token expires within a year from now"),
				 errhint("Short ones are better: now() + interval '15 minutes'.")));

	values[0] = Int64GetDatum(token.tenant);
	values[1] = Int64GetDatum(token.user);
	crm_connect_as(crm_table_owner(crm_table_oid("users", false)), &saved);
	crm_read_newest("SELECT FROM crm.users AS u WHERE u.tenant_id = $1 AND u.id = $2 AND u.active",
					2, types, values, 1);
	there = SPI_processed == 1;
	crm_disconnect_self(&saved);
	if (!there)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("there is no active user " INT64_FORMAT " in tenant " INT64_FORMAT,
						token.user, token.tenant),
				 errhint("It is the id of a row of crm.users.")));

	token.key = crm_current_key();
	fill_place(place);
	crm_token_write(&token, crm_derived_key(CRM_KEY_SESSION, token.key, token.tenant), place,
					written);
	PG_RETURN_TEXT_P(cstring_to_text(written));
}
