/*
 * custom_fields.c
 *	  Fields a company adds to its records: kept in the jsonb column custom,
 *	  checked here against what crm.custom_fields declares.
 *
 * The declarations of a table are compiled once per backend and tenant into a
 * sorted array.  All faults of a row are reported at once, each with the name
 * of its field.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"

#include "base/json.h"
#include "text/text.h"
#include "access/identity.h"

typedef enum FieldType
{
	FIELD_TEXT, FIELD_INTEGER, FIELD_NUMBER, FIELD_BOOLEAN, FIELD_DATE, FIELD_TIMESTAMP,
	FIELD_CHOICE, FIELD_CHOICES, FIELD_EMAIL, FIELD_PHONE, FIELD_URL, FIELD_JSON
} FieldType;

static const struct
{
	const char *name;
	const char *must_be;
}			field_types[] =
{
	[FIELD_TEXT] = {"text", "must be a text"},
	[FIELD_INTEGER] = {"integer", "must be a whole number"},
	[FIELD_NUMBER] = {"number", "must be a number"},
	[FIELD_BOOLEAN] = {"boolean", "must be true or false"},
	[FIELD_DATE] = {"date", "must be a date, \"YYYY-MM-DD\""},
	[FIELD_TIMESTAMP] = {"timestamp", "must be an instant, \"YYYY-MM-DDThh:mm:ss+hh:mm\""},
	[FIELD_CHOICE] = {"choice", "must be one of"},
	[FIELD_CHOICES] = {"choices", "must be a list out of"},
	[FIELD_EMAIL] = {"email", "must be an e-mail address"},
	[FIELD_PHONE] = {"phone", "must be a telephone number"},
	[FIELD_URL] = {"url", "must be a web address"},
	[FIELD_JSON] = {"json", ""},
};

typedef struct Field
{
	char	   *name;
	int			namelen;
	FieldType	type;
	bool		required;
	bool		active;
	char	  **choices;
	int			nchoices;
} Field;

typedef struct FieldsKey
{
	int64		tenant;
	NameData	table;
} FieldsKey;

typedef struct Fields
{
	Field	   *fields;			/* sorted as jsonb sorts keys */
	int			n;
	bool		any_required;
} Fields;

/* jsonb orders the keys of an object by length first. */
static int
compare_keys(const char *a, int alen, const char *b, int blen)
{
	if (alen != blen)
		return alen < blen ? -1 : 1;
	return memcmp(a, b, alen);
}

static int
compare_fields(const void *a, const void *b)
{
	const Field *x = (const Field *) a;
	const Field *y = (const Field *) b;

	return compare_keys(x->name, x->namelen, y->name, y->namelen);
}

static void
read_choices(Field *field, Datum choices)
{
	Datum	   *elements;
	bool	   *nulls;

	deconstruct_array(DatumGetArrayTypeP(choices), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &field->nchoices);
	field->choices = palloc(sizeof(char *) * Max(field->nchoices, 1));
	for (int c = 0; c < field->nchoices; c++)
		field->choices[c] = nulls[c] ? pstrdup("") : TextDatumGetCString(elements[c]);
}

static void *
build_fields(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, TEXTOID};
	const FieldsKey *k = (const FieldsKey *) key;
	Datum		values[2];
	Fields	   *entry;
	MemoryContext old;
	bool		isnull;

	values[0] = Int64GetDatum(k->tenant);
	values[1] = CStringGetTextDatum(NameStr(k->table));
	crm_read_config("SELECT f.name, f.type, f.required, f.active, f.choices FROM crm.custom_fields AS f"
					" WHERE f.tenant_id = $1 AND f.table_name = $2", 2, types, values);
	old = MemoryContextSwitchTo(context);
	entry = palloc0(sizeof(Fields));
	entry->n = (int) SPI_processed;
	entry->fields = palloc0(sizeof(Field) * Max(entry->n, 1));
	for (int i = 0; i < entry->n; i++)
	{
		Field	   *field = &entry->fields[i];
		char	   *type = TextDatumGetCString(crm_spi_value(i, 2, &isnull));
		Datum		choices;

		field->name = TextDatumGetCString(crm_spi_value(i, 1, &isnull));
		field->namelen = strlen(field->name);
		field->active = DatumGetBool(crm_spi_value(i, 4, &isnull));
		field->required = field->active && DatumGetBool(crm_spi_value(i, 3, &isnull));
		entry->any_required |= field->required;
		field->type = FIELD_JSON;
		for (int t = 0; t < lengthof(field_types); t++)
			if (strcmp(field_types[t].name, type) == 0)
				field->type = (FieldType) t;
		choices = crm_spi_value(i, 5, &isnull);
		if (!isnull)
			read_choices(field, choices);
	}
	qsort(entry->fields, entry->n, sizeof(Field), compare_fields);
	MemoryContextSwitchTo(old);
	return entry;
}

static CrmKept kept_fields = {
	.what = "custom fields",
	.tables = {"custom_fields"},
	.build = build_fields,
};

static const Fields *
fields_of(int64 tenant, const char *table)
{
	FieldsKey	key;

	MemSet(&key, 0, sizeof(key));
	key.tenant = tenant;
	strlcpy(NameStr(key.table), table, NAMEDATALEN);
	return crm_kept(&kept_fields, &key, sizeof(key));
}

static bool
two_digits(const char *s, int *value)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return false;
	*value = (s[0] - '0') * 10 + (s[1] - '0');
	return true;
}

/* ISO 8601 and nothing else: what a date means must not depend on a setting. */
static bool
is_iso_date(const char *s, int len)
{
	int			century;
	int			year;
	int			month;
	int			day;

	if (len != 10 || s[4] != '-' || s[7] != '-' || !two_digits(s, &century) ||
		!two_digits(s + 2, &year) || !two_digits(s + 5, &month) || !two_digits(s + 8, &day))
		return false;
	year += century * 100;
	return year >= 1 && month >= 1 && month <= 12 && day >= 1 &&
		day <= day_tab[isleap(year)][month - 1];
}

static bool
is_iso_timestamp(const char *s, int len)
{
	const char *end = s + len;
	int			hour;
	int			minute;
	int			second = 0;

	if (len < 17 || !is_iso_date(s, 10) || (s[10] != 'T' && s[10] != ' ') ||
		!two_digits(s + 11, &hour) || s[13] != ':' || !two_digits(s + 14, &minute))
		return false;
	s += 16;
	if (end - s >= 3 && *s == ':')
	{
		if (!two_digits(s + 1, &second))
			return false;
		s += 3;
		if (s < end && *s == '.')
		{
			s++;
			if (s == end || *s < '0' || *s > '9')
				return false;
			while (s < end && *s >= '0' && *s <= '9')
				s++;
		}
	}
	if (hour > 23 || minute > 59 || second > 59)
		return false;
	if (end - s == 1)
		return *s == 'Z';
	if (end - s < 3 || (*s != '+' && *s != '-') || !two_digits(s + 1, &hour) || hour > 15)
		return false;
	s += 3;
	if (s == end)
		return true;
	if (*s == ':')
		s++;
	return end - s == 2 && two_digits(s, &minute) && minute <= 59;
}

static bool
is_choice(const Field *field, const JsonbValue *value)
{
	if (value->type != jbvString)
		return false;
	for (int i = 0; i < field->nchoices; i++)
		if (strlen(field->choices[i]) == value->val.string.len &&
			memcmp(field->choices[i], value->val.string.val, value->val.string.len) == 0)
			return true;
	return false;
}

/* Is a list what the field's type asks for: choices, each once? */
static bool
is_choices(const Field *field, JsonbContainer *list, JsonbContainer *before)
{
	JsonbIterator *it;
	JsonbValue	value;
	JsonbIteratorToken token;
	bool	   *seen = palloc0(sizeof(bool) * Max(field->nchoices, 1));

	if (!JsonContainerIsArray(list) || JsonContainerIsScalar(list))
		return false;
	it = JsonbIteratorInit(list);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		int			c;

		if (token != WJB_ELEM)
			continue;
		if (!is_choice(field, &value))
		{
			/* one that was retired stays where it was */
			if (before == NULL || findJsonbValueFromContainer(before, JB_FARRAY, &value) == NULL)
				return false;
			continue;
		}
		for (c = 0; c < field->nchoices; c++)
			if (strlen(field->choices[c]) == value.val.string.len &&
				memcmp(field->choices[c], value.val.string.val, value.val.string.len) == 0)
				break;
		if (seen[c])
			return false;
		seen[c] = true;
	}
	return true;
}

static bool
is_normal(const JsonbValue *value, FieldType type)
{
	StringInfoData out;
	bool		valid;

	if (value->type != jbvString)
		return false;
	initStringInfo(&out);
	if (type == FIELD_EMAIL)
		valid = crm_email_normalize(value->val.string.val, value->val.string.len, &out);
	else if (type == FIELD_URL)
		valid = crm_web_normalize(value->val.string.val, value->val.string.len, &out);
	else
		valid = crm_phone_normalize(value->val.string.val, value->val.string.len,
									crm_current_country(), &out);
	pfree(out.data);
	return valid;
}

static bool
has_type(const Field *field, JsonbValue *value)
{
	bool		text = value->type == jbvString;

	switch (field->type)
	{
		case FIELD_TEXT:
			return text;
		case FIELD_INTEGER:
			return value->type == jbvNumeric &&
				DatumGetBool(DirectFunctionCall2(numeric_eq,
												 DirectFunctionCall2(numeric_trunc,
																	 NumericGetDatum(value->val.numeric),
																	 Int32GetDatum(0)),
												 NumericGetDatum(value->val.numeric)));
		case FIELD_NUMBER:
			return value->type == jbvNumeric;
		case FIELD_BOOLEAN:
			return value->type == jbvBool;
		case FIELD_DATE:
			return text && is_iso_date(value->val.string.val, value->val.string.len);
		case FIELD_TIMESTAMP:
			return text && is_iso_timestamp(value->val.string.val, value->val.string.len);
		case FIELD_CHOICE:
			return is_choice(field, value);
		case FIELD_CHOICES:
			return value->type == jbvBinary &&
				is_choices(field, value->val.binary.data, NULL);
		case FIELD_EMAIL:
		case FIELD_PHONE:
		case FIELD_URL:
			return is_normal(value, field->type);
		case FIELD_JSON:
			return true;
	}
	return false;
}

/* Whether a value counts as not filled in. */
static bool
is_empty(const JsonbValue *value)
{
	return value->type == jbvNull ||
		(value->type == jbvString && value->val.string.len == 0) ||
		(value->type == jbvBinary && JsonContainerSize(value->val.binary.data) == 0);
}

/* A value as its writer gave it, cut to a readable length. */
static char *
display(const JsonbValue *value)
{
	StringInfoData out;

	initStringInfo(&out);
	if (value->type == jbvBinary)
		JsonbToCString(&out, value->val.binary.data, value->val.binary.len);
	else
	{
		JsonbValue	copy = *value;
		Jsonb	   *jb = JsonbValueToJsonb(&copy);

		JsonbToCString(&out, &jb->root, VARSIZE(jb));
	}
	if (out.len > 60)
	{
		out.len = pg_mbcliplen(out.data, out.len, 60);
		out.data[out.len] = '\0';
		appendStringInfoString(&out, "...");
	}
	return out.data;
}

typedef struct Faults
{
	StringInfoData names;		/* of the fields, for the message */
	StringInfoData details;		/* a line each */
	char	   *first;
	int			n;
} Faults;

static StringInfo
fault(Faults *faults, const char *name, int namelen)
{
	if (faults->n == 0)
	{
		initStringInfo(&faults->names);
		initStringInfo(&faults->details);
		faults->first = pnstrdup(name, namelen);
	}
	else
	{
		appendStringInfoString(&faults->names, ", ");
		appendStringInfoChar(&faults->details, '\n');
	}
	faults->n++;
	appendStringInfo(&faults->names, "\"%.*s\"", namelen, name);
	appendStringInfo(&faults->details, "Field \"%.*s\" ", namelen, name);
	return &faults->details;
}

static void
fault_of_value(Faults *faults, const Field *field, const JsonbValue *value)
{
	StringInfo	detail = fault(faults, field->name, field->namelen);

	appendStringInfoString(detail, field_types[field->type].must_be);
	if (field->nchoices > 0)
		for (int i = 0; i < field->nchoices; i++)
			appendStringInfo(detail, "%s \"%s\"", i > 0 ? "," : "", field->choices[i]);
	appendStringInfo(detail, ", not %s.", display(value));
}

/*
 * Whether a value, or all of a list that is no longer on offer, has been there
 * before: retired choices stay where they are.
 */
static bool
held_before(Jsonb *before, const Field *field, const JsonbValue *key, const JsonbValue *value)
{
	JsonbValue	found;
	JsonbValue *old;
	JsonbValue	copy = *value;
	Jsonb	   *now;

	if (before == NULL || !JB_ROOT_IS_OBJECT(before))
		return false;
	old = crm_json_member(&before->root, pnstrdup(key->val.string.val, key->val.string.len),
						  &found);
	if (old == NULL)
		return false;
	if (field != NULL && field->type == FIELD_CHOICES && old->type == jbvBinary &&
		JsonContainerIsArray(old->val.binary.data) && value->type == jbvBinary)
		return is_choices(field, value->val.binary.data, old->val.binary.data);
	now = JsonbValueToJsonb(&copy);
	return compareJsonbContainers(&JsonbValueToJsonb(old)->root, &now->root) == 0;
}

static void
fault_of_missing(Faults *faults, const Field *field)
{
	if (crm_incomplete_kept == 0)
		appendStringInfoString(fault(faults, field->name, field->namelen), "is required.");
}

/* Compare the keys of an object with the fields; both are sorted alike. */
static void
check_object(const Fields *fields, Jsonb *custom, Jsonb *before, Faults *faults)
{
	JsonbIterator *it = JsonbIteratorInit(&custom->root);
	JsonbValue	key;
	JsonbValue	value;
	JsonbIteratorToken token;
	int			next = 0;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		const Field *field = NULL;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&it, &value, true);
		for (; next < fields->n; next++)
		{
			int			order = compare_keys(fields->fields[next].name, fields->fields[next].namelen,
											 key.val.string.val, key.val.string.len);

			if (order > 0)
				break;
			if (order == 0)
			{
				field = &fields->fields[next++];
				break;
			}
			if (fields->fields[next].required)
				fault_of_missing(faults, &fields->fields[next]);
		}
		if ((field == NULL ||
			 (field->active && !is_empty(&value) && !has_type(field, &value))) &&
			held_before(before, field, &key, &value))
			continue;
		if (field == NULL)
			appendStringInfoString(fault(faults, key.val.string.val, key.val.string.len),
								   "is not declared.");
		else if (is_empty(&value))
		{
			if (field->required)
				fault_of_missing(faults, field);
			else if (value.type != jbvNull && !has_type(field, &value) && field->active)
				fault_of_value(faults, field, &value);
		}
		/* a retired field keeps what it holds */
		else if (field->active && !has_type(field, &value))
			fault_of_value(faults, field, &value);
	}
	for (; next < fields->n; next++)
		if (fields->fields[next].required)
			fault_of_missing(faults, &fields->fields[next]);
}

PG_FUNCTION_INFO_V1(crm_check_custom_fields);

/*
 * crm.check_custom_fields(table) -- BEFORE INSERT OR UPDATE row trigger with
 * the name of the table.
 */
Datum
crm_check_custom_fields(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	TupleDesc	desc;
	const Fields *fields;
	const char *table;
	Datum		value;
	Datum		tenant;
	Jsonb	   *custom;
	Jsonb	   *before = NULL;
	Faults		faults = {0};
	int			attnum;
	int			tenant_attnum;
	bool		isnull;
	bool		tenant_isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be a BEFORE ROW trigger with one argument",
						"crm.check_custom_fields")));
	tuple = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	desc = RelationGetDescr(trigdata->tg_relation);
	table = trigdata->tg_trigger->tgargs[0];
	attnum = crm_typed_column(desc, "custom", JSONBOID);
	tenant_attnum = crm_typed_column(desc, "tenant_id", INT8OID);
	tenant = heap_getattr(tuple, tenant_attnum, desc, &tenant_isnull);
	value = heap_getattr(tuple, attnum, desc, &isnull);
	if (isnull || tenant_isnull)
		return PointerGetDatum(tuple);	/* the column's own constraint speaks */
	fields = fields_of(DatumGetInt64(tenant), table);
	custom = DatumGetJsonbP(value);
	if (!JB_ROOT_IS_OBJECT(custom))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_CUSTOM_FIELD),
				 errmsg("custom fields of table \"%s\" must be a JSON object", table),
				 errhint("Write {\"field\": value, ...}."),
				 errtablecol(trigdata->tg_relation, attnum)));
	if (crm_incomplete_kept == 2 || (JB_ROOT_COUNT(custom) == 0 && !fields->any_required))
		return PointerGetDatum(tuple);

	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		value = heap_getattr(trigdata->tg_trigtuple, attnum, desc, &isnull);
		if (!isnull)
			before = DatumGetJsonbP(value);
	}
	check_object(fields, custom, before, &faults);
	if (faults.n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_CUSTOM_FIELD),
				 errmsg_plural("custom field %s of table \"%s\" is not valid",
							   "custom fields %s of table \"%s\" are not valid",
							   faults.n, faults.names.data, table),
				 errdetail_internal("%s", faults.details.data),
				 errhint("The fields of a table are declared in crm.custom_fields."),
				 err_generic_string(PG_DIAG_TABLE_NAME, table),
				 err_generic_string(PG_DIAG_COLUMN_NAME, psprintf("custom.%s", faults.first))));
	return PointerGetDatum(tuple);
}
