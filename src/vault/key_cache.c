/*
 * key_cache.c
 *	  The cache of unwrapped keys.
 *
 * An entry is found by the whole wrapped_key value, of which every byte is compared.  So
 * an entry cannot be used for another key, and a change of a KEK cannot make it wrong; it
 * can only make it forbidden.
 *
 * With thousands of keys, a hit mostly waits for memory.  So the entries are in the hash
 * table itself, see cache_table.h, and have little more than the key.  The entries that are
 * used most have an AES context that stays keyed, see cipher_pool.c.  How many entries there
 * may be, and which of them leave, is the matter of cache_space.c.
 *
 * Invariants:
 * - An entry is in the table, or it is the new one that is not inserted.
 * - Keys are in secure memory, which is wiped when it is freed.
 * - An entry's AES context is wiped together with the entry.
 * - An entry is inserted only after it was filled in and checked, so failures are never
 *   cached.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"

#include "../common/crypto_error.h"
#include "../crypto/secure_memory.h"
#include "age_timer.h"
#include "cache_space.h"
#include "cache_stats.h"
#include "cipher_pool.h"
#include "key_cache.h"

/* Expired keys are wiped at most cache_max_age / SWEEPS_PER_AGE seconds late. */
#define SWEEPS_PER_AGE 20

/* Up to this number of places, all of them are in the processor's first cache. */
#define FEW_PLACES 128

int			key_cache_mode = KEY_CACHE_ON;
int			key_cache_size = 16384;
double		key_cache_max_age = 600;
int			key_cache_max_uses = 0;
double		key_cache_verify_rate = 1.0;

CacheEntry *key_cache_uninserted = NULL;

/* When the ages of all entries are to be checked, in milliseconds, by cache_clock(). */
static uint64 next_sweep = 0;

void
key_cache_wipe_uninserted(void)
{
	CacheEntry *entry = key_cache_uninserted;

	if (entry->form == ENTRY_OTHER_KEY)
		secure_free(entry->other);
	secure_free(entry);
	key_cache_uninserted = NULL;
}

static void
wipe_all(void)
{
	key_cache_release();
	cipher_pool_wipe_shared();
	cache_space_wipe_all();
}

void
key_cache_flush(void)
{
	if (cache_table.n_entries > 0)
		key_cache_stats->flushes++;
	wipe_all();
}

/* Wipes all keys under KEKs that are withdrawn, since these are closed next. */
static void
wipe_withdrawn(void)
{
	key_cache_release();
	cipher_pool_wipe_shared();

	for (uint32 place = 0; place < cache_table.n_places;)
	{
		const CacheEntry *entry = &cache_table.entries[place];

		if (entry->form != ENTRY_FREE && entry->kek->withdrawn)
		{
			cache_space_wipe(place);
			key_cache_stats->withdrawals++;
		}
		else
			place++;
	}
	cache_space_give_back();
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

/* As long as there was no limit, uses were not counted, so all entries are wiped. */
void
key_cache_assign_max_uses(int newval, void *extra)
{
	if (newval > 0 && key_cache_max_uses == 0)
		key_cache_flush();
}

void
key_cache_assign_size(int newval, void *extra)
{
	cache_space_set_size(newval);
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
	cache_space_end_of_transaction();
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

/*
 * Has all keys wiped when this backend ends.  This is not done when the library is loaded,
 * since the postmaster may load it.
 */
static void
wipe_at_exit(void)
{
	static bool registered = false;

	if (!registered)
		on_proc_exit(end_of_backend, (Datum) 0);
	registered = true;
}

void
key_cache_init(void)
{
	age_timer_init();
	kek_before_closing(wipe_withdrawn);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/*
 * Wipes all entries that are too old, also those that are never looked up again.  It reads
 * all entries, so it does so only SWEEPS_PER_AGE times in the time of the limit.
 */
static void
wipe_expired(void)
{
	uint64		max_age = (uint64) ceil(key_cache_max_age * 1000);
	uint64		now = cache_clock();

	age_timer_due = false;
	if (key_cache_max_age == 0)
		return;

	if (now >= next_sweep)
	{
		uint64		oldest = now;

		for (uint32 place = 0; place < cache_table.n_places;)
		{
			uint64		born = cache_table.notes[place].born;

			if (born != 0 && now - born >= max_age)
			{
				cache_space_wipe(place);
				key_cache_stats->expirations++;
				continue;
			}
			if (born != 0)
				oldest = Min(oldest, born);
			place++;
		}
		cache_space_give_back();
		next_sweep = Max(oldest + max_age, now + max_age / SWEEPS_PER_AGE);
	}

	/*
	 * The time is rounded up, so that the timer does not end before there is
	 * something to wipe.
	 */
	if (cache_table.n_entries > 0)
		age_timer_start(next_sweep - now + 1);
}

void
key_cache_prefetch(const WrappedKey *wrapped_key)
{
	if (cache_table.n_places > FEW_PLACES)
		cache_table_prefetch(wrapped_key);
}

/* Counts a use, if there is a limit; false if the limit was reached before. */
static bool
count_use(const CacheEntry *entry)
{
	CacheNote  *note = &cache_table.notes[cache_table_place(entry)];

	if (note->uses >= Min(key_cache_max_uses, CACHE_NOTE_MAX_USES))
		return false;
	note->uses++;
	return true;
}

CacheEntry *
key_cache_find(const WrappedKey *wrapped_key)
{
	CacheEntry *entry = NULL;

	if (unlikely(age_timer_due))
		wipe_expired();
	if (likely(cache_table.entries != NULL))
		entry = cache_table_find(wrapped_key);
	if (unlikely(entry != NULL && key_cache_max_uses > 0) && !count_use(entry))
	{
		cache_space_wipe(cache_table_place(entry));
		key_cache_stats->expirations++;
		entry = NULL;
	}
	if (entry == NULL)
	{
		key_cache_stats->misses++;
		return NULL;
	}

	/*
	 * Fields are written only if they change, since memory that is only read
	 * is faster.
	 */
	if (!entry->used)
		entry->used = true;
	if (!entry->used_again)
		entry->used_again = true;
	key_cache_stats->hits++;
	return entry;
}

CacheEntry *
key_cache_new(const WrappedKey *wrapped_key, Kek *kek)
{
	CacheEntry *entry;
	EntryForm	form = entry_form_of(wrapped_key);

	key_cache_release();
	entry = secure_alloc_or_raise(sizeof(CacheEntry));
	key_cache_uninserted = entry;
	entry->kek = kek;
	entry->cipher_slot = NO_CIPHER;
	entry->used = true;
	if (form == ENTRY_OTHER_KEY)
	{
		OtherKey   *other = secure_alloc_or_raise(other_key_size(wrapped_key->wrapped_size));

		other->wrapped_size = wrapped_key->wrapped_size;
		other->algorithm = wrapped_key->algorithm;
		entry->other = other;
	}
	entry->form = form;
	return entry;
}

uint8 *
key_cache_unwrapped(CacheEntry *entry, const WrappedKey *wrapped_key)
{
	switch ((EntryForm) entry->form)
	{
		case ENTRY_BOUND_SESSION_KEY:

			/*
			 * The first half of the context is put where the last wrapped
			 * bytes will be.  It is the same for all keys, and not kept.
			 */
			return (uint8 *) entry + offsetof(CacheEntry, key) - KEY_CONTEXT_SIZE;
		case ENTRY_OTHER_KEY:
			return entry->other->data + wrapped_key->wrapped_size;
		default:
			return entry->key;
	}
}

void
key_cache_complete(CacheEntry *entry, const WrappedKey *wrapped_key, size_t key_size)
{
	if (entry->form == ENTRY_OTHER_KEY)
		entry->other->key_size = key_size;
	memcpy(entry->form == ENTRY_OTHER_KEY ? entry->other->data : entry->wrapped,
		   wrapped_key->wrapped, wrapped_key->wrapped_size);
}

CacheEntry *
key_cache_insert(CacheEntry *entry)
{
	CacheNote	note = {.born = cache_clock(),.uses = 1};
	CacheEntry *inserted;

	Assert(entry == key_cache_uninserted);
	wipe_at_exit();
	inserted = cache_space_insert(entry, note, key_cache_size);
	if (inserted == NULL)
		return entry;

	/* From here on nothing fails. */
	if (cache_table.n_entries == 1)
		check_ages_next();
	secure_free(entry);
	key_cache_uninserted = NULL;
	return inserted;
}
