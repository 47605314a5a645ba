/*
 * secret_source.h
 *	  Reading a root key or a PIN from a file.
 */
#ifndef SECRET_SOURCE_H
#define SECRET_SOURCE_H

#include "postgres.h"

#include "deferred_error.h"

/*
 * Reads up to size bytes of a file.  Returns false, and notes an error, if that fails.
 * what is the name of the file in messages, for example "root key file".  The caller wipes
 * what was read.
 */
extern bool secret_file_read(const char *what, const char *path, char *text,
							 size_t size, size_t *len, DeferredError *error);

#endif							/* SECRET_SOURCE_H */
