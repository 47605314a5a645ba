/*
 * row_look.h
 *	  Remembers the result of a function for one row, so that a query that calls the function
 *	  several times for this row looks up the key only once.
 */
#ifndef ROW_LOOK_H
#define ROW_LOOK_H

#include "postgres.h"

#include "fmgr.h"

/*
 * Looks for the result that another place of the query has got for the present row, and
 * returns whether there is one.  Each place gets a result once.  args is all that the result
 * depends on, in the current memory context.
 */
extern bool row_look_find(FmgrInfo *place, const uint8 *args, size_t size, Datum *result);

/* Remembers a result for the other places of the query, until the next row. */
extern void row_look_keep(FmgrInfo *place, const uint8 *args, size_t size, Datum result);

#endif							/* ROW_LOOK_H */
