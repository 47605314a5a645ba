/*
 * keys_ahead.h
 *	  Where the wrapped keys of the next rows of a table are.
 *
 * A function that is called for each row knows the key of its own row only.  If it knew the
 * next ones, the processor could load what the cache has of them while this row's payload
 * is decrypted.  A sequential scan hands out the rows of a page of the shared buffers one
 * after another, and a key that it passes on is still in the page.  So the next keys are
 * mostly in the next tuples of the page, as far from their beginning as this key is.
 *
 * This is a guess, fit for prefetching and for nothing else: the next row may come from
 * elsewhere, and another backend may change the page meanwhile.
 *
 * Invariant: only bytes of the page that the key itself is in are read.  They can be read
 * whatever is in them, and each offset found in the page is checked before it is used.
 */
#ifndef KEYS_AHEAD_H
#define KEYS_AHEAD_H

#include "postgres.h"

#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"

#include "../catalog/wrapped_key.h"

/* How many tuples are looked at to find the one that the key is in. */
#define MAX_TUPLES_PASSED 8

typedef struct KeysAhead
{
	const uint8 *next;			/* wrapped bytes of the next row's key, eight
								 * at least; NULL if they were not found */
	const uint8 *second;		/* of the row after it */
} KeysAhead;

/* The page and the tuple in which the last key was. */
typedef struct AheadPlace
{
	const char *page;
	OffsetNumber tuple;
} AheadPlace;

/*
 * Reads the item identifier of a tuple; false if there is none.  Each field of the page is
 * read once, since another backend may change it between the check and the use.
 */
static inline bool
read_item(const char *page, OffsetNumber tuple, ItemIdData *item)
{
	const volatile PageHeaderData *header = (const volatile PageHeaderData *) page;
	size_t		lower = header->pd_lower;
	size_t		end = offsetof(PageHeaderData, pd_linp) + tuple * sizeof(ItemIdData);

	if (end > lower || end > BLCKSZ)
		return false;
	*item = header->pd_linp[tuple - FirstOffsetNumber];
	return true;
}

/*
 * The wrapped bytes at the place of another tuple that the key has in its own; NULL if no key is
 * there.
 */
static inline const uint8 *
key_of_tuple(const char *page, OffsetNumber tuple, size_t offset, const uint8 *key)
{
	ItemIdData	item;
	const uint8 *other;

	if (!read_item(page, tuple, &item))
		return NULL;
	offset += ItemIdGetOffset(&item);
	if (offset + WRAPPED_KEY_HEADER_SIZE + sizeof(uint64) > BLCKSZ)
		return NULL;
	other = (const uint8 *) page + offset;

	/* The length, the format and the algorithm are mostly those of this key. */
	return memcmp(other - 1, key - 1, 3) == 0 ? other + WRAPPED_KEY_HEADER_SIZE : NULL;
}

/* The keys that come after this one, by *place, which the caller keeps from call to call. */
static inline KeysAhead
keys_ahead(const WrappedKey *wrapped_key, AheadPlace *place)
{
	KeysAhead	ahead = {NULL, NULL};
	const uint8 *key = wrapped_key->bytes;
	uintptr_t	in_buffers = (uintptr_t) key - (uintptr_t) BufferBlocks;
	size_t		in_page = in_buffers % BLCKSZ;
	const char *page = (const char *) key - in_page;

	if (in_buffers >= (uintptr_t) NBuffers * BLCKSZ)
		return ahead;
	if (page != place->page)
	{
		place->page = page;
		place->tuple = FirstOffsetNumber;
	}

	for (int i = 0; i < MAX_TUPLES_PASSED; i++, place->tuple++)
	{
		ItemIdData	item;

		if (!read_item(page, place->tuple, &item))
		{
			/* A scan that begins again finds the first tuple. */
			place->tuple = FirstOffsetNumber;
			break;
		}
		if (in_page > ItemIdGetOffset(&item) &&
			in_page < ItemIdGetOffset(&item) + ItemIdGetLength(&item))
		{
			size_t		offset = in_page - ItemIdGetOffset(&item);

			ahead.next = key_of_tuple(page, place->tuple + 1, offset, key);
			ahead.second = key_of_tuple(page, place->tuple + 2, offset, key);
			break;
		}
	}
	return ahead;
}

#endif							/* KEYS_AHEAD_H */
