/*
 * destroy_wait.c
 *	  Waits until no transaction has a key under a KEK that is not in a committed table, so
 *	  that kek_destroy() can count all keys.
 *
 * kek_destroy() counts the keys that the KEK wraps.  A transaction may have such a key
 * where no count sees it: in a row, table, column or domain that is not committed, in a
 * prepared transaction, or in memory, to be stored later.  Such a transaction is called a
 * carrier here.  Nothing can be done about a key that a client keeps from one transaction
 * to the next.
 *
 * The steps are:
 * 1. The KEK is not active, the change that made it so is committed, and no transaction
 *    that has changed it is open (label_is_quiet()).  A transaction that begins later
 *    cannot wrap a key with this KEK; it can only read one from a table.
 * 2. Wait for every open transaction of this database, also for prepared ones and for those
 *    that have written nothing.  No lock on a table is held while waiting.
 * 3. Lock all relations with wrapped keys or key envelopes in SHARE mode, so that they do
 *    not change.  Then wait for every transaction that has any lock on one of them, or a
 *    snapshot from before the locks.  If there are new ones of these relations then, do the
 *    same with them.
 *
 * After that there is no carrier.  A carrier would have begun after step 2, so it would have
 * read the key from a committed table, with a lock that it keeps until its end.  If
 * it took that lock before step 3, step 3 has waited for its end.  If it took the lock later
 * and read a row that the count sees, the count finds the key.  If it read an older version
 * of a row, it had an older snapshot, and step 3 has waited for it.
 *
 * Deadlocks: step 3 holds locks that others need.  So it waits for each of them only for a
 * short time, and does not wait for a transaction that waits for this one.  In these cases it
 * releases all locks, waits for that transaction without any lock, and begins step 3 again.
 * The locks of step 3 include one on the table kek, and the KEK's row is locked last, without
 * waiting.  So no other transaction is ended by a deadlock with kek_destroy().
 *
 * Only one session of a database can do this at a time, since two would wait for each
 * other.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "../catalog/access.h"
#include "../catalog/invalidation.h"
#include "../catalog/kek_label.h"
#include "../catalog/kek_row.h"
#include "../catalog/label_lock.h"
#include "../catalog/lock_wait.h"
#include "../catalog/vault_tables.h"
#include "../common/errors.h"
#include "../common/subtransaction.h"
#include "destroy_wait.h"

/*
 * The last field of the tag of the lock that only one session can have.  Other numbers are
 * used by pg_advisory_lock(), rewrap_all() and the locks of labels.
 */
#define DESTROYER_LOCK_CLASS 19320

/*
 * For how long step 3 holds locks while it waits, before it releases them, in
 * microseconds: the first time, and at most.
 */
#define FIRST_LIMIT_US INT64CONST(1000000)
#define MAX_LIMIT_US INT64CONST(10000000)

/* A KEK for which this transaction has done step 2. */
typedef struct AwaitedKek
{
	pg_uuid_t	kek_id;
	TimestampTz state_changed_at;
} AwaitedKek;

/* AwaitedKek pointers, in TopTransactionContext; NIL if the transaction destroys no KEK. */
static List *awaited_keks = NIL;
static bool relations_are_held = false; /* step 3 was done */
static List *held_relations = NIL;	/* oids of the locked relations */

static void
end_of_transaction(XactEvent event, void *arg)
{
	awaited_keks = NIL;
	relations_are_held = false;
	held_relations = NIL;
}

/* A subtransaction that is rolled back loses its locks. */
static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent,
					  void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		relations_are_held = false;
		held_relations = NIL;
	}
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	registered = true;
}

static void
refuse_second_destroyer(void)
{
	LOCKTAG		tag;
	List	   *holders;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0, 0, DESTROYER_LOCK_CLASS);
	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return;
	holders = lock_wait_conflicts(&tag, ExclusiveLock);
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("another session is destroying a KEK"),
			 holders == NIL ? 0 : errdetail("It is %s.", lock_wait_name(linitial(holders))),
			 errhint("Try again when its transaction has ended.")));
}

static void
refuse_deadlock(const LockWait *wait)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
			 errmsg("cannot wait for %s, which waits for this transaction", lock_wait_name(wait)),
			 errhint("Call kek_destroy() in a transaction of its own.")));
}

/* Waits without a limit, which is possible only without locks on tables. */
static void
wait_or_refuse(LockPatience *patience, const LockWait *wait)
{
	if (lock_wait(patience, wait, 0) == LOCK_WAIT_BLOCKED)
		refuse_deadlock(wait);
}

static void
wait_for_administrators(LockPatience *patience, const char *label)
{
	LOCKTAG		tag;

	label_lock_tag(&tag, label);
	while (!label_is_quiet(label))
	{
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		foreach(cell, lock_wait_conflicts(&tag, ExclusiveLock))
			wait_or_refuse(patience, lfirst(cell));

		/* Transactions that are just ending are not in the list. */
		pg_usleep(1000);
	}
}

static void
check_state(const KekRow *row)
{
	if (row->state == KEK_DESTROYED)
		ereport(ERROR,
				(errcode(ERRCODE_KEK_DESTROYED),
				 errmsg("KEK label \"%s\" version %d is already destroyed", row->label,
						row->version)));
	if (row->state == KEK_ACTIVE)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("KEK label \"%s\" version %d is active", row->label, row->version),
				 errdetail("Other sessions can wrap keys with it at any moment."),
				 errhint("Run SELECT key_vault.kek_rotate(%s), or key_vault.kek_suspend(%s, %d), first.",
						 quote_literal_cstr(row->label), quote_literal_cstr(row->label),
						 row->version)));
	if (row->is_own_change)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("KEK label \"%s\" version %d was changed in this transaction", row->label,
						row->version),
				 errdetail("Other sessions use it as it was before, until the transaction is committed."),
				 errhint("Commit first, then destroy the KEK.")));
}

static AwaitedKek *
find_awaited(const KekRow *row)
{
	ListCell   *cell;

	foreach(cell, awaited_keks)
	{
		AwaitedKek *kek = lfirst(cell);

		if (memcmp(&kek->kek_id, &row->kek_id, UUID_LEN) == 0 &&
			kek->state_changed_at == row->state_changed_at)
			return kek;
	}
	return NULL;
}

static void
remember_awaited(const KekRow *row)
{
	MemoryContext previous = MemoryContextSwitchTo(TopTransactionContext);
	AwaitedKek *kek = palloc(sizeof(AwaitedKek));

	kek->kek_id = row->kek_id;
	kek->state_changed_at = row->state_changed_at;
	awaited_keks = lappend(awaited_keks, kek);
	MemoryContextSwitchTo(previous);
}

/* Steps 1 and 2. */
static void
wait_for_others(LockPatience *patience, const char *label, int32 version)
{
	KekRow	   *row;
	ListCell   *cell;

	PreventCommandDuringRecovery("destruction of KEKs");
	kek_label_check(label);
	access_require(label, KEK_ADMIN);
	register_callbacks();
	row = kek_row_existing(label, version);
	check_state(row);
	if (find_awaited(row))
		return;
	refuse_second_destroyer();
	wait_for_administrators(patience, label);
	access_require(label, KEK_ADMIN);

	/*
	 * The row is read before the transactions are listed, so that every
	 * transaction which is not in the list sees this state.
	 */
	row = kek_row_existing(label, version);
	check_state(row);
	foreach(cell, lock_wait_open_transactions())
		wait_or_refuse(patience, lfirst(cell));
	remember_awaited(row);
}

void
destroy_wait_for_others(const char *label, int32 version)
{
	LockPatience patience;

	lock_patience_begin(&patience);
	wait_for_others(&patience, label, version);
}

static void
refuse_relation(Oid relation, const char *column, bool other_session)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("column \"%s\" of table %s could not be read and locked", column,
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
											   get_rel_name(relation))),
			 errdetail("So it is not known whether the KEK wraps keys in it."),
			 other_session ?
			 errhint("It is a temporary table of another session: wait for its end, or destroy the KEK with force => true.") :
			 errhint("Run it as a superuser, or destroy the KEK with force => true.")));
}

/* The relations with wrapped keys, or key envelopes, that are not among the locked ones. */
static List *
find_new_relations(List *locked)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *relations = NIL;

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT w.relation::pg_catalog.oid, w.\"column\", w.other_session,"
					" pg_catalog.has_column_privilege(w.relation, w.\"column\", 'SELECT')"
					" AND pg_catalog.has_table_privilege(w.relation, 'UPDATE, DELETE, TRUNCATE')"
					" FROM (SELECT c.relation, c.\"column\", c.other_session FROM key_vault.wrapped_key_columns AS c"
					" UNION ALL"
					" SELECT e.relation, e.\"column\", false FROM key_vault.key_envelope_columns AS e) AS w"
					" ORDER BY 1", true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not look up the columns of wrapped keys");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		bool		may;
		Oid			relation = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull));
		bool		other_session = DatumGetBool(SPI_getbinval(row, desc, 3, &isnull));
		MemoryContext spi_context;

		may = DatumGetBool(SPI_getbinval(row, desc, 4, &isnull));
		if (isnull)
			continue;			/* dropped meanwhile */
		if (other_session || !may)
			refuse_relation(relation, SPI_getvalue(row, desc, 2), other_session);
		if (list_member_oid(locked, relation))
			continue;
		spi_context = MemoryContextSwitchTo(context);
		relations = list_append_unique_oid(relations, relation);
		MemoryContextSwitchTo(spi_context);
	}
	SPI_finish();
	PopActiveSnapshot();
	return relations;
}

/*
 * The part of step 3 that holds locks.  Returns NULL if it succeeds, or what it cannot wait
 * for; then the caller releases the locks.
 */
static LockWait *
hold_relations(LockPatience *patience, int64 limit_us, List **locked)
{
	LockWait	kek_table = {.relation = vault_tables_oid("kek"),.mode = RowExclusiveLock};
	TimestampTz until = GetCurrentTimestamp() + limit_us;
	LockWait   *wait;
	List	   *relations;
	ListCell   *cell;

	if (lock_wait(patience, &kek_table, limit_us) != LOCK_WAIT_OVER)
	{
		wait = palloc(sizeof(LockWait));
		*wait = kek_table;
		return wait;
	}
	while ((relations = find_new_relations(*locked)) != NIL)
	{
		List	   *waits = NIL;
		TransactionId limit_xmin;

		foreach(cell, relations)
		{
			LOCKTAG		tag;

			wait = palloc0(sizeof(LockWait));
			wait->relation = lfirst_oid(cell);
			wait->mode = ShareLock;
			if (lock_wait(patience, wait, Max(1, until - GetCurrentTimestamp())) != LOCK_WAIT_OVER)
				return wait;
			SET_LOCKTAG_RELATION(tag, MyDatabaseId, wait->relation);
			waits = list_concat(waits, lock_wait_conflicts(&tag, AccessExclusiveLock));
			*locked = lappend_oid(*locked, wait->relation);
		}
		limit_xmin = GetLatestSnapshot()->xmin;
		waits = list_concat(waits, lock_wait_old_snapshots(limit_xmin));
		foreach(cell, waits)
			if (lock_wait(patience, lfirst(cell), Max(1, until - GetCurrentTimestamp())) != LOCK_WAIT_OVER)
			return lfirst(cell);
	}
	return NULL;
}

/*
 * Tries step 3 in a subtransaction.  Returns false, and sets *blocker, if there is something
 * that it cannot wait for.
 */
static bool
try_to_hold_relations(LockPatience *patience, int64 limit_us, LockWait *blocker)
{
	MemoryContext context = CurrentMemoryContext;
	Subtransaction subtransaction;
	List	   *locked = list_copy(held_relations);
	LockWait   *volatile late = NULL;

	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		late = hold_relations(patience, limit_us, &locked);
	}
	PG_CATCH();
	{
		ReThrowError(subtransaction_catch(&subtransaction));
	}
	PG_END_TRY();
	if (late != NULL)
	{
		subtransaction_roll_back(&subtransaction);
		*blocker = *late;
		return false;
	}
	subtransaction_commit(&subtransaction);

	MemoryContextSwitchTo(TopTransactionContext);
	held_relations = list_copy(locked);
	relations_are_held = true;
	MemoryContextSwitchTo(context);
	return true;
}

/* Waits until the blocker ends, or nobody has a conflicting lock on the relation. */
static void
wait_for_blocker(LockPatience *patience, LockWait *blocker)
{
	if (OidIsValid(blocker->relation))
	{
		LOCKTAG		tag;
		ListCell   *cell;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, blocker->relation);
		foreach(cell, lock_wait_conflicts(&tag, blocker->mode))
			wait_or_refuse(patience, lfirst(cell));
	}
	else
		wait_or_refuse(patience, blocker);
}

void
destroy_hold_keys_still(const char *label, int32 version)
{
	int64		limit_us = FIRST_LIMIT_US;
	LockPatience patience;
	LockWait	blocker;

	lock_patience_begin(&patience);
	wait_for_others(&patience, label, version);
	while (!try_to_hold_relations(&patience, limit_us, &blocker))
	{
		wait_for_blocker(&patience, &blocker);
		limit_us = Min(2 * limit_us, MAX_LIMIT_US);
	}
}

void
destroy_check_unchanged(const KekRow *row)
{
	if (find_awaited(row) == NULL || !relations_are_held)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("KEK label \"%s\" version %d was changed while its keys were counted",
						row->label, row->version),
				 errhint("Call kek_destroy() again.")));
}
