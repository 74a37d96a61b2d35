/*
 * crm.c
 *	  Module entry: what happens when the library is loaded.
 */
#include "crm.h"

#include "process/process.h"

CRM_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	crm_guc_init();
	crm_config_init();
	crm_identity_init();
	crm_process_init();
	crm_worker_init();
}
