/*
 * csv.c
 *	  crm.read_csv(): the lines of a file with separated values, as arrays.
 *
 * RFC 4180, and what programs write instead of it: ends of lines of any kind,
 * semicolons, tabs or bars as separators, and a mark of the byte order.  The
 * separator is the one that the first line has most of, outside quotes.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

typedef struct CsvReader
{
	const char *p;
	const char *end;
	char		separator;
	Datum	   *cells;
	int			n;
	int			room;
} CsvReader;

static char
guess_separator(const char *p, const char *end)
{
	static const char separators[] = {',', ';', '\t', '|'};
	int			counts[lengthof(separators)] = {0};
	bool		quoted = false;
	int			best = 0;

	for (; p < end && (quoted || (*p != '\n' && *p != '\r')); p++)
	{
		if (*p == '"')
			quoted = !quoted;
		for (int i = 0; i < lengthof(separators) && !quoted; i++)
			counts[i] += *p == separators[i];
	}
	for (int i = 1; i < lengthof(separators); i++)
		if (counts[i] > counts[best])
			best = i;
	return separators[best];
}

static void
put_cell(CsvReader *reader, const char *text, int len)
{
	if (reader->n == reader->room)
	{
		reader->room = Max(reader->room * 2, 64);
		reader->cells = reader->cells ? repalloc(reader->cells, sizeof(Datum) * reader->room)
			: palloc(sizeof(Datum) * reader->room);
	}
	reader->cells[reader->n++] = PointerGetDatum(cstring_to_text_with_len(text, len));
}

/* A cell in quotes, which are doubled within */
static void
take_quoted(CsvReader *reader, StringInfo cell, int64 line)
{
	for (reader->p++; reader->p < reader->end; reader->p++)
	{
		if (*reader->p == '"')
		{
			if (reader->p + 1 == reader->end || reader->p[1] != '"')
			{
				reader->p++;
				return;
			}
			reader->p++;
		}
		appendStringInfoCharMacro(cell, *reader->p);
	}
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("a quoted value that begins in line " INT64_FORMAT " does not end", line),
			 errhint("Values in quotes end with a quote, and quotes within are doubled.")));
}

/* The cells of one line; false: there is none any more */
static bool
take_line(CsvReader *reader, int64 line)
{
	StringInfoData cell;

	if (reader->p == reader->end)
		return false;
	initStringInfo(&cell);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		resetStringInfo(&cell);
		if (reader->p < reader->end && *reader->p == '"')
			take_quoted(reader, &cell, line);
		while (reader->p < reader->end && *reader->p != reader->separator &&
			   *reader->p != '\n' && *reader->p != '\r')
		{
			appendStringInfoCharMacro(&cell, *reader->p);
			reader->p++;
		}
		put_cell(reader, cell.data, cell.len);
		if (reader->p == reader->end || *reader->p != reader->separator)
			break;
		reader->p++;
	}
	if (reader->p < reader->end && *reader->p == '\r')
		reader->p++;
	if (reader->p < reader->end && *reader->p == '\n')
		reader->p++;
	return true;
}

PG_FUNCTION_INFO_V1(crm_read_csv);

/* crm.read_csv(content text, separator text) -> setof (line bigint, cells text[]) */
Datum
crm_read_csv(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	text	   *content;
	CsvReader	reader = {0};
	MemoryContext scratch;
	MemoryContext old;
	int64		line = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	content = PG_GETARG_TEXT_PP(0);
	reader.p = VARDATA_ANY(content);
	reader.end = reader.p + VARSIZE_ANY_EXHDR(content);
	if (reader.end - reader.p >= 3 && memcmp(reader.p, "\xEF\xBB\xBF", 3) == 0)
		reader.p += 3;
	reader.separator = PG_ARGISNULL(1) || VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(1)) != 1 ?
		guess_separator(reader.p, reader.end) : *VARDATA_ANY(PG_GETARG_TEXT_PP(1));
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm line of separated values",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(scratch);
	while (take_line(&reader, line + 1))
	{
		Datum		values[2];
		bool		nulls[2] = {false, false};

		CHECK_FOR_INTERRUPTS();
		values[0] = Int64GetDatum(++line);
		values[1] = PointerGetDatum(construct_array(reader.cells, reader.n, TEXTOID, -1, false,
													TYPALIGN_INT));
		/* a line of nothing is an empty line, not an empty row */
		if (reader.n > 1 || VARSIZE_ANY_EXHDR(reader.cells[0]) > 0)
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextReset(scratch);
		reader.cells = NULL;
		reader.n = reader.room = 0;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
	return (Datum) 0;
}
