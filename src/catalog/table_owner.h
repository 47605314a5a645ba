/*
 * table_owner.h
 *	  Running statements on a table as the table's owner.
 */
#ifndef TABLE_OWNER_H
#define TABLE_OWNER_H

#include "postgres.h"

#include "utils/relcache.h"

#include "../common/cancel_watch.h"

/* What table_owner_leave() restores and checks. */
typedef struct TableOwner
{
	CancelWatch watch;
	Oid			save_user;
	int			save_sec_context;
	int			save_nestlevel;
} TableOwner;

/*
 * Makes the table's owner the current role, until table_owner_leave().  After an error, the
 * end of the (sub)transaction sets it back.
 */
extern void table_owner_become(TableOwner *state, Relation table);
extern void table_owner_leave(TableOwner *state);

/*
 * Raises an error that was caught while the owner was the current role again, if it is that
 * of a cancellation or of statement_timeout, or if the owner's code has raised it in place of
 * that.  Other errors are about the owner's table, whatever their SQLSTATEs are.
 */
extern void table_owner_rethrow_cancellation(const TableOwner *state, ErrorData *error);

#endif							/* TABLE_OWNER_H */
