/*
 * keyfile.h
 *	  The file that holds the keys: what is in it, and whether it may be trusted.
 */
#ifndef CRM_KEYFILE_H
#define CRM_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define CRM_KEY_BYTES 32
#define CRM_KEYFILE_MAX_KEYS 64
#define CRM_KEYFILE_MAX_BYTES 16384

typedef struct CrmMasterKey
{
	uint32_t	id;
	unsigned char bytes[CRM_KEY_BYTES];
} CrmMasterKey;

/* Everything a key file holds; only in locked memory. */
typedef struct CrmMasterKeys
{
	unsigned char tags[CRM_KEY_BYTES];	/* never rotated: equal values stay equal */
	int			n;
	CrmMasterKey keys[CRM_KEYFILE_MAX_KEYS];	/* the current one last */
} CrmMasterKeys;

extern bool crm_keyfile_read(const char *path, CrmMasterKeys *out, struct stat *stamp,
							 const char **problem, int *line);

#endif							/* CRM_KEYFILE_H */
