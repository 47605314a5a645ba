/*
 * lasting_memory.h
 *	  Building what outlives the statement, so that it is there whole or not at all.
 *
 * It is built in a memory context of its own below the current one, with which
 * it goes after an error, and is kept only when nothing more can fail.
 */
#ifndef LASTING_MEMORY_H
#define LASTING_MEMORY_H

#include "postgres.h"

#include "utils/memutils.h"

/* Switches to a new context, and returns the one before. */
static inline MemoryContext
lasting_begin(const char *name)
{
	return MemoryContextSwitchTo(AllocSetContextCreateInternal(CurrentMemoryContext, name,
															   ALLOCSET_SMALL_SIZES));
}

/* Keeps the current context until it is deleted, and switches back; cannot fail. */
static inline MemoryContext
lasting_keep(MemoryContext before)
{
	MemoryContext kept = CurrentMemoryContext;

	MemoryContextSetParent(kept, TopMemoryContext);
	MemoryContextSwitchTo(before);
	return kept;
}

#endif							/* LASTING_MEMORY_H */
