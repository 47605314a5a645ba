/*
 * age_timer.c
 *	  Says when cached keys may have grown too old.
 *
 * A flag, set by one of PostgreSQL's timeouts: reading the clock at each look-up
 * would cost as much as finding the key.
 *
 * Invariant: while there are cached keys with an age limit, the timer runs or
 * the flag is set.  PostgreSQL stops all timeouts after an error, whether that ends the
 * transaction or, after SAVEPOINT, a subtransaction only.  So each end of either looks
 * whether the timer still runs.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "age_timer.h"

volatile	sig_atomic_t age_timer_due = false;

static TimeoutId timeout = MAX_TIMEOUTS;

/* Runs in a signal handler. */
static void
timeout_handler(void)
{
	age_timer_due = true;
}

static void
look_at_timer(void)
{
	if (timeout != MAX_TIMEOUTS && !get_timeout_active(timeout))
		age_timer_due = true;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	look_at_timer();
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		look_at_timer();
}

void
age_timer_init(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

void
age_timer_start(int milliseconds)
{
	/* Not in _PG_init: a child of the postmaster begins without timeouts. */
	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, timeout_handler);
	if (!get_timeout_active(timeout) ||
		get_timeout_finish_time(timeout) >
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds))
		enable_timeout_after(timeout, milliseconds);
}
