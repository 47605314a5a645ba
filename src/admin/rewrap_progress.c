/*
 * rewrap_progress.c
 *	  The progress of rewrap_all() with a table, which others can see and from which the next
 *	  run can go on; and the lock that lets only one run at a time work on a table.
 *
 * Invariants:
 * - The progress is written in the transaction of the batch, so that it is never ahead of
 *   what was rewrapped.
 * - Only the lock says whether a run is working on a table; it ends with the run's session,
 *   in whatever way that ends.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#if PG_VERSION_NUM >= 170000
#include "storage/procarray.h"
#else
#include "storage/sinvaladt.h"
#endif
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "../catalog/audit_log.h"
#include "../catalog/extension_owner.h"
#include "rewrap_progress.h"

/*
 * The last field of the lock's tag; pg_advisory_lock() uses 1 and 2.  The view
 * rewrap_progress has the same number.
 */
#define REWRAP_LOCK_CLASS 19318

static LOCKTAG held_lock;
static bool lock_is_held = false;

static uint32
label_hash(const char *label)
{
	return DatumGetUInt32(hash_any((const unsigned char *) label, strlen(label)));
}

void
rewrap_unlock(void)
{
	if (lock_is_held)
	{
		lock_is_held = false;
		LockRelease(&held_lock, ExclusiveLock, true);
	}
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		rewrap_unlock();
}

static int
lock_holder(const LOCKTAG *tag)
{
	VirtualTransactionId *holders = GetLockConflicts(tag, ExclusiveLock, NULL);
	PGPROC	   *holder;

	if (!VirtualTransactionIdIsValid(holders[0]))
		return 0;
#if PG_VERSION_NUM >= 170000
	holder = ProcNumberGetProc(holders[0].procNumber);
#else
	holder = BackendIdGetProc(holders[0].backendId);
#endif
	return holder ? holder->pid : 0;
}

bool
rewrap_lock(const char *label, Oid relation, int *holder)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		registered = true;
	}
	SET_LOCKTAG_ADVISORY(held_lock, MyDatabaseId, relation, label_hash(label), REWRAP_LOCK_CLASS);
	if (LockAcquire(&held_lock, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		*holder = lock_holder(&held_lock);
		return false;
	}
	lock_is_held = true;
	return true;
}

/* Writes to the audit log, once for each table of a run. */
static void
audit(const RewrapProgress *progress, int64 rows, int64 keys, bool finished)
{
	StringInfoData details;

	initStringInfo(&details);
	appendStringInfoString(&details, "{\"table\": ");
	escape_json(&details, quote_qualified_identifier(get_namespace_name(get_rel_namespace(progress->relation)),
													 get_rel_name(progress->relation)));
	appendStringInfo(&details, ", \"rows\": " INT64_FORMAT ", \"keys\": " INT64_FORMAT
					 ", \"finished\": %s}", rows, keys, finished ? "true" : "false");
	audit_log_write("rewrapped", progress->label, 0, details.data);
}

bool
rewrap_progress_begin(RewrapProgress *progress)
{
	ExtensionOwner owner;
	bool		resumed = false;
	bool		stopped;
	int64		rows = 0;
	int64		keys = 0;
	Oid			types[] = {TEXTOID, OIDOID, UUIDOID, OIDOID};
	Datum		values[] = {CStringGetTextDatum(progress->label),
		ObjectIdGetDatum(progress->relation), UUIDPGetDatum(&progress->kek_id),
	ObjectIdGetDatum(label_hash(progress->label))};

	progress->started_at = GetCurrentTimestamp();
	extension_owner_begin(&owner);
	stopped = extension_owner_execute("SELECT kek_id = $3, pass, next_row, end_block, rows, keys "
									  "FROM key_vault.rewrap_state WHERE label = $1 AND relation = $2 "
									  "AND finished_at IS NULL", 3, types, values, NULL) > 0;
	if (stopped)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		rows = DatumGetInt64(SPI_getbinval(row, desc, 5, &isnull));
		keys = DatumGetInt64(SPI_getbinval(row, desc, 6, &isnull));
		resumed = DatumGetBool(SPI_getbinval(row, desc, 1, &isnull));
		if (resumed)
		{
			progress->pass = DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull));
			progress->next = *(ItemPointer) DatumGetPointer(SPI_getbinval(row, desc, 3, &isnull));
			progress->end_block = DatumGetInt64(SPI_getbinval(row, desc, 4, &isnull));
			progress->first_block = ItemPointerGetBlockNumberNoCheck(&progress->next);
		}
	}
	extension_owner_execute("INSERT INTO key_vault.rewrap_state "
							"(label, relation, kek_id, lock_id, pass, next_row, first_block, end_block) "
							"VALUES ($1, $2, $3, $4, 1, '(0,1)', 0, 0) "
							"ON CONFLICT (label, relation) DO UPDATE SET kek_id = $3, "
							"rows = 0, keys = 0, rows_failed = 0, rows_left = NULL, "
							"started_at = clock_timestamp(), updated_at = clock_timestamp(), "
							"finished_at = NULL",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
	if (stopped && rows > 0)
		audit(progress, rows, keys, false);
	return resumed;
}

void
rewrap_progress_write(const RewrapProgress *progress, bool finished)
{
	ExtensionOwner owner;
	Oid			types[] = {TEXTOID, OIDOID, INT4OID, TIDOID, INT8OID, INT8OID, INT8OID,
	INT8OID, INT8OID, INT8OID, BOOLOID, UUIDOID};
	Datum		values[] = {CStringGetTextDatum(progress->label),
		ObjectIdGetDatum(progress->relation), Int32GetDatum(progress->pass),
		PointerGetDatum(&progress->next), Int64GetDatum(progress->first_block),
		Int64GetDatum(progress->end_block), Int64GetDatum(progress->rows),
		Int64GetDatum(progress->keys), Int64GetDatum(progress->rows_failed),
		Int64GetDatum(progress->rows_left), BoolGetDatum(finished),
	UUIDPGetDatum(&progress->kek_id)};

	extension_owner_begin(&owner);
	extension_owner_execute("UPDATE key_vault.rewrap_state SET pass = $3, next_row = $4, "
							"first_block = $5, end_block = $6, rows = $7, keys = $8, "
							"rows_failed = $9, rows_left = nullif($10, -1), "
							"finished_at = CASE WHEN $11 THEN clock_timestamp() END, "
							"updated_at = clock_timestamp(), kek_id = $12 "
							"WHERE label = $1 AND relation = $2",
							lengthof(types), types, values, NULL);
	extension_owner_end(&owner);
	if (finished && progress->rows > 0)
		audit(progress, progress->rows, progress->keys, true);
}

void
rewrap_progress_figures(const RewrapProgress *progress, double *percent,
						double *rate, double *seconds_left)
{
	double		seconds = (GetCurrentTimestamp() - progress->started_at) / 1e6;
	double		next = ItemPointerGetBlockNumberNoCheck(&progress->next);
	double		done = next - progress->first_block;

	next = Min(next, progress->end_block);
	*percent = progress->end_block > 0 ? 100.0 * next / progress->end_block : 100.0;
	*rate = seconds > 0 ? progress->keys / seconds : 0;
	*seconds_left = done > 0 ? seconds * (progress->end_block - next) / done : 0;
}

void
rewrap_progress_forget_dropped(void)
{
	ExtensionOwner owner;

	extension_owner_begin(&owner);
	extension_owner_execute("DELETE FROM key_vault.rewrap_state s WHERE NOT EXISTS "
							"(SELECT FROM pg_class c WHERE c.oid = s.relation)",
							0, NULL, NULL, NULL);
	extension_owner_end(&owner);
}
