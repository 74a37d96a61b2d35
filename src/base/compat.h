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

/*
 * 16: everything is hidden (-fvisibility=hidden) but what is marked for export,
 * and the mark works on every platform and stands on functions by itself
 */
#if PG_VERSION_NUM < 160000
#include "fmgr.h"
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_,funcname)(void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_,funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int no_such_variable
#endif

/* Sums and ranks of scores are kept in 128 bits, timestamps and ids pass by value. */
#if !defined(HAVE_INT128) || !defined(USE_FLOAT8_BYVAL)
#error "crm needs a 64-bit platform and a compiler with 128-bit integers"
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
