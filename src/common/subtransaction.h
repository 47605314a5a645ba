/*
 * subtransaction.h
 *	  Subtransactions, for work that may fail without ending the caller's transaction.
 */
#ifndef SUBTRANSACTION_H
#define SUBTRANSACTION_H

#include "postgres.h"

#include "utils/resowner.h"

/* What is current in the caller, and is set back at the end of the subtransaction. */
typedef struct Subtransaction
{
	MemoryContext context;
	ResourceOwner resource_owner;
} Subtransaction;

/*
 * Begins a subtransaction; the memory context stays the caller's.  To be called right
 * before PG_TRY().
 */
extern void subtransaction_begin(Subtransaction *state);

extern void subtransaction_commit(const Subtransaction *state);
extern void subtransaction_roll_back(const Subtransaction *state);

/*
 * To be called in PG_CATCH(): rolls back, and returns the error.  The caller raises it
 * again with ReThrowError(), or goes on without it.
 */
extern ErrorData *subtransaction_catch(const Subtransaction *state);

#endif							/* SUBTRANSACTION_H */
