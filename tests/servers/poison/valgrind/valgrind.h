/* valgrind.h: what PostgreSQL takes from it stands in memcheck.h beside this file */
#include "memcheck.h"
