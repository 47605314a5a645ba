/*
 * secret_source.h
 *	  Reading a root key or a PIN from a file.
 */
#ifndef SECRET_SOURCE_H
#define SECRET_SOURCE_H

#include "postgres.h"

#include "problem.h"

/*
 * Reads up to size bytes; false when there is a problem.  what names the file in
 * messages, as in "root key file".  The caller wipes what was read.
 */
extern bool secret_file_read(const char *what, const char *path, char *text,
							 size_t size, size_t *len, Problem *problem);

#endif							/* SECRET_SOURCE_H */
