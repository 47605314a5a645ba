/*
 * cache_space.h
 *	  The space of the key cache: how much of it there is, and which entries leave.
 */
#ifndef CACHE_SPACE_H
#define CACHE_SPACE_H

#include "postgres.h"

#include "cache_table.h"

/* Divides a cache of this size in kB, and evicts what does not fit; with 0, everything. */
extern void cache_space_set_size(int size_kb);

/*
 * Inserts a copy of an entry, whose key is not in the cache, and evicts others if there is no
 * space for it; NULL if there is no memory, or if it is better not to insert it.  Other
 * entries may move.
 */
extern CacheEntry *cache_space_insert(const CacheEntry *entry, CacheNote note, int size_kb);

/* Wipes the entry at a place.  The next entry may be at this place then. */
extern void cache_space_wipe(uint32 place);

/* Wipes all entries, and gives all memory back. */
extern void cache_space_wipe_all(void);

/* Gives the memory of the table back if there is no entry. */
extern void cache_space_give_back(void);

/* From here on, other keys may be in use. */
extern void cache_space_end_of_transaction(void);

#endif							/* CACHE_SPACE_H */
