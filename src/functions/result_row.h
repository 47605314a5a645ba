/*
 * result_row.h
 *	  The row type of a function's result.
 */
#ifndef RESULT_ROW_H
#define RESULT_ROW_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"

/*
 * The descriptor of the rows of so many columns that an SQL function returns.  To make it takes longer than a
 * join, so it is made at the first call of a query, and kept in fn_extra.
 */
extern TupleDesc result_row_desc(FunctionCallInfo fcinfo, int columns);

#endif							/* RESULT_ROW_H */
