/*
 * attempt.c
 *	  Work in a storage that may fail because of one message.
 *
 * Triggers, CHECKs and index expressions of the storage's tables run in it.  They can raise
 * errors with any SQLSTATE, failures of ASSERT, and query_canceled, which EXCEPTION WHEN OTHERS
 * of PL/pgSQL does not catch.
 */
#include "postgres.h"

#include "../common/cancel_watch.h"
#include "../common/outage.h"
#include "../common/subtransaction.h"
#include "attempt.h"

ErrorData *
attempt(void (*work) (void *arg), void *arg)
{
	Subtransaction state;
	CancelWatch watch;
	ErrorData  *volatile error = NULL;

	cancel_watch_begin(&watch, NULL);
	subtransaction_begin(&state);
	PG_TRY();
	{
		work(arg);
		subtransaction_commit(&state);
	}
	PG_CATCH();
	{
		error = subtransaction_catch(&state);
		if (error_is_outage(error))
			ReThrowError(error);
	}
	PG_END_TRY();
	cancel_watch_end(&watch);
	return error;
}
