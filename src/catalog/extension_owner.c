/*
 * extension_owner.c
 *	  Running SQL with the rights of the extension's owner.
 *
 * Invariant: the caller has no influence on what is run: the statements are constants in
 * this library, and their names are qualified or found in pg_catalog only.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "extension_owner.h"
#include "vault_tables.h"

void
extension_owner_begin(ExtensionOwner *state)
{
	Relation	table = vault_tables_open_kek();
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
extension_owner_execute(const char *sql, int nargs, Oid *types, Datum *values,
						const char *nulls)
{
	int			result = SPI_execute_with_args(sql, nargs, types, values, nulls,
											   false, 0);

	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

void
extension_owner_end(ExtensionOwner *state)
{
	SPI_finish();
	AtEOXact_GUC(false, state->save_nestlevel);
	SetUserIdAndSecContext(state->save_user, state->save_sec_context);

	/* Makes what was written visible to the rest of this transaction. */
	CommandCounterIncrement();
}
