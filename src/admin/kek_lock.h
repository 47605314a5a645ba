/*
 * kek_lock.h
 *	  The locks that the administration of KEKs takes, and their order.
 *
 * kek_lock_label() and kek_work_on_label() raise an error unless the current role has the
 * privilege admin on the label.
 */
#ifndef KEK_LOCK_H
#define KEK_LOCK_H

#include "postgres.h"

#include "../catalog/kek_row.h"
#include "../catalog/label_lock.h"

/*
 * Begins the administration of a label: checks the privilege, and locks the label and the table
 * kek until the transaction ends.  Returns false if the transaction had the label's lock before.
 */
extern bool kek_lock_label(const char *label, LabelLock kind);

/*
 * Locks a version's row, and returns it as it is then.  It waits for a transaction that has
 * changed the row and is not committed, so the caller must not have LABEL_LOCK_VERSIONS.
 */
extern KekRow *kek_lock_version(const char *label, int32 version);

/* Does the same without waiting; returns NULL if another transaction has locked the row. */
extern KekRow *kek_try_lock_version(const char *label, int32 version);

/*
 * Work that depends on all versions of a label, and changes some of them.  It is the first
 * member of a struct that has the function's arguments and result.
 */
typedef struct LabelWork
{
	const char *label;
	void		(*function) (struct LabelWork *work);
	int32		busy_version;	/* what kek_try_lock_version() could not lock,
								 * or 0; set by the function */
} LabelWork;

/*
 * Calls work->function with LABEL_LOCK_VERSIONS held.  If it sets busy_version, all that it did
 * is rolled back, and it is called again when that version's row is free.
 */
extern void kek_work_on_label(LabelWork *work);

#endif							/* KEK_LOCK_H */
