/*
 * cache.c
 *	  SQL functions about the key caches, and the memory that they are in.
 *
 * Invariant: only roles with the privileges of pg_read_all_stats see the counters of other
 * sessions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "../catalog/access.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "../vault/cache_stats.h"
#include "../vault/key_cache.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_cache_flush);
PG_FUNCTION_INFO_V1(key_vault_cache_stats);
PG_FUNCTION_INFO_V1(key_vault_cache_stats_reset);
PG_FUNCTION_INFO_V1(key_vault_cache_stats_all);
PG_FUNCTION_INFO_V1(key_vault_cache_stats_reset_all);
PG_FUNCTION_INFO_V1(key_vault_memory_is_locked);

#define N_STATS_COLUMNS 12

Datum
key_vault_cache_flush(PG_FUNCTION_ARGS)
{
	key_cache_flush();
	PG_RETURN_VOID();
}

static void
stats_columns(const KeyCacheStats *stats, Datum *values, bool *nulls)
{
	int			n = 0;

	values[n++] = Int64GetDatum(stats->hits);
	values[n++] = Int64GetDatum(stats->misses);
	values[n++] = Int64GetDatum(stats->unwraps);
	values[n++] = Int64GetDatum(stats->evictions);
	values[n++] = Int64GetDatum(stats->expirations);
	values[n++] = Int64GetDatum(stats->withdrawals);
	values[n++] = Int64GetDatum(stats->flushes);
	values[n++] = Int64GetDatum(stats->verifications);
	values[n++] = Int64GetDatum(stats->mismatches);
	values[n++] = Int64GetDatum(stats->entries);
	values[n++] = Int64GetDatum(stats->bytes);
	nulls[n] = stats->reset_at == 0;
	values[n++] = TimestampTzGetDatum(stats->reset_at);
	Assert(n == N_STATS_COLUMNS);
}

Datum
key_vault_cache_stats(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[N_STATS_COLUMNS];
	bool		nulls[N_STATS_COLUMNS] = {false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	stats_columns(key_cache_stats, values, nulls);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
key_vault_cache_stats_reset(PG_FUNCTION_ARGS)
{
	cache_stats_reset();
	PG_RETURN_VOID();
}

/* Columns: pid, database, role (NULL for the sum of ended sessions), counters. */
Datum
key_vault_cache_stats_all(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BackendCacheStats *all;
	int			n;

	access_require_stats_reader("see the key caches of other sessions",
								"Only roles with privileges of \"pg_read_all_stats\" may see them.");
	InitMaterializedSRF(fcinfo, 0);
	all = cache_stats_collect(&n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[3 + N_STATS_COLUMNS];
		bool		nulls[3 + N_STATS_COLUMNS] = {false};

		nulls[0] = nulls[1] = nulls[2] = all[i].pid == 0;
		values[0] = Int32GetDatum(all[i].pid);
		values[1] = ObjectIdGetDatum(all[i].database);
		values[2] = ObjectIdGetDatum(all[i].role);
		stats_columns(&all[i].stats, values + 3, nulls + 3);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
key_vault_cache_stats_reset_all(PG_FUNCTION_ARGS)
{
	access_require_superuser("reset the counters of other sessions",
							 "Only superusers may reset them.");
	cache_stats_reset_all();
	PG_RETURN_VOID();
}

/* A session that has used no key has no such memory yet, so this takes a piece. */
Datum
key_vault_memory_is_locked(PG_FUNCTION_ARGS)
{
	secure_free(check_allocated(secure_alloc(SECURE_MEMORY_LINE)));
	PG_RETURN_BOOL(secure_memory_is_locked());
}
