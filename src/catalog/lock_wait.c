/*
 * lock_wait.c
 *	  Waiting for other transactions and for locks, for callers that give way.
 *
 * A wait is cut into slices that are shorter than deadlock_timeout.  Between two slices
 * it is checked whether the other transaction waits for this one.  So a deadlock is
 * noticed before PostgreSQL's detector does, which might end the other transaction, and
 * the caller can release its locks and begin again.  In a slice the lock manager waits
 * as usual, so that pg_locks and pg_blocking_pids() show it.
 *
 * Invariants:
 * - Each slice is a subtransaction, so that its end leaves nothing in the lock manager's
 *   queue.
 * - All waits with the same LockPatience together take no longer than lock_timeout.
 * - A cancellation ends a wait at once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#if PG_VERSION_NUM < 170000
#include "storage/sinvaladt.h"
#endif
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "../common/subtransaction.h"
#include "lock_wait.h"

/* A wait that takes longer than this time gets a notice, in microseconds. */
#define NOTICE_AFTER_US INT64CONST(1000000)

/* A slice takes half of deadlock_timeout, within these limits, in milliseconds. */
#define MIN_SLICE_MS 10
#define MAX_SLICE_MS 500

static PGPROC *
vxid_proc(VirtualTransactionId vxid)
{
#if PG_VERSION_NUM >= 170000
	return ProcNumberGetProc(vxid.procNumber);
#else
	return BackendIdGetProc(vxid.backendId);
#endif
}

/* The process of a transaction; 0 if it is prepared or has ended. */
static int
holder_pid(const LockWait *wait)
{
	PGPROC	   *proc;

	if (OidIsValid(wait->relation) || TransactionIdIsValid(wait->xid) ||
		VirtualTransactionIdIsRecoveredPreparedXact(wait->vxid))
		return 0;
	proc = vxid_proc(wait->vxid);

	/* A process that has prepared the transaction runs another one now. */
#if PG_VERSION_NUM >= 170000
	if (proc == NULL || proc->vxid.lxid != wait->vxid.localTransactionId)
		return 0;
#else
	if (proc == NULL || proc->lxid != wait->vxid.localTransactionId)
		return 0;
#endif
	return proc->pid;
}

/*
 * Whether a process waits for this session, directly or through others.  pids are those
 * that were looked at, so that processes that wait for each other cause no endless loop.
 */
static bool
pid_is_blocked(int pid, List **pids)
{
	ArrayType  *blockers;

	if (pid == MyProcPid)
		return true;
	if (pid == 0 || list_member_int(*pids, pid))
		return false;
	*pids = lappend_int(*pids, pid);
	blockers = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	for (int i = 0; i < ArrayGetNItems(ARR_NDIM(blockers), ARR_DIMS(blockers)); i++)
		if (pid_is_blocked(((int32 *) ARR_DATA_PTR(blockers))[i], pids))
			return true;
	return false;
}

/* Whether the other transaction waits for this session, directly or through others. */
static bool
is_blocked(const LockWait *wait)
{
	List	   *pids = NIL;

	if (OidIsValid(wait->relation))
	{
		LOCKTAG		tag;
		ListCell   *cell;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, wait->relation);
		foreach(cell, lock_wait_conflicts(&tag, wait->mode))
			if (is_blocked(lfirst(cell)))
			return true;
		return false;
	}
	return pid_is_blocked(holder_pid(wait), &pids);
}

const char *
lock_wait_name(const LockWait *wait)
{
	if (OidIsValid(wait->relation))
	{
		LOCKTAG		tag;
		List	   *holders;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, wait->relation);
		holders = lock_wait_conflicts(&tag, wait->mode);
		return psprintf("%s, which holds a lock on table %s",
						holders == NIL ? "a transaction" : lock_wait_name(linitial(holders)),
						get_rel_name(wait->relation));
	}
	if (wait->gid != NULL)
		return psprintf("prepared transaction \"%s\"", wait->gid);
	if (holder_pid(wait) == 0)
		return "a prepared transaction";
	return psprintf("process %d", holder_pid(wait));
}

/* Waits in the lock manager for one slice; returns whether the wait is over. */
static bool
wait_slice(const LockWait *wait, int slice_ms)
{
	Subtransaction subtransaction;
	int			save_lock_timeout = LockTimeout;
	volatile bool over = true;

	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		LockTimeout = slice_ms;
		if (OidIsValid(wait->relation))
			LockRelationOid(wait->relation, wait->mode);
		else if (TransactionIdIsValid(wait->xid))
			XactLockTableWait(wait->xid, NULL, NULL, XLTW_None);
		else
			(void) VirtualXactLock(wait->vxid, true);
		LockTimeout = save_lock_timeout;
		subtransaction_commit(&subtransaction);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = save_lock_timeout;
		error = subtransaction_catch(&subtransaction);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		over = false;
	}
	PG_END_TRY();
	return over;
}

static bool
is_over(const LockWait *wait)
{
	if (OidIsValid(wait->relation))
		return ConditionalLockRelationOid(wait->relation, wait->mode);
	if (TransactionIdIsValid(wait->xid))
		return ConditionalXactLockTableWait(wait->xid
#if PG_VERSION_NUM >= 180000
											,false
#endif
			);
	return VirtualXactLock(wait->vxid, false);
}

void
lock_patience_begin(LockPatience *patience)
{
	patience->begun_at = GetCurrentTimestamp();
	patience->noticed = false;
}

static void
check_lock_timeout(const LockPatience *patience, const LockWait *wait)
{
	if (LockTimeout <= 0 ||
		GetCurrentTimestamp() - patience->begun_at < LockTimeout * INT64CONST(1000))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("canceling statement due to lock timeout"),
			 errdetail("It waited for %s, which may hold wrapped keys that are not committed.",
					   lock_wait_name(wait)),
			 errhint("End that transaction, or try again when it has ended.")));
}

LockWaitResult
lock_wait(LockPatience *patience, const LockWait *wait, int64 limit_us)
{
	TimestampTz begun_at = GetCurrentTimestamp();

	while (!is_over(wait))
	{
		int64		slice_ms = Max(MIN_SLICE_MS, Min(MAX_SLICE_MS, DeadlockTimeout / 2));
		TimestampTz now = GetCurrentTimestamp();

		CHECK_FOR_INTERRUPTS();
		if (is_blocked(wait))
			return LOCK_WAIT_BLOCKED;
		check_lock_timeout(patience, wait);
		if (limit_us > 0 && now - begun_at >= limit_us)
			return LOCK_WAIT_LATE;
		if (!patience->noticed && now - patience->begun_at >= NOTICE_AFTER_US)
		{
			ereport(NOTICE,
					(errmsg("waiting for %s, which may hold wrapped keys that are not committed",
							lock_wait_name(wait))));
			patience->noticed = true;
		}
		if (LockTimeout > 0)
			slice_ms = Min(slice_ms,
						   1 + Max(0, LockTimeout - (now - patience->begun_at) / 1000));
		if (wait_slice(wait, slice_ms))
			break;
	}
	return LOCK_WAIT_OVER;
}

static List *
waits_for_vxids(VirtualTransactionId *vxids, int count)
{
	List	   *waits = NIL;

	for (int i = 0; i < count; i++)
	{
		LockWait   *wait = palloc0(sizeof(LockWait));

		wait->vxid = vxids[i];
		waits = lappend(waits, wait);
	}
	return waits;
}

List *
lock_wait_conflicts(const LOCKTAG *tag, LOCKMODE mode)
{
	int			count;
	VirtualTransactionId *vxids = GetLockConflicts(tag, mode, &count);

	return waits_for_vxids(vxids, count);
}

List *
lock_wait_old_snapshots(TransactionId limit_xmin)
{
	int			count;
	VirtualTransactionId *vxids = GetCurrentVirtualXIDs(limit_xmin, true, false,
														PROC_IN_VACUUM, &count);

	return waits_for_vxids(vxids, count);
}

List *
lock_wait_open_transactions(void)
{
	int			count;
	VirtualTransactionId *vxids = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
														PROC_IN_VACUUM, &count);
	List	   *waits = NIL;
	MemoryContext context = CurrentMemoryContext;

	/*
	 * Prepared transactions are in both lists.  Those with names come first,
	 * so that messages show the names.
	 */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT p.gid, p.transaction FROM pg_catalog.pg_prepared_xacts AS p"
					" WHERE p.database OPERATOR(pg_catalog.=) pg_catalog.current_database()",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the prepared transactions");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		MemoryContext spi_context = MemoryContextSwitchTo(context);
		LockWait   *wait = palloc0(sizeof(LockWait));
		bool		isnull;

		wait->gid = pstrdup(SPI_getvalue(row, SPI_tuptable->tupdesc, 1));
		wait->xid = DatumGetTransactionId(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &isnull));
		waits = lappend(waits, wait);
		MemoryContextSwitchTo(spi_context);
	}
	SPI_finish();
	return list_concat(waits, waits_for_vxids(vxids, count));
}
