/*
 * read_currency.c
 *	  The currencies that an amount of money says it may be in.
 *
 * "$ 300" is three hundred of one of the dollars, "EUR 300" of euros, "300" of
 * whatever its row is in.  A sign is looked up with the letters that touch it,
 * so that "US$" and "R$" say more than "$".
 */
#include "exchange/values.h"

#include "mb/pg_wchar.h"

typedef struct CurrencySign
{
	const char *sign;
	const char *codes;			/* apart by blanks */
} CurrencySign;

#define DOLLARS "USD CAD AUD NZD SGD HKD TWD BSD BBD BMD BND BZD FJD GYD JMD KYD LRD NAD " \
	"SBD SRD TTD XCD MXN ARS CLP COP UYU DOP CUP"

/* A toman is ten rials, and no ISO code: IRT and TMN are what shops write */
#define TOMANS "IRT TMN"

static const CurrencySign signs[] = {
	{"$", DOLLARS}, {"＄", DOLLARS}, {"US$", "USD"}, {"USD$", "USD"}, {"A$", "AUD"}, {"AU$", "AUD"},
	{"C$", "CAD NIO"}, {"CA$", "CAD"}, {"CAD$", "CAD"}, {"NZ$", "NZD"}, {"S$", "SGD"},
	{"HK$", "HKD"}, {"NT$", "TWD"}, {"MX$", "MXN"}, {"R$", "BRL"}, {"US", "USD"}, {"A", "AUD"},
	{"C", "CAD"}, {"دلار", DOLLARS}, {"€", "EUR"}, {"euro", "EUR"}, {"Euro", "EUR"},
	{"euros", "EUR"}, {"یورو", "EUR"}, {"£", "GBP EGP GIP SHP FKP LBP SYP SDG SSP"},
	{"¥", "JPY CNY"}, {"￥", "JPY CNY"}, {"₹", "INR"}, {"Rs", "INR PKR LKR NPR MUR SCR"},
	{"₨", "INR PKR LKR NPR MUR SCR"}, {"₽", "RUB"}, {"₺", "TRY"}, {"₩", "KRW KPW"}, {"₴", "UAH"},
	{"₪", "ILS"}, {"₫", "VND"}, {"₱", "PHP"}, {"₦", "NGN"}, {"₸", "KZT"}, {"₼", "AZN"},
	{"₾", "GEL"},
	{"֏", "AMD"}, {"؋", "AFN"}, {"฿", "THB"}, {"₡", "CRC"}, {"₲", "PYG"}, {"₵", "GHS"},
	{"₮", "MNT"},
	{"₭", "LAK"}, {"৳", "BDT"}, {"kr", "SEK NOK DKK ISK"}, {"Kr", "SEK NOK DKK ISK"}, {"zł", "PLN"},
	{"Kč", "CZK"}, {"Ft", "HUF"}, {"lei", "RON MDL"}, {"Fr", "CHF XAF XOF"}, {"fr", "CHF XAF XOF"},
	{"R", "ZAR"}, {"usd", "USD"}, {"eur", "EUR"}, {"irr", "IRR"}, {"rial", "IRR OMR QAR YER"},
	{"Rial", "IRR OMR QAR YER"}, {"ریال", "IRR"}, {"ريال", "IRR OMR QAR YER SAR"},
	{"﷼", "IRR OMR QAR YER SAR"},
	{"toman", TOMANS}, {"Toman", TOMANS}, {"تومان", TOMANS}, {"تومن", TOMANS}, {"د.إ", "AED"},
};

/* Whether a character belongs to a sign: no digit, blank, separator or mark of a number */
static bool
is_sign_part(pg_wchar c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '$' || (c >= 0xA2 &&
			c <= 0xA5) || (c >= 0xC0 && c <= 0x24F) || c == 0x058F || c == 0x060B ||
		(c >= 0x0620 && c <= 0x064A) || (c >= 0x0671 && c <= 0x06D3) || c == 0x09F2 ||
		c == 0x09F3 ||
		c == 0x0E3F || (c >= 0x20A0 && c <= 0x20CF) || c == 0xFDFC || c == 0xFF04 || c == 0xFFE5;
}

static bool
is_exponent(const char *p, const char *start, int len)
{
	return len == 1 && (*p == 'e' || *p == 'E') && p > start && p[-1] >= '0' && p[-1] <= '9';
}

static bool
has_code(const char *codes, const char *code)
{
	for (; codes != NULL && *codes; codes += codes[3] == ' ' ? 4 : 3)
		if (strncmp(codes, code, 3) == 0)
			return true;
	return false;
}

/* The codes of one sign, or NULL for a word that says no currency */
static const char *
codes_of(const char *p, int len, char *own)
{
	for (int i = 0; i < lengthof(signs); i++)
		if ((int) strlen(signs[i].sign) == len && memcmp(signs[i].sign, p, len) == 0)
			return signs[i].codes;
	if (len != 3)
		return NULL;
	for (int i = 0; i < 3; i++)
		if (p[i] < 'A' || p[i] > 'Z')
			return NULL;
	memcpy(own, p, 3);
	own[3] = '\0';
	return own;
}

/*
 * Append the codes that all signs of a text allow to out, apart by blanks.
 * False where it has no sign; none where its signs contradict each other.
 */
bool
crm_currency_read(const char *in, int len, StringInfo out)
{
	const char *end = in + len;
	bool		found = false;

	for (const char *p = in; p < end;)
	{
		const char *token = p;
		char		own[4];
		const char *codes;

		while (p < end && is_sign_part(utf8_to_unicode((const unsigned char *) p)))
			p += pg_utf_mblen((const unsigned char *) p);
		if (p == token)
		{
			p += pg_utf_mblen((const unsigned char *) p);
			continue;
		}
		codes = is_exponent(token, in, p - token) ? NULL : codes_of(token, p - token, own);
		if (codes == NULL)
			continue;
		if (!found)
			appendStringInfoString(out, codes);
		else
		{
			char	   *before = pstrdup(out->data);

			resetStringInfo(out);
			for (const char *c = before; *c; c += c[3] == ' ' ? 4 : 3)
				if (has_code(codes, c))
					appendStringInfo(out, out->len > 0 ? " %.3s" : "%.3s", c);
			pfree(before);
		}
		found = true;
	}
	return found;
}
