/*
 * invalidation.c
 *	  Counters that say that KEKs or privileges may have changed.
 *
 * The tables kek and kek_privilege have row triggers (and, for TRUNCATE, statement
 * triggers), ENABLE ALWAYS, whose function queues a relcache invalidation message for
 * the table.  When the writer commits, PostgreSQL sends it to every backend, and to
 * standbys through WAL.  To the writer itself the message is applied before its next
 * command, and once more if its (sub)transaction aborts.  The callbacks below only
 * count, since they run at any time, also during an abort: they must not read a
 * catalog, allocate memory or raise an error.
 *
 * Invariant: if a counter has the same value as before some rows were read, no message
 * about these rows was accepted since, and what was read may still be used.
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/syscache.h"

#include "invalidation.h"

uint64		kek_generation = 1;
uint64		access_generation = 1;

/*
 * The oids that the tables had when they were last opened; messages about other relations
 * are not counted.  If a table is dropped and created again, there is a message with the
 * old oid.
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

	/* The catalogs on which has_privs_of_role() and superuser_arg() depend. */
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, roles_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, roles_changed, (Datum) 0);
}
