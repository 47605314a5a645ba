/*
 * label_lock.c
 *	  The lock of a KEK label, so that two administrators do not change its KEKs at the
 *	  same time.
 *
 * A function that makes a version, or looks at several versions of a label to change one
 * (kek_create, kek_import, kek_rotate, kek_resume, kek_grant ...), takes
 * LABEL_LOCK_VERSIONS.  A function that changes the state of one version, whatever the
 * others are (kek_suspend, kek_compromise, and kek_destroy when it erases), takes
 * LABEL_LOCK_STATE, which waits for no other administrator; two of these are kept apart
 * by the lock on the row.  So in an emergency, kek_suspend waits only for a transaction
 * that has changed the same version and has not committed yet.
 *
 * ARCHITECTURE.md has the order of locks.  No function waits for a row of kek while it has
 * LABEL_LOCK_VERSIONS: see src/admin/kek_lock.c.
 *
 * Invariants:
 * - A transaction that changes a KEK has the label's lock until PostgreSQL has sent the
 *   messages about the change: at its end, locks are released after that.
 * - No SQL function can take a lock with this tag, so only administrators of a label can
 *   hold it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "label_lock.h"

/*
 * The last field of the lock's tag.  pg_advisory_lock() uses 1 and 2, rewrap_all() uses
 * 19318.
 */
#define LABEL_LOCK_CLASS 19319

static LOCKMODE
lock_mode(LabelLock kind)
{
	/* The second mode conflicts with itself, but not with the first. */
	return kind == LABEL_LOCK_STATE ? RowShareLock : ShareUpdateExclusiveLock;
}

void
label_lock_tag(LOCKTAG *tag, const char *label)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0,
						 DatumGetUInt32(hash_any((const unsigned char *) label, strlen(label))),
						 LABEL_LOCK_CLASS);
}

bool
label_lock(const char *label, LabelLock kind)
{
	LOCKTAG		tag;

	label_lock_tag(&tag, label);
	return LockAcquire(&tag, lock_mode(kind), false, false) != LOCKACQUIRE_ALREADY_HELD;
}

bool
label_is_quiet(const char *label)
{
	LOCKTAG		tag;

	/*
	 * This mode conflicts with both kinds.  The function does not wait for
	 * the lock, so nobody has to wait behind it.
	 */
	label_lock_tag(&tag, label);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	(void) LockRelease(&tag, ExclusiveLock, false);
	return true;
}
