/*
 * destroy.c
 *	  The SQL functions that kek_usage() and kek_destroy() call, and the function of the
 *	  event trigger that protects KEKs from being dropped.
 *
 * These functions only unpack arguments; the work is done in key_count.c, destroy_wait.c,
 * kek_admin.c and drop_guard.c.
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "../admin/destroy_wait.h"
#include "../admin/kek_admin.h"
#include "../catalog/citus.h"
#include "../catalog/key_count.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_relations);
PG_FUNCTION_INFO_V1(key_vault_count_keys);
PG_FUNCTION_INFO_V1(key_vault_count_envelopes);
PG_FUNCTION_INFO_V1(key_vault_kek_put_off);
PG_FUNCTION_INFO_V1(key_vault_kek_require_admin);
PG_FUNCTION_INFO_V1(key_vault_kek_wait_for_others);
PG_FUNCTION_INFO_V1(key_vault_kek_hold_keys_still);
PG_FUNCTION_INFO_V1(key_vault_kek_erase_unused);
PG_FUNCTION_INFO_V1(key_vault_guard_drop);

Datum
key_vault_relations(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	citus_list_relations((ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

static void
put_count(const pg_uuid_t *kek_id, int64 keys, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[2] = {UUIDPGetDatum(kek_id), Int64GetDatum(keys)};
	bool		nulls[2] = {false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
key_vault_count_keys(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	count_keys(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), put_count, fcinfo->resultinfo);
	return (Datum) 0;
}

static void
put_envelope_count(const char *label, int64 envelopes, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[2] = {CStringGetTextDatum(label), Int64GetDatum(envelopes)};
	bool		nulls[2] = {false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
key_vault_count_envelopes(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	count_envelopes(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), put_envelope_count,
					fcinfo->resultinfo);
	return (Datum) 0;
}

Datum
key_vault_kek_put_off(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(kek_put_off_destroy(label_argument(fcinfo, 0), PG_GETARG_INT32(1)));
}

Datum
key_vault_kek_require_admin(PG_FUNCTION_ARGS)
{
	kek_require_admin(label_argument(fcinfo, 0));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_wait_for_others(PG_FUNCTION_ARGS)
{
	destroy_wait_for_others(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_hold_keys_still(PG_FUNCTION_ARGS)
{
	destroy_hold_keys_still(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

Datum
key_vault_kek_erase_unused(PG_FUNCTION_ARGS)
{
	kek_erase_unused(label_argument(fcinfo, 0), PG_GETARG_INT32(1));
	PG_RETURN_VOID();
}

/* It is enough that PostgreSQL loads the library to call this: then the hook of drop_guard.c is set. */
Datum
key_vault_guard_drop(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called as an event trigger",
						"key_vault_internal.guard_drop")));
	PG_RETURN_NULL();
}
