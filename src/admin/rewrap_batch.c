/*
 * rewrap_batch.c
 *	  Rewraps some rows of one table, as the table's owner.
 *
 * All that touches the table runs as its owner (table_owner.c).  Deferred triggers would fire at the commit,
 * with the caller's rights: so all constraints are made immediate first, and
 * what is deferred all the same PostgreSQL refuses in such an operation.  That step
 * takes a transaction in which nothing was queued before: rewrap_all() begins
 * one for each batch.
 *
 * Keys are opened between the two statements, as the caller, whose privileges
 * are checked as for any other use.  The owner's code sees wrapped keys only.
 *
 * Invariants: a row is locked, in the order of the table, before it is read; rows that
 * others have locked are passed over, so that a batch waits for no row while it
 * holds some.  It is a subtransaction: after an error nothing of it is left.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "../catalog/key_columns.h"
#include "../catalog/table_owner.h"
#include "../vault/wrapping.h"
#include "rewrap_batch.h"

/* A longer lock_timeout is cut to this. */
#define MAX_LOCK_WAIT_MS 2000

/* At most so much of a table is searched in one statement. */
#define MAX_BLOCKS 8192

/* The rows to be written, as our UPDATE calls them. */
#define NEW_KEYS "key_vault_new_keys"

/* Where an error came from: what follows of it depends on that. */
typedef enum Phase
{
	OPENING,
	READING,
	REWRAPPING,
	WRITING
} Phase;

typedef struct TableWork
{
	RewrapBatch *batch;
	Relation	table;
	const char *name;			/* quoted, with its schema */
	List	   *columns;		/* of KeyColumn */
	Oid			caller;
	TableOwner	owner;
	volatile Phase phase;
	int64	   *rows;			/* for rewrap_count() */
	int64	   *unwritable;
} TableWork;

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

/* Rewrapping writes nothing that the caller could not write. */
static void
check_table_privileges(const TableWork *work)
{
	Oid			relation = RelationGetRelid(work->table);
	ListCell   *cell;

	if (pg_class_aclcheck(relation, work->caller, ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(relation, work->caller, ACL_UPDATE) == ACLCHECK_OK)
		return;
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		if ((pg_class_aclcheck(relation, work->caller, ACL_SELECT) != ACLCHECK_OK &&
			 pg_attribute_aclcheck(relation, column->number, work->caller,
								   ACL_SELECT) != ACLCHECK_OK) ||
			(column->kind != KEY_COLUMN_OTHER &&
			 pg_class_aclcheck(relation, work->caller, ACL_UPDATE) != ACLCHECK_OK &&
			 pg_attribute_aclcheck(relation, column->number, work->caller,
								   ACL_UPDATE) != ACLCHECK_OK))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for column \"%s\" of table %s",
							column->name, work->name),
					 errdetail("Rewrapping takes SELECT and UPDATE on it.")));
	}
}

/* "column hangs on one of $n", or all columns of such kinds together. */
static char *
hangs_on(const TableWork *work, bool writable, int parameter)
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

static void
execute(const char *sql, int nargs, Oid *types, Datum *values)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, NULL, false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
}

/* Locks and reads the rows; they are in SPI_tuptable then. */
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

	ItemPointerSet(&end, end_block, 0);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT t.ctid");
	foreach(cell, work->columns)
		appendStringInfo(&sql, ", t.%s", quote_identifier(((KeyColumn *) lfirst(cell))->name));
	appendStringInfo(&sql, " FROM ONLY %s AS t WHERE t.ctid OPERATOR(pg_catalog.>=) $1"
					 " AND t.ctid OPERATOR(pg_catalog.<) $2 AND (%s)"
					 " LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED",
					 work->name, hangs_on(work, true, 3));
	execute(sql.data, lengthof(types), types, values);
}

static bool
is_wanted(const RewrapBatch *batch, const pg_uuid_t *kek_id)
{
	const pg_uuid_t *wanted = (const pg_uuid_t *) ARR_DATA_PTR(batch->kek_ids);

	for (int i = 0; i < ARR_DIMS(batch->kek_ids)[0]; i++)
		if (memcmp(&wanted[i], kek_id, UUID_LEN) == 0)
			return true;
	return false;
}

/* A key anew, or as it is; false, with the reason, when it does not open. */
static bool
rewrap_key(TableWork *work, Datum *key, int64 *count)
{
	WrappedKey	wrapped_key;
	VaultFailure failure;
	struct varlena *fresh;

	wrapped_key_from_varlena(PG_DETOAST_DATUM_PACKED(*key), &wrapped_key);
	if (!is_wanted(work->batch, wrapped_key.kek_id))
		return true;
	fresh = vault_try_rewrap(&wrapped_key, &failure);
	if (fresh == NULL)
	{
		work->batch->unopened_reason = vault_failure_name(failure);
		return false;
	}
	*key = PointerGetDatum(fresh);
	(*count)++;
	return true;
}

static bool
rewrap_array(TableWork *work, Datum *value, int64 *count)
{
	ArrayType  *array = DatumGetArrayTypeP(*value);
	int16		length;
	bool		by_value;
	char		alignment;
	Datum	   *keys;
	bool	   *nulls;
	int			nkeys;

	get_typlenbyvalalign(wrapped_key_type(), &length, &by_value, &alignment);
	deconstruct_array(array, ARR_ELEMTYPE(array), length, by_value, alignment,
					  &keys, &nulls, &nkeys);
	for (int i = 0; i < nkeys; i++)
		if (!nulls[i] && !rewrap_key(work, &keys[i], count))
			return false;
	*value = PointerGetDatum(construct_md_array(keys, nulls, ARR_NDIM(array), ARR_DIMS(array),
												ARR_LBOUND(array), wrapped_key_type(),
												length, by_value, alignment));
	return true;
}

/* Base types: domains check what is assigned to them. */
static TupleDesc
describe_new_keys(const TableWork *work)
{
	TupleDesc	desc = CreateTemplateTupleDesc(list_length(work->columns) + 1);
	ListCell   *cell;

	TupleDescInitEntry(desc, 1, "row_id", TIDOID, -1, 0);
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);
		int			n = foreach_current_index(cell) + 1;
		Oid			type = wrapped_key_type();

		if (column->kind == KEY_COLUMN_ARRAY)
			type = get_array_type(type);
		TupleDescInitEntry(desc, n + 1, psprintf("key_%d", n), type, -1, 0);
	}
	return desc;
}

/*
 * Rewraps what was read, as the caller; *keys and the number of rows that are to be
 * written come out.  Rows with a key that does not open stay as they are.
 */
static int64
rewrap_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys, int64 *nkeys)
{
	RewrapBatch *batch = work->batch;
	int			ncolumns = list_length(work->columns);
	Datum	   *values = palloc0((ncolumns + 1) * sizeof(Datum));
	bool	   *nulls = palloc0((ncolumns + 1) * sizeof(bool));
	int64		nrows = 0;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		int64		row_keys = 0;
		bool		opened = true;
		ListCell   *cell;

		values[0] = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &nulls[0]);
		foreach(cell, work->columns)
		{
			const KeyColumn *column = lfirst(cell);
			int			n = foreach_current_index(cell) + 1;

			values[n] = SPI_getbinval(row, SPI_tuptable->tupdesc, n + 1, &nulls[n]);
			if (column->kind == KEY_COLUMN_OTHER)
				nulls[n] = true;
			if (nulls[n] || !opened)
				continue;
			opened = column->kind == KEY_COLUMN_SINGLE ?
				rewrap_key(work, &values[n], &row_keys) :
				rewrap_array(work, &values[n], &row_keys);
		}
		if (!opened)
		{
			batch->rows_unopened++;
			batch->unopened_row = *(ItemPointer) DatumGetPointer(values[0]);
			continue;
		}
		tuplestore_putvalues(new_keys, desc, values, nulls);
		*nkeys += row_keys;
		nrows++;
	}
	return nrows;
}

/* Deferred triggers fire at the end of the statement, as the others. */
static void
make_constraints_immediate(void)
{
	ConstraintsSetStmt *statement = makeNode(ConstraintsSetStmt);

	statement->deferred = false;
	AfterTriggerSetState(statement);
}

/* Returns the number of rows that the table says it wrote. */
static int64
write_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys, int64 nrows,
		   ItemPointerData first, ItemPointerData last)
{
	EphemeralNamedRelationData relation = {0};
	StringInfoData sql;
	ListCell   *cell;
	bool		first_column = true;
	Oid			types[] = {TIDOID, TIDOID};
	Datum		values[] = {PointerGetDatum(&first), PointerGetDatum(&last)};

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE ONLY %s AS t SET ", work->name);
	foreach(cell, work->columns)
	{
		const KeyColumn *column = lfirst(cell);

		if (column->kind == KEY_COLUMN_OTHER)
			continue;
		appendStringInfo(&sql, "%s%s = n.key_%d", first_column ? "" : ", ",
						 quote_identifier(column->name), foreach_current_index(cell) + 1);
		first_column = false;
	}

	/* The range keeps the plan from looking at the whole table. */
	appendStringInfoString(&sql, " FROM " NEW_KEYS " AS n"
						   " WHERE t.ctid OPERATOR(pg_catalog.=) n.row_id"
						   " AND t.ctid OPERATOR(pg_catalog.>=) $1"
						   " AND t.ctid OPERATOR(pg_catalog.<=) $2");

	relation.md.name = NEW_KEYS;
	relation.md.tupdesc = desc;
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = nrows;
	relation.reldata = new_keys;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed");
	execute(sql.data, lengthof(types), types, values);
	return SPI_processed;
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

	batch->reached_end_block = Min(batch->end_block, RelationGetNumberOfBlocks(work->table));
	end_block = batch->reached_end_block - from_block <= MAX_BLOCKS ||
		batch->reached_end_block < from_block ? batch->reached_end_block : from_block + MAX_BLOCKS;

	become_owner(work);
	work->phase = READING;
	read_rows(work, end_block);
	become_caller(work);

	batch->rows_seen = SPI_processed;
	ItemPointerSet(&batch->next, end_block, 0);
	if (SPI_processed == 0)
		return;

	/* A row that moved while it was waited for is seen where it is now. */
	batch->first_row = last = batch->from;
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		ItemPointer row = (ItemPointer) DatumGetPointer(SPI_getbinval(SPI_tuptable->vals[i],
																	  SPI_tuptable->tupdesc, 1,
																	  &isnull));

		if (i == 0 || ItemPointerCompare(row, &batch->first_row) < 0)
			batch->first_row = *row;
		if (i == 0 || ItemPointerCompare(row, &last) > 0)
			last = *row;
		if (i == SPI_processed - 1 && batch->rows_seen == batch->max_rows &&
			ItemPointerCompare(row, &batch->from) >= 0 &&
			ItemPointerCompare(row, &batch->next) < 0)
		{
			batch->next = *row;
			ItemPointerSetOffsetNumber(&batch->next, ItemPointerGetOffsetNumberNoCheck(row) + 1);
		}
	}

	work->phase = REWRAPPING;
	desc = describe_new_keys(work);
	new_keys = tuplestore_begin_heap(false, false, work_mem);
	nrows = rewrap_rows(work, desc, new_keys, &nkeys);
	if (nrows > 0)
	{
		make_constraints_immediate();
		become_owner(work);
		work->phase = WRITING;
		batch->rows_rewrapped = write_rows(work, desc, new_keys, nrows, batch->first_row, last);
		become_caller(work);
		batch->rows_suppressed = Max(nrows - batch->rows_rewrapped, 0);
		batch->keys_rewrapped = batch->rows_suppressed == 0 ? nkeys :
			nkeys * batch->rows_rewrapped / nrows;
	}
	tuplestore_end(new_keys);
}

static int64
count_rows(TableWork *work, bool writable)
{
	Oid			types[] = {UUIDARRAYOID};
	Datum		values[] = {PointerGetDatum(work->batch->kek_ids)};
	bool		isnull;
	char	   *condition = hangs_on(work, writable, 1);

	if (strcmp(condition, "false") == 0)
		return 0;
	execute(psprintf("SELECT pg_catalog.count(*) FROM ONLY %s AS t WHERE %s", work->name,
					 condition),
			lengthof(types), types, values);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
}

static void
count_table_rows(TableWork *work)
{
	become_owner(work);
	work->phase = READING;
	*work->rows = count_rows(work, true);
	*work->unwritable = count_rows(work, false);
	become_caller(work);
}

static RewrapOutcome
outcome_of(const ErrorData *error, Phase phase)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return REWRAP_BUSY;
		default:
			return phase == WRITING ? REWRAP_ROWS_REFUSED : REWRAP_TABLE_REFUSED;
	}
}

/* Whether an error is the run's own, not the table's. */
static bool
ends_run(const ErrorData *error, Phase phase)
{
	return phase == REWRAPPING || error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR;
}

/* Opens the table in a subtransaction, and does some work with it. */
static RewrapOutcome
with_table(TableWork *work, LOCKMODE lock, void (*function) (TableWork *))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resource_owner = CurrentResourceOwner;
	RewrapBatch *batch = work->batch;
	volatile RewrapOutcome outcome = REWRAP_OK;

	work->caller = GetUserId();
	work->phase = OPENING;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		int			nestlevel = NewGUCNestLevel();

		limit_lock_waits();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		work->table = try_table_open(batch->relation, lock);
		if (work->table == NULL)
			outcome = REWRAP_TABLE_GONE;
		else
		{
			work->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(work->table)),
													RelationGetRelationName(work->table));
			work->columns = key_columns_of(work->table);
			check_table_privileges(work);
			function(work);
			table_close(work->table, NoLock);
		}
		SPI_finish();
		PopActiveSnapshot();
		AtEOXact_GUC(false, nestlevel);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resource_owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resource_owner;
		if (ends_run(error, work->phase))
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
rewrap_count(RewrapBatch *batch, int64 *rows, int64 *unwritable)
{
	TableWork	work = {.batch = batch,.rows = rows,.unwritable = unwritable};

	return with_table(&work, AccessShareLock, count_table_rows);
}
