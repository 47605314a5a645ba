/*
 * table_owner.h
 *	  Running statements on a table as the table's owner.
 */
#ifndef TABLE_OWNER_H
#define TABLE_OWNER_H

#include "postgres.h"

#include "utils/relcache.h"

/* What table_owner_leave() restores and checks. */
typedef struct TableOwner
{
	const char *table;			/* its name, quoted */
	bool		has_timeout;	/* the caller's statement_timeout is on */
	Oid			save_user;
	int			save_sec_context;
	int			save_nestlevel;
} TableOwner;

/*
 * Makes the table's owner the current role, until table_owner_leave().  After an error, the
 * end of the (sub)transaction sets it back.
 */
extern void table_owner_become(TableOwner *state, Relation table);
extern void table_owner_leave(const TableOwner *state);

/*
 * A statement_timeout fires once.  Code of a table's owner can catch its error and go on, or
 * raise another error instead.  So whoever catches errors of such code asks before whether
 * there is a timeout, and afterwards has the error raised again if the timeout is gone.
 */
extern bool table_owner_has_timeout(void);
extern void table_owner_check_timeout(bool has_timeout, const char *table);

/*
 * The next two functions are about an error that was raised while the owner was the current
 * role.  Its SQLSTATE does not say who raised it, since the owner's code can raise any.
 */

/* Whether the session's user or its statement_timeout has cancelled the statement. */
extern bool table_owner_error_ends_statement(const ErrorData *error);

/* Whether PostgreSQL has ended the wait for a lock, by lock_timeout or as a deadlock. */
extern bool table_owner_error_is_lock_wait(const ErrorData *error);

#endif							/* TABLE_OWNER_H */
