/*
 * invalidation.h
 *	  When something that this backend remembers may no longer be so.
 */
#ifndef INVALIDATION_H
#define INVALIDATION_H

#include "postgres.h"

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

/*
 * The tables whose messages count.  Whoever opens one writes its oid here before
 * it is read, so that no message about what is read goes uncounted.
 */
extern Oid	invalidation_kek_table;
extern Oid	invalidation_kek_privilege_table;

#endif							/* INVALIDATION_H */
