/*
 * lock_wait.h
 *	  Waiting for other transactions and for locks, for callers that give way.
 */
#ifndef LOCK_WAIT_H
#define LOCK_WAIT_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"

/*
 * What is waited for: the end of a transaction (vxid, or xid and gid if it is prepared),
 * or a lock on a relation.  The fields that are not used have the values for "invalid".
 */
typedef struct LockWait
{
	VirtualTransactionId vxid;
	TransactionId xid;
	const char *gid;			/* the name of the prepared transaction */
	Oid			relation;
	LOCKMODE	mode;
} LockWait;

/* Several waits that lock_timeout limits together. */
typedef struct LockPatience
{
	TimestampTz begun_at;
	bool		noticed;		/* there was a notice about waiting */
} LockPatience;

typedef enum LockWaitResult
{
	LOCK_WAIT_OVER,				/* what was waited for has happened */
	LOCK_WAIT_LATE,				/* limit_us has passed */
	LOCK_WAIT_BLOCKED			/* the other waits for this session, directly
								 * or through others */
} LockWaitResult;

extern void lock_patience_begin(LockPatience *patience);

/*
 * Waits for at most limit_us microseconds, or without a limit if that is 0.  Raises an
 * error if all waits with this patience together take longer than lock_timeout.
 */
extern LockWaitResult lock_wait(LockPatience *patience, const LockWait *wait, int64 limit_us);

/* The name of the other in messages: process 4711, or prepared transaction "name". */
extern const char *lock_wait_name(const LockWait *wait);

/*
 * The transactions that have a lock that conflicts with this mode: a list of LockWait
 * pointers.
 */
extern List *lock_wait_conflicts(const LOCKTAG *tag, LOCKMODE mode);

/* All other open transactions of this database, also those that are prepared. */
extern List *lock_wait_open_transactions(void);

/* Those of them that have a snapshot whose xmin is not newer than this one. */
extern List *lock_wait_old_snapshots(TransactionId limit_xmin);

#endif							/* LOCK_WAIT_H */
