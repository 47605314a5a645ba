/*
 * owner_scan.c
 *	  Reads all rows of a relation as its owner.
 *
 * The rows are read as the relation's owner (table_owner.c), all of them, also those that
 * row-level security hides from the caller: whether a KEK may be destroyed must not
 * depend on what the caller can see.
 *
 * Invariants:
 * - A relation without children is read without ONLY.  Some extensions keep rows outside
 *   of a table and put them back when a statement on the table is planned, but not for ONLY:
 *   TimescaleDB does so for compressed chunks.
 * - Where such an extension can be at work, because a planner hook is set or the table's
 *   access method is not heap, the table is read with ONLY too.
 * - If the owner's code raises an error with the SQLSTATE of a cancellation, it is given
 *   another SQLSTATE, since callers in PL/pgSQL do not catch that one.
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
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "owner_scan.h"
#include "table_owner.h"

/* A long scan says how far it is; the time between two such notices, in microseconds. */
#define NOTICE_INTERVAL_US INT64CONST(30000000)

/* The clock is read once for this number of rows. */
#define ROWS_PER_LOOK 100000

typedef struct ScanReceiver
{
	DestReceiver pub;			/* must be first */
	const OwnerScan *scan;
	MemoryContext row_context;	/* reset after each row */
	int64		rows;
	TimestampTz noticed_at;
	const char *name;			/* the relation's */
} ScanReceiver;

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	ScanReceiver *receiver = (ScanReceiver *) self;
	MemoryContext previous = MemoryContextSwitchTo(receiver->row_context);

	receiver->scan->row(slot, receiver->scan->arg);
	MemoryContextSwitchTo(previous);
	MemoryContextReset(receiver->row_context);
	if (++receiver->rows % ROWS_PER_LOOK == 0 &&
		GetCurrentTimestamp() - receiver->noticed_at >= NOTICE_INTERVAL_US)
	{
		ereport(NOTICE,
				(errmsg("%s table %s: " INT64_FORMAT " rows so far", receiver->scan->doing,
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
read_rows(ScanReceiver *receiver, bool only)
{
	SPIExecuteOptions options = {.read_only = true,.dest = (DestReceiver *) receiver};
	int			result;

	receiver->rows = 0;
	result = SPI_execute_extended(psprintf("SELECT %s FROM %s%s AS t%s", receiver->scan->targets,
										   only ? "ONLY " : "", receiver->name,
										   receiver->scan->tail),
								  &options);
	if (result < 0)
		elog(ERROR, "SPI_execute_extended failed: %s", SPI_result_code_string(result));
	receiver->scan->end(receiver->scan->arg);
}

bool
rows_can_be_elsewhere(Relation relation)
{
	return planner_hook != NULL || set_rel_pathlist_hook != NULL ||
		(relation->rd_tableam != NULL && relation->rd_tableam != GetHeapamTableAmRoutine());
}

static void
forbid_parallel_workers(void)
{
	(void) set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
owner_scan(Relation relation, const OwnerScan *scan)
{
	bool		has_children = find_inheritance_children(RelationGetRelid(relation), NoLock) != NIL;
	MemoryContext context = CurrentMemoryContext;
	ScanReceiver receiver = {
		.pub = {.receiveSlot = receive_row,.rStartup = receiver_startup,
		.rShutdown = receiver_ignore,.rDestroy = receiver_ignore,.mydest = DestNone},
		.scan = scan,
		.noticed_at = GetCurrentTimestamp(),
	};
	TableOwner	owner;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	receiver.row_context = AllocSetContextCreate(CurrentMemoryContext, "key_vault scanned row",
												 ALLOCSET_SMALL_SIZES);
	receiver.name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
											   RelationGetRelationName(relation));
	table_owner_become(&owner, relation);
	if (!scan->parallel)
		forbid_parallel_workers();
	PG_TRY();
	{
		read_rows(&receiver, has_children);
		if (!has_children && rows_can_be_elsewhere(relation))
			read_rows(&receiver, true);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		table_owner_rethrow_cancellation(&owner, error);
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			error->sqlerrcode == ERRCODE_ASSERT_FAILURE)
			error->sqlerrcode = ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
		ReThrowError(error);
	}
	PG_END_TRY();
	table_owner_leave(&owner);
	SPI_finish();
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

Relation
owner_scan_open(Oid relation_id, const char *column, AttrNumber *number)
{
	Relation	relation = try_relation_open(relation_id, AccessShareLock);

	if (relation == NULL)
		return NULL;
	*number = get_attnum(relation_id, column);
	if (*number == InvalidAttrNumber ||
		(relation->rd_rel->relkind == RELKIND_MATVIEW && !RelationIsPopulated(relation)))
	{
		relation_close(relation, NoLock);
		return NULL;
	}
	check_column_privilege(relation, *number, column);
	return relation;
}
