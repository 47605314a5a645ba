/*
 * key_count.c
 *	  How many keys in a column each KEK wraps.
 *
 * The rows are read as the table's owner (table_owner.c), all of them, also those that
 * row-level security hides from the caller: whether a KEK may be destroyed must not
 * depend on what the caller can see.
 *
 * Invariants:
 * - A relation without children is read without ONLY.  Some extensions keep rows outside
 *   of a table and put them back when a statement on the table is planned, but not for ONLY:
 *   TimescaleDB does so for compressed chunks.
 * - Where such an extension can be at work, because a planner hook is set or the table's
 *   access method is not heap, the table is read with ONLY too, and each KEK
 *   counts with the larger number.
 * - An error that code of the owner's raises does not look like a cancellation.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "tcop/dest.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "key_columns.h"
#include "key_count.h"
#include "table_owner.h"
#include "wrapped_key.h"

/* A count that takes longer tells how far it is, so often (microseconds). */
#define NOTICE_INTERVAL_US INT64CONST(30000000)

/* Rows between two looks at the clock. */
#define ROWS_PER_LOOK 100000

typedef struct KeyCount
{
	pg_uuid_t	kek_id;			/* hash key */
	int64		keys;			/* the larger number of the scans so far */
	int64		keys_now;		/* of the scan at hand */
} KeyCount;

typedef struct CountReceiver
{
	DestReceiver pub;			/* must be first */
	HTAB	   *counts;
	KeyCount   *last;			/* most rows hang on the KEK of the row before */
	Oid			type;			/* the column's */
	MemoryContext row_context;	/* reset after each row */
	int64		rows;
	TimestampTz noticed_at;
	const char *name;			/* the relation's */
} CountReceiver;

static void
count_key(Datum key, void *arg)
{
	CountReceiver *receiver = arg;
	WrappedKey	wrapped_key;

	wrapped_key_from_varlena(PG_DETOAST_DATUM_PACKED(key), &wrapped_key);
	if (receiver->last == NULL ||
		memcmp(&receiver->last->kek_id, wrapped_key.kek_id, UUID_LEN) != 0)
	{
		bool		found;

		receiver->last = hash_search(receiver->counts, wrapped_key.kek_id, HASH_ENTER, &found);
		if (!found)
			receiver->last->keys = receiver->last->keys_now = 0;
	}
	receiver->last->keys_now++;
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	CountReceiver *receiver = (CountReceiver *) self;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	if (!isnull)
	{
		MemoryContext previous = MemoryContextSwitchTo(receiver->row_context);

		visit_wrapped_keys(value, receiver->type, count_key, receiver);
		MemoryContextSwitchTo(previous);
		MemoryContextReset(receiver->row_context);
	}
	if (++receiver->rows % ROWS_PER_LOOK == 0 &&
		GetCurrentTimestamp() - receiver->noticed_at >= NOTICE_INTERVAL_US)
	{
		ereport(NOTICE,
				(errmsg("counting keys in table %s: " INT64_FORMAT " rows so far",
						receiver->name, receiver->rows)));
		receiver->noticed_at = GetCurrentTimestamp();
	}
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receiver_ignore(DestReceiver *self)
{
}

/* Reads the relation once. */
static void
scan(CountReceiver *receiver, const char *column, bool only)
{
	SPIExecuteOptions options = {.read_only = true,.dest = (DestReceiver *) receiver};
	HASH_SEQ_STATUS sequence;
	KeyCount   *count;
	int			result;

	receiver->last = NULL;
	receiver->rows = 0;
	result = SPI_execute_extended(psprintf("SELECT t.%s FROM %s%s AS t", quote_identifier(column),
										   only ? "ONLY " : "", receiver->name),
								  &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(result));

	hash_seq_init(&sequence, receiver->counts);
	while ((count = hash_seq_search(&sequence)) != NULL)
	{
		count->keys = Max(count->keys, count->keys_now);
		count->keys_now = 0;
	}
}

bool
rows_can_be_elsewhere(Relation relation)
{
	return planner_hook != NULL || set_rel_pathlist_hook != NULL ||
		(relation->rd_tableam != NULL && relation->rd_tableam != GetHeapamTableAmRoutine());
}

static void
scan_as_owner(Relation relation, CountReceiver *receiver, const char *column)
{
	bool		has_children = find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL;
	MemoryContext context = CurrentMemoryContext;
	TableOwner	owner;

	table_owner_become(&owner, relation);
	PG_TRY();
	{
		scan(receiver, column, has_children);
		if (!has_children && rows_can_be_elsewhere(relation))
			scan(receiver, column, true);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		if (!table_owner_error_ends_statement(error) &&
			(error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			 error->sqlerrcode == ERRCODE_ASSERT_FAILURE))
			error->sqlerrcode = ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
		ReThrowError(error);
	}
	PG_END_TRY();
	table_owner_leave(&owner);
}

static void
check_column_privilege(Relation relation, AttrNumber number, const char *column)
{
	if (pg_class_aclcheck(RelationGetRelid(relation), GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck(RelationGetRelid(relation), number, GetUserId(),
							  ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for column \"%s\" of table %s", column,
						RelationGetRelationName(relation)),
				 errdetail("Counting its keys takes SELECT on it.")));
}

void
count_keys(Oid relation_id, const char *column, KeyCountVisitor visitor, void *arg)
{
	HASHCTL		control = {.keysize = sizeof(pg_uuid_t),.entrysize = sizeof(KeyCount)};
	CountReceiver receiver = {
		.pub = {.receiveSlot = receive_row,.rStartup = receiver_startup,
		.rShutdown = receiver_ignore,.rDestroy = receiver_ignore,.mydest = DestNone},
	};
	Relation	relation = try_relation_open(relation_id, AccessShareLock);
	AttrNumber	number;
	HASH_SEQ_STATUS sequence;
	KeyCount   *count;

	if (relation == NULL)
		return;
	number = get_attnum(relation_id, column);
	if (number != InvalidAttrNumber &&
		(relation->rd_rel->relkind != RELKIND_MATVIEW || RelationIsPopulated(relation)))
	{
		check_column_privilege(relation, number, column);
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		control.hcxt = CurrentMemoryContext;
		receiver.counts = hash_create("key_vault keys by KEK", 16, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		receiver.type = get_atttype(relation_id, number);
		receiver.row_context = AllocSetContextCreate(CurrentMemoryContext,
													 "key_vault counted row",
													 ALLOCSET_SMALL_SIZES);
		receiver.name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												   RelationGetRelationName(relation));
		receiver.noticed_at = GetCurrentTimestamp();
		scan_as_owner(relation, &receiver, column);

		hash_seq_init(&sequence, receiver.counts);
		while ((count = hash_seq_search(&sequence)) != NULL)
			visitor(&count->kek_id, count->keys, arg);
		SPI_finish();
	}
	relation_close(relation, NoLock);
}
