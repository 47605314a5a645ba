/*
 * vault_tables.h
 *	  Opening the extension's own tables and indexes by name.
 */
#ifndef VAULT_TABLES_H
#define VAULT_TABLES_H

#include "postgres.h"

#include "utils/relcache.h"

/* Open key_vault.kek or key_vault.kek_privilege for reading; an error if there is none. */
extern Relation vault_tables_open_kek(void);
extern Relation vault_tables_open_kek_privilege(void);

/* The oid of an index in the schema key_vault; an error if there is none. */
extern Oid	vault_tables_index_oid(const char *name);

#endif							/* VAULT_TABLES_H */
