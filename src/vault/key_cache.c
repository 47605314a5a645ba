/*
 * key_cache.c
 *	  Unwrapped keys, remembered under the whole wrapped key.
 *
 * An entry is found by the whole wrapped_key value, compared in full: algorithm,
 * kek_id and every wrapped byte (there is one format).  So it cannot stand for
 * another key, and a change of a KEK cannot make it wrong; it can only withdraw it.
 *
 * An entry holds the key and little more: with thousands of keys, most of the time of a
 * hit is spent waiting for memory.  So the time when an entry was made, which is
 * looked at seldom, is stored elsewhere.  The entries that are used most have a keyed
 * cipher, see cipher_pool.c.
 *
 * Invariants:
 * - An entry is in the table and in the clock, or it is the one that is new and not
 *   inserted.
 * - Keys are in secure memory, which is wiped when it is freed.
 * - An entry's cipher is wiped with the entry.
 * - Failures are never inserted: an entry is filled in before it is inserted.
 * - The bytes in use stay within the limit; one entry and its cipher are always
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "../common/crypto_error.h"
#include "../crypto/secure_memory.h"
#include "age_timer.h"
#include "cache_stats.h"
#include "cipher_pool.h"
#include "kek.h"
#include "key_cache.h"

typedef struct CacheBucket
{
	CacheEntry *entry;
	uint32		hash;
	char		status;
} CacheBucket;

/*
 * The wrapped bytes are as good as random, so eight of them tell keys under one
 * KEK apart; hashing all of them was measured to cost more than the rest of
 * the look-up.  Equality is another matter: see bucket_matches().
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

/* A look-up passes no entry, but the wrapped key as the table's private data. */
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

/* The full table has a quarter of its buckets empty, so keys are near their places. */
#define TABLE_FILLFACTOR 0.75

#define SH_PREFIX bucket
#define SH_ELEMENT_TYPE CacheBucket
#define SH_KEY_TYPE CacheEntry *
#define SH_KEY entry
#define SH_HASH_KEY(tb, key) hash_wrapped_bytes((key)->data)
#define SH_EQUAL(tb, a, b) bucket_matches(a, b, (tb)->private_data)

/*
 * simplehash notes the new size before it allocates, so after an error in between it
 * would use what it does not have.  So it is given memory that is there already; and
 * it grows only when it is full, never in the middle of an insertion.
 */
#define SH_USE_NONDEFAULT_ALLOCATOR
#define SH_FILLFACTOR TABLE_FILLFACTOR
#define SH_GROW_MIN_FILLFACTOR 2.0
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* What the table's next allocation takes. */
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

/* Expired keys are wiped at most cache_max_age / SWEEPS_PER_AGE seconds late. */
#define SWEEPS_PER_AGE 20

/* Up to this number of entries, the processor's first cache has all of them. */
#define FEW_ENTRIES 64

/* Up to this number of entries, replacing one costs little, so any key is inserted. */
#define MANY_ENTRIES 4096

/*
 * After this number of evictions of entries that were used only once, one key of
 * ADMISSION_INTERVAL is still inserted.
 */
#define VAIN_EVICTIONS 256
#define ADMISSION_INTERVAL 16

int			key_cache_mode = KEY_CACHE_ON;
int			key_cache_size = 16384;
int			key_cache_max_age = 600;
int			key_cache_max_uses = 0;
double		key_cache_verify_rate = 1.0;

CacheEntry *key_cache_uninserted = NULL;

/* The size of a new table, and the most that it may grow to, in buckets: powers of two. */
#define MIN_TABLE_SIZE 256
#define MAX_TABLE_SIZE (UINT32_C(1) << 31)

/* What the table and the clock are in. */
static MemoryContext cache_context = NULL;

static bucket_hash *table = NULL;

/*
 * All entries in a circle, and the hand that looks for one to evict.  An entry
 * that leaves has the last one take its place.
 */
typedef struct ClockPlace
{
	CacheEntry *entry;
	uint64		born;			/* nanoseconds */
} ClockPlace;

static ClockPlace *clock_places = NULL;
static uint32 clock_used = 0;
static uint32 clock_hand = 0;

/*
 * Among the entries inserted since the last transaction's end: how many more were evicted
 * without having been found again than were evicted after they had been.  When there are
 * many, the keys in use do not fit in the cache.
 */
static uint32 vain_evictions = 0;
static uint64 vain_since = 0;	/* nanoseconds, as now_ns() counts them */
static uint32 keys_not_inserted = 0;

/* When the ages of all entries are to be looked at: nanoseconds, as above. */
static uint64 next_sweep = 0;

static uint64
now_ns(void)
{
	struct timespec now;

	/* Its steps of a few milliseconds are fine enough. */
#ifdef CLOCK_MONOTONIC_COARSE
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return (uint64) now.tv_sec * UINT64CONST(1000000000) + now.tv_nsec;
}

/* What an entry takes for so many wrapped bytes. */
static size_t
entry_size(size_t wrapped_size)
{
	return offsetof(CacheEntry, data) + wrapped_size + (wrapped_size - KEY_WRAP_OVERHEAD);
}

static size_t
entry_footprint(const CacheEntry *entry)
{
	return secure_footprint(entry_size(entry->wrapped_size)) + sizeof(CacheBucket) +
		sizeof(ClockPlace);
}

static void
put_in_clock(uint32 place, ClockPlace content)
{
	clock_places[place] = content;
	content.entry->place = place;
}

static void
wipe_entry(CacheEntry *entry)
{
	cipher_pool_drop(&entry->cipher_slot);
	clock_used--;
	put_in_clock(entry->place, clock_places[clock_used]);
	bucket_delete(table, entry);
	key_cache_stats->bytes -= entry_footprint(entry);
	key_cache_stats->entries--;
	secure_free(entry);
}

/*
 * Evicts entries until so many more bytes fit.  An entry that was used since the
 * hand came by is passed over once; the entry except is never evicted.
 */
static void
make_room(size_t bytes, const CacheEntry *except, int size_kb)
{
	while (key_cache_stats->bytes + bytes > (uint64) size_kb * 1024 && clock_used > 0)
	{
		CacheEntry *entry;

		if (clock_hand >= clock_used)
			clock_hand = 0;
		entry = clock_places[clock_hand++].entry;
		if (entry == except && clock_used == 1)
			break;
		if (entry == except || entry->used)
		{
			entry->used = false;
			continue;
		}
		if (entry->uses > 1)
			vain_evictions -= (vain_evictions > 0);
		else if (clock_places[entry->place].born >= vain_since)
			vain_evictions += (vain_evictions < VAIN_EVICTIONS);
		wipe_entry(entry);
		key_cache_stats->evictions++;
	}
}

/*
 * Whether to insert a key for which others would have to be evicted.  When many were
 * evicted without having been found again, most keys are better not inserted: that saves
 * replacing one with another for nothing, and the keys in the cache are found again.
 */
static bool
may_insert(size_t bytes)
{
	return key_cache_stats->bytes + bytes <= (uint64) key_cache_size * 1024 ||
		clock_used < MANY_ENTRIES || vain_evictions < VAIN_EVICTIONS ||
		++keys_not_inserted % ADMISSION_INTERVAL == 0;
}

/* Right behind the hand, which comes by every other entry first. */
static void
add_to_clock(CacheEntry *entry)
{
	ClockPlace	content = {.entry = entry,.born = now_ns()};
	uint32		place = clock_used++;

	if (clock_hand > 0 && clock_hand <= place)
	{
		put_in_clock(place, clock_places[clock_hand - 1]);
		place = clock_hand - 1;
	}
	put_in_clock(place, content);
}

void
key_cache_wipe_uninserted(void)
{
	secure_free(key_cache_uninserted);
	key_cache_uninserted = NULL;
}

static void
wipe_all(void)
{
	key_cache_release();
	cipher_pool_wipe_shared();
	while (clock_used > 0)
		wipe_entry(clock_places[clock_used - 1].entry);
}

void
key_cache_flush(void)
{
	if (clock_used > 0)
		key_cache_stats->flushes++;
	wipe_all();
}

/* No entry may point to a KEK that is closed. */
static void
wipe_withdrawn(void)
{
	key_cache_release();
	cipher_pool_wipe_shared();

	/* Backwards: what takes the place of one that leaves was seen already. */
	for (uint32 place = clock_used; place-- > 0;)
	{
		CacheEntry *entry = clock_places[place].entry;

		if (entry->kek->withdrawn)
		{
			wipe_entry(entry);
			key_cache_stats->withdrawals++;
		}
	}
}

void
key_cache_assign_mode(int newval, void *extra)
{
	if (newval == KEY_CACHE_OFF)
		key_cache_flush();
}

/* At the next look-up. */
static void
look_at_ages(void)
{
	next_sweep = 0;
	age_timer_due = true;
}

void
key_cache_assign_max_age(int newval, void *extra)
{
	look_at_ages();
}

/* Without a limit, uses were not counted. */
void
key_cache_assign_max_uses(int newval, void *extra)
{
	if (newval > 0 && key_cache_max_uses == 0)
		key_cache_flush();
}

void
key_cache_assign_size(int newval, void *extra)
{
	make_room(0, NULL, newval);
}

/* Neither a key that was not inserted nor the shared cipher outlives its transaction. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	key_cache_release();
	cipher_pool_wipe_shared();
	vain_evictions = 0;
	vain_since = now_ns();
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		key_cache_release();
}

static void
end_of_backend(int code, Datum arg)
{
	wipe_all();
}

void
key_cache_init(void)
{
	age_timer_init();
	kek_before_closing(wipe_withdrawn);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/* Memory for so many, all zero; NULL when there is none. */
static void *
try_alloc(Size size, uint32 n)
{
	return MemoryContextAllocExtended(cache_context, size * n,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
}

/* Memory for a table of so many buckets, and its clock; false when there is none. */
static bool
reserve(uint32 size, ClockPlace **places)
{
	*places = try_alloc(sizeof(ClockPlace), size);
	if (*places == NULL)
		return false;
	reserved_buckets = try_alloc(sizeof(CacheBucket), size);
	if (reserved_buckets != NULL)
		return true;
	pfree(*places);
	return false;
}

/* Nothing is used before all is there. */
static bool
create_table(void)
{
	ClockPlace *places;
	bucket_hash *new_table;

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "key_vault key cache",
											  ALLOCSET_DEFAULT_SIZES);

	/* What an error left of an earlier try. */
	MemoryContextReset(cache_context);
	if (!reserve(MIN_TABLE_SIZE, &places))
		return false;
	new_table = bucket_create(cache_context, MIN_TABLE_SIZE * TABLE_FILLFACTOR, NULL);
	on_proc_exit(end_of_backend, (Datum) 0);
	clock_places = places;
	table = new_table;
	return true;
}

/* Twice the room for entries. */
static bool
grow_table(void)
{
	ClockPlace *places;

	if (table->size >= MAX_TABLE_SIZE || !reserve(table->size * 2, &places))
		return false;
	bucket_grow(table, table->size * 2);
	memcpy(places, clock_places, clock_used * sizeof(ClockPlace));
	pfree(clock_places);
	clock_places = places;
	return true;
}

/* Whether there is memory for one more entry in the table and the clock. */
static bool
have_room(void)
{
	if (table == NULL)
		return create_table();
	return table->members < table->grow_threshold || grow_table();
}

/*
 * Wipes what has grown too old, also what is never asked for again.  Since that
 * looks at everything, it is done a number of times in the span of the limit only.
 */
static void
wipe_aged(void)
{
	uint64		max_age = (uint64) key_cache_max_age * UINT64CONST(1000000000);
	uint64		now = now_ns();

	age_timer_due = false;
	if (max_age == 0)
		return;

	if (now >= next_sweep)
	{
		uint64		oldest = now;

		/*
		 * Backwards: what takes the place of one that leaves was seen
		 * already.
		 */
		for (uint32 place = clock_used; place-- > 0;)
		{
			uint64		born = clock_places[place].born;

			if (now - born >= max_age)
			{
				wipe_entry(clock_places[place].entry);
				key_cache_stats->expirations++;
			}
			else
				oldest = Min(oldest, born);
		}
		next_sweep = Max(oldest + max_age, now + max_age / SWEEPS_PER_AGE);
	}

	/* Rounded up: a timer that goes off early would find nothing to do. */
	if (clock_used > 0)
		age_timer_start((next_sweep - now) / 1000000 + 1);
}

void
key_cache_prefetch(const WrappedKey *wrapped_key)
{
	const CacheBucket *bucket;
	uint32		hash;

	if (table == NULL || table->members <= FEW_ENTRIES)
		return;

	/*
	 * The key is mostly in the first or second bucket that it may be in; a
	 * branch on which it is would be guessed wrong about as often as not.
	 */
	hash = hash_wrapped_bytes(wrapped_key->wrapped);
	bucket = &table->data[hash & table->sizemask];
	bucket = &table->data[(hash + (bucket->hash != hash)) & table->sizemask];
	__builtin_prefetch(bucket->entry);
	__builtin_prefetch((const char *) bucket->entry + SECURE_MEMORY_LINE);
}

CacheEntry *
key_cache_find(const WrappedKey *wrapped_key)
{
	CacheBucket *bucket;
	CacheEntry *entry;

	if (table == NULL)
	{
		key_cache_stats->misses++;
		return NULL;
	}

	if (unlikely(age_timer_due))
		wipe_aged();

	table->private_data = (void *) wrapped_key;
	bucket = bucket_lookup_hash(table, NULL, hash_wrapped_bytes(wrapped_key->wrapped));
	if (bucket == NULL)
	{
		key_cache_stats->misses++;
		return NULL;
	}

	entry = bucket->entry;
	if (key_cache_max_uses > 0 && entry->uses >= (uint32) key_cache_max_uses)
	{
		wipe_entry(entry);
		key_cache_stats->expirations++;
		key_cache_stats->misses++;
		return NULL;
	}

	/*
	 * Written only when it says something new: a line that is only read is
	 * cheaper.
	 */
	if (key_cache_max_uses > 0 || entry->uses < 2)
		entry->uses++;
	if (!entry->used)
		entry->used = true;
	key_cache_stats->hits++;
	return entry;
}

CacheEntry *
key_cache_new(const WrappedKey *wrapped_key, struct Kek *kek)
{
	CacheEntry *entry;

	key_cache_release();
	entry = secure_alloc_or_raise(entry_size(wrapped_key->wrapped_size));
	entry->kek = kek;
	entry->wrapped_size = wrapped_key->wrapped_size;
	entry->algorithm = wrapped_key->algorithm;
	entry->is_bound = wrapped_key->algorithm == WRAP_AES_KW_BOUND;
	entry->cipher_slot = NO_CIPHER;
	entry->uses = 1;
	memcpy(entry->data, wrapped_key->wrapped, wrapped_key->wrapped_size);
	key_cache_uninserted = entry;
	return entry;
}

void
key_cache_insert(CacheEntry *entry)
{
	bool		found;

	Assert(entry == key_cache_uninserted);
	if (!may_insert(entry_footprint(entry)))
		return;
	make_room(entry_footprint(entry), NULL, key_cache_size);
	if (!have_room())
		return;

	/* From here on nothing fails. */
	bucket_insert_hash(table, entry, hash_wrapped_bytes(entry->data), &found);
	if (clock_used == 0)
		look_at_ages();
	add_to_clock(entry);
	entry->is_cached = true;
	key_cache_uninserted = NULL;
	key_cache_stats->bytes += entry_footprint(entry);
	key_cache_stats->entries++;
}

AesCipher *
key_cache_add_cipher(CacheEntry *entry)
{
	make_room(AES_CIPHER_FOOTPRINT, entry, key_cache_size);
	return cipher_pool_add(&entry->cipher_slot, key_cache_key(entry), entry->key_size);
}
