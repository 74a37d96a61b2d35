/*
 * zone.c
 *	  Time zones from PostgreSQL's own code, as stretches of constant offset.
 */
#include "base/crm.h"

#include <ctype.h>

#include "datatype/timestamp.h"
#include "time/time_face.h"

/* seconds between the origins of pg_time_t and of timestamptz */
#define UNIX_TO_2000 \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/*
 * Does a name stand in the time zone database, as far as its spelling tells?
 * PostgreSQL also takes rules in POSIX notation, where UTC+3 means three hours
 * west of Greenwich; whoever writes that into a calendar means the opposite.
 */
static bool
posix_rule(const char *name)
{
	static const char *const with_digits[] = {"EST5EDT", "CST6CDT", "MST7MDT",
	"PST8PDT", "GMT0", "GMT+0", "GMT-0", NULL};

	if (pg_strncasecmp(name, "Etc/", 4) == 0)
		return false;
	for (int i = 0; with_digits[i] != NULL; i++)
		if (pg_strcasecmp(name, with_digits[i]) == 0)
			return false;
	for (const char *c = name; *c; c++)
		if (isdigit((unsigned char) *c) || *c == ',' || *c == '<')
			return true;
	return false;
}

/* The zone of a name of the time zone database, or NULL. */
pg_tz *
crm_zone_find(const char *name)
{
	pg_tz	   *zone;

	if (name[0] == '\0' || strlen(name) > TZ_STRLEN_MAX || posix_rule(name))
		return NULL;
	zone = pg_tzset(name);
	if (zone == NULL || !pg_tz_acceptable(zone))
		return NULL;
	return zone;
}

/* CalZoneStretch of a pg_tz */
int32
crm_zone_stretch(void *zone, int64 at, int64 *end)
{
	pg_time_t	t = (pg_time_t) (at + UNIX_TO_2000);
	pg_time_t	boundary;
	long int	before;
	long int	after;
	int			before_dst;
	int			after_dst;
	int			found = pg_next_dst_boundary(&t, &before, &before_dst, &boundary,
											 &after, &after_dst, (pg_tz *) zone);

	if (found < 0)
		elog(ERROR, "could not read time zone \"%s\"", pg_get_timezone_name((pg_tz *) zone));
	*end = (found == 0) ? PG_INT64_MAX : (int64) boundary - UNIX_TO_2000;
	return (int32) before;
}
