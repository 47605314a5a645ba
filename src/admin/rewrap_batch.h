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
	REWRAP_BUSY,				/* others have locks: try again later */
	REWRAP_ROWS_REFUSED,		/* an error while rows were written */
	REWRAP_TABLE_REFUSED,		/* an error before any row was written */
	REWRAP_TABLE_GONE			/* the table was dropped */
} RewrapOutcome;

typedef struct RewrapBatch
{
	/* what to do */
	Oid			relation;
	ArrayType  *kek_ids;		/* uuid[]: rewrap keys that these wrap */
	ItemPointerData from;		/* the first row, by its place in the table */
	BlockNumber end_block;		/* InvalidBlockNumber: the table's end */
	int			max_rows;

	/* what was done */
	BlockNumber reached_end_block;	/* end_block or, if that is lower, the
									 * number of the table's blocks */
	ItemPointerData next;		/* where the next batch begins */
	int64		rows_seen;		/* rows that were locked */
	int64		rows_rewrapped;
	int64		keys_rewrapped;
	int64		rows_suppressed;	/* not written, because of a trigger or
									 * rule */
	int64		rows_unopened;	/* with a key that could not be unwrapped */
	ItemPointerData unopened_row;	/* one of these; the reason is next */
	const char *unopened_reason;
	ItemPointerData first_row;	/* of the rows that were locked */
	ErrorData  *error;			/* if the outcome is BUSY or REFUSED */
	const char *hint;			/* for a warning about refused rows, or NULL */
} RewrapBatch;

/*
 * Rewraps one batch.  The current role needs the privilege rewrap on the labels of the
 * kek_ids, and SELECT and UPDATE on the columns.  After any outcome but REWRAP_OK, nothing
 * was written.
 */
extern RewrapOutcome rewrap_batch(RewrapBatch *batch);

/* The number of rows with keys that the kek_ids wrap. */
typedef struct RewrapCount
{
	int64		rows;			/* in columns that a batch can write */
	int64		unwritable;		/* in other columns */
	int64		hidden;			/* kept outside of the table by another
								 * extension, where no batch sees them */
} RewrapCount;

extern RewrapOutcome rewrap_count(RewrapBatch *batch, RewrapCount *count);

#endif							/* REWRAP_BATCH_H */
