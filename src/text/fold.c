/*
 * fold.c
 *	  Folding text to the form in which it is compared.
 *
 * Two spellings a person would call the same word become the same bytes:
 * letter case, accents, Arabic and Persian code points of one letter, digits
 * of all three scripts, vowel marks, joiners, direction marks and every kind
 * of space.  ASCII and the Arabic block, which are nearly all of the input,
 * are mapped here; the rest goes through PostgreSQL's compatibility
 * decomposition one character at a time, and combining marks are dropped.
 *
 * The results are stored in generated columns, so a change of this file needs
 * an upgrade step that computes them anew.
 */
#include "text/text.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#define POLL_EVERY 8192			/* characters between looks for a cancel */

/* The state of a fold under way. */
typedef struct FoldState
{
	StringInfo	out;
	bool		space_pending;	/* spaces seen since the last character */
	int			start;			/* where this fold began in out */
} FoldState;

/* Letters of the Latin script that have no decomposition, with their capitals. */
static const struct
{
	pg_wchar	from;
	const char *to;
}			latin[] =
{
	{0x00C6, "ae"}, {0x00D0, "d"}, {0x00D8, "o"}, {0x00DE, "th"},
	{0x00DF, "ss"}, {0x00E6, "ae"}, {0x00F0, "d"}, {0x00F8, "o"},
	{0x00FE, "th"}, {0x0110, "d"}, {0x0111, "d"}, {0x0126, "h"},
	{0x0127, "h"}, {0x0131, "i"}, {0x0138, "k"}, {0x0141, "l"},
	{0x0142, "l"}, {0x014A, "n"}, {0x014B, "n"}, {0x0152, "oe"},
	{0x0153, "oe"}, {0x0166, "t"}, {0x0167, "t"}, {0x018F, "a"},
	{0x0259, "a"}, {0x1E9E, "ss"},
};

static void
put_letter(FoldState *state, pg_wchar c)
{
	unsigned char buf[8];
	int			len;

	if (state->space_pending)
	{
		if (state->out->len > state->start)
			appendStringInfoCharMacro(state->out, ' ');
		state->space_pending = false;
	}
	if (c < 0x80)
	{
		appendStringInfoCharMacro(state->out, (char) c);
		return;
	}
	unicode_to_utf8(c, buf);
	len = pg_utf_mblen(buf);
	appendBinaryStringInfo(state->out, (char *) buf, len);
}

/* Is a character a mark without width: a joiner, a direction mark, a soft hyphen? */
bool
crm_is_invisible(uint32 c)
{
	return c == 0x00AD || c == 0x061C || c == 0x180E ||
		(c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
		(c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/* What is nothing when comparing: marks above and below too. */
static bool
is_ignorable(pg_wchar c)
{
	return crm_is_invisible(c) || (c >= 0x0300 && c <= 0x036F) || c == 0x0640 ||
		(c >= 0x0610 && c <= 0x061A) ||
		(c >= 0x064B && c <= 0x065F) || c == 0x0670 || c == 0x066C ||
		(c >= 0x06D6 && c <= 0x06DC) || (c >= 0x06DF && c <= 0x06E4) ||
		c == 0x06E7 || c == 0x06E8 || (c >= 0x06EA && c <= 0x06ED) ||
		(c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE00 && c <= 0xFE0F) ||
		(c >= 0xFE20 && c <= 0xFE2F) ||
		(c >= 0x80 && c <= 0x9F && c != 0x85);
}

static bool
is_space(pg_wchar c)
{
	return c == 0x85 || c == 0xA0 || c == 0x1680 ||
		(c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
		c == 0x202F || c == 0x205F || c == 0x3000;
}

/* One character of the Arabic block; 0 where it stays as it is. */
static pg_wchar
fold_arabic(pg_wchar c)
{
	if (c >= 0x0660 && c <= 0x0669)
		return '0' + (c - 0x0660);
	if (c >= 0x06F0 && c <= 0x06F9)
		return '0' + (c - 0x06F0);
	switch (c)
	{
		case 0x0620:
		case 0x0626:
		case 0x0649:
		case 0x064A:
		case 0x06CD:
		case 0x06CE:
		case 0x06D0:
		case 0x06D1:
		case 0x06D2:
		case 0x06D3:
			return 0x06CC;		/* yeh */
		case 0x0643:
		case 0x06AA:
		case 0x06AB:
		case 0x06AC:
		case 0x06AD:
			return 0x06A9;		/* keheh */
		case 0x0629:
		case 0x06BE:
		case 0x06C0:
		case 0x06C1:
		case 0x06C2:
		case 0x06C3:
		case 0x06D5:
			return 0x0647;		/* heh */
		case 0x0622:
		case 0x0623:
		case 0x0625:
		case 0x0671:
		case 0x0672:
		case 0x0673:
			return 0x0627;		/* alef: so that a maddah typed apart is the same */
		case 0x0624:
		case 0x06C4:
		case 0x06C6:
			return 0x0648;		/* waw */
		case 0x066A:
			return '%';
		case 0x066B:
			return '.';
		case 0x060C:
			return ',';
		case 0x061B:
			return ';';
		case 0x061F:
			return '?';
		case 0x06D4:
			return '.';
		default:
			return 0;
	}
}

/* Small letter of a capital without decomposition; the letter itself if none. */
static pg_wchar
lower(pg_wchar c)
{
	if ((c >= 0x0391 && c <= 0x03A9 && c != 0x03A2) || (c >= 0x0410 && c <= 0x042F) ||
		(c >= 0xFF21 && c <= 0xFF3A))
		return c + 0x20;
	if (c == 0x03C2)
		return 0x03C3;			/* final sigma */
	if (c >= 0x0400 && c <= 0x040F)
		return c + 0x50;
	if ((c >= 0x0460 && c <= 0x0481) || (c >= 0x048A && c <= 0x04BF) ||
		(c >= 0x04D0 && c <= 0x052F) || (c >= 0x1E00 && c <= 0x1EFF))
		return c | 1;
	if (c >= 0x0531 && c <= 0x0556)
		return c + 0x30;
	if (c >= 0x1C90 && c <= 0x1CBF && c != 0x1CBB && c != 0x1CBC)
		return c - 0x0BC0;		/* Georgian */
	return c;
}

/* Quotes and dashes of all kinds; 0 where it is neither. */
static pg_wchar
fold_punctuation(pg_wchar c)
{
	if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212)
		return '-';
	if ((c >= 0x2018 && c <= 0x201B) || c == 0x02BC || c == 0x00B4)
		return '\'';
	if ((c >= 0x201C && c <= 0x201F) || c == 0x00AB || c == 0x00BB)
		return '"';
	return 0;
}

static void
fold_char(FoldState *state, pg_wchar c, bool decomposed)
{
	pg_wchar	to;

	if (c < 0x80)
	{
		if (c >= 'A' && c <= 'Z')
			put_letter(state, c + ('a' - 'A'));
		else if (c > ' ' && c < 0x7F)
			put_letter(state, c);
		else if (c == ' ' || (c >= '\t' && c <= '\r'))
			state->space_pending = true;
		return;
	}
	if (is_ignorable(c))
		return;
	if (is_space(c))
	{
		state->space_pending = true;
		return;
	}
	if (c >= 0x0600 && c <= 0x06FF)
	{
		to = fold_arabic(c);
		put_letter(state, to != 0 ? to : c);
		return;
	}
	if ((to = fold_punctuation(c)) != 0)
	{
		put_letter(state, to);
		return;
	}
	if (c <= 0x1E9E)
		for (int i = 0; i < lengthof(latin); i++)
			if (latin[i].from == c)
			{
				for (const char *s = latin[i].to; *s != '\0'; s++)
					put_letter(state, (unsigned char) *s);
				return;
			}
	if (!decomposed)
	{
		pg_wchar	one[2] = {c, 0};
		pg_wchar   *parts = unicode_normalize(UNICODE_NFKD, one);

		if (parts[0] != c || parts[1] != 0)
		{
			for (int i = 0; parts[i] != 0; i++)
				fold_char(state, parts[i], true);
			pfree(parts);
			return;
		}
		pfree(parts);
	}
	put_letter(state, lower(c));
}

/*
 * Append the folded form of a text: no leading, trailing or double spaces.
 * The input must be valid UTF-8.
 */
void
crm_fold(const char *in, int len, StringInfo out)
{
	const unsigned char *p = (const unsigned char *) in;
	const unsigned char *end = p + len;
	FoldState	state = {out, false, out->len};
	unsigned	n = 0;

	while (p < end)
	{
		if (++n % POLL_EVERY == 0)
			CHECK_FOR_INTERRUPTS();
		if (*p < 0x80)
			fold_char(&state, *p++, false);
		else
		{
			fold_char(&state, utf8_to_unicode(p), false);
			p += pg_utf_mblen(p);
		}
	}
}

/* How many bytes a folded character that parts words has; 0: it does not part them. */
static int
separator_length(const char *p)
{
	unsigned char c = (unsigned char) *p;

	if (c < 0x80)
	{
		/* an apostrophe stands inside a word */
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'')
			return 0;
		return 1;
	}
	/* the rest of General Punctuation, CJK punctuation, middle dot */
	if (c == 0xE2 && ((unsigned char) p[1] == 0x80 || (unsigned char) p[1] == 0x81))
		return 3;
	if (c == 0xE3 && (unsigned char) p[1] == 0x80 && (unsigned char) p[2] <= 0x84)
		return 3;
	if (c == 0xC2)
		return 2;
	return 0;
}

/*
 * Cut a folded text into words, in place.  Returns their number, at most max;
 * the last word takes what is left over.
 */
int
crm_fold_tokens(StringInfo folded, char **tokens, int max)
{
	char	   *p = folded->data;
	char	   *to = folded->data;
	char	   *end = folded->data + folded->len;
	int			n = 0;
	unsigned	read = 0;
	bool		inside = false;

	while (p < end)
	{
		int			len = separator_length(p);

		if (++read % POLL_EVERY == 0)
			CHECK_FOR_INTERRUPTS();

		if (len > 0)
		{
			p += len;
			if (inside && n < max)
			{
				*to++ = '\0';
				inside = false;
			}
			continue;
		}
		if (*p == '\'')
		{
			p++;
			continue;
		}
		len = pg_utf_mblen((unsigned char *) p);
		if (!inside)
		{
			/* a word can never be written past the place it is read from */
			tokens[n++] = to;
			inside = true;
		}
		memmove(to, p, len);
		to += len;
		p += len;
	}
	*to = '\0';
	return n;
}

/* Forms of address, folded, that may stand before a name. */
static const char *const honorifics[] =
{
	"سید", "سیده", "دکتر", "مهندس", "اقای", "اقا", "خانم", "سرکار", "جناب", "حاج",
	"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "frau", "mme",
};

static bool
is_honorific(const char *token)
{
	for (int i = 0; i < lengthof(honorifics); i++)
		if (strcmp(token, honorifics[i]) == 0)
			return true;
	return false;
}

#define MAX_NAME_TOKENS 64

/*
 * Append the key by which names are found equal: words of the folded name run
 * together, without forms of address before them.  A name without a letter or
 * digit is its own key.
 */
void
crm_fold_name_key(const char *in, int len, StringInfo out)
{
	StringInfoData folded;
	char	   *tokens[MAX_NAME_TOKENS];
	char	   *whole;
	int			n;
	int			first = 0;

	initStringInfo(&folded);
	crm_fold(in, len, &folded);
	whole = pnstrdup(folded.data, folded.len);
	n = crm_fold_tokens(&folded, tokens, MAX_NAME_TOKENS);
	if (n == 0)
		appendStringInfoString(out, whole);
	while (first < n - 1 && is_honorific(tokens[first]))
		first++;
	for (int i = first; i < n; i++)
		appendStringInfoString(out, tokens[i]);
	pfree(whole);
	pfree(folded.data);
}
