/*
 * rewrap_progress.h
 *	  The progress of rewrap_all() with a table, which others can see and from which the next
 *	  run can go on; and the lock that lets only one run at a time work on a table.
 */
#ifndef REWRAP_PROGRESS_H
#define REWRAP_PROGRESS_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "storage/block.h"
#include "storage/itemptr.h"
#include "utils/uuid.h"

/* A row of the table rewrap_state. */
typedef struct RewrapProgress
{
	const char *label;
	Oid			relation;
	pg_uuid_t	kek_id;			/* of the KEK that wraps the keys anew */
	int32		pass;			/* counted from 1 */
	ItemPointerData next;		/* where the next batch begins */
	BlockNumber first_block;	/* where this run began in this pass */
	BlockNumber end_block;		/* where this pass ends */
	int64		rows;			/* rewrapped in this run */
	int64		keys;			/* rewrapped in this run */
	int64		rows_failed;	/* in this pass */
	int64		rows_left;		/* as counted after a pass; -1 before that */
	TimestampTz started_at;
} RewrapProgress;

/*
 * Takes the lock for a label's keys in a table.  It is kept over commits, and released by
 * rewrap_unlock() or by an error.  Returns false if another session has it, and sets
 * *holder to its process id, or to 0 if it has ended meanwhile.
 */
extern bool rewrap_lock(const char *label, Oid relation, int *holder);
extern void rewrap_unlock(void);

/*
 * Begins a run.  If the last run to the same KEK version was stopped before its end, sets
 * pass, next and end_block to where it was, and returns true.
 */
extern bool rewrap_progress_begin(RewrapProgress *progress);

/* Writes the progress, as a part of the current transaction. */
extern void rewrap_progress_write(const RewrapProgress *progress, bool finished);

/* Percent of this pass, keys per second of this run, seconds until this pass ends. */
extern void rewrap_progress_figures(const RewrapProgress *progress, double *percent,
									double *rate, double *seconds_left);

/* Deletes the rows about tables that were dropped. */
extern void rewrap_progress_forget_dropped(void);

#endif							/* REWRAP_PROGRESS_H */
