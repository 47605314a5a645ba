/*
 * rewrap_work.h
 *	  What the three parts of a batch of rewrap_all() share: reading rows (rewrap_batch.c),
 *	  rewrapping their keys (rewrap_rows.c), and writing them (rewrap_write.c).
 */
#ifndef REWRAP_WORK_H
#define REWRAP_WORK_H

#include "postgres.h"

#include "access/htup.h"
#include "nodes/pg_list.h"
#include "tcop/dest.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"

#include "../catalog/table_owner.h"
#include "rewrap_batch.h"

/* What a batch is doing; an error is handled differently in each phase. */
typedef enum Phase
{
	OPENING,
	READING,					/* the owner's code can run */
	REWRAPPING,
	WRITING						/* the owner's code can run */
} Phase;

typedef struct TableWork
{
	RewrapBatch *batch;
	Relation	table;
	const char *name;			/* quoted, with its schema */
	Relation	root;			/* the partitioned table to UPDATE in place of
								 * table, or NULL */
	List	   *columns;		/* of KeyColumn pointers */
	Oid			caller;
	MemoryContext context;		/* for what must outlive the subtransaction */
	TableOwner	owner;
	volatile Phase phase;

	/* the rows that the batch has read; toasted values as they are stored */
	TupleDesc	rows_desc;
	HeapTuple  *rows;
	int			nrows;
	bool		is_full;		/* reading stopped at the limit in bytes */

	RewrapCount *count;			/* set by rewrap_count() */
} TableWork;

/* Runs one statement.  The receiver takes its rows; without one, SPI_tuptable has them. */
extern void rewrap_execute(const char *sql, int nargs, const Oid *types, const Datum *values,
						   DestReceiver *receiver);

/* Describes the rows in new_keys: the ctid of the row to write, then its new keys. */
extern TupleDesc rewrap_describe_new_keys(const TableWork *work);

/*
 * Rewraps the keys of the rows that were read, and puts the rows that are to be written
 * into new_keys; returns their number, and adds that of their keys to *nkeys.  Rows with a
 * key that cannot be unwrapped are left out.
 */
extern int64 rewrap_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys,
						 int64 *nkeys);

/*
 * If a new key can move a row to another partition, opens and locks the partitioned table as
 * work->root.  To be called before the partition itself is opened.
 */
extern void rewrap_lock_root(TableWork *work);

/* Raises an error, or sets batch->hint, if a foreign key hinders the rewrapping. */
extern void rewrap_check_foreign_keys(TableWork *work);

/* Writes the rows; returns the number of rows that the UPDATE has counted. */
extern int64 rewrap_write_rows(TableWork *work, TupleDesc desc, Tuplestorestate *new_keys,
							   int64 nrows, ItemPointerData first, ItemPointerData last);

#endif							/* REWRAP_WORK_H */
