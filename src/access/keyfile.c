/*
 * keyfile.c
 *	  Reading the file that holds the keys.
 *
 * It is made by the command crm-keys, and reads
 *
 *	  crm-keys 1
 *	  tags 8c1d40aa <64 hexadecimal digits>
 *	  key 3f2a91c0 <64 hexadecimal digits> 2026-03-01T09:00:00Z
 *
 * with a line for each key, the current one last.  The id is the beginning of
 * the SHA-256 of the key's digits, so a key that was mistyped is found here and
 * not when nothing opens any more, and no two files have one id for two keys.
 *
 * No PostgreSQL here.
 */
#include "access/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#define HEX_DIGITS (2 * CRM_KEY_BYTES)
#define ID_DIGITS 8

/* The next word of a line; its length, 0 at the end. */
static size_t
next_word(const char **p, const char *end, const char **word)
{
	while (*p < end && (**p == ' ' || **p == '\t' || **p == '\r'))
		(*p)++;
	*word = *p;
	while (*p < end && **p != ' ' && **p != '\t' && **p != '\r')
		(*p)++;
	return (size_t) (*p - *word);
}

/* "id digits": the key of a line; what is wrong with it, or NULL. */
static const char *
read_key(const char **p, const char *end, uint32_t *id, unsigned char *bytes)
{
	unsigned char written[4];
	unsigned char hash[crypto_hash_sha256_BYTES];
	const char *name;
	const char *digits;
	size_t		n;

	if (next_word(p, end, &name) != ID_DIGITS ||
		sodium_hex2bin(written, sizeof(written), name, ID_DIGITS, NULL, &n, NULL) != 0 ||
		n != sizeof(written))
		return "the id of a key has 8 hexadecimal digits";
	if (next_word(p, end, &digits) != HEX_DIGITS ||
		sodium_hex2bin(bytes, CRM_KEY_BYTES, digits, HEX_DIGITS, NULL, &n, NULL) != 0 ||
		n != CRM_KEY_BYTES)
		return "a key has 64 hexadecimal digits";
	crypto_hash_sha256(hash, (const unsigned char *) digits, HEX_DIGITS);
	if (memcmp(hash, written, sizeof(written)) != 0)
		return "the key does not fit its id: it was damaged";
	*id = (uint32_t) written[0] << 24 | (uint32_t) written[1] << 16 |
		(uint32_t) written[2] << 8 | written[3];
	if (*id == 0)
		return "no key has id 00000000";
	return NULL;
}

/* One line of the file; what is wrong with it, or NULL. */
static const char *
read_line(const char *p, const char *end, CrmMasterKeys *out, bool *begun, bool *tags)
{
	const char *word;
	size_t		len = next_word(&p, end, &word);
	uint32_t	id;

	if (len == 0 || word[0] == '#')
		return NULL;
	if (!*begun)
	{
		const char *version;

		if (len != 8 || memcmp(word, "crm-keys", 8) != 0 ||
			next_word(&p, end, &version) != 1 || version[0] != '1')
			return "a key file begins with \"crm-keys 1\"";
		*begun = true;
		return NULL;
	}
	if (len == 4 && memcmp(word, "tags", 4) == 0)
	{
		if (*tags)
			return "there are two lines \"tags\"";
		*tags = true;
		return read_key(&p, end, &id, out->tags);
	}
	if (len == 3 && memcmp(word, "key", 3) == 0)
	{
		const char *problem;

		if (out->n == CRM_KEYFILE_MAX_KEYS)
			return "there are more than 64 keys";
		problem = read_key(&p, end, &out->keys[out->n].id, out->keys[out->n].bytes);
		for (int i = 0; problem == NULL && i < out->n; i++)
			if (out->keys[i].id == out->keys[out->n].id)
				return "a key is there twice";
		if (problem == NULL)
			out->n++;
		return problem;
	}
	return "a line begins with \"tags\" or \"key\"";
}

/*
 * Parse the text of a key file; false: problem says what is wrong, in which
 * line (0: as a whole).
 */
static bool
parse_keyfile(const char *text, size_t len, CrmMasterKeys *out, const char **problem,
				  int *line)
{
	const char *end = text + len;
	bool		begun = false;
	bool		tags = false;

	sodium_memzero(out, sizeof(*out));
	*line = 0;
	while (text < end)
	{
		const char *eol = memchr(text, '\n', (size_t) (end - text));
		const char *stop = eol != NULL ? eol : end;

		(*line)++;
		*problem = read_line(text, stop, out, &begun, &tags);
		if (*problem != NULL)
			return false;
		text = stop + 1;
	}
	*line = 0;
	*problem = !begun ? "it is empty" : !tags ? "line \"tags\" is missing" :
		out->n == 0 ? "it holds no key" : NULL;
	return *problem == NULL;
}

/* Whether a file may hold keys: nobody but the server and root writes or reads it. */
static const char *
distrust(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "it is not a regular file";
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return "it belongs neither to the user of the server nor to root";
	if (st->st_uid == 0 && geteuid() != 0)
	{
		/* root's, read by a group of which the server is a member */
		if (st->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO))
			return "others may read or write it: say chmod 640";
	}
	else if (st->st_mode & (S_IRWXG | S_IRWXO))
		return "others may read or write it: say chmod 600";
	if (st->st_size > CRM_KEYFILE_MAX_BYTES)
		return "it is longer than a key file can be";
	return NULL;
}

/* Read a key file; false: problem says why not. What was read besides the keys is wiped. */
bool
crm_keyfile_read(const char *path, CrmMasterKeys *out, struct stat *stamp,
				 const char **problem, int *line)
{
	char		text[CRM_KEYFILE_MAX_BYTES];
	size_t		len = 0;
	ssize_t		n = 0;
	int			fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	bool		good = false;

	*line = 0;
	if (fd < 0)
	{
		*problem = errno == ENOENT ? "there is no such file" :
			errno == ELOOP ? "it is a symbolic link" : "the server cannot open it";
		return false;
	}
	if (fstat(fd, stamp) != 0)
		*problem = "the server cannot look at it";
	else if ((*problem = distrust(stamp)) == NULL)
	{
		while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
			len += (size_t) n;
		if (n < 0)
			*problem = "the server cannot read it";
		else
			good = parse_keyfile(text, len, out, problem, line);
	}
	close(fd);
	sodium_memzero(text, sizeof(text));
	return good;
}
