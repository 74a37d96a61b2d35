/*
 * import_values.c
 *	  SQL functions that read the cells of an import.
 *
 * Each reader has two faces: one gives the value, or NULL where it cannot be
 * read, the other says why.  A statement over a whole batch asks the second
 * only for the rows where the first failed.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "base/json.h"
#include "exchange/values.h"
#include "time/time_face.h"

/* ---- cells ---- */

/* Blanks of every kind and marks that nobody sees, at either end */
static bool
is_outer(pg_wchar c)
{
	return c <= ' ' || c == 0xA0 || (c >= 0x2000 && c <= 0x200F) || (c >= 0x2028 && c <= 0x202F) ||
		c == 0x205F || (c >= 0x2066 && c <= 0x2069) || c == 0x3000 || c == 0xFEFF;
}

static void
trim_cell(const char **p, int *len)
{
	const char *end = *p + *len;

	while (*p < end && is_outer(utf8_to_unicode((const unsigned char *) *p)))
		*p += pg_utf_mblen((const unsigned char *) *p);
	while (end > *p)
	{
		const char *last = end - 1;

		while (last > *p && (*last & 0xC0) == 0x80)
			last--;
		if (!is_outer(utf8_to_unicode((const unsigned char *) last)))
			break;
		end = last;
	}
	*len = end > *p ? end - *p : 0;
}

static bool
is_one_of(ArrayType *list, const char *p, int len)
{
	Datum	   *items;
	bool	   *nulls;
	int			n;
	bool		found = false;

	deconstruct_array(list, TEXTOID, -1, false, TYPALIGN_INT, &items, &nulls, &n);
	for (int i = 0; i < n && !found; i++)
		found = !nulls[i] && VARSIZE_ANY_EXHDR(items[i]) == len &&
			memcmp(VARDATA_ANY(items[i]), p, len) == 0;
	return found;
}

/* What a cell is replaced by: a text, NULL for nothing, itself where nothing is said */
static const char *
replaced_cell(Jsonb *replaced, const char *p, int *len)
{
	JsonbValue	value;

	if (!JB_ROOT_IS_OBJECT(replaced) || JB_ROOT_COUNT(replaced) == 0 ||
		crm_json_member(&replaced->root, pnstrdup(p, *len), &value) == NULL)
		return p;
	if (value.type != jbvString || value.val.string.len == 0)
		return NULL;
	*len = value.val.string.len;
	return value.val.string.val;
}

/*
 * Text of one value of a row; a value of another type as jsonb writes it.  A
 * number that is to be read as a number has the decimal sign that means
 * nothing else, whatever sign the texts of the source have.
 */
static void
append_cell(JsonbValue *value, ArrayType *nothing, Jsonb *replaced, const char *joined,
		bool number, StringInfo out)
{
	const char *p;
	int			len;

	if (value->type == jbvNull)
		return;
	if (value->type == jbvString)
	{
		p = value->val.string.val;
		len = value->val.string.len;
	}
	else if (value->type == jbvBinary)
	{
		p = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
		len = strlen(p);
	}
	else if (value->type == jbvNumeric)
	{
		char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out,
				NumericGetDatum(value->val.numeric)));
		char	   *point = number ? strchr(digits, '.') : NULL;

		p = digits;
		if (point != NULL)
		{
			*point = '\0';
			p = psprintf("%s٫%s", digits, point + 1);
		}
		len = strlen(p);
	}
	else
	{
		p = value->val.boolean ? "true" : "false";
		len = strlen(p);
	}
	trim_cell(&p, &len);
	if (len == 0 || is_one_of(nothing, p, len))
		return;
	p = replaced_cell(replaced, p, &len);
	if (p == NULL)
		return;
	if (out->len > 0)
		appendStringInfoString(out, joined);
	appendBinaryStringInfo(out, p, len);
}

PG_FUNCTION_INFO_V1(crm_import_cell);

/* crm.import_cell(data, columns text[], joined, nothing text[], replaced jsonb, number boolean) */
Datum
crm_import_cell(PG_FUNCTION_ARGS)
{
	Jsonb	   *data = PG_GETARG_JSONB_P(0);
	ArrayType  *columns = PG_GETARG_ARRAYTYPE_P(1);
	const char *joined = text_to_cstring(PG_GETARG_TEXT_PP(2));
	ArrayType  *nothing = PG_GETARG_ARRAYTYPE_P(3);
	Jsonb	   *replaced = PG_GETARG_JSONB_P(4);
	StringInfoData out;
	Datum	   *names;
	bool	   *nulls;
	int			n;

	if (!JB_ROOT_IS_OBJECT(data))
		PG_RETURN_NULL();
	initStringInfo(&out);
	deconstruct_array(columns, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		JsonbValue	value;

		if (!nulls[i] && crm_json_member(&data->root, TextDatumGetCString(names[i]),
				&value) != NULL)
			append_cell(&value, nothing, replaced, joined, PG_GETARG_BOOL(5), &out);
	}
	if (out.len == 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

/* ---- numbers ---- */

static char
format_sign(text *declared, const char *allowed, const char *what)
{
	const char *sign = text_to_cstring(declared);

	if (strlen(sign) != 1 || strchr(allowed, sign[0]) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown sign \"%s\" for %s", sign, what),
				 errhint("It is one of these: %s", allowed)));
	return sign[0];
}

static const char *
cell_number(FunctionCallInfo fcinfo, StringInfo out)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	CrmNumberFormat format = {0};

	if (!PG_ARGISNULL(1))
		format.decimal = format_sign(PG_GETARG_TEXT_PP(1), ".,/", "decimals");
	if (!PG_ARGISNULL(2))
	{
		format.ungrouped = VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(2)) == 0;
		if (!format.ungrouped)
			format.grouping = format_sign(PG_GETARG_TEXT_PP(2), ".,' ", "groups of digits");
	}
	return crm_number_read(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &format, out);
}

PG_FUNCTION_INFO_V1(crm_import_number);

/* crm.import_number(value text, decimal text, grouping text) -> numeric */
Datum
crm_import_number(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	initStringInfo(&out);
	if (cell_number(fcinfo, &out) != NULL)
		PG_RETURN_NULL();
	return DirectFunctionCall3(numeric_in, CStringGetDatum(out.data),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

PG_FUNCTION_INFO_V1(crm_import_number_fault);

Datum
crm_import_number_fault(PG_FUNCTION_ARGS)
{
	StringInfoData out;
	const char *fault;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	initStringInfo(&out);
	fault = cell_number(fcinfo, &out);
	if (fault == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fault));
}

PG_FUNCTION_INFO_V1(crm_import_currencies);

/* crm.import_currencies(value text) -> text[]; NULL where it says none */
Datum
crm_import_currencies(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	StringInfoData out;
	ArrayBuildState *codes = NULL;

	initStringInfo(&out);
	if (!crm_currency_read(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &out))
		PG_RETURN_NULL();
	for (const char *c = out.data; *c; c += c[3] == ' ' ? 4 : 3)
		codes = accumArrayResult(codes, PointerGetDatum(cstring_to_text_with_len(c, 3)), false,
								 TEXTOID, CurrentMemoryContext);
	if (codes == NULL)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(TEXTOID));
	PG_RETURN_DATUM(makeArrayResult(codes, CurrentMemoryContext));
}

/* ---- dates ---- */

static const char *const date_orders[] = {
	[CRM_DATE_ANY] = "any", [CRM_DATE_YMD] = "ymd", [CRM_DATE_DMY] = "dmy", [CRM_DATE_MDY] = "mdy",
	[CRM_DATE_JALALI] = "jalali", [CRM_DATE_EPOCH] = "epoch", [CRM_DATE_EPOCH_MS] = "epoch_ms",
	[CRM_DATE_EXCEL] = "excel",
};

static CrmDateOrder
date_order_of(text *name)
{
	const char *order = text_to_cstring(name);

	for (int i = 0; i < lengthof(date_orders); i++)
		if (strcmp(date_orders[i], order) == 0)
			return (CrmDateOrder) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown date_order \"%s\"", order),
			 errhint("It is one of any, ymd, dmy, mdy, jalali, epoch, epoch_ms, excel.")));
}

static const char *
read_date(FunctionCallInfo fcinfo, CrmReadDate *out)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	return crm_date_read(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
			date_order_of(PG_GETARG_TEXT_PP(1)), out);
}

static pg_tz *
zone_named(text *name)
{
	const char *zone = text_to_cstring(name);
	pg_tz	   *tz = crm_zone_find(zone);

	if (tz == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", zone),
				 errhint("pg_timezone_names lists the known ones.")));
	return tz;
}

/* The instant of what was written in a zone, unless it says its own */
static TimestampTz
instant_of(const CrmReadDate *read, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (read->fixed)
		return read->local - read->east * USECS_PER_SEC;
	if (timestamp2tm(read->local, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return read->local + DetermineTimeZoneOffset(&tm, zone) * USECS_PER_SEC;
}

PG_FUNCTION_INFO_V1(crm_import_instant);

/* crm.import_instant(value text, date_order text, zone text) -> timestamptz */
Datum
crm_import_instant(PG_FUNCTION_ARGS)
{
	CrmReadDate read;

	if (read_date(fcinfo, &read) != NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(instant_of(&read, zone_named(PG_GETARG_TEXT_PP(2))));
}

PG_FUNCTION_INFO_V1(crm_import_date);

/* crm.import_date(value, date_order, zone): the day that is written, or that of an instant */
Datum
crm_import_date(PG_FUNCTION_ARGS)
{
	CrmReadDate read;
	int64		local;

	if (read_date(fcinfo, &read) != NULL)
		PG_RETURN_NULL();
	local = read.local;
	if (read.fixed)
	{
		pg_tz	   *zone = zone_named(PG_GETARG_TEXT_PP(2));
		struct pg_tm tm;
		fsec_t		fsec;
		int			tz;

		if (timestamp2tm(instant_of(&read, zone), &tz, &tm, &fsec, NULL, zone) != 0)
			PG_RETURN_NULL();
		PG_RETURN_DATEADT(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
	}
	PG_RETURN_DATEADT((DateADT) (local >= 0 ?
			local / USECS_PER_DAY : -((-local + USECS_PER_DAY - 1) / USECS_PER_DAY)));
}

PG_FUNCTION_INFO_V1(crm_import_date_fault);

Datum
crm_import_date_fault(PG_FUNCTION_ARGS)
{
	CrmReadDate read;
	const char *fault = read_date(fcinfo, &read);

	if (fault == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(fault));
}
