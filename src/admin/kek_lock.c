/*
 * kek_lock.c
 *	  The locks that the administration of KEKs takes, and their order.
 *
 * A function that changes one version, such as kek_compromise(), locks only that version's row.
 * Its transaction may lock the label after that, for example by kek_rotate().  A function that
 * makes a version locks the label first, and then the row of the version that was active.  If
 * two transactions waited for each other in this way, PostgreSQL would end one of them, which
 * may be the one that an emergency needs.
 *
 * Invariant: a transaction does not wait for a row of kek while it has LABEL_LOCK_VERSIONS.  If
 * the row is locked, it rolls back what it has done with the label, waits for the row without the
 * label's lock, releases the row, and begins again.  If an earlier call of the same transaction
 * took the label's lock, it cannot be released: then the wait is short, and ends in an error.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/uuid.h"

#include "../catalog/access.h"
#include "../catalog/extension_owner.h"
#include "../catalog/kek_label.h"
#include "../catalog/vault_tables.h"
#include "../common/errors.h"
#include "../common/subtransaction.h"
#include "kek_lock.h"

/*
 * How long a transaction with the label's lock waits for a row at most, in milliseconds.  It
 * also waits for half of deadlock_timeout at most, so that it gives up before PostgreSQL ends
 * the other transaction because of a deadlock.
 */
#define MAX_WAIT_WITH_LABEL_MS 500

bool
kek_lock_label(const char *label, LabelLock kind)
{
	bool		is_new;

	PreventCommandDuringRecovery("administration of KEKs");
	kek_label_check(label);

	/*
	 * A role without the privilege does not wait for the lock.  After the
	 * wait the privilege may have been revoked.
	 */
	access_require(label, KEK_ADMIN);
	is_new = label_lock(label, kind);
	LockRelationOid(vault_tables_oid("kek"), RowExclusiveLock);
	access_require(label, KEK_ADMIN);
	return is_new;
}

/* Returns false if the row could not be locked, which happens only with SKIP LOCKED. */
static bool
lock_row(const KekRow *row, const char *sql)
{
	ExtensionOwner owner;
	Oid			types[] = {UUIDOID};
	Datum		values[] = {UUIDPGetDatum(&row->kek_id)};
	bool		locked;

	extension_owner_begin(&owner);
	locked = extension_owner_execute(sql, lengthof(types), types, values, NULL) > 0;
	extension_owner_end(&owner);
	return locked;
}

KekRow *
kek_lock_version(const char *label, int32 version)
{
	(void) lock_row(kek_row_existing(label, version),
					"SELECT FROM key_vault.kek WHERE kek_id = $1 FOR NO KEY UPDATE");
	return kek_row_existing(label, version);
}

KekRow *
kek_try_lock_version(const char *label, int32 version)
{
	if (!lock_row(kek_row_existing(label, version),
				  "SELECT FROM key_vault.kek WHERE kek_id = $1 FOR NO KEY UPDATE SKIP LOCKED"))
		return NULL;
	return kek_row_existing(label, version);
}

/*
 * Waits until no other transaction has locked the row, and keeps no lock.  Returns false after
 * limit_ms milliseconds; 0 is no limit.
 */
static bool
wait_until_free(const char *label, int32 version, int limit_ms)
{
	Subtransaction subtransaction;
	int			save_lock_timeout = LockTimeout;
	volatile bool is_free = true;

	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		if (limit_ms > 0)
			LockTimeout = LockTimeout > 0 ? Min(LockTimeout, limit_ms) : limit_ms;
		(void) kek_lock_version(label, version);
		LockTimeout = save_lock_timeout;
		subtransaction_roll_back(&subtransaction);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = save_lock_timeout;
		error = subtransaction_catch(&subtransaction);
		if (limit_ms == 0 || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		is_free = false;
	}
	PG_END_TRY();
	return is_free;
}

/* has_label: an earlier call of this transaction took the label's lock. */
static void
wait_for_version(const char *label, int32 version, bool has_label)
{
	int			limit_ms = Max(1, Min(MAX_WAIT_WITH_LABEL_MS, DeadlockTimeout / 2));

	if (!has_label)
		(void) wait_until_free(label, version, 0);
	else if (!wait_until_free(label, version, limit_ms))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("KEK label \"%s\" version %d is being changed by another transaction", label,
						version),
				 errdetail("This transaction has locked the label in an earlier call, and the other may wait for it."),
				 errhint("Roll back, and try again.")));
}

void
kek_work_on_label(LabelWork *work)
{
	for (;;)
	{
		Subtransaction subtransaction;
		volatile bool had_label = false;

		CHECK_FOR_INTERRUPTS();
		work->busy_version = 0;
		subtransaction_begin(&subtransaction);
		PG_TRY();
		{
			had_label = !kek_lock_label(work->label, LABEL_LOCK_VERSIONS);
			work->function(work);
		}
		PG_CATCH();
		{
			ReThrowError(subtransaction_catch(&subtransaction));
		}
		PG_END_TRY();
		if (work->busy_version == 0)
		{
			subtransaction_commit(&subtransaction);
			return;
		}
		subtransaction_roll_back(&subtransaction);
		wait_for_version(work->label, work->busy_version, had_label);
	}
}
