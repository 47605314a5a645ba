/*
 * cache_table.h
 *	  The hash table of the key cache, an instance of PostgreSQL's simplehash.
 *
 * Invariants:
 * - Wrapped keys are compared in full: algorithm, kek_id and every wrapped byte.
 * - The table is whole after every error: simplehash notes its new size before it
 *   allocates, so it gets memory that was reserved before (reserved_buckets); and it grows
 *   only if the cache asks for it, never in the middle of an insertion.
 */
#ifndef CACHE_TABLE_H
#define CACHE_TABLE_H

#include "postgres.h"

#include "utils/memutils.h"

#include "kek.h"
#include "key_cache.h"

typedef struct CacheBucket
{
	CacheEntry *entry;
	uint32		hash;
	char		status;
} CacheBucket;

/*
 * Wrapped bytes look random, so eight of them are enough for the hash; hashing all of them
 * was measured to take longer than the rest of the look-up.  Whether two keys are equal is
 * decided by bucket_matches().
 */
static inline uint32
hash_wrapped_bytes(const uint8 *wrapped)
{
	uint64		word;

	memcpy(&word, wrapped, sizeof(word));
	word ^= word >> 33;
	word *= UINT64CONST(0xff51afd7ed558ccd);
	word ^= word >> 33;
	return (uint32) word;
}

/*
 * A look-up has no entry to compare with, so it passes NULL, and the wrapped key as the
 * table's private data.
 */
static inline bool
bucket_matches(const CacheEntry *entry, const CacheEntry *sought, const WrappedKey *wrapped_key)
{
	if (sought != NULL)
		return entry == sought;
	return entry->wrapped_size == wrapped_key->wrapped_size &&
		entry->algorithm == wrapped_key->algorithm &&
		memcmp(&entry->kek->kek_id, wrapped_key->kek_id, UUID_LEN) == 0 &&
		memcmp(entry->data, wrapped_key->wrapped, wrapped_key->wrapped_size) == 0;
}

/* At most this part of the buckets is used, so that most keys are in their first one. */
#define TABLE_FILLFACTOR 0.75

#define SH_PREFIX bucket
#define SH_ELEMENT_TYPE CacheBucket
#define SH_KEY_TYPE CacheEntry *
#define SH_KEY entry
#define SH_HASH_KEY(tb, key) hash_wrapped_bytes((key)->data)
#define SH_EQUAL(tb, a, b) bucket_matches(a, b, (tb)->private_data)

#define SH_USE_NONDEFAULT_ALLOCATOR
#define SH_FILLFACTOR TABLE_FILLFACTOR
#define SH_GROW_MIN_FILLFACTOR 2.0
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* The memory that the table's next allocation gets. */
static CacheBucket *reserved_buckets = NULL;

static inline void *
bucket_allocate(bucket_hash *hash, Size size)
{
	CacheBucket *buckets = reserved_buckets;

	Assert(GetMemoryChunkSpace(buckets) >= size);
	reserved_buckets = NULL;
	return buckets;
}

static inline void
bucket_free(bucket_hash *hash, void *buckets)
{
	pfree(buckets);
}

#endif							/* CACHE_TABLE_H */
