/*
 * points_state.c
 *	  A lead's state as one bytea.
 *
 * It changes with every event and is read as a whole, so one row and one value
 * beat a row per rule.  crm.points_explain shows what it holds, and it can
 * always be computed again from the events.
 *
 * A dump may be restored on a machine of the other byte order, so numbers are
 * stored with their low byte first, and what is hashed and how does not depend
 * on the machine either.
 */
#include "base/crm.h"

#include <math.h>
#include <sodium.h>

#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "scoring/points_sql.h"

PG_FUNCTION_INFO_V1(crm_points_rules);
PG_FUNCTION_INFO_V1(crm_points_same);

#define STATE_MAGIC 0x31535043	/* CPS1 */

/* what stands in front of the rules */
typedef struct PackedHead
{
	uint32		magic;
	uint32		rules;
	uint64		fingerprint;
	int64		clock;
	uint32		inside;
	int32		fit_grade;
	int32		engagement_grade;
	uint32		unused;
} PackedHead;

#define HAS_DATA 1
#define HAS_TIMES 2
#define HAS_RECENT 4
#define HAS_OBJECTS 8

/* From the machine's order of bytes to that of states, and back. */
#ifdef WORDS_BIGENDIAN
#define stored32(x) pg_bswap32(x)
#define stored64(x) pg_bswap64(x)
#else
#define stored32(x) (x)
#define stored64(x) (x)
#endif

static void
turn_head(PackedHead *head)
{
	head->magic = stored32(head->magic);
	head->rules = stored32(head->rules);
	head->fingerprint = stored64(head->fingerprint);
	head->clock = stored64((uint64) head->clock);
	head->inside = stored32(head->inside);
	head->fit_grade = stored32((uint32) head->fit_grade);
	head->engagement_grade = stored32((uint32) head->engagement_grade);
}

/* A number for some bytes that is the same on every machine. */
uint64
crm_points_hash(const char *bytes, Size length, uint8 purpose)
{
	unsigned char key[crypto_shorthash_KEYBYTES] = {purpose};
	uint64		hash;

	StaticAssertStmt(crypto_shorthash_BYTES == sizeof(hash), "short hashes have 64 bits");
	crypto_shorthash((unsigned char *) &hash, (const unsigned char *) bytes, length, key);
	return stored64(hash);
}

static void
pack64(StringInfo buf, uint64 number)
{
	number = stored64(number);
	appendBinaryStringInfo(buf, (char *) &number, sizeof(number));
}

static void
pack_list(StringInfo buf, const PointsList *list)
{
	uint32		n = stored32((uint32) list->n);

	appendBinaryStringInfo(buf, (char *) &n, sizeof(n));
	for (int i = 0; i < list->n; i++)
		pack64(buf, (uint64) list->at[i]);
}

bytea *
crm_points_pack(const PointsModel *m, const PointsState *s)
{
	StringInfoData buf;
	PackedHead	head = {STATE_MAGIC};

	head.rules = m->nrules;
	head.fingerprint = m->fingerprint;
	head.clock = s->clock;
	head.inside = s->inside;
	head.fit_grade = s->fit_grade;
	head.engagement_grade = s->engagement_grade;
	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	turn_head(&head);
	appendBinaryStringInfo(&buf, (char *) &head, sizeof(head));
	for (int i = 0; i < m->nrules; i++)
	{
		const PointsRuleState *r = &s->rules[i];
		uint64		value;
		bool		fit = m->rules[i].event == NULL;
		uint8		flags = fit ? (r->value != 0 ? HAS_DATA : 0) :
		(r->count > 0 ? HAS_DATA : 0) |
		(r->times.n > 0 ? HAS_TIMES : 0) |
		(r->recent.n > 0 ? HAS_RECENT : 0) |
		(r->objects.n > 0 ? HAS_OBJECTS : 0);

		appendBinaryStringInfo(&buf, (char *) &flags, 1);
		if (fit || !flags)
			continue;
		memcpy(&value, &r->value, sizeof(value));
		pack64(&buf, value);
		pack64(&buf, (uint64) r->as_of);
		pack64(&buf, (uint64) r->count);
		if (flags & HAS_TIMES)
			pack_list(&buf, &r->times);
		if (flags & HAS_RECENT)
			pack_list(&buf, &r->recent);
		if (flags & HAS_OBJECTS)
			pack_list(&buf, &r->objects);
	}
	SET_VARSIZE(buf.data, buf.len);
	return (bytea *) buf.data;
}

pg_noreturn static void
malformed(void)
{
	/* what is kept is always well formed: it was written by hand */
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the state of a score is malformed"),
			 errhint("Bring it back from the events with crm.replay_scores().")));
}

static void
take(const char **p, const char *end, void *to, Size size)
{
	if ((Size) (end - *p) < size)
		malformed();
	memcpy(to, *p, size);
	*p += size;
}

static uint64
take64(const char **p, const char *end)
{
	uint64		number;

	take(p, end, &number, sizeof(number));
	return stored64(number);
}

static void
take_list(const char **p, const char *end, PointsList *list)
{
	uint32		stored;
	int32		count;

	take(p, end, &stored, sizeof(stored));
	count = (int32) stored32(stored);
	if (count < 0 || (Size) count * sizeof(int64) > (Size) (end - *p))
		malformed();
	list->at = palloc(sizeof(int64) * Max(count, 1));
	for (int i = 0; i < count; i++)
		list->at[i] = (int64) take64(p, end);
	list->n = count;
	list->room = Max(count, 1);
}

PointsState *
crm_points_unpack(const PointsModel *m, bytea *packed)
{
	PointsState *s = crm_points_new_state(m);
	PackedHead	head;
	const char *p;
	const char *end;

	if (packed == NULL)
		return s;
	p = VARDATA_ANY(packed);
	end = p + VARSIZE_ANY_EXHDR(packed);
	take(&p, end, &head, sizeof(head));
	turn_head(&head);
	if (head.magic != STATE_MAGIC)
		malformed();
	if (head.fingerprint != m->fingerprint || head.rules != m->nrules)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_RULE),
				 errmsg("the state of a score belongs to another definition of the model"),
				 errhint("Replay the events under the new definition with crm.points_replay.")));
	s->clock = head.clock;
	s->inside = head.inside;
	s->fit_grade = head.fit_grade;
	s->engagement_grade = head.engagement_grade;
	for (int i = 0; i < m->nrules; i++)
	{
		PointsRuleState *r = &s->rules[i];
		uint8		flags;
		uint64		value;

		take(&p, end, &flags, 1);
		if (m->rules[i].event == NULL)
		{
			r->value = flags & HAS_DATA ? 1 : 0;
			continue;
		}
		if (!flags)
			continue;
		value = take64(&p, end);
		memcpy(&r->value, &value, sizeof(value));
		r->as_of = (int64) take64(&p, end);
		r->count = (int64) take64(&p, end);
		if (!isfinite(r->value) || r->count < 0)
			malformed();
		if (flags & HAS_TIMES)
			take_list(&p, end, &r->times);
		if (flags & HAS_RECENT)
			take_list(&p, end, &r->recent);
		if (flags & HAS_OBJECTS)
			take_list(&p, end, &r->objects);
	}
	if (p != end)
		malformed();
	return s;
}

/*
 * Whether two states differ in nothing but the clock, so that every score,
 * grade and crossing to come is the same.
 */
bool
crm_points_equal(bytea *a, bytea *b)
{
	int			len = VARSIZE_ANY_EXHDR(a);
	PackedHead	x;
	PackedHead	y;

	if (len != VARSIZE_ANY_EXHDR(b))
		return false;
	if (len < (int) sizeof(PackedHead))
		malformed();
	memcpy(&x, VARDATA_ANY(a), sizeof(x));
	memcpy(&y, VARDATA_ANY(b), sizeof(y));
	x.clock = y.clock;
	return memcmp(&x, &y, sizeof(x)) == 0 &&
		memcmp(VARDATA_ANY(a) + sizeof(x), VARDATA_ANY(b) + sizeof(x), len - sizeof(x)) == 0;
}

/* Go on from the grade of fit that a state before has, if of the same rules. */
void
crm_points_go_on_from(const PointsModel *m, PointsState *s, bytea *before)
{
	PackedHead	head;

	if (VARSIZE_ANY_EXHDR(before) < sizeof(head))
		return;
	memcpy(&head, VARDATA_ANY(before), sizeof(head));
	turn_head(&head);
	if (head.magic == STATE_MAGIC && head.fingerprint == m->fingerprint)
		s->fit_grade = head.fit_grade;
}

/* (state): the part that the events alone make, for comparing with a replay. */
Datum
crm_points_rules(PG_FUNCTION_ARGS)
{
	bytea	   *packed = PG_GETARG_BYTEA_PP(0);
	int			len = VARSIZE_ANY_EXHDR(packed) - (int) sizeof(PackedHead);
	bytea	   *out;

	if (len < 0)
		malformed();
	out = palloc(len + VARHDRSZ);
	SET_VARSIZE(out, len + VARHDRSZ);
	memcpy(VARDATA(out), VARDATA_ANY(packed) + sizeof(PackedHead), len);
	PG_RETURN_BYTEA_P(out);
}

/* (state, state) */
Datum
crm_points_same(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(crm_points_equal(PG_GETARG_BYTEA_PP(0), PG_GETARG_BYTEA_PP(1)));
}
