/*
 * subtransaction.h
 *	  Work that may fail without ending the caller's transaction.
 */
#ifndef SUBTRANSACTION_H
#define SUBTRANSACTION_H

#include "postgres.h"

#include "utils/resowner.h"

/* What the caller has, and gets back at the end of the subtransaction. */
typedef struct Subtransaction
{
	MemoryContext context;
	ResourceOwner resource_owner;
} Subtransaction;

/* Begins a subtransaction, in the caller's memory context, right before PG_TRY(). */
extern void subtransaction_begin(Subtransaction *state);

extern void subtransaction_commit(const Subtransaction *state);
extern void subtransaction_roll_back(const Subtransaction *state);

/*
 * Rolls back in PG_CATCH(), and returns the error, which is over then: the caller
 * raises it again with ReThrowError(), or goes on.
 */
extern ErrorData *subtransaction_catch(const Subtransaction *state);

#endif							/* SUBTRANSACTION_H */
