/*
 * cache_stats.h
 *	  Counters of the key caches: of this backend, and of all backends.
 */
#ifndef CACHE_STATS_H
#define CACHE_STATS_H

#include "postgres.h"

#include "utils/timestamp.h"

typedef struct KeyCacheStats
{
	uint64		hits;
	uint64		misses;
	uint64		unwraps;
	uint64		evictions;		/* wiped to make room */
	uint64		expirations;	/* wiped by age or number of uses */
	uint64		withdrawals;	/* wiped because the row of a KEK changed */
	uint64		flushes;		/* how often all keys were wiped */
	uint64		verifications;
	uint64		mismatches;
	uint64		entries;		/* now */
	uint64		bytes;			/* now */
	TimestampTz reset_at;		/* 0: never */
} KeyCacheStats;

/* The statistics of one backend or, with pid 0, of all that have ended. */
typedef struct BackendCacheStats
{
	int			pid;
	Oid			database;
	Oid			role;			/* at login */
	KeyCacheStats stats;
} BackendCacheStats;

/* The statistics of this backend; in shared memory after cache_stats_attach(). */
extern KeyCacheStats *key_cache_stats;

/* If the library is being preloaded, asks for shared memory. */
extern void cache_stats_init(void);

/*
 * If the library was preloaded, makes this backend's statistics visible to others.  May be
 * called again.
 */
extern void cache_stats_attach(void);

/* Sets this backend's counters to zero; entries and bytes stay as they are. */
extern void cache_stats_reset(void);

/*
 * Returns the statistics of all backends since the last cache_stats_reset_all(), in a new
 * array of n elements; the first element is for those that have ended.  Both raise an
 * error if the library was not preloaded.
 */
extern BackendCacheStats *cache_stats_collect(int *n);
extern void cache_stats_reset_all(void);

#endif							/* CACHE_STATS_H */
