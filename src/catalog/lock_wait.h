/*
 * lock_wait.h
 *	  Waiting for others' transactions and locks, for one who steps back.
 */
#ifndef LOCK_WAIT_H
#define LOCK_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"

/* What is waited for: the end of a transaction, or a lock on a relation. */
typedef struct LockWait
{
	VirtualTransactionId vxid;	/* the transaction, unless invalid */
	TransactionId xid;			/* a prepared transaction, unless invalid */
	const char *gid;			/* its name */
	Oid			relation;		/* to be locked, unless invalid */
	LOCKMODE	mode;
} LockWait;

/* How long the caller waits altogether. */
typedef struct LockPatience
{
	TimestampTz begun_at;
	bool		noticed;		/* that there is somebody to wait for */
} LockPatience;

typedef enum LockWaitResult
{
	LOCK_WAIT_OVER,
	LOCK_WAIT_LATE,				/* limit_us is over */
	LOCK_WAIT_BLOCKED			/* it waits for this session, maybe indirectly */
} LockWaitResult;

extern void lock_patience_begin(LockPatience *patience);

/*
 * Waits for at most limit_us microseconds, or without a limit if that is 0.  The setting
 * lock_timeout limits all waits under the same patience together, with an error.
 */
extern LockWaitResult lock_wait(LockPatience *patience, const LockWait *wait, int64 limit_us);

/* Whether a transaction waits for this session, maybe indirectly. */
extern bool lock_wait_is_blocked(const LockWait *wait);

/* "process 4711", or "prepared transaction "name"" */
extern const char *lock_wait_name(const LockWait *wait);

/* A list of LockWait pointers for those who hold locks in conflict with a mode. */
extern List *lock_wait_conflicts(const LOCKTAG *tag, LOCKMODE mode);

/*
 * The same for the transactions of this database that are open, other than this one, with the
 * prepared ones; or, with a limit, only those with a snapshot not newer than it.
 */
extern List *lock_wait_open_transactions(void);
extern List *lock_wait_old_snapshots(TransactionId limit_xmin);

#endif							/* LOCK_WAIT_H */
