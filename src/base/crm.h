/*
 * crm.h
 *	  What the base room offers to every other room.
 *
 * One section per source file.
 */
#ifndef CRM_H
#define CRM_H

#include "postgres.h"

#include "access/htup_details.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "utils/date.h"
#include "utils/guc.h"
#include "utils/queryenvironment.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "base/compat.h"
#include "base/errors.h"

/* settings.c */
extern void crm_guc_init(void);
extern char *crm_bypass_reason;
extern char *crm_history_reason;
extern char *crm_cause_setting;
extern char *crm_key_file;
extern int	crm_assumed_rows;
extern int	crm_incomplete_kept;
extern bool crm_written_kept;
extern bool crm_tenant_set;
extern int64 crm_tenant_setting_id;

/* Which user an application acts as, from crm.act_as() to the end of the transaction. */
typedef struct CrmActing
{
	Oid			role;			/* for this role alone; InvalidOid: nobody acts */
	int64		tenant;
	int64		user;
	TimestampTz issued;			/* of the token by which it acts; 0: of none */
	int			scope;			/* what the token allows; 0: there is none */
} CrmActing;

/* scope of acting by a token: these bits, and above them the highest level or 0 */
#define CRM_ACTS_BY_TOKEN 1
#define CRM_ACTS_READ_ONLY 2
#define CRM_ACTS_LEVEL_SHIFT 2

extern CrmActing crm_acting;
extern void crm_set_acting(const CrmActing *acting);

/* Takes a session token; set by room access. */
extern bool (*crm_present_session) (const char *token);

/* Run as the owner of a table, then come back. */
typedef struct CrmOwnerSwitch
{
	Oid			saved_user;
	int			saved_context;
	int			path;			/* level of the settings' stack, 0: was pinned */
} CrmOwnerSwitch;

/* plan.c: how C runs SQL, between connecting and disconnecting */
extern void crm_connect(void);
extern void crm_disconnect(void);
extern void crm_connect_as(Oid owner, CrmOwnerSwitch *saved);
extern void crm_disconnect_self(const CrmOwnerSwitch *saved);
extern void crm_see_transition_tables(TriggerData *trigdata);
extern void crm_see_rows(EphemeralNamedRelation rows);
extern int	crm_execute(const char *sql, int nargs, const Oid *argtypes,
						Datum *values, const char *nulls, bool read_only,
						long limit);
extern int	crm_execute_once(const char *sql, int nargs, const Oid *argtypes,
							 Datum *values, const char *nulls, bool read_only,
							 long limit);
extern void crm_read_newest(const char *sql, int nargs, const Oid *argtypes,
							Datum *values, long limit);
extern int	crm_execute_variant(const char *sql, int nargs, const Oid *argtypes,
								Datum *values, const char *nulls, bool read_only,
								long limit);
extern double crm_planned_rows(const char *sql, int nargs, const Oid *argtypes);
extern void crm_read_config(const char *sql, int nargs, const Oid *argtypes,
							Datum *values);
extern Portal crm_cursor_open(const char *sql);
extern void crm_cursor_fetch(Portal portal, long count);
extern void crm_cursor_close(Portal portal);
extern Datum crm_spi_value(uint64 row, int column, bool *isnull);
extern Datum crm_spi_row(Oid rowtype, MemoryContext context);
extern bool crm_push_snapshot(void);

extern void crm_become(Oid owner, CrmOwnerSwitch *saved);
extern void crm_become_self(const CrmOwnerSwitch *saved);
extern void crm_take_identity(Oid owner, CrmOwnerSwitch *saved);

/* same.c */
extern bool crm_same_stored(Datum a, bool a_null, Datum b, bool b_null, bool by_value,
							int16 length);
extern bool crm_same_value(Form_pg_attribute att, Datum a, bool a_null, Datum b, bool b_null);

/* collect.c */
typedef struct CrmCollected
{
	TupleDesc	desc;
	Tuplestorestate *rows;
} CrmCollected;

extern CrmCollected crm_collect_rows(const char *name, int ncolumns, const char *const *columns,
									 const Oid *types, double rows);
extern void crm_collect_row(CrmCollected *c, Datum *values, bool *nulls);
extern bool crm_collected_any(const CrmCollected *c);
extern void crm_collected_end(CrmCollected *c);

/* gate.c */
extern Datum crm_call_trigger(FunctionCallInfo fcinfo, const char *function, int arguments);

/* config.c */
typedef struct CrmConfigWatch
{
	const char *table;			/* in schema crm */
	Oid			relid;			/* filled at first use */
	Oid			owner;			/* of the table */
	uint64		generation;		/* grows whenever the table changed */
	struct CrmConfigWatch *next;
} CrmConfigWatch;

extern uint64 crm_config_generation(CrmConfigWatch *watch);
extern uint64 crm_config_news(void);
extern uint64 crm_config_roles(void);
extern Oid	crm_table_oid(const char *table, bool missing_ok);
extern Oid	crm_table_owner(Oid relid);

/* install.c */
extern bool crm_installing(void);
extern EventTriggerData *crm_event_trigger_data(FunctionCallInfo fcinfo, const char *function);
extern void crm_config_reread(void);
extern void crm_config_init(void);
extern void crm_small_tables_init(void);

/* lock.c */
extern bool crm_take_lock(const char *what, int64 tenant, const char *key, bool shared,
						  bool wait);
extern void crm_hold_key(const char *what, int64 tenant, const char *key);
extern void crm_announce_change(const char *what, int64 tenant, const char *key);
extern void crm_await_changes(const char *what, int64 tenant, const char *key);

/* kept.c */
#define CRM_KEPT_TABLES 6

/*
 * A cache of compiled configuration: a static variable of whoever keeps it, of
 * which all but state is filled in.
 */
typedef struct CrmKept
{
	const char *what;			/* what is kept, in the plural: for messages */
	const char *tables[CRM_KEPT_TABLES];	/* of schema crm: what it is compiled
											 * from; read as the owner of the first */
	bool		roles;			/* and from roles and their memberships */
	bool		absence;		/* that there is nothing for a key is kept, too */
	int			limit;			/* of entries; 0: the usual one */

	/*
	 * Compiles the entry of a key: what is to stay goes to context, the
	 * current context is scratch.  SPI is connected where there are tables;
	 * rows are read by crm_read_config().  NULL: there is nothing to keep.
	 */
	void	   *(*build) (const void *key, MemoryContext context);
	bool		(*still_good) (const void *value);	/* or NULL: until news comes */
	struct CrmKeptState *state;
} CrmKept;

typedef struct CrmKeptState CrmKeptState;
typedef struct CrmKeptEntry CrmKeptEntry;

extern bool crm_discard_kept;

extern void *crm_kept(CrmKept *cache, const void *key, Size keylen);
extern void *crm_kept_peek(CrmKept *cache, const void *key, Size keylen);
extern Oid	crm_kept_owner(CrmKept *cache);
extern void crm_kept_depends(Oid relid);
extern CrmKeptEntry *crm_kept_entry(void);
extern void crm_kept_hold(CrmKeptEntry *entry);
extern bool crm_kept_current(CrmKeptEntry *entry);
extern bool crm_kept_building(const CrmKept *cache);
extern bool crm_kept_has_tables(const CrmKept *cache);
extern bool crm_kept_reading(void);
extern void crm_kept_relation_changed(Oid relid);
extern void crm_assign_discard_kept(bool newval, void *extra);

/* value.c */
extern const char *crm_kept_text_of(const char *maker, const char *subject);

/* row.c */
typedef struct CrmRowShape CrmRowShape;

extern AttrNumber crm_typed_column(TupleDesc desc, const char *name, Oid type);
extern TupleDesc crm_result_row(FunctionCallInfo fcinfo);
extern CrmRowShape *crm_row_shape(TupleDesc desc, const Bitmapset *wanted);
extern Datum crm_row_jsonb(CrmRowShape *shape, HeapTuple tuple, TupleDesc desc,
						   bool strip);
extern Datum crm_change_jsonb(CrmRowShape *shape, HeapTuple after, HeapTuple before,
							  TupleDesc desc, const char *const *hidden, int nhidden,
							  bool exact);

/* path_columns.c */
extern bool crm_path_columns(Datum condition, TupleDesc desc,
							 Bitmapset **columns);

/* columns.c */
typedef enum CrmColumnRule
{
	CRM_COLUMN_KEEP,			/* the target's, whatever the source says */
	CRM_COLUMN_FILL,			/* the target's, else the source's */
	CRM_COLUMN_TAKE,			/* the source's, else the target's */
	CRM_COLUMN_JOIN,			/* all elements, or all keys, the target's first */
	CRM_COLUMN_LEAST,
	CRM_COLUMN_GREATEST,
	CRM_COLUMN_SUM,
	CRM_COLUMN_WITH,			/* from the source where another column came from it */
	CRM_COLUMN_FROM				/* as FILL, from a column of another name */
} CrmColumnRule;

typedef struct CrmColumn
{
	CrmColumnRule rule;
	bool		settable;		/* stored, not generated */
	bool		key;			/* of the primary key */
	bool		unique;			/* of any unique index */
	NameData	other;			/* of WITH and FROM */
} CrmColumn;

typedef struct CrmColumns
{
	int			natts;
	CrmColumn	columns[FLEXIBLE_ARRAY_MEMBER];
} CrmColumns;

extern const CrmColumns *crm_columns(Relation rel, const char *purpose);
extern AttrNumber crm_column_number(TupleDesc desc, const char *name);
extern char *crm_qualified_name(Oid relid);
extern char *crm_subject_name(Relation rel);

/* carry.c */
extern void crm_deform_row(HeapTupleHeader row, TupleDesc desc, Datum **values,
						   bool **nulls);
extern Relation crm_row_table(FunctionCallInfo fcinfo, int argument,
							  const char *function);

/* given.c */
extern void crm_check_keys(TupleDesc desc, const bool *allowed, Datum given,
						   const char *message);
extern HeapTuple crm_given_values(TupleDesc desc, HeapTuple base, Datum given,
								  const char *of);

/* aggregate.c */
extern bool crm_setting_is_fixed(FunctionCallInfo fcinfo, int argument);
pg_noreturn extern void crm_setting_differs(const char *aggregate,
											const char *setting);

/* condition.c */
extern Datum crm_path_call(PGFunction function, Datum row, Datum path,
						   bool *isnull);
extern bool crm_condition_holds(Datum row, Datum path);

/* events.c */
extern FullTransactionId crm_event_transaction_id(void);
extern void crm_know_event_server(void);

/* worker.c */
extern bool crm_worker_enabled;
extern char *crm_worker_databases;
extern int	crm_worker_naptime;
extern char *crm_worker_role;
extern bool crm_worker_check_databases(char **newval, void **extra,
									   GucSource source);
extern void crm_worker_init(void);
extern void crm_wake_worker_at(TimestampTz at);

#endif							/* CRM_H */
