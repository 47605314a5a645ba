/*
 * key_count.h
 *	  Counts the keys in a column for each KEK, and the key envelopes in a column of a
 *	  storage for each label.
 */
#ifndef KEY_COUNT_H
#define KEY_COUNT_H

#include "postgres.h"

#include "utils/uuid.h"

typedef void (*KeyCountVisitor) (const pg_uuid_t *kek_id, int64 keys, void *arg);
typedef void (*EnvelopeCountVisitor) (const char *label, int64 envelopes, void *arg);

/*
 * Counts the keys in a column of one relation, without its children, by the current
 * snapshot; calls the visitor for each KEK that wraps some.  The current role needs SELECT
 * on the column.  A relation or column that does not exist any more has no keys.
 */
extern void count_keys(Oid relation, const char *column, KeyCountVisitor visitor, void *arg);

/*
 * Does the same for the key envelopes that a storage has not opened, by KEK label.  The
 * column has either encrypted keys (bytea), and kek_label is the column with their labels, or
 * whole messages (jsonb).
 */
extern void count_envelopes(Oid relation, const char *column, EnvelopeCountVisitor visitor,
							void *arg);

#endif							/* KEY_COUNT_H */
