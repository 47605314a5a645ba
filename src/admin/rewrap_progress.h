/*
 * rewrap_progress.h
 *	  How far the rewrapping of a table has come, for others to see and for the
 *	  next run to go on from; and the lock that keeps two runs apart.
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
	pg_uuid_t	kek_id;			/* what is rewrapped to */
	int32		pass;			/* through the table, from 1 */
	ItemPointerData next;		/* where it goes on */
	BlockNumber first_block;	/* where this run began this pass */
	BlockNumber end_block;		/* where this pass ends */
	int64		rows;			/* of this run */
	int64		keys;
	int64		rows_failed;	/* of this pass */
	int64		rows_left;		/* as counted at the end; -1 before */
	TimestampTz started_at;
} RewrapProgress;

/*
 * Takes the lock on rewrapping a label's keys in a table until rewrap_unlock(), over commits;
 * an error releases it.  False, and the holder's process id (0 when it is gone
 * meanwhile), when another session has it.
 */
extern bool rewrap_lock(const char *label, Oid relation, int *holder);
extern void rewrap_unlock(void);

/*
 * Enters a run.  Where the last one for the same KEK version did not come to its end,
 * pass and next are taken from there; true then.
 */
extern bool rewrap_progress_begin(RewrapProgress *progress);

/* Part of the transaction, so that it tells what is committed. */
extern void rewrap_progress_write(const RewrapProgress *progress, bool finished);

/* Percent of this pass, keys a second of this run, seconds to the end of the pass. */
extern void rewrap_progress_figures(const RewrapProgress *progress, double *percent,
									double *rate, double *seconds_left);

/* Rows about tables that are gone. */
extern void rewrap_progress_forget_dropped(void);

#endif							/* REWRAP_PROGRESS_H */
