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
 * Whether an error that was raised in an owner's part is the session's own: a
 * cancellation, a timeout or the end of the session.  The SQLSTATE does not tell, since
 * the owner's code can raise any.
 */
extern bool table_owner_error_ends_statement(const ErrorData *error);

#endif							/* TABLE_OWNER_H */
