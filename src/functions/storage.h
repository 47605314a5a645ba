/*
 * storage.h
 *	  What the SQL functions of a storage share.
 */
#ifndef STORAGE_H
#define STORAGE_H

#include "postgres.h"

/*
 * Between the calls of these two, the server logs neither the statement nor the context of
 * an error.  The statement may contain the message as a literal, and the context may contain
 * the statement's parameters or the line that COPY reads.
 */
extern void out_of_the_log_begin(ErrorContextCallback *callback);
extern void out_of_the_log_end(const ErrorContextCallback *callback);

#endif							/* STORAGE_H */
