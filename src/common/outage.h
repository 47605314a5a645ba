/*
 * outage.h
 *	  Tells errors that are about the server from those that are about a message, a row or a
 *	  table, and from those that code of a table's owner raises.
 *
 * Code in SQL or a procedural language can raise any SQLSTATE.  So an SQLSTATE says something
 * about the server only if it is known which C function raised the error.
 */
#ifndef OUTAGE_H
#define OUTAGE_H

#include "postgres.h"

/*
 * Whether an error means that the server, the root key or a token fails, or that the
 * statement was ended.  Then a message that was to be stored may be good, and its sender
 * should send it again.  An error that is not known to be the server's is not: a message is
 * better kept among the rejected ones than sent again and again.
 */
extern bool error_is_outage(const ErrorData *error);

/* Whether this library has raised the error, in a file that includes errors.h. */
extern bool error_is_of_this_library(const ErrorData *error);

/* Whether a cancellation or a statement_timeout has ended the statement. */
extern bool error_cancels_statement(const ErrorData *error);

/* Whether PostgreSQL has ended the wait for a lock, by lock_timeout or as a deadlock. */
extern bool error_ends_lock_wait(const ErrorData *error);

/* Whether an SQLSTATE alone looks like an outage.  For storages of version 1.0. */
extern bool sqlstate_is_outage(int sqlerrcode);

#endif							/* OUTAGE_H */
