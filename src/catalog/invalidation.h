/*
 * invalidation.h
 *	  Counters that say that KEKs or privileges may have changed.
 */
#ifndef INVALIDATION_H
#define INVALIDATION_H

#include "postgres.h"

/*
 * kek_generation counts the messages that rows of the table kek may have changed;
 * access_generation those about privileges on labels, role memberships and superusers.
 * What was read remains true as long as the counter has the value that it had before
 * the reading.
 */
extern uint64 kek_generation;
extern uint64 access_generation;

/* Registers the callbacks; called once. */
extern void invalidation_init(void);

/*
 * The tables whose messages are counted.  vault_tables.c sets an oid here before the table
 * is read, so that every message about what is read is counted.
 */
extern Oid	invalidation_kek_table;
extern Oid	invalidation_kek_privilege_table;

#endif							/* INVALIDATION_H */
