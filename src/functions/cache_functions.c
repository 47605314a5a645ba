/*
 * cache_functions.c
 *	  SQL functions about this session's key cache.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/timestamp.h"

#include "../vault/key_cache.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_cache_flush);
PG_FUNCTION_INFO_V1(key_vault_cache_stats);
PG_FUNCTION_INFO_V1(key_vault_cache_stats_reset);

Datum
key_vault_cache_flush(PG_FUNCTION_ARGS)
{
	key_cache_flush();
	PG_RETURN_VOID();
}

Datum
key_vault_cache_stats(PG_FUNCTION_ARGS)
{
	const KeyCacheStats *stats = &key_cache_stats;
	TupleDesc	desc;
	Datum		values[12];
	bool		nulls[12] = {false};
	int			n = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
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
	Assert(n == desc->natts);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

Datum
key_vault_cache_stats_reset(PG_FUNCTION_ARGS)
{
	key_cache_stats_reset();
	PG_RETURN_VOID();
}
