/*
 * invalidation.h
 *	  When something that this backend remembers may no longer be so.
 */
#ifndef INVALIDATION_H
#define INVALIDATION_H

#include "postgres.h"

#include "utils/relcache.h"

/*
 * Each counts up when a message says that its subject may have changed: the
 * rows of the kek table; the grants on labels, role memberships and
 * superusers.  What was read before is trusted while the counter stands where
 * it stood before the read.
 */
extern uint64 kek_generation;
extern uint64 access_generation;

/* Registers the callbacks; once, from _PG_init. */
extern void invalidation_init(void);

/* Opens one of the extension's tables for reading; an error if it is gone. */
extern Relation open_kek_table(void);
extern Relation open_kek_privilege_table(void);

/* The oid of an index of the extension's schema, by name. */
extern Oid	vault_index_oid(const char *name);

#endif							/* INVALIDATION_H */
