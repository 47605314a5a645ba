/*
 * vault_tables.c
 *	  Opening the extension's own tables and indexes by name.
 *
 * Invariants: the oid is looked up each time, since DROP and CREATE EXTENSION change it;
 * invalidation.c is told the oid before the table is read.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"

#include "invalidation.h"
#include "vault_tables.h"

Oid
vault_tables_oid(const char *name)
{
	Oid			schema = get_namespace_oid("key_vault", true);
	Oid			relation = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"key_vault\" is not installed in this database"),
				 errdetail("Relation key_vault.%s does not exist.", name),
				 errhint("Run CREATE EXTENSION key_vault.")));
	return relation;
}

static Relation
open_table(const char *name, Oid *oid)
{
	*oid = vault_tables_oid(name);
	return table_open(*oid, AccessShareLock);
}

Relation
vault_tables_open_kek(void)
{
	return open_table("kek", &invalidation_kek_table);
}

Relation
vault_tables_open_kek_privilege(void)
{
	return open_table("kek_privilege", &invalidation_kek_privilege_table);
}

SysScanDesc
vault_tables_begin_scan(Relation table, const char *index, int n_keys, ScanKey keys)
{
	bool		by_index = RelationGetNumberOfBlocks(table) > 1;

	return systable_beginscan(table, by_index ? vault_tables_oid(index) : InvalidOid, by_index,
							  NULL, n_keys, keys);
}
