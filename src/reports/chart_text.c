/*
 * chart_text.c
 *	  Text of charts: made harmless, measured, shortened; numbers for readers.
 *
 * There is no font here to measure with.  Widths are those of the widest of the
 * usual sans-serif fonts, so what fits by this measure fits on the reader's
 * screen too.
 */
#include "postgres.h"

#include "miscadmin.h"

#include <math.h>

#include "reports/chart.h"
#include "mb/pg_wchar.h"

/* One code point of UTF-8, or of a one-byte encoding; advances the pointer. */
static pg_wchar
next_char(const char **text)
{
	const unsigned char *s = (const unsigned char *) *text;
	int			length;
	pg_wchar	c;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		length = pg_mblen(*text);
		*text += length;
		return length == 1 ? s[0] : 0x4E00; /* unknown: as wide as any */
	}
	length = pg_utf_mblen(s);
	for (int i = 1; i < length; i++)
	{
		if (s[i] == '\0')
			length = i;			/* cannot happen in text from the server */
	}
	c = length == pg_utf_mblen(s) ? utf8_to_unicode(s) : '?';
	*text += length;
	return c;
}

/* Marks that change the direction of what follows them, beyond the text itself. */
static bool
is_direction_mark(pg_wchar c)
{
	return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

/*
 * Append text so that it is text in HTML and XML, within elements and within
 * attributes.  Control characters, which XML forbids, become spaces; marks that
 * would turn the direction of the rest of the page are left out.
 */
void
crm_chart_escape(StringInfo out, const char *text)
{
	for (int done = 0; *text; done++)
	{
		const char *start = text;
		pg_wchar	c = next_char(&text);

		if (done % 10000 == 0)
			CHECK_FOR_INTERRUPTS();
		switch (c)
		{
			case '&':
				appendStringInfoString(out, "&amp;");
				break;
			case '<':
				appendStringInfoString(out, "&lt;");
				break;
			case '>':
				appendStringInfoString(out, "&gt;");
				break;
			case '"':
				appendStringInfoString(out, "&quot;");
				break;
			case '\'':
				appendStringInfoString(out, "&#39;");
				break;
			default:
				if (c < 0x20 || (c >= 0x7F && c < 0xA0 && text - start > 1) ||
					c == 0x7F || c == 0xFFFE || c == 0xFFFF)
					appendStringInfoChar(out, ' ');
				else if (!is_direction_mark(c))
					appendBinaryStringInfo(out, start, text - start);
		}
	}
}

/* Width of one character in units of the font size. */
static double
char_width(pg_wchar c)
{
	if (c < 0x20)
		return 0.32;
	if (c < 0x7F)
	{
		if (strchr("ijl'|", (int) c))
			return 0.3;
		if (strchr(" .,:;!()[]fItr/-", (int) c))
			return 0.41;
		if (strchr("mMwW%@&", (int) c))
			return 0.97;
		if (c >= 'A' && c <= 'Z')
			return 0.72;
		return 0.64;
	}
	/* marks without width of their own */
	if ((c >= 0x0300 && c <= 0x036F) || (c >= 0x064B && c <= 0x065F) ||
		c == 0x0670 || (c >= 0x200B && c <= 0x200F) || is_direction_mark(c))
		return 0;
	if (c == 0x066B || c == 0x066C || c == 0xA0)
		return 0.4;
	if (c >= 0x0590 && c <= 0x08FF)
		return 0.6;
	if (c >= 0x1100)
		return c >= 0x2000 && c <= 0x2BFF ? 0.9 : 1.05;
	return 0.66;
}

double
crm_chart_text_width(const char *text, double size)
{
	double		width = 0;

	while (*text)
		width += char_width(next_char(&text));
	return width * size;
}

/* The text, shortened with an ellipsis where there is no room for it. */
char *
crm_chart_fit(const char *text, double size, double room)
{
	double		width = 0;
	const char *fits = text;
	const char *p = text;

	if (crm_chart_text_width(text, size) <= room)
		return pstrdup(text);
	room -= 0.9 * size;
	while (*p)
	{
		width += char_width(next_char(&p)) * size;
		if (width > room)
			break;
		fits = p;
	}
	while (fits > text && fits[-1] == ' ')
		fits--;
	return psprintf("%.*s%s", (int) (fits - text), text,
					GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x80\xA6" : "...");
}

/* Latin digits, point and comma to Persian ones. */
static char *
with_digits(char *text, bool persian)
{
	StringInfoData out;

	if (!persian || GetDatabaseEncoding() != PG_UTF8)
		return text;
	initStringInfo(&out);
	for (char *p = text; *p; p++)
	{
		bool		in_number = p > text && isdigit((unsigned char) p[-1]) &&
			isdigit((unsigned char) p[1]);

		if (isdigit((unsigned char) *p))
		{
			appendStringInfoChar(&out, (char) 0xDB);
			appendStringInfoChar(&out, (char) (0xB0 + (*p - '0')));
		}
		else if (*p == '.' && in_number)
			appendStringInfoString(&out, "\xD9\xAB");
		else if (*p == ',' && in_number)
			appendStringInfoString(&out, "\xD9\xAC");
		else if (*p == '%')
			appendStringInfoString(&out, "\xD9\xAA");
		else
			appendStringInfoChar(&out, *p);
	}
	return out.data;
}

/* A decimal number in groups of three; no trailing zeros after the point. */
static char *
grouped(double value, int decimals)
{
	char		plain[400];
	StringInfoData out;
	int			whole;
	char	   *digits = plain;

	snprintf(plain, sizeof(plain), "%.*f", decimals, value);
	if (strchr(plain, '.'))
	{
		char	   *end = plain + strlen(plain) - 1;

		while (*end == '0')
			*end-- = '\0';
		if (*end == '.')
			*end = '\0';
	}
	if (strcmp(plain, "-0") == 0)
		digits++;
	initStringInfo(&out);
	if (*digits == '-')
	{
		appendStringInfoString(&out, GetDatabaseEncoding() == PG_UTF8 ? "\xE2\x88\x92" : "-");
		digits++;
	}
	whole = (int) strcspn(digits, ".");
	for (int i = 0; i < whole; i++)
	{
		if (i > 0 && (whole - i) % 3 == 0)
			appendStringInfoChar(&out, ',');
		appendStringInfoChar(&out, digits[i]);
	}
	appendStringInfoString(&out, digits + whole);
	return out.data;
}

/*
 * A number as a reader wants it.  The magnitude is chosen after rounding, so
 * that 999,960 is 1M and never 1000K.
 */
char *
crm_chart_number_as(double value, ChartFormat format, bool persian)
{
	static const char *const latin[] = {"", "K", "M", "B", "T"};
	static const char *const fa[] = {
		"", "\xC2\xA0\xD9\x87\xD8\xB2\xD8\xA7\xD8\xB1",
		"\xC2\xA0\xD9\x85\xDB\x8C\xD9\x84\xDB\x8C\xD9\x88\xD9\x86",
		"\xC2\xA0\xD9\x85\xDB\x8C\xD9\x84\xDB\x8C\xD8\xA7\xD8\xB1\xD8\xAF",
		"\xC2\xA0\xD8\xAA\xD8\xB1\xDB\x8C\xD9\x84\xDB\x8C\xD9\x88\xD9\x86"};
	int			magnitude = 0;
	double		scaled = value;
	int			decimals;

	persian = persian && GetDatabaseEncoding() == PG_UTF8;

	/* the sign stays to the left of the digits in text read from the right */
	if (persian && value < 0)
		return psprintf("\xE2\x80\x8F\xE2\x80\x8E\xE2\x88\x92%s", crm_chart_number_as(-value, format, true));
	if (format == CHART_PERCENT)
	{
		scaled = value * 100;
		return with_digits(psprintf("%s%%",
									grouped(scaled, fabs(scaled) < 9.95 ? 1 : 0)),
						   persian);
	}
	if (format == CHART_COMPACT)
	{
		while (magnitude < 4 && fabs(scaled) >= 999.5)
		{
			scaled /= 1000;
			magnitude++;
		}
		decimals = fabs(scaled) < 99.95 ? 1 : 0;
		if (magnitude == 0 && fabs(scaled) >= 9.95)
			decimals = 0;
		return psprintf("%s%s", with_digits(grouped(scaled, decimals), persian),
						persian ? fa[magnitude] : latin[magnitude]);
	}
	decimals = fabs(value) >= 1000 ? 0 : fabs(value) >= 10 ? 1 : 2;
	return with_digits(grouped(value, decimals), persian);
}

char *
crm_chart_number(const Chart *chart, double value)
{
	return crm_chart_number_as(value, chart->format, chart->persian);
}

char *
crm_chart_percent(const Chart *chart, double share)
{
	return crm_chart_number_as(share, CHART_PERCENT, chart->persian);
}
