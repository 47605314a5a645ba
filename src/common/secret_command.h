/*
 * secret_command.h
 *	  Reading a root key or a PIN from a command's output.
 */
#ifndef SECRET_COMMAND_H
#define SECRET_COMMAND_H

#include "postgres.h"

#include "deferred_error.h"

/* The setting key_vault.command_timeout, in seconds; 0: no limit. */
extern int	secret_command_timeout;

/*
 * Runs the command, once, and reads what it writes, less than size bytes; false
 * when there is an error.  what names it in messages, as in "root key command".
 * The caller wipes what was read.  Raises when the session is interrupted.
 */
extern bool secret_command_read(const char *what, const char *shell_command, char *text,
								size_t size, size_t *len, DeferredError *error);

#endif							/* SECRET_COMMAND_H */
