/*
 * destroy_wait.h
 *	  Brings about a moment at which no key under a KEK is on its way into a table.
 */
#ifndef DESTROY_WAIT_H
#define DESTROY_WAIT_H

#include "postgres.h"

#include "../catalog/kek_row.h"

/*
 * Waits for the transactions that may hold a key of a KEK that they have not stored.  The KEK
 * must not be active.  Takes no lock on a table.
 */
extern void destroy_wait_for_others(const char *label, int32 version);

/*
 * The same, unless it was done in this transaction; then locks all relations with
 * wrapped keys against writers, until the transaction ends.  What is read from them
 * after that is all there is.
 */
extern void destroy_hold_keys_still(const char *label, int32 version);

/* An error unless that was done for the KEK, which has not been changed since. */
extern void destroy_check_unchanged(const KekRow *row);

#endif							/* DESTROY_WAIT_H */
