/*
 * lasting_memory.h
 *	  Building something that outlives the statement, so that after an error it is
 *	  either whole or not there.
 *
 * It is built in a memory context of its own below the current one, which an error
 * deletes.  Only when nothing can fail any more, that context is moved to where it
 * lasts.
 */
#ifndef LASTING_MEMORY_H
#define LASTING_MEMORY_H

#include "postgres.h"

#include "utils/memutils.h"

/* Switches to a new memory context, and returns the one that was current. */
static inline MemoryContext
lasting_begin(const char *name)
{
	return MemoryContextSwitchTo(AllocSetContextCreateInternal(CurrentMemoryContext, name,
															   ALLOCSET_SMALL_SIZES));
}

/*
 * Makes the current memory context last until somebody deletes it, and switches back to
 * before.  Returns the context that lasts.  Cannot fail.
 */
static inline MemoryContext
lasting_keep(MemoryContext before)
{
	MemoryContext kept = CurrentMemoryContext;

	MemoryContextSetParent(kept, TopMemoryContext);
	MemoryContextSwitchTo(before);
	return kept;
}

#endif							/* LASTING_MEMORY_H */
