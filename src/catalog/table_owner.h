/*
 * table_owner.h
 *	  Running what touches a table as the table's owner.
 */
#ifndef TABLE_OWNER_H
#define TABLE_OWNER_H

#include "postgres.h"

#include "utils/relcache.h"

/* What table_owner_leave() restores. */
typedef struct TableOwner
{
	Oid			save_user;
	int			save_sec_context;
	int			save_nestlevel;
} TableOwner;

/*
 * Becomes the table's owner until table_owner_leave().  After an error the end of the
 * (sub)transaction undoes it.
 */
extern void table_owner_become(TableOwner *state, Relation table);
extern void table_owner_leave(const TableOwner *state);

/*
 * About an error that was raised in an owner's part.  Its SQLSTATE does not tell where it
 * comes from, since the owner's code can raise any.
 */

/* Whether it is a cancellation by the session's user, or its statement_timeout. */
extern bool table_owner_error_ends_statement(const ErrorData *error);

/* Whether PostgreSQL gave up waiting for a lock: lock_timeout, or a deadlock. */
extern bool table_owner_error_is_lock_wait(const ErrorData *error);

#endif							/* TABLE_OWNER_H */
