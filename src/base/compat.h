/*
 * compat.h
 *	  What differs between the supported server versions (15 to 18).
 *
 * The only file that looks at PG_VERSION_NUM.  One block per major version,
 * each saying what changed.
 */
#ifndef CRM_COMPAT_H
#define CRM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "crm needs PostgreSQL 15 or later"
#endif

/* 18: PG_MODULE_MAGIC can carry a name and version */
#if PG_VERSION_NUM >= 180000
#define CRM_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "crm", .version = CRM_VERSION)
#else
#define CRM_MODULE_MAGIC PG_MODULE_MAGIC
#endif

/* 16: what a check hook of a setting hands on belongs to the settings' memory */
#if PG_VERSION_NUM >= 160000
#define guc_malloc_compat(size) guc_malloc(LOG, size)
#define guc_free_compat(p) guc_free(p)
#else
#define guc_malloc_compat(size) malloc(size)
#define guc_free_compat(p) free(p)
#endif

#endif							/* CRM_COMPAT_H */
