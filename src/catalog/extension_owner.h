/*
 * extension_owner.h
 *	  SQL that is run with the rights of the extension's owner.
 *
 * The administrative functions check the current role, which SECURITY DEFINER
 * would hide from them, and then write with rights that the role has not.
 */
#ifndef EXTENSION_OWNER_H
#define EXTENSION_OWNER_H

#include "postgres.h"

/* What extension_owner_end() restores. */
typedef struct ExtensionOwner
{
	Oid			save_user;
	int			save_sec_context;
	int			save_nestlevel;
} ExtensionOwner;

/*
 * Becomes the owner of the extension's tables, with a search path of pg_catalog and
 * pg_temp, and connects to SPI.  After an error the end of the (sub)transaction undoes it.
 */
extern void extension_owner_begin(ExtensionOwner *state);

/* Runs one statement; returns the number of rows. */
extern uint64 extension_owner_execute(const char *sql, int nargs, Oid *types, Datum *values,
									  const char *nulls);

extern void extension_owner_end(ExtensionOwner *state);

#endif							/* EXTENSION_OWNER_H */
