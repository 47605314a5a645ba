/*
 * key_count.h
 *	  How many keys in a column each KEK wraps.
 */
#ifndef KEY_COUNT_H
#define KEY_COUNT_H

#include "postgres.h"

#include "utils/relcache.h"
#include "utils/uuid.h"

typedef void (*KeyCountVisitor) (const pg_uuid_t *kek_id, int64 keys, void *arg);

/*
 * Counts the keys in a column of one relation, without its children, by the current
 * snapshot; calls the visitor for each KEK that wraps some.  The caller takes SELECT on
 * the column.  A relation or column that is gone has no keys.
 */
extern void count_keys(Oid relation, const char *column, KeyCountVisitor visitor, void *arg);

/*
 * Whether another extension may keep rows of a relation outside of its heap, where only a
 * statement without ONLY sees them.
 */
extern bool rows_can_be_elsewhere(Relation relation);

#endif							/* KEY_COUNT_H */
