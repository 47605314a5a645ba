/*
 * invalidation.c
 *	  When something that this backend remembers may no longer be so.
 *
 * The tables kek and kek_privilege have row triggers (and, for TRUNCATE,
 * statement triggers), ENABLE ALWAYS, whose function queues a relcache
 * invalidation for the table.  PostgreSQL sends it to every backend when
 * the writer commits, replays it on standbys, applies it at once to the
 * writer's own later commands, and applies it again there when a
 * (sub)transaction aborts.  The callbacks below only count: they run at any
 * time, also during abort, and so may neither read a catalog, allocate, nor raise.
 *
 * Invariant: a counter moves before anything read after it can be relied on,
 * so "the counter did not move since before I read" means that no message about
 * the subject was accepted in between.
 *
 * Called by kek.c and access.c, and by the trigger function.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "invalidation.h"

uint64		kek_generation = 1;
uint64		access_generation = 1;

/*
 * The tables as last opened.  Other relations' messages are not counted; a
 * table that was dropped and made again has another oid, but its end was a
 * message under the old one.
 */
static Oid	kek_table = InvalidOid;
static Oid	kek_privilege_table = InvalidOid;

static void
relation_changed(Datum arg, Oid relation)
{
	/* InvalidOid means that messages were lost: anything may have changed. */
	if (relation == InvalidOid || relation == kek_table)
		kek_generation++;
	if (relation == InvalidOid || relation == kek_privilege_table)
		access_generation++;
}

static void
roles_changed(Datum arg, int cache_id, uint32 hash_value)
{
	access_generation++;
}

void
invalidation_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);

	/* What has_privs_of_role() and superuser_arg() depend on. */
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, roles_changed, (Datum) 0);
}

static Oid
vault_relation_oid(const char *name)
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

/*
 * Opens a table and remembers its oid for the callback.  The oid is looked up each
 * time, since DROP and CREATE EXTENSION change it; it is remembered before the
 * table is read, so that no message about what is read goes uncounted.
 */
static Relation
open_vault_table(const char *name, Oid *oid)
{
	*oid = vault_relation_oid(name);
	return table_open(*oid, AccessShareLock);
}

Relation
open_kek_table(void)
{
	return open_vault_table("kek", &kek_table);
}

Relation
open_kek_privilege_table(void)
{
	return open_vault_table("kek_privilege", &kek_privilege_table);
}

Oid
vault_index_oid(const char *name)
{
	return vault_relation_oid(name);
}
