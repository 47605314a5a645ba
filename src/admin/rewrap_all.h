/*
 * rewrap_all.h
 *	  Rewraps all keys of a label, in all tables of the database.
 */
#ifndef REWRAP_ALL_H
#define REWRAP_ALL_H

#include "postgres.h"

/*
 * Rewraps from deactivated and compromised versions to the active one.  only is one table
 * (with its partitions and children), or InvalidOid for all tables.  Waits sleep_us
 * microseconds after each batch.  Commits the transaction in which it is called, and each
 * batch, so it must be called by a procedure that may commit.  The current role needs the
 * privilege rewrap on the label, and SELECT and UPDATE on the columns.
 */
extern void rewrap_all(const char *label, int batch_size, int64 sleep_us, Oid only);

#endif							/* REWRAP_ALL_H */
