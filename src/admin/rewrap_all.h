/*
 * rewrap_all.h
 *	  Rewraps all keys of a label, in all tables of the database.
 */
#ifndef REWRAP_ALL_H
#define REWRAP_ALL_H

#include "postgres.h"

/*
 * From the versions that unwrap only to the active one; only: one table with
 * its partitions and heirs, or InvalidOid.  Commits the transaction it is called in, and
 * then each batch, so it must be called from a procedure that may.  Takes the
 * privilege rewrap on the label, and SELECT and UPDATE on the columns.
 */
extern void rewrap_all(const char *label, int batch_size, int64 sleep_us, Oid only);

#endif							/* REWRAP_ALL_H */
