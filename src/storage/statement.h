/*
 * statement.h
 *	  Statements on the tables of a storage, prepared once for each storage and session.
 *
 * The statements name tables without a schema.  These are the tables of the first schema in
 * search_path.
 */
#ifndef STATEMENT_H
#define STATEMENT_H

#include "postgres.h"

#include "executor/spi.h"

#include "value_list.h"

typedef struct Statement
{
	const char *sql;
	int			nargs;
	const Oid  *types;
	const char *after_rows;		/* NULL, or what follows the rows, which
								 * follow sql: a name of the rows and of their
								 * columns; the last column is their number,
								 * from 1 */
	bool		by_indexes;		/* the plan uses indexes only, since the
								 * tables can be large */
} Statement;

/*
 * Runs a statement that takes no rows; SPI must be connected.  There must be a value for each
 * argument; nulls is NULL if no value is.  Returns the number of rows.
 */
extern uint64 statement_run(const Statement *statement, Datum *values, const char *nulls);

/*
 * Runs a statement that takes rows, unless there are none.  There is a list for each column,
 * without that of the number.  No value of an argument is NULL.
 */
extern uint64 statement_run_on_rows(const Statement *statement, const Datum *values, const ValueList *lists, int nlists);

/* A column of the result: rows are counted from 0, columns from 1. */
extern Datum statement_column(uint64 row, int column, bool *isnull);

/*
 * Sets search_path, unless it is NULL.  search_path_end() takes the number that this function
 * returns, and restores search_path.
 */
extern int	search_path_begin(const char *search_path);
extern void search_path_end(int nestlevel);

#endif							/* STATEMENT_H */
