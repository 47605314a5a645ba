/*
 * key_check.h
 *	  Checks whether the keys in a column open.
 */
#ifndef KEY_CHECK_H
#define KEY_CHECK_H

#include "postgres.h"

/* Gets the number of keys that have a problem; problem is NULL for the keys that open. */
typedef void (*KeyCheckVisitor) (const char *problem, int64 keys, void *arg);

/*
 * Opens each key in a column of one relation, without its children.  The current role needs
 * SELECT on the column, and on the label of a key a privilege that opens keys, or admin.  A
 * key of another label is not opened, and counts with a problem.
 */
extern void check_keys(Oid relation, const char *column, KeyCheckVisitor visitor, void *arg);

#endif							/* KEY_CHECK_H */
