/*
 * settings.c
 *	  Every setting of the extension, in alphabetical order, those of the
 *	  worker by themselves.
 */
#include "base/crm.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

char	   *crm_bypass_reason = NULL;
char	   *crm_history_reason = NULL;
int			crm_incomplete_kept = 0;
bool		crm_written_kept = false;
char	   *crm_cause_setting = NULL;
char	   *crm_key_file = NULL;
static char *crm_tenant_setting = NULL;
static char *crm_request_id = NULL;
static char *crm_readmit = NULL;
static char *crm_acting_setting = NULL;
static bool acting_by_function = false;
bool		crm_tenant_set = false;
int64		crm_tenant_setting_id = 0;
CrmActing	crm_acting = {InvalidOid, 0, 0, 0, 0};
static char *crm_session = NULL;
bool		(*crm_present_session) (const char *token) = NULL;

/* The number is kept beside its text, so that nobody parses it twice. */
static bool
check_tenant(char **newval, void **extra, GucSource source)
{
	int64	   *id;
	char	   *end;

	if (**newval == '\0')
		return true;
	id = (int64 *) guc_malloc(LOG, sizeof(int64));
	if (id == NULL)
		return false;
	errno = 0;
	*id = strtoi64(*newval, &end, 10);
	if (errno != 0 || *end != '\0' || *id <= 0)
	{
		guc_free(id);
		GUC_check_errdetail("It is the id of a tenant, a positive whole number.");
		return false;
	}
	*extra = id;
	return true;
}

static void
assign_tenant(const char *newval, void *extra)
{
	crm_tenant_set = extra != NULL;
	crm_tenant_setting_id = extra != NULL ? *(int64 *) extra : 0;
}

/*
 * Only crm.act_as() says who acts: a value by hand, from a file or of a role is
 * refused, a superuser's as well.  Workers of a parallel query are given what
 * their leader has.
 */
static bool
check_acting(char **newval, void **extra, GucSource source)
{
	CrmActing  *acting;

	if (**newval == '\0')
		return true;
	if (!acting_by_function && !InitializingParallelWorker)
	{
		GUC_check_errdetail("It is set by crm.act_as() alone, which asks who may.");
		return false;
	}
	acting = (CrmActing *) guc_malloc(LOG, sizeof(CrmActing));
	if (acting == NULL)
		return false;
	if (sscanf(*newval, "%u/" INT64_FORMAT "/" INT64_FORMAT "/" INT64_FORMAT "/%d",
			   &acting->role, &acting->tenant, &acting->user, &acting->issued,
			   &acting->scope) != 5)
	{
		guc_free(acting);
		return false;
	}
	*extra = acting;
	return true;
}

static void
assign_acting(const char *newval, void *extra)
{
	if (extra != NULL)
		crm_acting = *(CrmActing *) extra;
	else
		MemSet(&crm_acting, 0, sizeof(crm_acting));
}

/*
 * Somebody acts until the transaction ends, or the subtransaction in which it
 * was said is rolled back: settings know both, and workers of parallel queries.
 */
void
crm_set_acting(const CrmActing *acting)
{
	char		value[128];

	snprintf(value, sizeof(value), "%u/" INT64_FORMAT "/" INT64_FORMAT "/" INT64_FORMAT "/%d",
			 acting->role, acting->tenant, acting->user, acting->issued, acting->scope);
	acting_by_function = true;
	PG_TRY();
	{
		(void) set_config_option("crm.acting", value, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
	}
	PG_FINALLY();
	{
		acting_by_function = false;
	}
	PG_END_TRY();
}

/*
 * A session presents a token in a transaction; nothing else does: not a file, a
 * role's settings or the beginning of a connection.  Workers of a parallel query
 * have crm.acting of their leader, which is what follows from it.
 */
static bool
check_session(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || InitializingParallelWorker)
		return true;
	if (crm_present_session == NULL)
	{
		/* set before the library was there: it is only now that it defines its settings */
		GUC_check_errmsg("a session token was presented before the library of the CRM was loaded");
		GUC_check_errhint("Present it by the function present_token() of schema crm, or let the server load the "
						  "library: session_preload_libraries = 'crm'.");
		return false;
	}
	if (source != PGC_S_SESSION || !IsTransactionBlock())
	{
		GUC_check_errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION);
		GUC_check_errmsg("a session token is presented within a transaction alone");
		GUC_check_errhint("Say BEGIN; SET LOCAL crm.session = 'token'; it is valid until the transaction ends.");
		return false;
	}
	return crm_present_session(*newval);
}

/* Nobody reads the token back. */
static const char *
show_session(void)
{
	return crm_session == NULL || crm_session[0] == '\0' ? "" : "a token";
}

/* From the server's configuration alone, so that no session points it at another file. */
static bool
check_key_file(char **newval, void **extra, GucSource source)
{
	if (**newval == '\0' || is_absolute_path(*newval))
		return true;
	GUC_check_errdetail("It is the absolute path of a file.");
	return false;
}

/* Where keys are, and who is asking by one. */
static void
define_secret_settings(void)
{
	DefineCustomStringVariable("crm.key_file",
							   "File with the keys of sealed text and of session tokens.",
							   "Absolute path of a file made by the command crm-keys, outside the data "
							   "directory. Empty: nothing is sealed and no token is valid.",
							   &crm_key_file,
							   "",
							   PGC_SIGHUP,
							   GUC_SUPERUSER_ONLY | GUC_NOT_IN_SAMPLE,
							   check_key_file, NULL, NULL);

	DefineCustomStringVariable("crm.session",
							   "Token of the user an application acts as, until the transaction ends.",
							   "Made by crm.issue_token(). Presented within each transaction by SET LOCAL.",
							   &crm_session,
							   "",
							   PGC_USERSET,
							   GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_session, NULL, show_session);
}

static void
define_worker_settings(void)
{
	/* read once, when the library is preloaded; of no effect otherwise */
	DefineCustomBoolVariable("crm.worker",
							 "Starts the background worker of the CRM with the server.",
							 "Needs crm in shared_preload_libraries.",
							 &crm_worker_enabled,
							 true,
							 process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP,
							 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable("crm.worker_databases",
							   "Databases in the care of the background worker.",
							   "Names, separated by commas.",
							   &crm_worker_databases,
							   "",
							   PGC_SIGHUP,
							   GUC_LIST_INPUT,
							   crm_worker_check_databases, NULL, NULL);

	DefineCustomIntVariable("crm.worker_naptime",
							"Longest time between two visits of the background worker to a database.",
							"It comes earlier when something falls due.",
							&crm_worker_naptime,
							60, 1, 86400,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);

	DefineCustomStringVariable("crm.worker_role",
							   "Role the background worker acts as.",
							   "Empty: the owner of the CRM in each database.",
							   &crm_worker_role,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL, NULL, NULL);
}

/* What a program says of what it does. */
static void
define_request_settings(void)
{
	DefineCustomStringVariable("crm.cause",
							   "Why rows are written: goes with the events that tell of it.",
							   "Free text of a program, such as its name or the key of its request. Functions "
							   "of the CRM say theirs where the program says nothing.",
							   &crm_cause_setting,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);

	/* read by the triggers of tables with addresses (option addresses of the registry) */
	DefineCustomStringVariable("crm.readmit",
							   "Why somebody who was erased is written down again: they asked for it.",
							   "Without it rows with an address of a person who was erased are refused. "
							   "What is said here is kept beside the erasure.",
							   &crm_readmit,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);

	/* read by crm.begin_request() */
	DefineCustomStringVariable("crm.request_id",
							   "Key of the command that is sent: the same key again gets the first answer.",
							   "Chosen by the caller, for one command alone. Looked at by crm.call() and "
							   "the functions of crm.create_api().",
							   &crm_request_id,
							   "",
							   PGC_USERSET,
							   GUC_NOT_IN_SAMPLE,
							   NULL, NULL, NULL);
}

/* What the server does with statements on the CRM. */
static void
define_planner_settings(void)
{
	DefineCustomIntVariable("crm.assumed_rows",
							"Rows for which look-ups in small tables of the CRM are planned.",
							"Plans that are kept stay good while an empty table is filled. 0: the planner "
							"is told what there is.",
							&crm_assumed_rows,
							1000, 0, 1000000,
							PGC_USERSET,
							0,
							NULL, NULL, NULL);
}

void
crm_guc_init(void)
{
	/* RESET ALL leaves it alone */
	DefineCustomStringVariable("crm.acting",
							   "User an application acts as, until the transaction ends.",
							   "Database role, tenant and user. Set by crm.act_as() alone.",
							   &crm_acting_setting,
							   "",
							   PGC_SUSET,
							   GUC_NO_RESET_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_acting, assign_acting, NULL);

	DefineCustomStringVariable("crm.bypass_reason",
							   "Reason for which guards of stages are not asked, until the transaction ends.",
							   "Set by crm.bypass_guards(), which asks who may.",
							   &crm_bypass_reason,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);

	DefineCustomBoolVariable("crm.debug_discard_kept",
							 "Compiles kept configuration anew at every look.",
							 "For tests: it also spoils freed memory, so what uses it fails.",
							 &crm_discard_kept,
							 false,
							 PGC_SUSET,
							 GUC_NOT_IN_SAMPLE,
							 NULL, crm_assign_discard_kept, NULL);

	DefineCustomStringVariable("crm.history_reason",
							   "Reason for which rows keep the dates they are given, until the transaction ends.",
							   "Set by crm.begin_history(), which asks who may.",
							   &crm_history_reason,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   NULL, NULL, NULL);

	DefineCustomIntVariable("crm.incomplete_kept",
							"Rows are stored without the fields that their table requires (1), or unchecked (2).",
							"Never set by hand: crm.keep_incomplete() does it for a function that takes in "
							"what must not be lost, until that function returns.",
							&crm_incomplete_kept,
							0, 0, 2,
							PGC_INTERNAL,
							GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							NULL, NULL, NULL);

	DefineCustomStringVariable("crm.tenant",
							   "Tenant that a role without a tenant of its own works for.",
							   "The id of a row of crm.tenants. Obeyed only for roles that own the CRM; "
							   "everybody else has the tenant of the CRM user they are.",
							   &crm_tenant_setting,
							   "",
							   PGC_USERSET,
							   0,
							   check_tenant, assign_tenant, NULL);

	DefineCustomBoolVariable("crm.written_kept",
							 "Rows keep the values they are given in columns that the CRM writes.",
							 "Never set by hand: crm.keep_written() does it for a function, until it returns.",
							 &crm_written_kept,
							 false,
							 PGC_INTERNAL,
							 GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							 NULL, NULL, NULL);

	define_planner_settings();
	define_request_settings();
	define_secret_settings();
	define_worker_settings();

	MarkGUCPrefixReserved("crm");
}

PG_FUNCTION_INFO_V1(crm_keep_incomplete);

/*
 * crm.keep_incomplete(checked) -- what a function stores from here on may lack
 * required fields.  The value is saved at the nest level of the calling function's
 * own settings, so that it ends with that function, by an error as well.
 */
Datum
crm_keep_incomplete(PG_FUNCTION_ARGS)
{
	(void) set_config_option("crm.incomplete_kept", PG_GETARG_BOOL(0) ? "1" : "2",
							 PGC_INTERNAL, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_keep_written);

/*
 * crm.keep_written() -- what a function stores from here on keeps what it is
 * given in columns that the CRM writes; saved as above.
 */
Datum
crm_keep_written(PG_FUNCTION_ARGS)
{
	(void) set_config_option("crm.written_kept", "on", PGC_INTERNAL, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_because);

/*
 * crm.because(cause) -- what a function writes from here on has this cause, until
 * it returns, unless whoever called it has said one.
 */
Datum
crm_because(PG_FUNCTION_ARGS)
{
	if (crm_cause_setting[0] == '\0')
		(void) set_config_option("crm.cause", text_to_cstring(PG_GETARG_TEXT_PP(0)),
								 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(crm_cause);

/* crm.cause() -- the cause of what is written now; NULL: none was said. */
Datum
crm_cause(PG_FUNCTION_ARGS)
{
	const char *cause = crm_cause_setting[0] ? crm_cause_setting : crm_history_reason;

	if (cause[0] == '\0')
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(cause));
}
