/*
 * label_lock.c
 *	  The lock of a KEK label, which keeps its administrators apart.
 *
 * Who makes a version, or looks at several versions of a label to change one
 * (kek_create, kek_import, kek_rotate, kek_resume, kek_grant ...), holds LABEL_LOCK_VERSIONS.  Who
 * changes the state of one version whatever the others are (kek_suspend, kek_compromise,
 * the erasure) holds LABEL_LOCK_STATE, which waits for no administrator: the version's row
 * lock is enough between these.  So an emergency waits only for somebody who
 * has changed the very same version and not committed yet.
 *
 * The order in which locks are taken, by everybody:
 * 1. the label (this file),
 * 2. the table kek: ROW EXCLUSIVE, or SHARE ROW EXCLUSIVE for root_key_rotate(), which queues
 *    for a part of a second at a time,
 * 3. the rows of kek,
 * 4. rows of the audit log and of the schedule.
 * kek_destroy() holds locks on others' tables while it takes these.  So it waits for none of
 * them without being ready to let go: see src/admin/destroy_wait.c.
 *
 * Invariants:
 * - Everybody who changes a KEK holds the label's lock until PostgreSQL has sent the
 *   messages about the change, since locks are released after them.
 * - No SQL function locks this tag: nobody but administrators of a label can hold it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "label_lock.h"

/* Not 1 or 2, which are pg_advisory_lock()'s, nor 19318, which is rewrap_all()'s. */
#define LABEL_LOCK_CLASS 19319

static LOCKMODE
lock_mode(LabelLock kind)
{
	/* The second conflicts with itself, and not with the first. */
	return kind == LABEL_LOCK_STATE ? RowShareLock : ShareUpdateExclusiveLock;
}

void
label_lock_tag(LOCKTAG *tag, const char *label)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0,
						 DatumGetUInt32(hash_any((const unsigned char *) label, strlen(label))),
						 LABEL_LOCK_CLASS);
}

void
label_lock(const char *label, LabelLock kind)
{
	LOCKTAG		tag;

	label_lock_tag(&tag, label);
	(void) LockAcquire(&tag, lock_mode(kind), false, false);
}

bool
label_is_quiet(const char *label)
{
	LOCKTAG		tag;

	/* Conflicts with both kinds, and never queues: nobody waits behind it. */
	label_lock_tag(&tag, label);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockRelease(&tag, ExclusiveLock, false);
	return true;
}
