/*
 * counts.h
 *	  Counts of wins and losses by a key of bytes: what naive Bayes learns.
 */
#ifndef CRM_COUNTS_H
#define CRM_COUNTS_H

#include "base/json.h"

typedef struct CountEntry
{
	const char *key;
	uint32		len;
	uint32		hash;
	char		status;
	double		won;
	double		lost;
	int32		levels;			/* of an entry that stands for a field */
} CountEntry;

#define SH_PREFIX counts
#define SH_ELEMENT_TYPE CountEntry
#define SH_KEY_TYPE const char *
#define SH_SCOPE extern
#define SH_DECLARE
#include "lib/simplehash.h"

/* key of one lookup; crm_counts_find and crm_counts_add read the length from here */
extern CountEntry *crm_counts_find(counts_hash *counts, const char *key, uint32 len);
extern CountEntry *crm_counts_add(counts_hash *counts, const char *key, uint32 len);

/* A model as jsonb, compiled once per call site and kept until it changes. */
typedef struct CompiledModel
{
	MemoryContext context;
	struct varlena *source;
	Size		size;
	void	   *model;
} CompiledModel;

typedef void *(*CompileModel) (Jsonb *source);
extern void *crm_compiled_model(FunctionCallInfo fcinfo, int argno, CompileModel compile);

/* building jsonb */
extern void crm_jsonb_push_key(JsonbParseState **state, const char *key, int len);
extern void crm_jsonb_push_number(JsonbParseState **state, bool element, double value);
extern void crm_jsonb_push_string(JsonbParseState **state, bool element, const char *s, int len);
extern double crm_jsonb_number(const JsonbValue *v, const char *what);
extern void crm_jsonb_counts(const JsonbValue *v, double *c);
extern char *crm_jsonb_scalar_text(const JsonbValue *v, int *len);

#endif							/* CRM_COUNTS_H */
