/*
 * owner_sql.h
 *	  SQL that is run with the rights of the extension's owner.
 *
 * The administrative functions check the current role, which SECURITY DEFINER
 * would hide from them, and then write with rights that the role has not.
 */
#ifndef OWNER_SQL_H
#define OWNER_SQL_H

#include "postgres.h"

/* What owner_sql_end() restores. */
typedef struct OwnerSql
{
	Oid			save_user;
	int			save_sec_context;
	int			save_nestlevel;
} OwnerSql;

/*
 * Becomes the owner of the extension's tables, with an empty search path, and
 * connects to SPI.  After an error the end of the (sub)transaction undoes it.
 */
extern void owner_sql_begin(OwnerSql *state);

/* Runs one statement; returns the number of rows. */
extern uint64 owner_sql_execute(const char *sql, int nargs, Oid *types, Datum *values,
								const char *nulls);

extern void owner_sql_end(OwnerSql *state);

#endif							/* OWNER_SQL_H */
