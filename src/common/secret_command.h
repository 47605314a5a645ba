/*
 * secret_command.h
 *	  Reading a root key or a PIN from a command's output.
 */
#ifndef SECRET_COMMAND_H
#define SECRET_COMMAND_H

#include "postgres.h"

#include "deferred_error.h"

/* The setting key_vault.command_timeout, in seconds; 0 means no limit. */
extern double secret_command_timeout;

/*
 * Runs the command once, and reads what it writes, which must be less than size bytes.
 * Returns false, and notes an error, if that fails.  what is the name of the
 * command in messages, for example "root key command".  The caller wipes what was read.  Raises an
 * error if the session is interrupted.
 */
extern bool secret_command_read(const char *what, const char *shell_command, char *text,
								size_t size, size_t *len, DeferredError *error);

#endif							/* SECRET_COMMAND_H */
