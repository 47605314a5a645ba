/*
 * cache_table.h
 *	  The hash table of the key cache.
 *
 * The entries are in the table itself: each of its places is one line of the processor's
 * caches.  So a hit waits for memory once, where a table of pointers to entries would make
 * it wait twice.
 *
 * The place at which the search for a key begins is its home.  If another key is there, it
 * goes on with the next place; after the last place comes the first.
 *
 * Invariants:
 * - An entry is found only if entry_matches() says so.  The hash only says where to begin.
 * - No place between an entry's home and its place is free, and no entry there is nearer to
 *   its own home than this entry would be (Robin Hood hashing, Celis 1986).  So a search
 *   ends at a free place, or at an entry that is nearer to its home.
 * - One place at least is free.
 * - A free place is zero: entries are wiped when they are removed or moved.
 */
#ifndef CACHE_TABLE_H
#define CACHE_TABLE_H

#include "postgres.h"

#include "cache_entry.h"

/* What is seldom needed of an entry. */
typedef struct CacheNote
{
	uint64		born:40;		/* milliseconds, by cache_clock() */
	uint64		uses:24;		/* counted if there is a limit */
} CacheNote;

#define CACHE_NOTE_MAX_USES ((1 << 24) - 1)

/* Milliseconds of a clock that never goes back, and is never 0. */
extern uint64 cache_clock(void);

/* All in one piece of secure memory; entries is NULL if there is no table. */
typedef struct CacheTable
{
	CacheEntry *entries;
	CacheNote  *notes;			/* of the same places */
	uint32		n_places;
	uint32		n_entries;
} CacheTable;

extern CacheTable cache_table;

#define CACHE_TABLE_MIN_PLACES 2
#define CACHE_TABLE_MAX_PLACES (UINT32_C(1) << 30)

/* How much memory a table takes, in bytes. */
extern size_t cache_table_footprint(uint32 n_places);

/*
 * Moves all entries to a new table with n_places, which must be more than the entries;
 * false, and nothing has changed, if there is no memory.
 */
extern bool cache_table_resize(uint32 n_places);

/* Wipes all entries, and gives the memory back. */
extern void cache_table_free(void);

/*
 * Inserts a copy of an entry, whose key is not in the table.  There must be two free places
 * at least.  Other entries may move.
 */
extern CacheEntry *cache_table_insert(const CacheEntry *entry, CacheNote note);

/*
 * Wipes the entry at a place.  The entries after it move, so that the next one may be at
 * this place then.
 */
extern void cache_table_remove(uint32 place);

static inline uint32
cache_table_place(const CacheEntry *entry)
{
	return (uint32) (entry - cache_table.entries);
}

/*
 * Wrapped bytes look random, so eight of them are enough to say where to begin; hashing all
 * of them was measured to take longer than the rest of the look-up.
 */
static inline uint32
cache_table_home(const CacheTable *table, const uint8 *wrapped)
{
	uint64		word;

	memcpy(&word, wrapped, sizeof(word));
	word *= UINT64CONST(0xff51afd7ed558ccd);
	return (uint32) ((word >> 32) * table->n_places >> 32);
}

/* How far the entry at a place is from its home. */
static inline uint32
cache_table_distance(const CacheTable *table, uint32 place)
{
	uint32		home = cache_table_home(table, entry_wrapped(&table->entries[place]));

	return place >= home ? place - home : place + table->n_places - home;
}

static inline uint32
cache_table_next(const CacheTable *table, uint32 place)
{
	return place + 1 < table->n_places ? place + 1 : 0;
}

/* Asks the processor to load what a search for the key reads first. */
static inline void
cache_table_prefetch(const WrappedKey *wrapped_key)
{
	const CacheEntry *entry = cache_table.entries +
	cache_table_home(&cache_table, wrapped_key->wrapped);

	__builtin_prefetch(entry);
	__builtin_prefetch(entry + 1);
}

/* The entry of a wrapped key; NULL if there is none. */
static inline CacheEntry *
cache_table_find(const WrappedKey *wrapped_key)
{
	EntryForm	form = entry_form_of(wrapped_key);
	uint32		place = cache_table_home(&cache_table, wrapped_key->wrapped);

	for (uint32 distance = 0;; distance++)
	{
		CacheEntry *entry = &cache_table.entries[place];

		if (entry_matches(entry, form, wrapped_key))
			return entry;
		if (entry->form == ENTRY_FREE ||
			cache_table_distance(&cache_table, place) < distance)
			return NULL;
		place = cache_table_next(&cache_table, place);
	}
}

#endif							/* CACHE_TABLE_H */
