/*
 * age_timer.h
 *	  Sets a flag when cached keys may be older than key_vault.cache_max_age.
 */
#ifndef AGE_TIMER_H
#define AGE_TIMER_H

#include "postgres.h"

#include <signal.h>

/* True when the ages of the cached keys are to be checked; the cache clears it. */
extern volatile sig_atomic_t age_timer_due;

/* Makes age_timer_due true after this number of milliseconds, or before. */
extern void age_timer_start(int milliseconds);

/* Registers the callbacks at the end of transactions; called once. */
extern void age_timer_init(void);

#endif							/* AGE_TIMER_H */
