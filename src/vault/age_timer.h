/*
 * age_timer.h
 *	  Says when cached keys may have grown too old.
 */
#ifndef AGE_TIMER_H
#define AGE_TIMER_H

#include "postgres.h"

#include <signal.h>

/* Set when it is time to look at the keys' ages; cleared by whoever does. */
extern volatile sig_atomic_t age_timer_due;

/* Sets age_timer_due after so many milliseconds, or before. */
extern void age_timer_start(int milliseconds);

/* Registers what starts it again after an error; from _PG_init. */
extern void age_timer_init(void);

#endif							/* AGE_TIMER_H */
