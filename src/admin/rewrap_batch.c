/*
 * rewrap_batch.c
 *	  Rewraps some rows of one table, as the table's owner.
 *
 * A batch reads rows by one statement and writes them by another.  Both run as the table's
 * owner (table_owner.c).  Between them, keys are unwrapped and wrapped as the caller, whose
 * privileges are checked as for any other use.  So the owner's code sees wrapped keys only.
 *
 * Deferred triggers would run at the commit, with the caller's rights.  So all constraints
 * are made immediate before the writing; a trigger that is deferred all the same is refused
 * by PostgreSQL in a security-restricted operation.  Making constraints immediate needs a
 * transaction in which no trigger is queued yet, so rewrap_all() begins one for each batch.
 *
 * Invariants:
 * - Rows are locked in the order of the table before they are read.  Rows that others have
 *   locked are skipped, so that a batch does not wait for a row while it has locked others.
 * - A batch is a subtransaction, so that an error leaves nothing of it.
 * - An error while the owner is the current role never ends the run, whatever its SQLSTATE is,
 *   unless PostgreSQL itself has raised it to end the caller's statement.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "storage/proc.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "../catalog/key_columns.h"
#include "../catalog/owner_scan.h"
#include "../common/outage.h"
#include "../common/subtransaction.h"
#include "rewrap_batch.h"
#include "rewrap_work.h"

/* The longest lock_timeout, in milliseconds. */
#define MAX_LOCK_WAIT_MS 2000

/*
 * Bytes of wrapped keys with which a batch ends, whatever batch_size is: arrays of keys can
 * be large, and a batch has all of its keys in memory.
 */
#define MAX_BATCH_BYTES (8 * 1024 * 1024)

/* The number of a table's blocks that one statement searches at most. */
#define MAX_BLOCKS 8192

static void
become_owner(TableWork *work)
{
	table_owner_become(&work->owner, work->table);
}

static void
become_caller(TableWork *work)
{
	table_owner_leave(&work->owner);
}

static void
limit_lock_waits(void)
{
	char		value[32];

	if (LockTimeout > 0 && LockTimeout <= MAX_LOCK_WAIT_MS)
		return;
	snprintf(value, sizeof(value), "%d", MAX_LOCK_WAIT_MS);
	(void) set_config_option("lock_timeout", value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/* Raises an error unless the caller may read and write the relation's columns of keys. */
static void
check_privileges(const TableWork *work, Relation relation)
{
	Oid			relation_id = RelationGetRelid(relation);
	ListCell   *cell;

	if (pg_class_aclcheck(relation_id, work->caller, ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(relation_id, work->caller, ACL_UPDATE) == ACLCHECK_OK)
		return;
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);
		AttrNumber	number = get_attnum(relation_id, column->name);

		if ((pg_class_aclcheck(relation_id, work->caller, ACL_SELECT) != ACLCHECK_OK &&
			 pg_attribute_aclcheck(relation_id, number, work->caller,
								   ACL_SELECT) != ACLCHECK_OK) ||
			(column->kind != KEY_COLUMN_OTHER &&
			 pg_class_aclcheck(relation_id, work->caller, ACL_UPDATE) != ACLCHECK_OK &&
			 pg_attribute_aclcheck(relation_id, number, work->caller,
								   ACL_UPDATE) != ACLCHECK_OK))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for column \"%s\" of table %s", column->name,
							quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
													   RelationGetRelationName(relation))),
					 errdetail("Rewrapping takes SELECT and UPDATE on it.")));
	}
}

/*
 * The SQL condition that one of the KEKs in the parameter wraps a key in one of the columns
 * that a batch can write or, if writable is false, in one of the others.
 */
static char *
kek_condition(const TableWork *work, bool writable, int parameter)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		if ((column->kind != KEY_COLUMN_OTHER) != writable)
			continue;
		appendStringInfoString(&sql, sql.len > 0 ? " OR " : "");
		if (column->kind == KEY_COLUMN_SINGLE)
			appendStringInfo(&sql, "key_vault.kek_id(t.%s) OPERATOR(pg_catalog.=) ANY ($%d)",
							 quote_identifier(column->name), parameter);
		else
			appendStringInfo(&sql, "key_vault.kek_ids(t.%s) OPERATOR(pg_catalog.&&) $%d",
							 quote_identifier(column->name), parameter);
	}
	return sql.len > 0 ? sql.data : "false";
}

void
rewrap_execute(const char *sql, int nargs, const Oid *types, const Datum *values,
			   DestReceiver *receiver)
{
	SPIExecuteOptions options = {.params = makeParamList(nargs),.dest = receiver};
	int			result;

	for (int i = 0; i < nargs; i++)
		options.params->params[i] = (ParamExternData)
	{
		.value = values[i],.ptype = types[i],.pflags = PARAM_FLAG_CONST
	};
	result = SPI_execute_extended(sql, &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(result));
}

typedef struct RowReceiver
{
	DestReceiver pub;			/* must be first */
	TableWork  *work;
	MemoryContext context;		/* of the rows */
	int			capacity;
	Size		bytes;			/* of keys, uncompressed */
}			RowReceiver;

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	RowReceiver *receiver = (RowReceiver *) self;
	MemoryContext previous = MemoryContextSwitchTo(receiver->context);

	receiver->work->rows_desc = CreateTupleDescCopy(desc);
	receiver->capacity = 64;
	receiver->work->rows = palloc(receiver->capacity * sizeof(HeapTuple));
	MemoryContextSwitchTo(previous);
}

/* Takes a row; false if the batch has enough. */
static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowReceiver *receiver = (RowReceiver *) self;
	TableWork  *work = receiver->work;
	MemoryContext previous = MemoryContextSwitchTo(receiver->context);

	if (work->nrows == receiver->capacity)
	{
		receiver->capacity *= 2;
		work->rows = repalloc(work->rows, receiver->capacity * sizeof(HeapTuple));
	}
	work->rows[work->nrows++] = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(previous);
	for (int column = 2; column <= list_length(work->columns) + 1; column++)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, column, &isnull);

		if (!isnull)
			receiver->bytes += toast_raw_datum_size(value);
	}
	work->is_full = receiver->bytes >= MAX_BATCH_BYTES;
	return !work->is_full;
}

static void
receiver_ignore(DestReceiver *self)
{
}

/* Locks rows and reads them into work->rows. */
static void
read_rows(TableWork *work, BlockNumber end_block)
{
	RewrapBatch *batch = work->batch;
	StringInfoData sql;
	ItemPointerData end;
	ListCell   *cell;
	Oid			types[] = {TIDOID, TIDOID, UUIDARRAYOID, INT8OID};
	Datum		values[] = {PointerGetDatum(&batch->from), PointerGetDatum(&end),
	PointerGetDatum(batch->kek_ids), Int64GetDatum(batch->max_rows)};
	RowReceiver receiver = {
		.pub = {.receiveSlot = receive_row,.rStartup = receiver_startup,
		.rShutdown = receiver_ignore,.rDestroy = receiver_ignore,.mydest = DestNone},
		.work = work,
		.context = CurrentMemoryContext,
	};

	ItemPointerSet(&end, end_block, 0);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT t.ctid");
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		/* Columns that are not written are not read, since they can be large. */
		appendStringInfo(&sql, ", %s%s", column->kind == KEY_COLUMN_OTHER ? "NULL" : "t.",
						 column->kind == KEY_COLUMN_OTHER ? "" : quote_identifier(column->name));
	}
	appendStringInfo(&sql, " FROM ONLY %s AS t WHERE t.ctid OPERATOR(pg_catalog.>=) $1"
					 " AND t.ctid OPERATOR(pg_catalog.<) $2 AND (%s)"
					 " LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED",
					 work->name, kek_condition(work, true, 3));
	rewrap_execute(sql.data, lengthof(types), types, values, &receiver.pub);
}

/* After this, deferred triggers run at the end of the statement, like others. */
static void
make_constraints_immediate(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->deferred = false;
	AfterTriggerSetState(statement);
}

static void
rewrap_table_rows(TableWork *work)
{
	RewrapBatch *batch = work->batch;
	BlockNumber from_block = ItemPointerGetBlockNumberNoCheck(&batch->from);
	BlockNumber end_block;
	TupleDesc	desc;
	Tuplestorestate *new_keys;
	ItemPointerData last;
	int64		nkeys = 0;
	int64		nrows;

	rewrap_check_foreign_keys(work);
	if (work->root != NULL)
		check_privileges(work, work->root);
	batch->reached_end_block = Min(batch->end_block, RelationGetNumberOfBlocks(work->table));
	end_block = batch->reached_end_block - from_block <= MAX_BLOCKS ||
		batch->reached_end_block < from_block ? batch->reached_end_block : from_block + MAX_BLOCKS;

	become_owner(work);
	work->phase = READING;
	read_rows(work, end_block);
	become_caller(work);

	batch->rows_seen = work->nrows;
	ItemPointerSet(&batch->next, end_block, 0);
	if (work->nrows == 0)
		return;

	/*
	 * A row that was updated meanwhile is at another place than it was found
	 * at.
	 */
	batch->first_row = last = batch->from;
	for (int i = 0; i < work->nrows; i++)
	{
		bool		isnull;
		ItemPointer row = (ItemPointer) DatumGetPointer(SPI_getbinval(work->rows[i], work->rows_desc,
																	  1, &isnull));

		if (i == 0 || ItemPointerCompare(row, &batch->first_row) < 0)
			batch->first_row = *row;
		if (i == 0 || ItemPointerCompare(row, &last) > 0)
			last = *row;
		if (i == work->nrows - 1 && (batch->rows_seen == batch->max_rows || work->is_full) &&
			ItemPointerCompare(row, &batch->from) >= 0 &&
			ItemPointerCompare(row, &batch->next) < 0)
		{
			batch->next = *row;
			ItemPointerSetOffsetNumber(&batch->next, ItemPointerGetOffsetNumberNoCheck(row) + 1);
		}
	}

	work->phase = REWRAPPING;
	desc = rewrap_describe_new_keys(work);
	new_keys = tuplestore_begin_heap(false, false, work_mem);
	nrows = rewrap_rows(work, desc, new_keys, &nkeys);
	if (nrows > 0)
	{
		make_constraints_immediate();
		become_owner(work);
		work->phase = WRITING;
		batch->rows_rewrapped = rewrap_write_rows(work, desc, new_keys, nrows,
												  batch->first_row, last);
		become_caller(work);
		batch->rows_suppressed = Max(nrows - batch->rows_rewrapped, 0);
		batch->keys_rewrapped = batch->rows_suppressed == 0 ? nkeys :
			nkeys * batch->rows_rewrapped / nrows;
	}
	tuplestore_end(new_keys);
}

static int64
count_rows(TableWork *work, const char *condition, bool only)
{
	Oid			types[] = {UUIDARRAYOID};
	Datum		values[] = {PointerGetDatum(work->batch->kek_ids)};
	bool		isnull;

	if (strcmp(condition, "false") == 0)
		return 0;
	rewrap_execute(psprintf("SELECT pg_catalog.count(*) FROM %s%s AS t WHERE %s",
							only ? "ONLY " : "", work->name, condition),
				   lengthof(types), types, values, NULL);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
count_table_rows(TableWork *work)
{
	const char *writable = kek_condition(work, true, 1);
	const char *unwritable = kek_condition(work, false, 1);
	RewrapCount *count = work->count;
	bool		has_children;

	has_children = find_inheritance_children(RelationGetRelid(work->table), NoLock) != NIL;
	become_owner(work);
	work->phase = READING;
	count->rows = count_rows(work, writable, true);
	count->unwritable = count_rows(work, unwritable, true);
	if (!has_children && rows_can_be_elsewhere(work->table))
	{
		count->hidden = count_rows(work, writable, false) - count->rows;
		count->hidden = Max(count->hidden, count_rows(work, unwritable, false) - count->unwritable);
		count->hidden = Max(count->hidden, 0);
	}
	become_caller(work);
}

static bool
is_owners_part(Phase phase)
{
	return phase == READING || phase == WRITING;
}

/*
 * Whether an error ends the run, and not only the work on this table.  It was not raised in
 * the owner's part.
 */
static bool
ends_run(const ErrorData *error, Phase phase)
{
	return phase == REWRAPPING || error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR;
}

/* Whether others are in the way, so that the same may work a little later. */
static bool
is_busy(const ErrorData *error, Phase phase)
{
	if (is_owners_part(phase))
		return error_ends_lock_wait(error);
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

static RewrapOutcome
outcome_of(const ErrorData *error, Phase phase)
{
	if (is_busy(error, phase))
		return REWRAP_BUSY;
	return phase == WRITING ? REWRAP_ROWS_REFUSED : REWRAP_TABLE_REFUSED;
}

/* Opens the table in a subtransaction, and calls a function that works on it. */
static RewrapOutcome
with_table(TableWork *work, LOCKMODE lock, void (*function) (TableWork *))
{
	Subtransaction subtransaction;
	RewrapBatch *batch = work->batch;
	volatile RewrapOutcome outcome = REWRAP_OK;

	work->caller = GetUserId();
	work->context = CurrentMemoryContext;
	work->phase = OPENING;
	subtransaction_begin(&subtransaction);
	PG_TRY();
	{
		int			nestlevel = NewGUCNestLevel();

		limit_lock_waits();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		if (lock == RowExclusiveLock)
			rewrap_lock_root(work);
		work->table = try_table_open(batch->relation, lock);
		if (work->table == NULL)
			outcome = REWRAP_TABLE_GONE;
		else
		{
			work->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(work->table)),
													RelationGetRelationName(work->table));
			work->columns = key_columns_of(work->table);
			check_privileges(work, work->table);
			function(work);
			table_close(work->table, NoLock);
		}
		if (work->root != NULL)
			table_close(work->root, NoLock);
		SPI_finish();
		PopActiveSnapshot();
		AtEOXact_GUC(false, nestlevel);
		subtransaction_commit(&subtransaction);
	}
	PG_CATCH();
	{
		ErrorData  *error = subtransaction_catch(&subtransaction);

		if (is_owners_part(work->phase))
			table_owner_rethrow_cancellation(&work->owner, error);
		else if (ends_run(error, work->phase))
			ReThrowError(error);
		batch->error = error;
		outcome = outcome_of(error, work->phase);
	}
	PG_END_TRY();
	return outcome;
}

RewrapOutcome
rewrap_batch(RewrapBatch *batch)
{
	TableWork	work = {.batch = batch};

	return with_table(&work, RowExclusiveLock, rewrap_table_rows);
}

RewrapOutcome
rewrap_count(RewrapBatch *batch, RewrapCount *count)
{
	TableWork	work = {.batch = batch,.count = count};

	return with_table(&work, AccessShareLock, count_table_rows);
}
