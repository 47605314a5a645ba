/*
 * ghosts.h
 *	  Which keys were missed lately and not inserted, since the cache was full.
 *
 * A key that comes once is not worth the place of another one, and a query may bring any
 * number of such keys.  So at its first miss a key only leaves a ghost: eight bits of its
 * hash, and the period in which it was missed.  A key that comes again has a ghost, which
 * says how long ago it came.  If the cache has a key that was not used for longer, that one
 * gives its place to it.  (Such ghosts are known from caches of pages: 2Q, ARC, LIRS.)
 *
 * Time is counted in keys that were missed while the cache was full; as long as none are,
 * the period stays the same.
 *
 * A set of ghosts is a word of 64 bits, the latest in the lowest bits; a new one pushes the
 * oldest out.  There is one ghost for each bucket of the table.
 *
 * Ghosts know nothing but wrapped bytes, and two keys may have the same ghost, so they
 * decide which keys are inserted, and nothing else.
 */
#ifndef GHOSTS_H
#define GHOSTS_H

#include "postgres.h"

#define GHOST_BITS 16
#define GHOSTS_PER_SET (64 / GHOST_BITS)

/* In the time that a table's buckets are missed once, there are so many periods. */
#define PERIODS_PER_TABLE 64

/* The age of a key that has no ghost, or one that was not used for 256 periods. */
#define MAX_AGE_IN_PERIODS 255

typedef struct Ghosts
{
	uint64	   *sets;			/* NULL as long as there are none */
	uint32		size;			/* in ghosts; a power of two */
	uint32		in_period;		/* how many were left in this period */
	uint8		period;
} Ghosts;

static Ghosts ghosts;

static inline uint64 *
ghost_set(uint32 hash)
{
	return &ghosts.sets[hash & (ghosts.size / GHOSTS_PER_SET - 1)];
}

/* How many periods ago something was, at most MAX_AGE_IN_PERIODS. */
static inline uint8
periods_since(uint8 period)
{
	return ghosts.period - period;
}

/* How many periods ago the key with this hash was missed; MAX_AGE_IN_PERIODS if it was not. */
static inline uint8
ghost_age(uint32 hash)
{
	uint64		set = *ghost_set(hash);

	for (int i = 0; i < GHOSTS_PER_SET; i++, set >>= GHOST_BITS)
	{
		if ((uint8) (set >> 8) == hash >> 24)
			return periods_since((uint8) set);
	}
	return MAX_AGE_IN_PERIODS;
}

static inline void
leave_ghost(uint32 hash)
{
	uint64	   *set = ghost_set(hash);

	*set = *set << GHOST_BITS | (hash >> 24) << 8 | ghosts.period;
	if (++ghosts.in_period >= ghosts.size / PERIODS_PER_TABLE)
	{
		ghosts.in_period = 0;
		ghosts.period++;
	}
}

#endif							/* GHOSTS_H */
