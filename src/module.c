/*
 * module.c
 *	  Module entry: what happens when the library is loaded.
 *
 * The only file outside the rooms: it calls the rooms that have something to
 * set up, in their order.
 */
#include "base/crm.h"

#include "access/acting.h"
#include "access/audit.h"
#include "access/reveal.h"
#include "access/tokens.h"
#include "process/process.h"
#include "rollup/rollup.h"

PG_MODULE_MAGIC_EXT(.name = "crm", .version = CRM_VERSION);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	crm_guc_init();
	crm_config_init();
	crm_small_tables_init();
	crm_acting_init();
	crm_reveal_init();
	crm_audit_init();
	crm_tokens_init();
	crm_rollup_init();
	crm_process_init();
	crm_events_init();
	crm_worker_init();
}
