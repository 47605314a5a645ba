/*
 * rewrap.c
 *	  SQL functions that find the keys under KEKs, and rewrap them.
 *
 * These functions only unpack arguments; the work is done in src/admin/rewrap_all.c
 * and src/catalog/key_columns.c.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "../admin/rewrap_all.h"
#include "../catalog/key_columns.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_rewrap_all);
PG_FUNCTION_INFO_V1(key_vault_kek_ids);

#define MAX_BATCH_SIZE 1000000

/* In microseconds. */
#define MAX_SLEEP_US USECS_PER_DAY

/* Microseconds; a month counts as 30 days, as when PostgreSQL compares intervals. */
static int64
sleep_argument(const Interval *interval)
{
	int64		days = (int64) interval->month * DAYS_PER_MONTH + interval->day;
	int64		us;

	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &us) ||
		pg_add_s64_overflow(us, interval->time, &us) || us < 0 || us > MAX_SLEEP_US)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("sleep must be 0 to 1 day, not %s",
						DatumGetCString(DirectFunctionCall1(interval_out,
															IntervalPGetDatum(interval))))));
	return us;
}

Datum
key_vault_rewrap_all(PG_FUNCTION_ARGS)
{
	const CallContext *call = (CallContext *) fcinfo->context;
	int64		sleep_us;

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d of procedure \"%s\" must not be NULL", i + 1,
							"rewrap_all")));
	if (PG_GETARG_INT32(1) < 1 || PG_GETARG_INT32(1) > MAX_BATCH_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size must be 1 to %d, not %d", MAX_BATCH_SIZE,
						PG_GETARG_INT32(1))));
	sleep_us = sleep_argument(PG_GETARG_INTERVAL_P(2));
	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", "rewrap_all"),
				 errdetail("It commits after each batch.")));

	rewrap_all(label_argument(fcinfo, 0), PG_GETARG_INT32(1), sleep_us,
			   PG_ARGISNULL(3) ? InvalidOid : PG_GETARG_OID(3));
	PG_RETURN_VOID();
}

static void
add_kek_id(Datum value, void *arg)
{
	ArrayBuildState **kek_ids = arg;
	WrappedKey	wrapped_key;

	wrapped_key_from_varlena((struct varlena *) PG_DETOAST_DATUM_PACKED(value), &wrapped_key);
	*kek_ids = accumArrayResult(*kek_ids, UUIDPGetDatum(wrapped_key.kek_id), false, UUIDOID,
								CurrentMemoryContext);
}

Datum
key_vault_kek_ids(PG_FUNCTION_ARGS)
{
	ArrayBuildState *kek_ids = NULL;
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of an argument");
	visit_wrapped_keys(PG_GETARG_DATUM(0), type, add_kek_id, &kek_ids);
	if (kek_ids == NULL)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(UUIDOID));
	PG_RETURN_DATUM(makeArrayResult(kek_ids, CurrentMemoryContext));
}
