/*
 * cache_stats.h
 *	  Counters of the key caches: of this backend, and of all.
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
	uint64		evictions;		/* to make room */
	uint64		expirations;	/* by age or uses */
	uint64		withdrawals;	/* because a KEK's row changed */
	uint64		flushes;		/* of everything */
	uint64		verifications;
	uint64		mismatches;
	uint64		entries;		/* at present */
	uint64		bytes;			/* at present */
	TimestampTz reset_at;		/* 0: never */
} KeyCacheStats;

/* One backend's, or with pid 0 the sum of those that ended. */
typedef struct BackendCacheStats
{
	int			pid;
	Oid			database;
	Oid			role;			/* at login */
	KeyCacheStats stats;
} BackendCacheStats;

/* This backend's; in shared memory once attached. */
extern KeyCacheStats *key_cache_stats;

/* Asks for shared memory; from _PG_init, has no effect unless preloaded. */
extern void cache_stats_init(void);

/* Makes this backend's counters visible to others, if preloaded; idempotent. */
extern void cache_stats_attach(void);

/* Sets this backend's counters to zero; entries and bytes are what they are. */
extern void cache_stats_reset(void);

/*
 * All backends' counters since the last cache_stats_reset_all(), the ended ones'
 * first; allocated.  An error unless preloaded.
 */
extern BackendCacheStats *cache_stats_collect(int *n);
extern void cache_stats_reset_all(void);

#endif							/* CACHE_STATS_H */
