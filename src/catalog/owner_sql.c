/*
 * owner_sql.c
 *	  SQL that is run with the rights of the extension's owner.
 *
 * Invariant: nothing of the caller's takes part in it: names are qualified or
 * looked up in pg_catalog only, and the statements are this storey's own.
 * Called by kek_admin.c and audit_log.c.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "invalidation.h"
#include "owner_sql.h"

void
owner_sql_begin(OwnerSql *state)
{
	Relation	table = open_kek_table();
	Oid			owner = table->rd_rel->relowner;

	table_close(table, AccessShareLock);

	GetUserIdAndSecContext(&state->save_user, &state->save_sec_context);
	SetUserIdAndSecContext(owner, state->save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
	state->save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

uint64
owner_sql_execute(const char *sql, int nargs, Oid *types, Datum *values,
				  const char *nulls)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, nulls,
											   false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

void
owner_sql_end(OwnerSql *state)
{
	SPI_finish();
	AtEOXact_GUC(false, state->save_nestlevel);
	SetUserIdAndSecContext(state->save_user, state->save_sec_context);

	/* What was written takes effect for what this transaction does next. */
	CommandCounterIncrement();
}
