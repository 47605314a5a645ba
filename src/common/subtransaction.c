/*
 * subtransaction.c
 *	  Subtransactions, for work that may fail without ending the caller's transaction.
 *
 * Invariant: however the subtransaction ends, the memory context and the resource
 * owner are again those of the caller; PostgreSQL does not set them back by itself.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "subtransaction.h"

static void
restore_caller(const Subtransaction *state)
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
	restore_caller(state);
}

void
subtransaction_roll_back(const Subtransaction *state)
{
	RollbackAndReleaseCurrentSubTransaction();
	restore_caller(state);
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
