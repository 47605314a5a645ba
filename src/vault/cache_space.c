/*
 * cache_space.c
 *	  The space of the key cache: how much of it there is, and which entries leave.
 *
 * key_vault.cache_size is divided: AES contexts and keys that are not session keys have a
 * share each, and the table has the rest.
 *
 * The entry that is evicted for a new one is one of those near the new one's home.  So no part
 * of the table gets fuller than others, and entries stay as near to their homes as they were.
 *
 * Invariants:
 * - The bytes in use stay below key_vault.cache_size; only one entry and its AES context
 *   may always be there.
 * - The statistics have the memory that the system has given, not only what is used of it.
 */
#include "postgres.h"

#include "cache_space.h"
#include "cache_stats.h"

/* Up to this number of entries, replacing one takes little time, so all are inserted. */
#define MANY_ENTRIES 4096

/*
 * After VAIN_EVICTIONS evictions of entries that were used only once, only one of
 * ADMISSION_INTERVAL keys is inserted, until the transaction ends.
 */
#define VAIN_EVICTIONS 256
#define ADMISSION_INTERVAL 16

/* The size of a new table, in places: it takes 64 kB. */
#define FIRST_PLACES 768

/*
 * A table gets more places when more than this part of it is used, and while there is memory:
 * the emptier it is, the nearer the keys are to their homes.  At most the second part is used.
 */
#define USED_TO_GROW 0.65
#define USED_AT_MOST 0.8

/* An entry is evicted that is at one of this number of places. */
#define CHOICE 16

#define NO_PLACE PG_UINT32_MAX

/* The share of keys that are not session keys, as a part of the cache. */
#define OTHER_KEYS_PART 64

/* The most places that the table may have with the present key_vault.cache_size. */
static uint32 max_places = CACHE_TABLE_MIN_PLACES;

/* What keys that are not session keys take, in bytes. */
static size_t other_key_bytes = 0;

/*
 * How many of the entries that were inserted since the last transaction's end were evicted
 * without having been found again, minus the evictions of entries that had been.  A high
 * number means that the keys in use do not fit into the cache.
 */
static uint32 vain_evictions = 0;
static uint64 vain_since = 0;	/* milliseconds, by cache_clock() */
static uint32 keys_not_inserted = 0;

static size_t
cache_bytes(int size_kb)
{
	return (size_t) size_kb * 1024;
}

/* How many bytes keys that are not session keys may take. */
static size_t
other_keys_share(int size_kb)
{
	return cache_bytes(size_kb) / OTHER_KEYS_PART;
}

/* How many places fit into what the other shares leave. */
static uint32
places_within(int size_kb)
{
	size_t		bytes = cache_bytes(size_kb) - other_keys_share(size_kb) -
	cipher_pool_share(cache_bytes(size_kb));
	size_t		n = Min(bytes / sizeof(CacheEntry), CACHE_TABLE_MAX_PLACES);

	while (n > CACHE_TABLE_MIN_PLACES && cache_table_footprint(n) > bytes)
		n--;
	return Max(n, CACHE_TABLE_MIN_PLACES);
}

/* How many entries a table of this size may have: with the fewest places, one. */
static uint32
max_entries(uint32 n_places)
{
	return (uint32) (n_places * USED_AT_MOST);
}

static bool
resize_table(uint32 n_places)
{
	size_t		before = cache_table.entries == NULL ? 0 :
	cache_table_footprint(cache_table.n_places);

	if (!cache_table_resize(n_places))
		return false;
	key_cache_stats->bytes += cache_table_footprint(n_places) - before;
	return true;
}

static void
free_table(void)
{
	if (cache_table.entries == NULL)
		return;
	key_cache_stats->bytes -= cache_table_footprint(cache_table.n_places);
	cache_table_free();
}

void
cache_space_give_back(void)
{
	if (cache_table.n_entries == 0)
		free_table();
}

static size_t
other_key_footprint(const OtherKey *other)
{
	return secure_footprint(other_key_size(other->wrapped_size));
}

/* Adds what a key that is not a session key takes to the statistics, or takes it away. */
static void
count_other_key(const CacheEntry *entry, bool is_new)
{
	size_t		bytes;

	if (entry->form != ENTRY_OTHER_KEY)
		return;
	bytes = other_key_footprint(entry->other);
	other_key_bytes += is_new ? bytes : -bytes;
	key_cache_stats->bytes += is_new ? bytes : -bytes;
}

void
cache_space_wipe(uint32 place)
{
	CacheEntry *entry = &cache_table.entries[place];

	cipher_pool_drop(&entry->cipher_slot);
	count_other_key(entry, false);
	if (entry->form == ENTRY_OTHER_KEY)
		secure_free(entry->other);
	cache_table_remove(place);
	key_cache_stats->entries--;
}

static void
evict(uint32 place)
{
	if (vain_evictions < VAIN_EVICTIONS)
	{
		if (cache_table.entries[place].used_again)
			vain_evictions -= (vain_evictions > 0);
		else if (cache_table.notes[place].born >= vain_since)
			vain_evictions++;
	}
	cache_space_wipe(place);
	key_cache_stats->evictions++;
}

/*
 * Evicts one of the entries at a place and after it: the oldest of those that are not marked
 * as used.  If all are, the marks are taken away, and the oldest of all is evicted.
 */
static void
evict_near(uint32 first)
{
	uint32		oldest = NO_PLACE;
	uint32		oldest_unused = NO_PLACE;
	uint32		place = first;
	uint32		n_seen;

	for (n_seen = 0; n_seen < CHOICE || oldest == NO_PLACE; n_seen++)
	{
		const CacheEntry *entry = &cache_table.entries[place];
		const CacheNote *notes = cache_table.notes;

		if (entry->form != ENTRY_FREE &&
			(oldest == NO_PLACE || notes[place].born < notes[oldest].born))
			oldest = place;
		if (entry->form != ENTRY_FREE && !entry->used &&
			(oldest_unused == NO_PLACE || notes[place].born < notes[oldest_unused].born))
			oldest_unused = place;
		place = cache_table_next(&cache_table, place);
	}
	if (oldest_unused != NO_PLACE)
	{
		evict(oldest_unused);
		return;
	}
	for (place = first; n_seen > 0; n_seen--)
	{
		cache_table.entries[place].used = false;
		place = cache_table_next(&cache_table, place);
	}
	evict(oldest);
}

/* Evicts entries until there are at most so many. */
static void
evict_to(uint32 n_entries)
{
	for (uint32 place = 0; cache_table.n_entries > n_entries;)
	{
		evict_near(place);
		place = (place + CHOICE) % cache_table.n_places;
	}
}

/* Evicts keys that are not session keys until all of them fit into so many bytes. */
static void
evict_others_to(size_t bytes)
{
	static uint32 hand = 0;

	for (; other_key_bytes > bytes; hand++)
	{
		CacheEntry *entry;

		if (hand >= cache_table.n_places)
			hand = 0;
		entry = &cache_table.entries[hand];
		if (entry->form != ENTRY_OTHER_KEY)
			continue;
		if (entry->used)
			entry->used = false;
		else
			evict(hand);
	}
}

/* The next size of the table: sizes are 2 and 3 times the powers of two. */
static uint32
next_places(void)
{
	uint32		n = cache_table.n_places;

	if (n == 0)
		return Min(FIRST_PLACES, max_places);
	return n % 3 == 0 ? Min(n / 3 * 4, max_places) : Min(n / 2 * 3, max_places);
}

/*
 * Whether to insert a key into a full table.  If many entries were evicted without having
 * been found again, most keys are not inserted: then the keys that are in the cache stay
 * there until they are needed again.
 */
static bool
may_replace(void)
{
	return cache_table.n_entries < MANY_ENTRIES || vain_evictions < VAIN_EVICTIONS ||
		++keys_not_inserted % ADMISSION_INTERVAL == 0;
}

/* Makes room for one more entry; false if it is not to be inserted. */
static bool
make_room(const CacheEntry *entry)
{
	uint32		n_places = cache_table.n_places;

	if (cache_table.n_entries < (uint32) (n_places * USED_TO_GROW))
		return true;
	if (n_places < max_places && resize_table(next_places()))
		return true;
	if (cache_table.n_entries < max_entries(n_places))
		return true;

	/* If there is no memory for more places, what is there stays. */
	if (n_places < max_places || !may_replace())
		return false;
	evict_near(cache_table_home(&cache_table, entry_wrapped(entry)));
	return true;
}

/*
 * Makes room in the share of keys that are not session keys; false if the key is too large for
 * it.
 */
static bool
make_room_for_other(const OtherKey *other, int size_kb)
{
	size_t		bytes = other_key_footprint(other);
	size_t		share = other_keys_share(size_kb);

	/* One entry is always allowed. */
	if (max_places == CACHE_TABLE_MIN_PLACES)
		return true;
	if (bytes > share)
		return false;
	evict_others_to(share - bytes);
	return true;
}

CacheEntry *
cache_space_insert(const CacheEntry *entry, CacheNote note, int size_kb)
{
	if (!make_room(entry) ||
		(entry->form == ENTRY_OTHER_KEY && !make_room_for_other(entry->other, size_kb)))
		return NULL;

	/* From here on nothing fails. */
	count_other_key(entry, true);
	key_cache_stats->entries++;
	return cache_table_insert(entry, note);
}

void
cache_space_set_size(int size_kb)
{
	bool		fits;

	cipher_pool_shrink(cipher_pool_share(cache_bytes(size_kb)));
	evict_others_to(other_keys_share(size_kb));
	max_places = places_within(size_kb);
	fits = cache_table.n_places <= max_places;
	if (!fits)
		evict_to(max_entries(max_places));

	/* If there is no memory for a smaller table, nothing stays, either. */
	if (size_kb == 0 || (!fits && !resize_table(max_places)))
	{
		evict_to(0);
		free_table();
	}
}

void
cache_space_wipe_all(void)
{
	cipher_pool_shrink(0);
	for (uint32 place = 0; other_key_bytes > 0; place++)
	{
		CacheEntry *entry = &cache_table.entries[place];

		if (entry->form != ENTRY_OTHER_KEY)
			continue;
		count_other_key(entry, false);
		secure_free(entry->other);
	}
	free_table();
	key_cache_stats->entries = 0;
}

void
cache_space_end_of_transaction(void)
{
	vain_evictions = 0;
	vain_since = cache_clock();
}
