/*
 * read_number.c
 *	  A number as exports write it: digits of three scripts, currency signs,
 *	  percent, brackets for negatives, declared signs for decimals and groups.
 *
 * The text is first cut into what stands around the number and the number
 * itself, in one alphabet.  Which sign separates the decimals is what was
 * declared; without that only what can mean one thing alone is read: "1,200"
 * is twelve hundred in one country and a little more than one in another.
 */
#include "exchange/values.h"

#include "mb/pg_wchar.h"

#define MAX_CORE 200			/* digits and signs of one number */

typedef struct Parts
{
	char		core[MAX_CORE + 1]; /* digits, signs between them, exponent */
	int			len;
	bool		negative;
	bool		bracket;
	int			nsigns;			/* of minus and plus */
	int			npercent;
	int			nwords;			/* signs and names of currencies */
	char		exponent[12];	/* with its e */
	const char *fault;
} Parts;

/* Signs that the core has for the separators of the Arabic script */
#define ARABIC_DECIMAL 'D'
#define ARABIC_GROUP 'G'

static int
digit_of(pg_wchar c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 0x0660 && c <= 0x0669)
		return c - 0x0660;
	if (c >= 0x06F0 && c <= 0x06F9)
		return c - 0x06F0;
	if (c >= 0xFF10 && c <= 0xFF19)
		return c - 0xFF10;
	return -1;
}

static bool
is_blank_sign(pg_wchar c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xA0 || (c >= 0x2000 &&
			c <= 0x200A) ||
		c == 0x202F || c == 0x205F || c == 0x3000;
}

/* Direction marks, joiners and the mark that begins a file */
static bool
is_unseen_mark(pg_wchar c)
{
	return (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
		(c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || c == 0x061C || c == 0x00AD;
}

static bool
is_currency_sign(pg_wchar c)
{
	return c == '$' || (c >= 0xA2 && c <= 0xA5) || c == 0x058F || c == 0x060B || c == 0x0E3F ||
		c == 0x09F2 || c == 0x09F3 || (c >= 0x20A0 && c <= 0x20CF) || c == 0xFDFC || c == 0xFF04;
}

static bool
is_letter(pg_wchar c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0x24F) ||
		(c >= 0x0620 && c <= 0x064A) || (c >= 0x0671 && c <= 0x06D3);
}

/* The sign between digits that a character stands for, or 0 */
static char
separator_of(pg_wchar c)
{
	switch (c)
	{
		case '.':
			return '.';
		case ',':
		case 0x060C:
			return ',';
		case '/':
			return '/';
		case '\'':
		case 0x2019:
			return '\'';
		case 0x066B:
			return ARABIC_DECIMAL;
		case 0x066C:
			return ARABIC_GROUP;
		default:
			return is_blank_sign(c) ? ' ' : 0;
	}
}

/* Whether a word is a name of money: three capital letters, or one of those below */
static bool
is_currency_word(const char *word, int len)
{
	static const char *const names[] = {
		"kr", "Kr", "Rs", "zł", "Fr", "fr", "R", "S", "US", "A", "AU", "C", "CA", "NZ",
		"HK", "NT", "MX", "Ft", "lei", "Kč", "euro",
				"Euro", "euros",
		"usd", "eur", "irr", "rial", "Rial", "toman", "Toman", "تومان", "تومن", "ریال", "ريال",
				"دلار", "یورو", "د.إ"
	};

	if (len == 3 && word[0] >= 'A' && word[0] <= 'Z' && word[1] >= 'A' && word[1] <= 'Z' &&
		word[2] >= 'A' && word[2] <= 'Z')
		return strncmp(word, "NAN", 3) != 0 && strncmp(word, "INF", 3) != 0;
	for (int i = 0; i < lengthof(names); i++)
		if ((int) strlen(names[i]) == len && memcmp(names[i], word, len) == 0)
			return true;
	return false;
}

/* An exponent at p, as spreadsheets write it; its length or 0 */
static int
take_exponent(const char *p, const char *end, Parts *parts)
{
	int			n = 1;
	int			digits = 0;

	if (*p != 'e' && *p != 'E')
		return 0;
	if (p + n < end && (p[n] == '+' || p[n] == '-'))
		n++;
	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++, digits++;
	if (digits < 1 || digits > 3)
		return 0;
	memcpy(parts->exponent, p, n);
	parts->exponent[n] = '\0';
	return n;
}

static void
take_sign(Parts *parts, bool negative)
{
	parts->nsigns++;
	parts->negative |= negative;
}

/* A character that is no part of the number itself */
static bool
take_around(Parts *parts, pg_wchar c, bool after)
{
	if (c == '-' || c == 0x2212 || c == 0x2013 || c == 0xFF0D)
		take_sign(parts, true);
	else if (c == '+' && !after)
		take_sign(parts, false);
	else if (c == '(' && !after && !parts->bracket)
		parts->bracket = true;
	else if (c == ')' && after && parts->bracket && !parts->negative)
		parts->negative = true;
	else if (c == '%' || c == 0x066A)
		parts->npercent++;
	else if (is_currency_sign(c))
		parts->nwords++;
	else
		return is_blank_sign(c) || (c == '.' && parts->nwords > 0);
	return true;
}

/* Cut the text into parts. */
static void
take_parts(const char *p, const char *end, Parts *parts)
{
	bool		in_core = false;
	bool		after = false;

	while (p < end)
	{
		int			n = pg_utf_mblen((const unsigned char *) p);
		pg_wchar	c = p + n <= end ? utf8_to_unicode((const unsigned char *) p) : 0;
		int			digit = digit_of(c);
		char		sign = separator_of(c);

		if (is_unseen_mark(c))
			;
		else if (parts->len == MAX_CORE)
			parts->fault = "It is too long for a number.";
		else if (digit >= 0)
		{
			if (after)
				parts->fault = "There is more than one number.";
			parts->core[parts->len++] = '0' + digit;
			in_core = true;
		}
		else if (in_core && !after && take_exponent(p, end, parts) > 0)
		{
			n = strlen(parts->exponent);
			after = true;
		}
		else if (sign != 0 && !after && (in_core || (sign != ' ' && sign != '\'' && sign != '/' &&
												   !(sign == '.' && parts->nwords > 0))))
		{
			parts->core[parts->len++] = sign;
			in_core = true;
		}
		else if (is_letter(c))
		{
			const char *word = p;

			while (p < end && is_letter(utf8_to_unicode((const unsigned char *) p)))
				p += pg_utf_mblen((const unsigned char *) p);
			if (!is_currency_word(word, p - word) || parts->nwords++ > 1)
				parts->fault = "It holds words.";
			after = in_core;
			continue;
		}
		else
		{
			after = in_core;
			if (!take_around(parts, c, after))
				parts->fault = "It holds signs that do not belong to a number.";
		}
		if (parts->fault != NULL)
			return;
		p += n;
	}
	/* blanks and a point at the end belong to what follows */
	while (parts->len > 0 && parts->core[parts->len - 1] == ' ')
		parts->len--;
	parts->core[parts->len] = '\0';
}

static int
count_of(const char *core, char sign)
{
	int			n = 0;

	for (; *core; core++)
		n += *core == sign;
	return n;
}

/* Digits from p up to the next sign or the end */
static int
run_of_digits(const char *p)
{
	return strspn(p, "0123456789");
}

/* Groups of three from the right, or of two before the last three, as in India. */
static bool
grouped_well(const char *core, char sign, char decimal)
{
	int			runs[MAX_CORE];
	int			n = 0;

	for (const char *p = core;; p++)
	{
		runs[n] = run_of_digits(p);
		p += runs[n++];
		if (*p == '\0' || *p == decimal)
			break;
		if (*p != sign)
			return false;
	}
	if (n == 1)
		return true;
	if (core[0] == '0' || runs[0] < 1 || runs[0] > 3 || runs[n - 1] != 3)
		return false;
	for (int i = 1; i < n - 1; i++)
		if (runs[i] != runs[1])
			return false;
	return n == 2 || runs[1] == 3 || (runs[1] == 2 && runs[0] <= 2);
}

/* The sign of the decimals where none is declared; 0: there are none */
static const char *
guess_decimal(const Parts *parts, char *decimal)
{
	int			points = count_of(parts->core, '.');
	int			commas = count_of(parts->core, ',');
	const char *point = strrchr(parts->core, '.');
	const char *comma = strrchr(parts->core, ',');
	const char *one;
	int			before;

	*decimal = 0;
	if (points > 0 && commas > 0)
	{
		*decimal = point > comma ? '.' : ',';
		return NULL;
	}
	if (points + commas != 1)
		return NULL;
	one = points > 0 ? point : comma;
	before = one - parts->core;
	if (strlen(one + 1) != 3 || parts->core[0] == '0' || before == 0 || before > 3 ||
			parts->exponent[0])
	{
		*decimal = *one;
		return NULL;
	}
	return "It can be read with and without decimals.";
}

static const char *
core_fault(const Parts *parts, const CrmNumberFormat *format, char *decimal)
{
	const char *core = parts->core;
	char		grouping = 0;
	const char *fault = NULL;

	*decimal = format->decimal;
	if (count_of(core, ARABIC_DECIMAL) > 0)
		*decimal = ARABIC_DECIMAL;
	else if (*decimal == 0 && (format->grouping == '.' || format->grouping == ','))
		*decimal = format->grouping == '.' ? ',' : '.';
	else if (*decimal == 0 && format->ungrouped)
		*decimal = count_of(core, ',') > 0 ? ',' : '.';
	else if (*decimal == 0)
		fault = guess_decimal(parts, decimal);
	if (fault != NULL)
		return fault;
	if (*decimal != 0 && count_of(core, *decimal) > 1)
		return "It has more than one sign for decimals.";
	for (const char *p = core; *p; p++)
		if ((*p < '0' || *p > '9') && *p != *decimal)
		{
			if (*decimal != 0 && strchr(core, *decimal) != NULL && strchr(core, *decimal) < p)
				return "It groups digits behind the decimals.";
			if (grouping != 0 && *p != grouping)
				return "It mixes signs that group digits.";
			grouping = *p;
		}
	if (grouping == 0)
		return NULL;
	if (format->ungrouped || (format->grouping != 0 && grouping != format->grouping &&
			grouping != ARABIC_GROUP))
		return "It groups digits by a sign that is not declared.";
	if (!grouped_well(core, grouping, *decimal))
		return "Its groups of digits do not have three digits each.";
	return NULL;
}

/*
 * Append a number in the form PostgreSQL reads to out and return NULL, or say
 * why it cannot be read.
 */
const char *
crm_number_read(const char *in, int len, const CrmNumberFormat *format, StringInfo out)
{
	Parts		parts = {0};
	const char *fault;
	char		decimal;

	take_parts(in, in + len, &parts);
	if (parts.fault != NULL)
		return parts.fault;
	if (strcspn(parts.core, "0123456789") == strlen(parts.core))
		return "It holds no digit.";
	if (parts.nsigns > 1 || (parts.bracket && (parts.nsigns > 0 || !parts.negative)) ||
			parts.npercent > 1)
		return "It has more than one sign.";
	fault = core_fault(&parts, format, &decimal);
	if (fault != NULL)
		return fault;
	if (parts.negative)
		appendStringInfoChar(out, '-');
	for (const char *p = parts.core; *p; p++)
		if (*p >= '0' && *p <= '9')
			appendStringInfoChar(out, *p);
		else if (*p == decimal)
			appendStringInfoChar(out, '.');
	appendStringInfoString(out, parts.exponent);
	return NULL;
}
