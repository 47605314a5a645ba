/*
 * key_check.c
 *	  The SQL function that checks the keys of one column, for check_keys().
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "../admin/key_check.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_check_column);

static void
put_result(const char *problem, int64 keys, void *arg)
{
	ReturnSetInfo *result = arg;
	Datum		values[2] = {problem == NULL ? (Datum) 0 : CStringGetTextDatum(problem),
	Int64GetDatum(keys)};
	bool		nulls[2] = {problem == NULL, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
key_vault_check_column(PG_FUNCTION_ARGS)
{
	InitMaterializedSRF(fcinfo, 0);
	check_keys(PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)), put_result, fcinfo->resultinfo);
	return (Datum) 0;
}
