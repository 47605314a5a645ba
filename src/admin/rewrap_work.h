/*
 * rewrap_work.h
 *	  What the parts of a batch of rewrap_all() share: reading (rewrap_batch.c), opening
 *	  and wrapping keys (rewrap_rows.c), writing (rewrap_write.c).
 */
#ifndef REWRAP_WORK_H
#define REWRAP_WORK_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"

#include "../catalog/table_owner.h"
#include "rewrap_batch.h"

/* Where an error came from: what follows of it depends on that. */
typedef enum Phase
{
	OPENING,
	READING,					/* owners' code can run */
	REWRAPPING,
	WRITING						/* owners' code can run */
} Phase;

typedef struct TableWork
{
	RewrapBatch *batch;
	Relation	table;
	const char *name;			/* quoted, with its schema */
	Relation	root;			/* the partitioned table to write by, or NULL */
	List	   *columns;		/* of KeyColumn */
	Oid			caller;
	MemoryContext context;		/* what outlives the subtransaction is here */
	TableOwner	owner;
	volatile Phase phase;
	RewrapCount *count;			/* for rewrap_count() */
} TableWork;

/* Runs one statement. */
extern void rewrap_execute(const char *sql, int nargs, Oid *types, Datum *values);

/* Raises an error unless the caller may read and write the columns of keys there. */
extern void rewrap_check_privileges(const TableWork *work, Relation relation);

/* The columns of the rows to be written: the row's ctid, then the keys. */
extern TupleDesc rewrap_describe_new_keys(const TableWork *work);

/*
 * Rewraps what was read into SPI_tuptable, as the caller.  Returns the number of rows that
 * are to be written; their keys are added to *nkeys.  Rows with a key that does not open stay
 * as they are.
 */
extern int64 rewrap_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys,
						 int64 *nkeys);

/*
 * Locks the partitioned table that the rows must be written by, if they can move to another of
 * its partitions.  To be called before the table itself is opened.
 */
extern void rewrap_lock_root(TableWork *work);

/* What foreign keys keep the table from, as an error or as batch->hint. */
extern void rewrap_check_foreign_keys(TableWork *work);

/* Writes the rows; returns the number of those that the table says it wrote. */
extern int64 rewrap_write_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys,
							   int64 nrows, ItemPointerData first, ItemPointerData last);

#endif							/* REWRAP_WORK_H */
