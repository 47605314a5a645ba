/*
 * vault_tables.h
 *	  Opening the extension's own tables and indexes by name.
 */
#ifndef VAULT_TABLES_H
#define VAULT_TABLES_H

#include "postgres.h"

#include "access/genam.h"
#include "utils/relcache.h"

/* Open key_vault.kek or key_vault.kek_privilege for reading; an error if there is none. */
extern Relation vault_tables_open_kek(void);
extern Relation vault_tables_open_kek_privilege(void);

/* The oid of a table or an index in the schema key_vault; an error if there is none. */
extern Oid	vault_tables_oid(const char *name);

/*
 * Begins a scan of the table for the rows with these keys, by the index of this name.  It
 * takes a new snapshot: the transaction's may be older than a message that was accepted.
 * A table of one page is read without the index: opening that for the first time in a
 * session takes longer.  The rows come in any order.
 */
extern SysScanDesc vault_tables_begin_scan(Relation table, const char *index, int n_keys,
										   ScanKey keys);

#endif							/* VAULT_TABLES_H */
