/*
 * address.c
 *	  One form for e-mail and web addresses.
 *
 * The host is written in lower case and, where it is not ASCII, in Punycode
 * (RFC 3492).  The local part of an e-mail address is lowered too: RFC 5321
 * allows a host to distinguish upper and lower case, but none does.
 */
#include "text/text.h"

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"

/*
 * Longer is no address: browsers end at about so many bytes, mail at 320.  Composing
 * takes time by the square of the length, and cannot be stopped.
 */
#define MAX_INPUT 8192
#define MAX_LABEL 63
#define MAX_HOST 253
#define MAX_LOCAL 64

/*
 * Decode, drop what is invisible and comes along when an address is pasted,
 * compose, lower.  Returns the number of
 * characters, -1 where the value holds a space or control character inside.
 */
static int
clean(const char *in, int len, pg_wchar **result)
{
	pg_wchar   *c = palloc(sizeof(pg_wchar) * (len + 1));
	const unsigned char *p = (const unsigned char *) in;
	const unsigned char *end = p + len;
	pg_wchar   *composed;
	int			n = 0;
	int			first = 0;

	while (p < end)
	{
		pg_wchar	one = utf8_to_unicode(p);

		p += pg_utf_mblen(p);
		if (one == 0xA0 || one == 0x3000)
			one = ' ';
		if (!crm_is_invisible(one))
			c[n++] = one;
	}
	while (n > 0 && c[n - 1] <= ' ')
		n--;
	while (first < n && c[first] <= ' ')
		first++;
	c[n] = 0;
	composed = unicode_normalize(UNICODE_NFKC, c + first);
	for (n = 0; composed[n] != 0; n++)
	{
		pg_wchar	one = composed[n];

		if (one <= ' ' || (one >= 0x7F && one < 0xA0))
			return -1;
		if (one >= 'A' && one <= 'Z')
			one += 'a' - 'A';
		else if ((one >= 0xC0 && one <= 0xDE && one != 0xD7) ||
				 (one >= 0x0391 && one <= 0x03A9) || (one >= 0x0410 && one <= 0x042F))
			one += 0x20;
		else if (one >= 0x0660 && one <= 0x0669)
			one = '0' + (one - 0x0660);
		else if (one >= 0x06F0 && one <= 0x06F9)
			one = '0' + (one - 0x06F0);
		composed[n] = one;
	}
	pfree(c);
	*result = composed;
	return n;
}

/* Punycode's bias adaptation (RFC 3492 section 6.1). */
static int
adapt(int delta, int points, bool first)
{
	int			k = 0;

	delta = first ? delta / 700 : delta / 2;
	delta += delta / points;
	while (delta > 455)
	{
		delta /= 35;
		k += 36;
	}
	return k + 36 * delta / (delta + 38);
}

static char
punycode_digit(int d)
{
	return (char) (d < 26 ? 'a' + d : '0' + d - 26);
}

/* Append one label in Punycode (RFC 3492 section 6.3). */
static void
append_punycode(const pg_wchar *label, int n, StringInfo out)
{
	pg_wchar	code = 0x80;
	int			delta = 0;
	int			bias = 72;
	int			basic = 0;
	int			done;

	appendStringInfoString(out, "xn--");
	for (int i = 0; i < n; i++)
		if (label[i] < 0x80)
		{
			appendStringInfoCharMacro(out, (char) label[i]);
			basic++;
		}
	if (basic > 0)
		appendStringInfoCharMacro(out, '-');
	done = basic;
	while (done < n)
	{
		pg_wchar	next = 0x7FFFFFFF;

		for (int i = 0; i < n; i++)
			if (label[i] >= code && label[i] < next)
				next = label[i];
		delta += (int) (next - code) * (done + 1);
		code = next;
		for (int i = 0; i < n; i++)
		{
			if (label[i] < code)
				delta++;
			else if (label[i] == code)
			{
				int			q = delta;

				for (int k = 36;; k += 36)
				{
					int			t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;

					if (q < t)
						break;
					appendStringInfoCharMacro(out, punycode_digit(t + (q - t) % (36 - t)));
					q = (q - t) / (36 - t);
				}
				appendStringInfoCharMacro(out, punycode_digit(q));
				bias = adapt(delta, done + 1, done == basic);
				delta = 0;
				done++;
			}
		}
		delta++;
		code++;
	}
}

/* Append a host name; false where it cannot be one. */
static bool
append_host(const pg_wchar *c, int n, StringInfo out)
{
	int			start = 0;
	int			labels = 0;
	int			before = out->len;

	if (n > 0 && (c[n - 1] == '.' || c[n - 1] == 0x3002))
		n--;					/* the root's dot */
	for (int i = 0; i <= n; i++)
	{
		if (i == n || c[i] == '.' || c[i] == 0x3002)
		{
			int			len = i - start;
			bool		ascii = true;
			int			label_start;

			if (len == 0 || len > MAX_LABEL || c[start] == '-' || c[i - 1] == '-')
				return false;
			for (int j = start; j < i; j++)
			{
				if (c[j] >= 0x80)
					ascii = false;
				else if (!((c[j] >= 'a' && c[j] <= 'z') || (c[j] >= '0' && c[j] <= '9') ||
						   c[j] == '-'))
					return false;
			}
			if (labels++ > 0)
				appendStringInfoCharMacro(out, '.');
			label_start = out->len;
			if (ascii)
				for (int j = start; j < i; j++)
					appendStringInfoCharMacro(out, (char) c[j]);
			else
				append_punycode(c + start, len, out);
			if (out->len - label_start > MAX_LABEL)
				return false;
			start = i + 1;
		}
	}
	return labels >= 2 && out->len - before <= MAX_HOST;
}

static bool
starts_with(const pg_wchar *c, int n, const char *prefix)
{
	for (int i = 0; prefix[i] != '\0'; i++)
		if (i >= n || c[i] != (unsigned char) prefix[i])
			return false;
	return true;
}

static void
append_chars(const pg_wchar *c, int n, StringInfo out)
{
	for (int i = 0; i < n; i++)
	{
		unsigned char buf[8];

		unicode_to_utf8(c[i], buf);
		appendBinaryStringInfo(out, (char *) buf, pg_utf_mblen(buf));
	}
}

/*
 * Append the normal form of an e-mail address, also out of "mailto:a@b.c" and
 * "Name <a@b.c>"; false where it is none.
 */
bool
crm_email_normalize(const char *in, int len, StringInfo out)
{
	const char *open = NULL;
	pg_wchar   *c;
	int			n;
	int			at = -1;
	int			i;

	if (len > MAX_INPUT)
		return false;
	for (i = len - 1; i >= 0 && open == NULL; i--)
		if (in[i] == '<')
			open = in + i;
	if (open != NULL)
	{
		const char *close = memchr(open, '>', in + len - open);

		if (close == NULL)
			return false;
		in = open + 1;
		len = close - in;
	}
	if ((n = clean(in, len, &c)) < 0)
		return false;
	if (starts_with(c, n, "mailto:"))
	{
		c += 7;
		n -= 7;
	}
	for (i = 0; i < n; i++)
		if (c[i] == '@')
		{
			if (at >= 0)
				return false;
			at = i;
		}
	if (at < 1 || at > MAX_LOCAL || c[0] == '.' || c[at - 1] == '.')
		return false;
	for (i = 0; i < at; i++)
		if ((c[i] == '.' && c[i + 1] == '.') ||
			(c[i] < 0x80 && strchr("()<>,;:\\\"[]", (int) c[i]) != NULL))
			return false;
	append_chars(c, at, out);
	appendStringInfoCharMacro(out, '@');
	return append_host(c + at + 1, n - at - 1, out);
}

/*
 * Append the normal form of a web address: host without "www." and scheme,
 * then the path without a slash at its end.  False where there is no host.
 */
bool
crm_web_normalize(const char *in, int len, StringInfo out)
{
	pg_wchar   *c;
	int			n = len > MAX_INPUT ? -1 : clean(in, len, &c);
	int			host;

	if (n < 0)
		return false;
	for (int i = 0; i + 2 < n; i++)
		if (c[i] == ':' && c[i + 1] == '/' && c[i + 2] == '/')
		{
			c += i + 3;
			n -= i + 3;
			break;
		}
	if (starts_with(c, n, "www."))
	{
		c += 4;
		n -= 4;
	}
	while (n > 0 && c[n - 1] == '/')
		n--;
	for (host = 0; host < n; host++)
		if (c[host] == '/' || c[host] == '?' || c[host] == '#' || c[host] == ':')
			break;
	if (!append_host(c, host, out))
		return false;
	append_chars(c + host, n - host, out);
	return true;
}
