/*
 * cancel_watch.c
 *	  Notices that a statement is cancelled, even if the code that runs hides it.
 *
 * A cancellation or statement_timeout raises its error once.  Code in PL/pgSQL can catch it
 * and go on, or raise another error instead, and some languages turn it into an exception of
 * their own.  Then PostgreSQL knows nothing of the cancellation any more.  But it calls the
 * error context callbacks for each error when it is raised, whoever catches it later.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "cancel_watch.h"
#include "errors.h"
#include "outage.h"

static void
note_cancellation(void *arg)
{
	CancelWatch *watch = arg;
	MemoryContext previous;
	ErrorData  *error;

	if (geterrcode() != ERRCODE_QUERY_CANCELED)
		return;
	previous = MemoryContextSwitchTo(watch->context);
	error = CopyErrorData();
	if (error_cancels_statement(error))
		strlcpy(watch->message, error->message, sizeof(watch->message));
	FreeErrorData(error);
	MemoryContextSwitchTo(previous);
}

void
cancel_watch_begin(CancelWatch *watch, const char *table)
{
	watch->context = CurrentMemoryContext;
	watch->table = table;
	watch->message[0] = '\0';
	watch->callback.callback = note_cancellation;
	watch->callback.arg = watch;
	watch->callback.previous = error_context_stack;
	error_context_stack = &watch->callback;
}

void
cancel_watch_end(CancelWatch *watch)
{
	error_context_stack = watch->callback.previous;
	cancel_watch_check(watch);
}

void
cancel_watch_check(const CancelWatch *watch)
{
	if (watch->message[0] == '\0')
		return;
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg_internal("%s", watch->message),
			 watch->table != NULL ?
			 errdetail("Code of table %s's owner caught the error and went on.", watch->table) :
			 errdetail("Code of a table's owner caught the error and went on.")));
}
