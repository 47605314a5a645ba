/*
 * label_lock.h
 *	  The lock of a KEK label, so that two administrators do not change its KEKs at the
 *	  same time.
 */
#ifndef LABEL_LOCK_H
#define LABEL_LOCK_H

#include "postgres.h"

#include "storage/lock.h"

typedef enum LabelLock
{
	LABEL_LOCK_STATE,			/* to change the state of one version */
	LABEL_LOCK_VERSIONS			/* for changes that depend on all versions;
								 * only one transaction can have it */
} LabelLock;

/*
 * Takes the lock until the end of the transaction.  Returns false if the transaction had it
 * already.
 */
extern bool label_lock(const char *label, LabelLock kind);

/*
 * Whether no transaction has the label's lock.  Then all transactions that have changed one
 * of its KEKs have ended, and their messages were sent.  Leaves no lock behind.
 */
extern bool label_is_quiet(const char *label);

/* Sets tag to the tag that the lock manager knows the lock by. */
extern void label_lock_tag(LOCKTAG *tag, const char *label);

#endif							/* LABEL_LOCK_H */
