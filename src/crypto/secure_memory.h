/*
 * secure_memory.h
 *	  Memory for keys: locked as far as the limits allow, kept out of core dumps,
 *	  wiped when freed.
 *
 * A process whose forked children use this must not allocate here itself: they
 * would inherit copies that are not locked.
 */
#ifndef SECURE_MEMORY_H
#define SECURE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The largest piece that can be allocated, in bytes. */
#define SECURE_MEMORY_MAX_SIZE 16384

/*
 * A line of the processor's caches, in bytes.  Pieces whose size is a multiple of
 * it are aligned to it.
 */
#define SECURE_MEMORY_LINE 64

/* Zeroed memory, aligned to 16 bytes; NULL if the system has none. */
extern void *secure_alloc(size_t size);

/* Wipes the piece and frees it; NULL is allowed. */
extern void secure_free(void *piece);

/* How much memory a piece of this size takes, in bytes. */
extern size_t secure_footprint(size_t size);

/*
 * False once any of the memory could not be locked, or could not be kept out of
 * core dumps.
 */
extern bool secure_memory_is_locked(void);

/* Wipes a buffer; the compiler does not optimize it away. */
extern void secure_wipe(void *buffer, size_t size);

/* Compares; the time does not depend on whether and where the two differ. */
extern bool secure_equal(const void *a, const void *b, size_t size);

/* Fills the buffer with random bytes fit for keys; false if OpenSSL fails. */
extern bool secure_random(void *buffer, size_t size);

#endif							/* SECURE_MEMORY_H */
