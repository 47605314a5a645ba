/*
 * root_key.c
 *	  SQL functions about the root keys.
 *
 * Invariant: nothing of a root key is shown but its key check value.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "../catalog/access.h"
#include "../common/bytea.h"
#include "../root_key/root_key.h"
#include "../root_key/root_key_list.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_root_keys);

/* Columns: position, scheme, root_key_id, problem. */
Datum
key_vault_root_keys(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	RootKeyStatus status;

	access_require_stats_reader("look at the root keys",
								"It takes the privileges of role \"pg_read_all_stats\".");
	InitMaterializedSRF(fcinfo, 0);
	root_key_forget_all();
	for (int n = 0; root_key_status(n, &status); n++)
	{
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = Int32GetDatum(n + 1);
		values[1] = CStringGetTextDatum(status.scheme);
		nulls[2] = status.sqlstate != 0;
		if (!nulls[2])
			values[2] = PointerGetDatum(bytea_from_bytes(status.id, KEY_CHECK_VALUE_SIZE));
		nulls[3] = status.sqlstate == 0;
		if (!nulls[3])
			values[3] = CStringGetTextDatum(unpack_sql_state(status.sqlstate));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
