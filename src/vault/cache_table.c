/*
 * cache_table.c
 *	  The hash table of the key cache: inserting, removing, and its memory.
 *
 * Invariant: nothing here fails once it has begun to change the table.
 */
#include "postgres.h"

#include <time.h>

#include "cache_table.h"

CacheTable	cache_table = {NULL};

uint64
cache_clock(void)
{
	struct timespec now;

	/* It is read faster, and is exact to some milliseconds. */
#ifdef CLOCK_MONOTONIC_COARSE
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
#else
	clock_gettime(CLOCK_MONOTONIC, &now);
#endif
	return (uint64) now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

static size_t
table_size(uint32 n_places)
{
	return n_places * (sizeof(CacheEntry) + sizeof(CacheNote));
}

size_t
cache_table_footprint(uint32 n_places)
{
	return secure_footprint(table_size(n_places));
}

/* Moves an entry to a place that is free, or whose entry has been moved. */
static void
move(CacheTable *table, uint32 to, uint32 from)
{
	table->entries[to] = table->entries[from];
	table->notes[to] = table->notes[from];
	cipher_pool_owner_moved(&table->entries[to].cipher_slot);
}

static CacheEntry *
insert(CacheTable *table, const CacheEntry *entry, CacheNote note)
{
	uint32		place = cache_table_home(table, entry_wrapped(entry));
	uint32		free_place;

	for (uint32 distance = 0; table->entries[place].form != ENTRY_FREE &&
		 cache_table_distance(table, place) >= distance; distance++)
		place = cache_table_next(table, place);

	/* The entries from here to the next free place move by one place each. */
	free_place = place;
	while (table->entries[free_place].form != ENTRY_FREE)
		free_place = cache_table_next(table, free_place);
	while (free_place != place)
	{
		uint32		from = (free_place > 0 ? free_place : table->n_places) - 1;

		move(table, free_place, from);
		free_place = from;
	}

	table->entries[place] = *entry;
	table->notes[place] = note;
	table->n_entries++;
	return &table->entries[place];
}

CacheEntry *
cache_table_insert(const CacheEntry *entry, CacheNote note)
{
	CacheEntry *inserted;

	Assert(cache_table.n_entries + 1 < cache_table.n_places);
	inserted = insert(&cache_table, entry, note);
	inserted->is_cached = true;
	return inserted;
}

void
cache_table_remove(uint32 place)
{
	for (;;)
	{
		uint32		next = cache_table_next(&cache_table, place);

		if (cache_table.entries[next].form == ENTRY_FREE ||
			cache_table_distance(&cache_table, next) == 0)
			break;
		move(&cache_table, place, next);
		place = next;
	}
	secure_wipe(&cache_table.entries[place], sizeof(CacheEntry));
	memset(&cache_table.notes[place], 0, sizeof(CacheNote));
	cache_table.n_entries--;
}

bool
cache_table_resize(uint32 n_places)
{
	CacheTable	resized = {.n_places = n_places};

	Assert(n_places > cache_table.n_entries);
	resized.entries = secure_alloc(table_size(n_places));
	if (resized.entries == NULL)
		return false;
	resized.notes = (CacheNote *) (resized.entries + n_places);

	/* From here on nothing fails. */
	for (uint32 place = 0; place < cache_table.n_places; place++)
	{
		const CacheEntry *entry = &cache_table.entries[place];

		if (entry->form != ENTRY_FREE)
			cipher_pool_owner_moved(&insert(&resized, entry, cache_table.notes[place])->cipher_slot);
	}
	secure_free(cache_table.entries);
	cache_table = resized;
	return true;
}

void
cache_table_free(void)
{
	secure_free(cache_table.entries);
	memset(&cache_table, 0, sizeof(cache_table));
}
