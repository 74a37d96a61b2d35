/*
 * install.c
 *	  crm.install(): the tables, functions and views as ordinary objects.
 *
 * The extension's members are code only.  What holds data is made here, as
 * objects owned by the caller, so that it dumps, restores, partitions and
 * upgrades like any other table.  Three kinds of script stand beside the
 * control file:
 *
 *	crm_tables--V.sql		tables and their first rows, run once
 *	crm_tables--A--B.sql	one upgrade step of the tables
 *	crm_code--V.sql			functions, triggers, policies and views; made anew by
 *							every call
 *
 * Declarations (SELECT crm.declare_...) of the tables' script and of the
 * extension's own, crm--V.sql, are an exception: they say what tables and
 * functions are, which may change with the code, so every call runs them again.
 *
 * An upgrade takes the shortest chain of steps from the version recorded in
 * crm.installation to the version of the library.  The whole call is one
 * transaction, so a failing step leaves the old version in place.
 */
#include "base/crm.h"

#include <dirent.h>

#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "parser/parser.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define EXTENSION_PREFIX "crm--"
#define TABLES_PREFIX "crm_tables--"
#define CODE_PREFIX "crm_code--"
#define MAX_STEPS 256

typedef struct Step
{
	char	   *from;
	char	   *to;
	bool		used;
	int			via;			/* step before this one on the path, or -1 */
} Step;

typedef struct ScriptPosition
{
	const char *file;
	const char *text;
	int			offset;
} ScriptPosition;

/* The directory that holds the control file and our scripts. */
static char *
script_directory(void)
{
	const char *destdir;
	char		sharepath[MAXPGPATH];

	get_share_path(my_exec_path, sharepath);
	/* Debian's servers can look for extensions below another root. */
	destdir = GetConfigOption("extension_destdir", true, false);
	if (destdir != NULL && destdir[0] != '\0')
	{
		char	   *staged = psprintf("%s%s/extension", destdir, sharepath);
		char	   *control = psprintf("%s/crm.control", staged);

		if (access(control, R_OK) == 0)
			return staged;
	}
	return psprintf("%s/extension", sharepath);
}

static char *
read_script(const char *path)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	StringInfoData text;
	char		buf[8192];
	size_t		n;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open script file \"%s\": %m", path),
				 errhint("Install the files of the extension again, for the version of its library.")));
	initStringInfo(&text);
	while ((n = fread(buf, 1, sizeof(buf), file)) > 0)
		appendBinaryStringInfo(&text, buf, (int) n);
	if (ferror(file))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read script file \"%s\": %m", path)));
	FreeFile(file);
	pg_verify_mbstr(PG_UTF8, text.data, text.len, false);
	return pg_any_to_server(text.data, text.len, PG_UTF8);
}

static void
script_error_context(void *arg)
{
	ScriptPosition *pos = (ScriptPosition *) arg;
	int			line = 1;

	for (int i = 0; i < pos->offset && pos->text[i] != '\0'; i++)
		if (pos->text[i] == '\n')
			line++;
	errcontext("line %d of \"%s\"", line, pos->file);
}

/* Is a statement SELECT crm.declare_something(...)? */
static bool
is_declaration(RawStmt *raw)
{
	SelectStmt *select = (SelectStmt *) raw->stmt;
	FuncCall   *call;

	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1)
		return false;
	call = (FuncCall *) linitial_node(ResTarget, select->targetList)->val;
	return IsA(call, FuncCall) && list_length(call->funcname) == 2 &&
		strcmp(strVal(linitial(call->funcname)), "crm") == 0 &&
		strncmp(strVal(lsecond(call->funcname)), "declare_", strlen("declare_")) == 0;
}

/* What psql alone understands becomes blank, so that places stay the same. */
static void
blank_psql_commands(char *text)
{
	bool		at_start = true;
	bool		blank = false;

	for (char *c = text; *c != '\0'; c++)
	{
		if (at_start)
			blank = *c == '\\';
		at_start = *c == '\n';
		if (blank && !at_start)
			*c = ' ';
	}
}

/*
 * Run a script statement by statement, so that an error names its line; all of
 * it, or its declarations.
 */
static void
run_script(const char *file, bool declarations_only)
{
	char	   *path = psprintf("%s/%s", script_directory(), file);
	char	   *text = read_script(path);
	List	   *statements;
	ListCell   *cell;
	ScriptPosition pos;
	ErrorContextCallback callback;

	if (declarations_only)
		blank_psql_commands(text);
	statements = pg_parse_query(text);
	pos.file = file;
	pos.text = text;
	callback.callback = script_error_context;
	callback.arg = &pos;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	foreach(cell, statements)
	{
		RawStmt    *raw = lfirst_node(RawStmt, cell);
		char	   *one;

		CHECK_FOR_INTERRUPTS();
		if (declarations_only && !is_declaration(raw))
			continue;
		pos.offset = raw->stmt_location;
		while (text[pos.offset] != '\0' && isspace((unsigned char) text[pos.offset]))
			pos.offset++;
		one = raw->stmt_len > 0 ?
			pnstrdup(text + raw->stmt_location, raw->stmt_len) :
			pstrdup(text + raw->stmt_location);
		crm_execute_once(one, 0, NULL, NULL, NULL, false, 0);
		SPI_freetuptable(SPI_tuptable);
		pfree(one);
	}
	error_context_stack = callback.previous;
}

/* Every upgrade step found beside the control file. */
static int
find_steps(Step *steps)
{
	char	   *dirname = script_directory();
	DIR		   *dir = AllocateDir(dirname);
	struct dirent *de;
	int			n = 0;

	while ((de = ReadDir(dir, dirname)) != NULL)
	{
		char	   *name;
		char	   *sep;
		size_t		len = strlen(de->d_name);

		if (strncmp(de->d_name, TABLES_PREFIX, strlen(TABLES_PREFIX)) != 0 ||
			len < 4 || strcmp(de->d_name + len - 4, ".sql") != 0)
			continue;
		name = pnstrdup(de->d_name + strlen(TABLES_PREFIX),
						len - 4 - strlen(TABLES_PREFIX));
		sep = strstr(name, "--");
		if (sep == NULL)
			continue;
		if (n == MAX_STEPS)
			elog(ERROR, "too many upgrade scripts in \"%s\"", dirname);
		*sep = '\0';
		steps[n].from = name;
		steps[n].to = sep + 2;
		steps[n].used = false;
		steps[n].via = -1;
		n++;
	}
	FreeDir(dir);
	return n;
}

/*
 * The shortest chain of steps between two versions, breadth first, as indexes
 * into steps in the order of their running; NIL where there is none.
 */
static List *
find_path(Step *steps, int nsteps, const char *from, const char *to)
{
	int			queue[MAX_STEPS];
	int			head = 0;
	int			tail = 0;

	for (int i = 0; i < nsteps; i++)
		if (strcmp(steps[i].from, from) == 0)
		{
			steps[i].used = true;
			queue[tail++] = i;
		}
	while (head < tail)
	{
		int			here = queue[head++];

		if (strcmp(steps[here].to, to) == 0)
		{
			List	   *path = NIL;

			for (int i = here; i >= 0; i = steps[i].via)
				path = lcons_int(i, path);
			return path;
		}
		for (int i = 0; i < nsteps; i++)
			if (!steps[i].used && strcmp(steps[i].from, steps[here].to) == 0)
			{
				steps[i].used = true;
				steps[i].via = here;
				queue[tail++] = i;
			}
	}
	return NIL;
}

/* The recorded schema version, or NULL where nothing is installed. */
static char *
installed_version(void)
{
	char	   *version = NULL;

	if (!OidIsValid(crm_table_oid("installation", true)))
		return NULL;
	crm_execute_once("SELECT i.to_version FROM crm.installation AS i "
					 "ORDER BY i.id DESC LIMIT 1", 0, NULL, NULL, NULL, true, 1);
	if (SPI_processed == 1)
		version = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	return version;
}

static void
record_step(const char *from, const char *to)
{
	Oid			types[2] = {TEXTOID, TEXTOID};
	Datum		values[2];
	char		nulls[2] = {' ', ' '};

	if (from == NULL)
		nulls[0] = 'n';
	else
		values[0] = CStringGetTextDatum(from);
	values[1] = CStringGetTextDatum(to);
	crm_execute_once("INSERT INTO crm.installation (from_version, to_version) "
					 "VALUES ($1, $2)", 2, types, values, nulls, false, 0);
}

static void
check_may_install(bool fresh)
{
	Oid			nsp = get_namespace_oid("crm", false);
	const char *who = GetUserNameFromId(GetUserId(), false);

	if (!fresh)
	{
		Oid			owner = crm_table_owner(crm_table_oid("installation", false));

		if (!has_privs_of_role(GetUserId(), owner))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the CRM of this database is owned by role \"%s\"",
							GetUserNameFromId(owner, false)),
					 errhint("Run crm.install() as that role.")));
	}
	else if (object_aclcheck(NamespaceRelationId, nsp, GetUserId(), ACL_CREATE) != ACLCHECK_OK ||
			 object_aclcheck(DatabaseRelationId, MyDatabaseId, GetUserId(), ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" may not install the CRM in this database", who),
				 errhint("A superuser can allow it: SELECT crm.prepare_owner(%s).",
						 quote_literal_cstr(who))));
}

/* Run the steps that lead from a version to the library's, and say so. */
static void
upgrade(const char *before, StringInfo done)
{
	Step	   *steps = palloc(sizeof(Step) * MAX_STEPS);
	int			nsteps = find_steps(steps);
	List	   *path = find_path(steps, nsteps, before, CRM_VERSION);
	ListCell   *cell;

	if (path == NIL)
	{
		bool		newer;
		Oid			types[2] = {TEXTOID, TEXTOID};
		Datum		values[2];
		bool		isnull;

		values[0] = CStringGetTextDatum(before);
		values[1] = CStringGetTextDatum(CRM_VERSION);
		crm_execute_once("SELECT pg_catalog.string_to_array($1, '.')::pg_catalog.int4[] OPERATOR(pg_catalog.>) "
						 "pg_catalog.string_to_array($2, '.')::pg_catalog.int4[]",
						 2, types, values, NULL, true, 1);
		newer = DatumGetBool(crm_spi_value(0, 1, &isnull));
		if (newer)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_SCHEMA_TOO_NEW),
					 errmsg("the CRM's schema is at version %s, newer than the library's %s",
							before, CRM_VERSION),
					 errhint("Install the files of version %s of the extension.", before)));
		ereport(ERROR,
				(errcode(ERRCODE_CRM_SCHEMA_OUTDATED),
				 errmsg("no upgrade path leads from schema version %s to %s",
						before, CRM_VERSION),
				 errhint("Upgrade by way of a release between the two.")));
	}
	appendStringInfo(done, "upgraded %s", before);
	foreach(cell, path)
	{
		Step	   *step = &steps[lfirst_int(cell)];

		run_script(psprintf(TABLES_PREFIX "%s--%s.sql", step->from, step->to), false);
		record_step(step->from, step->to);
		appendStringInfo(done, " to %s", step->to);
	}
}

static bool installing = false;

/* Whether our own scripts are being run. */
bool
crm_installing(void)
{
	return installing;
}

/* Tables anew, or steps to this version; then all that is declared, and code. */
static void
run_scripts(const char *before, StringInfo done)
{
	installing = true;
	PG_TRY();
	{
		if (before == NULL)
		{
			run_script(TABLES_PREFIX CRM_VERSION ".sql", false);
			record_step(NULL, CRM_VERSION);
			appendStringInfoString(done, "installed " CRM_VERSION);
		}
		else if (strcmp(before, CRM_VERSION) == 0)
			appendStringInfoString(done, "up to date at " CRM_VERSION);
		else
			upgrade(before, done);
		run_script(EXTENSION_PREFIX CRM_VERSION ".sql", true);
		if (before != NULL)
			run_script(TABLES_PREFIX CRM_VERSION ".sql", true);
		run_script(CODE_PREFIX CRM_VERSION ".sql", false);
	}
	PG_FINALLY();
	{
		installing = false;
	}
	PG_END_TRY();
}

PG_FUNCTION_INFO_V1(crm_install);

/*
 * crm.install() -> text: what was done.
 *
 * Makes the CRM's schema, or brings it to the version of the library.  May be
 * called again at any time.  Errors: 42501 for a role that may not, CR003 for
 * a schema newer than the library, CR002 where no upgrade path leads here.
 */
Datum
crm_install(PG_FUNCTION_ARGS)
{
	char	   *before;
	int			nestlevel;
	StringInfoData done;
	CrmOwnerSwitch caller;
	text	   *answer;
	MemoryContext mine = CurrentMemoryContext;

	PreventCommandIfReadOnly("crm.install()");
	if (GetDatabaseEncoding() != PG_UTF8)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the CRM needs a database with encoding UTF8"),
				 errhint("Create one: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.")));

	crm_connect_as(GetUserId(), &caller);	/* pins the path */
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("check_function_bodies", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("client_min_messages", "warning", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);

	/* two installations at once: the second waits, then finds nothing to do */
	(void) crm_take_lock("install", 0, "", false, true);
	CommandCounterIncrement();

	before = installed_version();
	check_may_install(before == NULL);

	/*
	 * A superuser who renews another's installation does it as that owner: what
	 * is made is the owner's, and so is the code that runs on the way.
	 */
	if (before != NULL)
		SetUserIdAndSecContext(crm_table_owner(crm_table_oid("installation", false)),
							   caller.saved_context | SECURITY_LOCAL_USERID_CHANGE);

	initStringInfo(&done);
	run_scripts(before, &done);

	AtEOXact_GUC(true, nestlevel);
	MemoryContextSwitchTo(mine);
	answer = cstring_to_text(done.data);
	crm_disconnect_self(&caller);
	PG_RETURN_TEXT_P(answer);
}

PG_FUNCTION_INFO_V1(crm_library_version);

/* crm.library_version() -> text: the version compiled into the library. */
Datum
crm_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(CRM_VERSION));
}
