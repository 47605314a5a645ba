/*
 * extension_owner.h
 *	  Running SQL with the rights of the extension's owner.
 *
 * The administrative functions first check the current role (in a SECURITY DEFINER function
 * they could not), and then write with rights that this role does not have.
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
 * Makes the owner of the extension's tables the current role, sets search_path to
 * pg_catalog, pg_temp, and connects to SPI.  After an error, the end of the
 * (sub)transaction sets all of that back.
 */
extern void extension_owner_begin(ExtensionOwner *state);

/* Runs one statement; returns the number of its rows. */
extern uint64 extension_owner_execute(const char *sql, int nargs, Oid *types, Datum *values,
									  const char *nulls);

extern void extension_owner_end(ExtensionOwner *state);

#endif							/* EXTENSION_OWNER_H */
