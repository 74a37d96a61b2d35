/*
 * compat.h
 *	  What differs between the supported server versions (15 to 18).
 *
 * The only file that looks at PG_VERSION_NUM.  The rest of the code is written
 * for the newest server; here older ones are given what they lack, under the
 * same name and with the same arguments.  One block per version, each saying
 * what changed; when a version is no longer supported, its block goes.
 */
#ifndef CRM_COMPAT_H
#define CRM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "crm needs PostgreSQL 15 or later"
#endif

/* Sums and ranks of scores are kept in 128 bits, timestamps and ids pass by value. */
#if !defined(HAVE_INT128) || !defined(USE_FLOAT8_BYVAL)
#error "crm needs a 64-bit platform and a compiler with 128-bit integers"
#endif

#if PG_VERSION_NUM < 160000

/* headers first: a macro must not meet the declaration it stands for */
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "utils/acl.h"
#include "utils/regproc.h"

/*
 * 16: everything is hidden (-fvisibility=hidden) but what is marked for export,
 * and the mark works on every platform and stands on functions by itself
 */
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

/* 16: what a check hook of a setting hands on belongs to the settings' memory */
#define guc_malloc(elevel, size) malloc(size)
#define guc_free(p) free(p)

/* 16: one may be asked to fill summarizing indexes alone */
#define ExecInsertIndexTuples(result, slot, estate, update, quiet, conflict, arbiters, some) \
	ExecInsertIndexTuples(result, slot, estate, update, quiet, conflict, arbiters)

/* 16: one function for the rights to objects of every kind */
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	switch (classid)
	{
		case ProcedureRelationId:
			return pg_proc_aclcheck(objectid, roleid, mode);
		case NamespaceRelationId:
			return pg_namespace_aclcheck(objectid, roleid, mode);
		case DatabaseRelationId:
			return pg_database_aclcheck(objectid, roleid, mode);
		default:
			elog(ERROR, "rights to objects of catalog %u are not asked for here", classid);
			return ACLCHECK_NO_PRIV;
	}
}

static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	if (classid != RelationRelationId)
		elog(ERROR, "owners of objects of catalog %u are not asked for here", classid);
	return pg_class_ownercheck(objectid, roleid);
}

/* 16: an update says which indexes have to follow it: all, or summarizing ones alone */
typedef bool TU_UpdateIndexes;
#define TU_None false
#define TU_All true
#define TU_Summarizing 2

/* 16: a name is parsed with an error context, EvalPlanQual is told its relations */
#define stringToQualifiedNameList(string, escontext) \
	stringToQualifiedNameList(string)
#define EvalPlanQualInit(epq, estate, plan, marks, param, relations) \
	EvalPlanQualInit(epq, estate, plan, marks, param)

/* what 16 no longer has: used by mistake, it stops the build on 15 too */
#pragma GCC poison pg_class_ownercheck pg_namespace_ownercheck
#pragma GCC poison pg_proc_ownercheck pg_type_ownercheck pg_database_ownercheck
#pragma GCC poison pg_namespace_aclcheck pg_database_aclcheck pg_language_aclcheck
#pragma GCC poison pg_proc_aclcheck pg_type_aclcheck

#else

/* 16: postgres.h no longer brings the macros that read variable-length values */
#include "varatt.h"

#endif							/* before 16 */

#if PG_VERSION_NUM < 180000

#include "access/genam.h"

/* 18: PG_MODULE_MAGIC can carry a name and version */
#define PG_MODULE_MAGIC_EXT(...) PG_MODULE_MAGIC

/* 18: an index scan counts for EXPLAIN */
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)

/* 18: a function that does not come back is marked so in front */
#define pg_noreturn pg_attribute_noreturn()

#endif							/* before 18 */

#endif							/* CRM_COMPAT_H */
