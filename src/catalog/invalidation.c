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
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/syscache.h"

#include "invalidation.h"

uint64		kek_generation = 1;
uint64		access_generation = 1;

/*
 * The oids that the tables had when they were last opened.  Messages about other
 * relations are not counted.  A table that was dropped and made again has another
 * oid, but its end was a message about the old one.
 */
Oid			invalidation_kek_table = InvalidOid;
Oid			invalidation_kek_privilege_table = InvalidOid;

static void
relation_changed(Datum arg, Oid relation)
{
	/* InvalidOid means that messages were lost: anything may have changed. */
	if (relation == InvalidOid || relation == invalidation_kek_table)
		kek_generation++;
	if (relation == InvalidOid || relation == invalidation_kek_privilege_table)
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
