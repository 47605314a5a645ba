/*
 * key_cache.c
 *	  The cache of unwrapped keys.
 *
 * An entry is found by the whole wrapped_key value, of which every byte is compared.  So
 * an entry cannot be used for another key, and a change of a KEK cannot make it wrong; it
 * can only make it forbidden.
 *
 * With thousands of keys, a hit mostly waits for memory.  So an entry has little more than
 * the key; the time when it was made, which is seldom needed, is kept elsewhere.  The
 * entries that are used most have an AES context that stays keyed, see cipher_pool.c.
 *
 * Which entry to evict is found by the clock algorithm: a hand goes round all entries and
 * evicts the first that was not used since the hand was there before.  In a full cache with
 * many entries, a new key gets the place of another one only if it came before, see ghosts.h.
 *
 * Invariants:
 * - An entry is in the table and in the clock, or it is the new one that is not inserted.
 * - Keys are in secure memory, which is wiped when it is freed.
 * - An entry's AES context is wiped together with the entry.
 * - An entry is inserted only after it was filled in and checked, so failures are never
 *   cached.
 * - The bytes in use stay below key_vault.cache_size; only one entry and its AES context
 *   may always be there.
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
#include "cache_table.h"
#include "cipher_pool.h"
#include "ghosts.h"
#include "kek.h"
#include "key_cache.h"
#include "keys_ahead.h"

/* Expired keys are wiped at most cache_max_age / SWEEPS_PER_AGE seconds late. */
#define SWEEPS_PER_AGE 20

/* Up to this number of entries, all of them are in the processor's first cache. */
#define FEW_ENTRIES 64

/* Up to this number of entries, replacing one takes little time, so all keys are inserted. */
#define MANY_ENTRIES 4096

int			key_cache_mode = KEY_CACHE_ON;
int			key_cache_size = 16384;
double		key_cache_max_age = 600;
int			key_cache_max_uses = 0;
double		key_cache_verify_rate = 1.0;

CacheEntry *key_cache_uninserted = NULL;

/* The size of a new table, and of the largest, in buckets: powers of two. */
#define MIN_TABLE_SIZE 256
#define MAX_TABLE_SIZE (UINT32_C(1) << 31)

/* The memory of the table and the clock. */
static MemoryContext cache_context = NULL;

static bucket_hash *table = NULL;

/*
 * The clock: an array of all entries, and the hand, an index in it.  If an entry is wiped,
 * the last one takes its place.
 */
typedef struct ClockPlace
{
	CacheEntry *entry;
	uint64		born;			/* nanoseconds, by now_ns() */
} ClockPlace;

static ClockPlace *clock_places = NULL;
static uint32 clock_used = 0;
static uint32 clock_hand = 0;

/* Whether the row after the one that is worked on seems to have the same key. */
static bool key_comes_again = false;

/* When the ages of all entries are to be checked, in nanoseconds, by now_ns(). */
static uint64 next_sweep = 0;

/* Nanoseconds of a clock that never goes back. */
static uint64
now_ns(void)
{
	struct timespec now;

	/* It is read faster, and is exact to some milliseconds. */
#ifdef CLOCK_MONOTONIC_COARSE
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return (uint64) now.tv_sec * UINT64CONST(1000000000) + now.tv_nsec;
}

/* The size of an entry for a wrapped key of this size, in bytes. */
static size_t
entry_size(size_t wrapped_size)
{
	return offsetof(CacheEntry, data) + wrapped_size + (wrapped_size - KEY_WRAP_OVERHEAD);
}

/* How much memory an entry takes, with its places in the table and the clock. */
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

/* The entry that the hand points to. */
static CacheEntry *
entry_at_hand(void)
{
	if (clock_hand >= clock_used)
		clock_hand = 0;
	return clock_places[clock_hand].entry;
}

/* Evicts entries, but never the entry except, until there is room for bytes more. */
static void
make_room(size_t bytes, const CacheEntry *except, int size_kb)
{
	while (key_cache_stats->bytes + bytes > (uint64) size_kb * 1024 && clock_used > 0)
	{
		CacheEntry *entry = entry_at_hand();

		clock_hand++;
		if (entry == except && clock_used == 1)
			break;
		if (entry == except)
			continue;
		if (entry->used)
		{
			entry->used = false;
			continue;
		}
		wipe_entry(entry);
		key_cache_stats->evictions++;
	}
}

/* Puts the entry right behind the hand, which then reaches all others before it. */
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

/* Wipes all keys under KEKs that are withdrawn, since these are closed next. */
static void
wipe_withdrawn(void)
{
	key_cache_release();
	cipher_pool_wipe_shared();

	/*
	 * The loop goes from the end to the start, since the last entry takes the
	 * place of one that is wiped.
	 */
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

/* Makes the next look-up check the ages of all entries. */
static void
check_ages_next(void)
{
	next_sweep = 0;
	age_timer_due = true;
}

void
key_cache_assign_max_age(double newval, void *extra)
{
	check_ages_next();
}

/* As long as there was no limit, uses were not counted beyond 2, so all entries are wiped. */
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

/* Wipes the key that was not inserted, and the shared AES context. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	key_cache_release();
	cipher_pool_wipe_shared();
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

/* Memory for n pieces of a size; NULL if there is none. */
static void *
try_alloc(Size size, uint32 n, int flags)
{
	return MemoryContextAllocExtended(cache_context, size * n,
									  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM | flags);
}

/* Reserves memory for a table of size buckets, and for its clock; false if there is none. */
static bool
reserve(uint32 size, ClockPlace **places)
{
	*places = try_alloc(sizeof(ClockPlace), size, 0);
	if (*places == NULL)
		return false;
	reserved_buckets = try_alloc(sizeof(CacheBucket), size, MCXT_ALLOC_ZERO);
	if (reserved_buckets != NULL)
		return true;
	pfree(*places);
	return false;
}

/* Creates table and clock; false, and neither of them is set, if there is no memory. */
static bool
create_table(void)
{
	ClockPlace *places;
	bucket_hash *new_table;

	if (cache_context == NULL)
		cache_context = AllocSetContextCreate(TopMemoryContext, "key_vault key cache",
											  ALLOCSET_DEFAULT_SIZES);

	/* Frees what an earlier try left behind if an error ended it. */
	MemoryContextReset(cache_context);
	if (!reserve(MIN_TABLE_SIZE, &places))
		return false;
	new_table = bucket_create(cache_context, MIN_TABLE_SIZE * TABLE_FILLFACTOR, NULL);
	on_proc_exit(end_of_backend, (Datum) 0);
	clock_places = places;
	table = new_table;
	return true;
}

/* Doubles table and clock; false, and they stay as they are, if there is no memory. */
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

/* Makes sure that there is a ghost for each bucket; false if there is no memory. */
static bool
ensure_ghosts(void)
{
	if (ghosts.size == table->size)
		return true;
	ghosts.size = 0;
	if (ghosts.sets != NULL)
		pfree(ghosts.sets);
	ghosts.sets = try_alloc(sizeof(uint64), table->size / GHOSTS_PER_SET, MCXT_ALLOC_ZERO);
	if (ghosts.sets != NULL)
		ghosts.size = table->size;
	return ghosts.size > 0;
}

/*
 * Whether to insert a new entry.  If another one would have to be evicted for it, its key must
 * have been missed before, and the entry at the hand must not have been used since then.  So
 * keys that come once evict none, and the keys of a query that goes around more keys than
 * there is room for do not evict each other.
 */
static bool
may_insert(CacheEntry *entry, size_t bytes, uint32 hash)
{
	CacheEntry *at_hand;
	uint8		age;

	if (key_cache_stats->bytes + bytes <= (uint64) key_cache_size * 1024 ||
		clock_used < MANY_ENTRIES || key_comes_again)
		return true;
	if (!ensure_ghosts())
		return false;

	age = ghost_age(hash);
	if (age < MAX_AGE_IN_PERIODS)
	{
		at_hand = entry_at_hand();
		if (periods_since(at_hand->used_in) > age)
		{
			at_hand->used = false;
			entry->used = true;
			return true;
		}
		clock_hand++;
	}
	leave_ghost(hash);
	return false;
}

/* Makes sure that table and clock have room for one more entry; false if they cannot. */
static bool
ensure_room(void)
{
	if (table == NULL)
		return create_table();
	return table->members < table->grow_threshold || grow_table();
}

/*
 * Wipes all entries that are too old, also those that are never looked up again.  It reads
 * all entries, so it does so only SWEEPS_PER_AGE times in the time of the limit.
 */
static void
wipe_expired(void)
{
	uint64		max_age = (uint64) (key_cache_max_age * 1e9);
	uint64		now = now_ns();

	age_timer_due = false;
	if (key_cache_max_age == 0)
		return;

	if (now >= next_sweep)
	{
		uint64		oldest = now;

		/*
		 * The loop goes from the end to the start, since the last entry takes
		 * the place of one that is wiped.
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

	/*
	 * The time is rounded up, so that the timer does not end before there is
	 * something to wipe.
	 */
	if (clock_used > 0)
		age_timer_start((next_sweep - now) / 1000000 + 1);
}

/* Where the search for a key with these wrapped bytes begins. */
static inline const CacheBucket *
first_bucket(const uint8 *wrapped)
{
	return &table->data[hash_wrapped_bytes(wrapped) & table->sizemask];
}

/*
 * The entry is mostly in the first or second bucket for its hash.  Which one is found without a
 * branch, which the processor would predict wrongly half of the time.
 */
static inline const char *
probable_entry(const uint8 *wrapped)
{
	uint32		hash = hash_wrapped_bytes(wrapped);
	const CacheBucket *bucket = first_bucket(wrapped);

	bucket = &table->data[(hash + (bucket->hash != hash)) & table->sizemask];
	return bucket->hash == hash ? (const char *) bucket->entry : (const char *) bucket;
}

/* A macro: gcc 12 leaves out calls of a function that only prefetches. */
#define PREFETCH_ENTRY(entry) \
	(__builtin_prefetch(entry), __builtin_prefetch((entry) + SECURE_MEMORY_LINE))

void
key_cache_prefetch(const WrappedKey *wrapped_key)
{
	static AheadPlace place;
	static const uint8 *loaded = NULL;
	KeysAhead	ahead;

	if (table == NULL || table->members <= FEW_ENTRIES)
		return;

	/*
	 * A row's bucket is loaded two rows before, and its entry, which the
	 * bucket says the place of, one row before.
	 */
	ahead = keys_ahead(wrapped_key, &place);
	if (ahead.second != NULL)
		__builtin_prefetch(first_bucket(ahead.second));
	if (wrapped_key->wrapped != loaded)
		PREFETCH_ENTRY(probable_entry(wrapped_key->wrapped));
	if (ahead.next != NULL)
		PREFETCH_ENTRY(probable_entry(ahead.next));
	loaded = ahead.next;
	key_comes_again = ahead.next != NULL &&
		memcmp(ahead.next, wrapped_key->wrapped, sizeof(uint64)) == 0;
}

CacheEntry *
key_cache_find(const WrappedKey *wrapped_key)
{
	CacheBucket *bucket;
	CacheEntry *entry;
	uint32		hash;

	if (table == NULL)
	{
		key_cache_stats->misses++;
		return NULL;
	}

	if (unlikely(age_timer_due))
		wipe_expired();

	table->private_data = (void *) wrapped_key;
	hash = hash_wrapped_bytes(wrapped_key->wrapped);
	bucket = bucket_lookup_hash(table, NULL, hash);
	if (bucket == NULL)
	{
		/* It is needed once the key is unwrapped. */
		if (ghosts.size > 0)
			__builtin_prefetch(ghost_set(hash));
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
	 * Fields are written only if they change, since memory that is only read
	 * is faster.
	 */
	if (key_cache_max_uses > 0 || entry->uses < 2)
		entry->uses++;
	if (!entry->used || entry->used_in != ghosts.period)
	{
		entry->used = true;
		entry->used_in = ghosts.period;
	}
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
	size_t		bytes = entry_footprint(entry);
	uint32		hash = hash_wrapped_bytes(entry->data);
	bool		found;

	Assert(entry == key_cache_uninserted);
	if (!may_insert(entry, bytes, hash))
		return;
	make_room(bytes, NULL, key_cache_size);
	if (!ensure_room())
		return;

	/* From here on nothing fails. */
	bucket_insert_hash(table, entry, hash, &found);
	if (clock_used == 0)
		check_ages_next();
	add_to_clock(entry);
	entry->is_cached = true;
	entry->used_in = ghosts.period;
	key_cache_uninserted = NULL;
	key_cache_stats->bytes += bytes;
	key_cache_stats->entries++;
}

AesCipher *
key_cache_add_cipher(CacheEntry *entry)
{
	make_room(AES_CIPHER_FOOTPRINT, entry, key_cache_size);
	return cipher_pool_add(&entry->cipher_slot, key_cache_key(entry), entry->key_size);
}
