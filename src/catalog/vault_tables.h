/*
 * vault_tables.h
 *	  The extension's own tables and indexes, opened by name.
 */
#ifndef VAULT_TABLES_H
#define VAULT_TABLES_H

#include "postgres.h"

#include "utils/relcache.h"

/* Opens key_vault.kek or key_vault.kek_privilege for reading; an error if it is gone. */
extern Relation vault_tables_open_kek(void);
extern Relation vault_tables_open_kek_privilege(void);

/* The oid of an index of the schema key_vault, by name; an error if it is gone. */
extern Oid	vault_tables_index_oid(const char *name);

#endif							/* VAULT_TABLES_H */
