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

typedef struct Statement
{
	const char *sql;
	int			nargs;
	const Oid  *types;
} Statement;

/*
 * Runs a statement; SPI must be connected.  There must be a value for each argument; nulls
 * is NULL if no value is.  Returns the number of rows.
 */
extern uint64 statement_run(const Statement *statement, Datum *values, const char *nulls);

/* Does the same with a plan that uses indexes only, for tables that can be large. */
extern uint64 statement_run_by_indexes(const Statement *statement, Datum *values, const char *nulls);

/* A column of the result: rows are counted from 0, columns from 1. */
extern Datum statement_column(uint64 row, int column, bool *isnull);

/*
 * Sets search_path, unless it is NULL.  search_path_end() takes the number that this function
 * returns, and restores search_path.
 */
extern int	search_path_begin(const char *search_path);
extern void search_path_end(int nestlevel);

#endif							/* STATEMENT_H */
