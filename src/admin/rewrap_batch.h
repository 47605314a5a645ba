/*
 * rewrap_batch.h
 *	  Rewraps some rows of one table, as the table's owner.
 */
#ifndef REWRAP_BATCH_H
#define REWRAP_BATCH_H

#include "postgres.h"

#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/array.h"

typedef enum RewrapOutcome
{
	REWRAP_OK,
	REWRAP_BUSY,				/* others hold locks: try again later */
	REWRAP_ROWS_REFUSED,		/* an error in writing the rows */
	REWRAP_TABLE_REFUSED,		/* an error before any row was written */
	REWRAP_TABLE_GONE
} RewrapOutcome;

typedef struct RewrapBatch
{
	/* what to do */
	Oid			relation;
	ArrayType  *kek_ids;		/* uuid[]: keys that hang on these */
	ItemPointerData from;
	BlockNumber end_block;		/* InvalidBlockNumber: the table's end */
	int			max_rows;

	/* what was done */
	BlockNumber reached_end_block;	/* end_block, or the table's end as found */
	ItemPointerData next;		/* where to go on */
	int64		rows_seen;		/* rows of the table that were locked */
	int64		rows_rewrapped;
	int64		keys_rewrapped;
	int64		rows_suppressed;	/* a trigger or rule kept them as they are */
	int64		rows_unopened;	/* some key in it did not open */
	ItemPointerData unopened_row;	/* one of these, and why */
	const char *unopened_reason;
	ItemPointerData first_row;	/* of the rows that were locked */
	ErrorData  *error;			/* for the outcomes above */
	const char *hint;			/* what to do about rows that are refused, or
								 * NULL */
} RewrapBatch;

/*
 * One batch.  The caller takes the privilege rewrap on the labels of the
 * kek_ids, and SELECT and UPDATE on the columns.  After any outcome but REWRAP_OK
 * nothing of it was done.
 */
extern RewrapOutcome rewrap_batch(RewrapBatch *batch);

/* Rows that hang on the kek_ids. */
typedef struct RewrapCount
{
	int64		rows;			/* in columns that a batch can write */
	int64		unwritable;		/* in the others */
	int64		hidden;			/* not in the table's own heap: no batch sees
								 * them */
} RewrapCount;

extern RewrapOutcome rewrap_count(RewrapBatch *batch, RewrapCount *count);

#endif							/* REWRAP_BATCH_H */
