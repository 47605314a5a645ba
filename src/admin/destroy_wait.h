/*
 * destroy_wait.h
 *	  Waits until no transaction has a key under a KEK that is not in a committed table, so
 *	  that kek_destroy() can count all keys.
 */
#ifndef DESTROY_WAIT_H
#define DESTROY_WAIT_H

#include "postgres.h"

#include "../catalog/kek_row.h"

/*
 * Waits for all transactions that may have a key under the KEK that they have not stored
 * yet.  The KEK must not be active.  Takes no lock on a table.
 */
extern void destroy_wait_for_others(const char *label, int32 version);

/*
 * Does the same, unless this transaction has done it already.  Then locks all relations with
 * wrapped keys until the transaction ends, so that nobody writes to them.  After that, all
 * keys under the KEK can be read from these relations.
 */
extern void destroy_hold_keys_still(const char *label, int32 version);

/*
 * Raises an error unless destroy_hold_keys_still() was called for the KEK, and the KEK was
 * not changed since.
 */
extern void destroy_check_unchanged(const KekRow *row);

#endif							/* DESTROY_WAIT_H */
