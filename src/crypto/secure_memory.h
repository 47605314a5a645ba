/*
 * secure_memory.h
 *	  Memory for keys: locked where the limits allow, kept out of core dumps,
 *	  wiped when freed.
 *
 * Nothing may be allocated in a process that forks children which go on to use
 * it: they would inherit copies that are not locked.
 */
#ifndef SECURE_MEMORY_H
#define SECURE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The largest piece that can be had, in bytes. */
#define SECURE_MEMORY_MAX_SIZE 16384

/* A line of the processor's caches; pieces of whole lines are aligned to it. */
#define SECURE_MEMORY_LINE 64

/* Zeroed memory, aligned to 16 bytes; NULL when there is none to be had. */
extern void *secure_alloc(size_t size);

/* Wipes the piece, then gives it back; NULL is allowed. */
extern void secure_free(void *piece);

/* What a piece of this size takes in memory, in bytes, for accounting. */
extern size_t secure_footprint(size_t size);

/*
 * False from the moment that memory in use could not be locked, or not be kept
 * out of core dumps.
 */
extern bool secure_memory_is_locked(void);

/* Wipes a buffer in a way that the compiler keeps. */
extern void secure_wipe(void *buffer, size_t size);

/* Compares in a time that does not depend on where the two differ. */
extern bool secure_equal(const void *a, const void *b, size_t size);

/* Random bytes fit for keys; false when the generator refuses. */
extern bool secure_random(void *buffer, size_t size);

#endif							/* SECURE_MEMORY_H */
