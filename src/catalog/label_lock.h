/*
 * label_lock.h
 *	  The lock of a KEK label, which keeps its administrators apart.
 */
#ifndef LABEL_LOCK_H
#define LABEL_LOCK_H

#include "postgres.h"

#include "storage/lock.h"

typedef enum LabelLock
{
	LABEL_LOCK_STATE,			/* for a change of one version's state */
	LABEL_LOCK_VERSIONS			/* for what depends on all versions: one
								 * holder at a time */
} LabelLock;

/* Takes the lock until the end of the transaction. */
extern void label_lock(const char *label, LabelLock kind);

/*
 * Whether nobody is at work on the label: who has changed one of its KEKs before has ended
 * then, and every session can have heard of it.  Leaves no lock.
 */
extern bool label_is_quiet(const char *label);

/* The lock as the lock manager knows it. */
extern void label_lock_tag(LOCKTAG *tag, const char *label);

#endif							/* LABEL_LOCK_H */
