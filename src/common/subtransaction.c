/*
 * subtransaction.c
 *	  Work that may fail without ending the caller's transaction.
 *
 * Invariant: after each way out the caller has its memory context and its resource
 * owner again, which PostgreSQL does not give back by itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "subtransaction.h"

static void
give_back(const Subtransaction *state)
{
	MemoryContextSwitchTo(state->context);
	CurrentResourceOwner = state->resource_owner;
}

void
subtransaction_begin(Subtransaction *state)
{
	state->context = CurrentMemoryContext;
	state->resource_owner = CurrentResourceOwner;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(state->context);
}

void
subtransaction_commit(const Subtransaction *state)
{
	ReleaseCurrentSubTransaction();
	give_back(state);
}

void
subtransaction_roll_back(const Subtransaction *state)
{
	RollbackAndReleaseCurrentSubTransaction();
	give_back(state);
}

ErrorData *
subtransaction_catch(const Subtransaction *state)
{
	ErrorData  *error;

	MemoryContextSwitchTo(state->context);
	error = CopyErrorData();
	FlushErrorState();
	subtransaction_roll_back(state);
	return error;
}
