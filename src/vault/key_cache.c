/*
 * key_cache.c
 *	  Unwrapped keys, remembered under the whole wrapped key.
 *
 * An entry is found by every byte of the wrapped_key value, compared in full:
 * format, algorithm, kek_id and wrapped bytes.  So it cannot stand for another
 * key, and a change of a KEK cannot make it wrong; it can only withdraw it.
 *
 * What an entry holds was measured.  A context keyed with the key saves keying
 * one for each row (25 ns), but is four times the size of all else: beyond some
 * hundreds of keys, waiting for its memory costs more than it saves.  So an
 * entry is the key and little more, and the few keyed contexts go to the
 * entries that are used most.
 *
 * Invariants:
 * - An entry is in the table and in the ring, or it is the one that is lent.
 * - Keys are in secure memory; a piece is wiped when it is freed.  What OpenSSL
 *   derives from a key is in its own memory, wiped when keyed anew or freed.
 * - Failures are never entered: an entry is filled before it is kept.
 * - The bytes in use stay within the limit; one entry and its cipher are always
 *   allowed, so that a limit of 0 means one entry.
 *
 * Called by vault.c; key_cache_wipe_withdrawn() by kek.c.
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "../crypto/secure_memory.h"
#include "age_timer.h"
#include "cache_stats.h"
#include "kek.h"
#include "key_cache.h"

typedef struct CacheBucket
{
	CacheEntry *entry;
	uint32		hash;
	char		status;
} CacheBucket;

/* A look-up passes no entry, but the wrapped key as the table's private data. */
static inline bool
bucket_matches(const CacheEntry *entry, const CacheEntry *sought, const WrappedKey *wrapped_key)
{
	if (sought != NULL)
		return entry == sought;
	return entry->value_size == wrapped_key->size &&
		memcmp(entry->data, wrapped_key->bytes, wrapped_key->size) == 0;
}

#define SH_PREFIX bucket
#define SH_ELEMENT_TYPE CacheBucket
#define SH_KEY_TYPE CacheEntry *
#define SH_KEY entry
#define SH_HASH_KEY(tb, key) ((key)->hash)
#define SH_EQUAL(tb, a, b) bucket_matches(a, b, (tb)->private_data)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) ((a)->hash)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A key lives longer than its limit by a part of so many of it at most. */
#define SWEEPS_PER_AGE 20

/* So many keyed contexts fit the caches that a processor core has to itself. */
#define POOL_SIZE 512

/* So many entries fit its nearest cache, where no hint is needed. */
#define FEW_ENTRIES 64

/* Of so many uses without a cipher of its own, one may take another's. */
#define CIPHER_TAKEOVER_INTERVAL 16

int			key_cache_mode = KEY_CACHE_ON;
int			key_cache_size = 16384;
int			key_cache_max_age = 600;
int			key_cache_max_uses = 0;
double		key_cache_verify_rate = 1.0;

CacheEntry *key_cache_lent = NULL;

static bucket_hash *table = NULL;
static dlist_head ring = DLIST_STATIC_INIT(ring);

/* When the ages of all entries are to be looked at, in nanoseconds. */
static uint64 next_sweep = 0;

/* The entries that have a cipher, and the hand that looks for one to take. */
static CacheEntry *pool[POOL_SIZE];
static uint32 pool_used = 0;
static uint32 pool_hand = 0;
static uint32 uses_without_cipher = 0;

/* For entries that have none of their own. */
static AesCipher *shared_cipher = NULL;
static bool shared_cipher_is_keyed = false;

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

/* What an entry takes for a wrapped_key of so many bytes. */
static size_t
entry_size(size_t value_size)
{
	return offsetof(CacheEntry, data) + value_size +
		(value_size - WRAPPED_KEY_HEADER_SIZE - KEY_WRAP_OVERHEAD);
}

static size_t
entry_footprint(const CacheEntry *entry)
{
	return secure_footprint(entry_size(entry->value_size)) + sizeof(CacheBucket);
}

static void
out_of_memory(void)
{
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
}

static void
drop_cipher(CacheEntry *entry)
{
	if (entry->cipher == NULL)
		return;
	aes_cipher_free(entry->cipher);
	entry->cipher = NULL;
	pool_used--;
	pool[entry->cipher_slot] = pool[pool_used];
	pool[entry->cipher_slot]->cipher_slot = entry->cipher_slot;
	key_cache_stats->bytes -= AES_CIPHER_FOOTPRINT;
}

static void
wipe_entry(CacheEntry *entry)
{
	drop_cipher(entry);
	dlist_delete(&entry->ring);
	bucket_delete(table, entry);
	key_cache_stats->bytes -= entry_footprint(entry);
	key_cache_stats->entries--;
	secure_free(entry);
}

/*
 * Evicts until so many more bytes fit.  An entry that was used since the
 * hand came by is passed over once; one is never evicted: keep.
 */
static void
make_room(size_t bytes, const CacheEntry *keep, int size_kb)
{
	while (key_cache_stats->bytes + bytes > (uint64) size_kb * 1024 && !dlist_is_empty(&ring))
	{
		CacheEntry *entry = dlist_head_element(CacheEntry, ring, &ring);

		if (entry == keep && !dlist_has_next(&ring, &entry->ring))
			break;
		if (entry == keep || entry->used)
		{
			entry->used = false;
			dlist_delete(&entry->ring);
			dlist_push_tail(&ring, &entry->ring);
			continue;
		}
		wipe_entry(entry);
		key_cache_stats->evictions++;
	}
}

static void
wipe_shared_cipher(void)
{
	aes_cipher_free(shared_cipher);
	shared_cipher = NULL;
	shared_cipher_is_keyed = false;
}

void
key_cache_wipe_lent(void)
{
	secure_free(key_cache_lent);
	key_cache_lent = NULL;
}

static void
wipe_all(void)
{
	dlist_mutable_iter iter;

	key_cache_release();
	wipe_shared_cipher();
	dlist_foreach_modify(iter, &ring)
		wipe_entry(dlist_container(CacheEntry, ring, iter.cur));
}

void
key_cache_flush(void)
{
	if (!dlist_is_empty(&ring))
		key_cache_stats->flushes++;
	wipe_all();
}

void
key_cache_wipe_withdrawn(void)
{
	dlist_mutable_iter iter;

	key_cache_release();
	wipe_shared_cipher();
	dlist_foreach_modify(iter, &ring)
	{
		CacheEntry *entry = dlist_container(CacheEntry, ring, iter.cur);

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

/* Neither a lent key nor a keyed context outlives its transaction. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PARALLEL_PRE_COMMIT ||
		event == XACT_EVENT_PRE_PREPARE)
		return;
	key_cache_release();
	if (shared_cipher_is_keyed)
		wipe_shared_cipher();
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
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

static void
create_table(void)
{
	table = bucket_create(TopMemoryContext, 256, NULL);
	on_proc_exit(end_of_backend, (Datum) 0);
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
		dlist_mutable_iter iter;
		uint64		oldest = now;

		dlist_foreach_modify(iter, &ring)
		{
			CacheEntry *entry = dlist_container(CacheEntry, ring, iter.cur);

			if (now - entry->born >= max_age)
			{
				wipe_entry(entry);
				key_cache_stats->expirations++;
			}
			else
				oldest = Min(oldest, entry->born);
		}
		next_sweep = Max(oldest + max_age, now + max_age / SWEEPS_PER_AGE);
	}

	/* Rounded up: a timer that goes off early would find nothing to do. */
	if (!dlist_is_empty(&ring))
		age_timer_start((next_sweep - now) / 1000000 + 1);
}

/*
 * The wrapped bytes are as good as random, so eight of them tell keys under one
 * KEK apart; hashing all of them was measured to cost more than the rest of
 * the look-up.  Equality is another matter: see bucket_matches().
 */
static uint32
hash_wrapped_key(const WrappedKey *wrapped_key)
{
	uint64		word;

	memcpy(&word, wrapped_key->bytes + WRAPPED_KEY_HEADER_SIZE, sizeof(word));
	word ^= word >> 33;
	word *= UINT64CONST(0xff51afd7ed558ccd);
	word ^= word >> 33;
	return (uint32) word;
}

void
key_cache_expect(const WrappedKey *wrapped_key)
{
	const CacheBucket *bucket;
	uint32		hash;

	if (table == NULL || table->members <= FEW_ENTRIES)
		return;

	/*
	 * The key is mostly in the first or second bucket that it may be in; a
	 * branch on which it is would be guessed wrong about as often as not.
	 */
	hash = hash_wrapped_key(wrapped_key);
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
	bucket = bucket_lookup_hash(table, NULL, hash_wrapped_key(wrapped_key));
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
key_cache_lend(const WrappedKey *wrapped_key, struct Kek *kek)
{
	CacheEntry *entry;

	key_cache_release();
	entry = secure_alloc(entry_size(wrapped_key->size));
	if (entry == NULL)
		out_of_memory();
	entry->kek = kek;
	entry->value_size = wrapped_key->size;
	entry->is_bound = wrapped_key->algorithm == WRAP_AES_KW_BOUND;
	entry->uses = 1;
	memcpy(entry->data, wrapped_key->bytes, wrapped_key->size);
	key_cache_lent = entry;
	return entry;
}

static void
warn_if_not_locked(void)
{
	static bool warned = false;

	if (warned || secure_memory_is_locked())
		return;
	warned = true;
	ereport(WARNING,
			(errmsg("memory of unwrapped keys could not be locked"),
			 errdetail("Keys of this session may be written to swap space."),
			 errhint("Raise the limit on locked memory of the server (LimitMEMLOCK= of its systemd unit) or lower key_vault.cache_size.")));
}

void
key_cache_keep(CacheEntry *entry)
{
	WrappedKey	wrapped_key = {.bytes = entry->data,.size = entry->value_size};
	bool		found;

	Assert(entry == key_cache_lent);
	if (table == NULL)
		create_table();

	make_room(entry_footprint(entry), NULL, key_cache_size);
	entry->hash = hash_wrapped_key(&wrapped_key);
	entry->born = now_ns();
	if (dlist_is_empty(&ring))
		look_at_ages();
	bucket_insert_hash(table, entry, entry->hash, &found);
	dlist_push_tail(&ring, &entry->ring);
	entry->is_cached = true;
	key_cache_lent = NULL;
	key_cache_stats->bytes += entry_footprint(entry);
	key_cache_stats->entries++;
	warn_if_not_locked();
}

void
key_cache_forget(CacheEntry *entry)
{
	wipe_entry(entry);
}

static AesCipher *
key_shared_cipher(const CacheEntry *entry)
{
	if (shared_cipher == NULL)
		shared_cipher = aes_cipher_new();
	if (shared_cipher == NULL)
		out_of_memory();
	shared_cipher_is_keyed = true;
	if (aes_cipher_set_key(shared_cipher, key_cache_key(entry), entry->key_size,
						   AES_ENCRYPT) != CRYPTO_OK)
		elog(ERROR, "could not key a cipher");
	return shared_cipher;
}

/* Gives the entry a cipher from outside the pool's present ones. */
static bool
add_to_pool(CacheEntry *entry)
{
	size_t		half = (size_t) key_cache_size * 1024 / 2;

	if (pool_used >= Max(1, Min(POOL_SIZE, half / AES_CIPHER_FOOTPRINT)))
		return false;
	make_room(AES_CIPHER_FOOTPRINT, entry, key_cache_size);
	entry->cipher = aes_cipher_new();
	if (entry->cipher == NULL)
		out_of_memory();
	entry->cipher_slot = pool_used;
	pool[pool_used++] = entry;
	key_cache_stats->bytes += AES_CIPHER_FOOTPRINT;
	return true;
}

/*
 * Takes the cipher of an entry that had no use of it since the hand last came
 * by.  Tried only now and then, so that a table of many keys, each used
 * seldom, does not make the ciphers go round for nothing.
 */
static bool
take_over(CacheEntry *entry)
{
	CacheEntry *owner;

	if (++uses_without_cipher % CIPHER_TAKEOVER_INTERVAL != 0 || pool_used == 0)
		return false;
	pool_hand = (pool_hand + 1) % pool_used;
	owner = pool[pool_hand];
	if (owner->cipher_used)
	{
		owner->cipher_used = false;
		return false;
	}
	entry->cipher = owner->cipher;
	entry->cipher_slot = pool_hand;
	owner->cipher = NULL;
	pool[pool_hand] = entry;
	return true;
}

AesCipher *
key_cache_make_cipher(CacheEntry *entry)
{
	/* The first use may well be the only one. */
	if (!entry->is_cached || entry->uses < 2 ||
		!(add_to_pool(entry) || take_over(entry)))
		return key_shared_cipher(entry);

	if (aes_cipher_set_key(entry->cipher, key_cache_key(entry), entry->key_size,
						   AES_ENCRYPT) != CRYPTO_OK)
	{
		drop_cipher(entry);
		elog(ERROR, "could not key a cipher");
	}
	return entry->cipher;
}
