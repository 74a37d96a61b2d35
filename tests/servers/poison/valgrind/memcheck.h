/*
 * memcheck.h
 *	  Stands in for valgrind's header, for a server with AddressSanitizer.
 *
 * PostgreSQL tells valgrind what of a memory context is allocated and which
 * pages of the buffer pool are pinned.  Here the same is told to
 * AddressSanitizer, which by itself knows malloc() only: a use of memory after
 * pfree() or beyond what was asked of palloc(), or of a page after its pin is
 * gone, stops the server.  What valgrind knows about undefined bits is not
 * known here.
 */
#ifndef CRM_POISON_MEMCHECK_H
#define CRM_POISON_MEMCHECK_H

#include <sanitizer/asan_interface.h>

#define VALGRIND_MAKE_MEM_NOACCESS(p, n)	ASAN_POISON_MEMORY_REGION(p, n)
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n)	ASAN_UNPOISON_MEMORY_REGION(p, n)
#define VALGRIND_MAKE_MEM_DEFINED(p, n)		ASAN_UNPOISON_MEMORY_REGION(p, n)
#define VALGRIND_MEMPOOL_ALLOC(pool, p, n)	ASAN_UNPOISON_MEMORY_REGION(p, n)
#define VALGRIND_MEMPOOL_FREE(pool, p)		((void) 0)
#define VALGRIND_MEMPOOL_CHANGE(pool, from, to, n) ASAN_UNPOISON_MEMORY_REGION(to, n)
#define VALGRIND_CREATE_MEMPOOL(pool, redzone, zeroed) ((void) 0)
#define VALGRIND_DESTROY_MEMPOOL(pool)		((void) 0)
#define VALGRIND_CHECK_MEM_IS_DEFINED(p, n) ((void) 0)
#define VALGRIND_GET_VBITS(p, bits, n)		(0)
#define VALGRIND_COUNT_ERRORS				(0)
#define VALGRIND_PRINTF(...)				((void) 0)
#define RUNNING_ON_VALGRIND					(0)

#endif							/* CRM_POISON_MEMCHECK_H */
