/*
 * age_timer.c
 *	  Sets a flag when cached keys may be older than key_vault.cache_max_age.
 *
 * The flag is set by one of PostgreSQL's timeouts.  Reading the clock at each look-up
 * would take as long as finding the key.
 *
 * Invariant: as long as there are cached keys and a limit on their age, either the timer
 * runs or the flag is set.  PostgreSQL stops all timeouts after an error, so at the end of
 * each transaction and of each subtransaction that aborts, the flag is set if the timer
 * does not run any more.
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
set_flag_if_stopped(void)
{
	if (timeout != MAX_TIMEOUTS && !get_timeout_active(timeout))
		age_timer_due = true;
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	set_flag_if_stopped();
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		set_flag_if_stopped();
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
	/*
	 * The timeout is not registered by _PG_init(), which may run in the
	 * postmaster: the postmaster's children do not inherit timeouts.
	 */
	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, timeout_handler);
	if (!get_timeout_active(timeout) ||
		get_timeout_finish_time(timeout) >
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds))
		enable_timeout_after(timeout, milliseconds);
}
