/*
 * storage.c
 *	  What a storage (see src/sql/storage) needs of C: to keep messages, which
 *	  may have plaintext keys in them, out of the server log.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(key_vault_storage_ingest_message);
PG_FUNCTION_INFO_V1(key_vault_storage_ingest_line);
PG_FUNCTION_INFO_V1(key_vault_storage_refuse);

/*
 * PostgreSQL calls this for each error, warning and notice from below, before
 * it writes the log.
 */
static void
hide_statement_and_context(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);
	/* This detail would show the statements of all that take part. */
	if (geterrcode() == ERRCODE_T_R_DEADLOCK_DETECTED)
		errdetail_log("The statements are not shown: they may have plaintext keys in them.");
}

/*
 * Calls the function of the install script that does the work.  The statement
 * may have the message in it as a literal; the context, parameters of the
 * statement or the line that COPY reads.
 */
static Datum
call_out_of_the_log(FunctionCallInfo fcinfo, char *name, Oid argument_type)
{
	Oid			function;
	Datum		result;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = hide_statement_and_context
	};

	error_context_stack = &callback;
	function = LookupFuncName(list_make2(makeString("key_vault_internal"), makeString(name)),
							  1, &argument_type, false);
	result = OidFunctionCall1Coll(function, PG_GET_COLLATION(), PG_GETARG_DATUM(0));
	error_context_stack = callback.previous;
	return result;
}

Datum
key_vault_storage_ingest_message(PG_FUNCTION_ARGS)
{
	return call_out_of_the_log(fcinfo, "storage_take_message", JSONBOID);
}

Datum
key_vault_storage_ingest_line(PG_FUNCTION_ARGS)
{
	return call_out_of_the_log(fcinfo, "storage_take_line", TEXTOID);
}

static const char *
text_or_null(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

/*
 * Whether the current role may execute ingest() of a storage of version 1.0.  Only such
 * storages have a table storage_settings without the column version.
 */
static bool
has_storage_of_1_0(void)
{
	bool		result;
	int			nestlevel = NewGUCNestLevel();

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute("SELECT FROM pg_class s JOIN pg_proc p ON p.pronamespace = s.relnamespace"
					" WHERE s.relname = 'storage_settings' AND s.relkind = 'r' AND p.proname = 'ingest'"
					" AND has_schema_privilege(s.relnamespace, 'USAGE')"
					" AND has_function_privilege(p.oid, 'EXECUTE')"
					" AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = s.oid"
					" AND a.attname = 'version' AND NOT a.attisdropped)"
					" AND EXISTS (SELECT FROM pg_class k JOIN pg_attribute a ON a.attrelid = k.oid"
					" WHERE k.relnamespace = s.relnamespace AND k.relname = 'session'"
					" AND a.attname = 'app_s_key' AND a.atttypid = 'key_vault.wrapped_key'::regtype)",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for storages");
	result = SPI_processed > 0;
	SPI_finish();
	AtEOXact_GUC(false, nestlevel);
	return result;
}

/*
 * For storages of version 1.0: raises an error again, with neither the
 * statement nor the context in the server log.  It is for nobody else: a role
 * that may call ingest() of such a storage can have its statement left out of
 * the log anyway.
 */
Datum
key_vault_storage_refuse(PG_FUNCTION_ARGS)
{
	const char *state = text_or_null(fcinfo, 0);
	const char *message = text_or_null(fcinfo, 1);
	const char *detail = text_or_null(fcinfo, 2);
	const char *hint = text_or_null(fcinfo, 3);

	if (!has_storage_of_1_0())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for function %s", "storage_refuse"),
				 errdetail("Only storages that version 1.0 made call it.")));
	if (state == NULL || strlen(state) != 5 || message == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an SQLSTATE and a message are needed")));
	ereport(ERROR,
			(errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
			 errmsg_internal("%s", message),
			 detail != NULL && *detail != '\0' ? errdetail_internal("%s", detail) : 0,
			 hint != NULL && *hint != '\0' ? errhint("%s", hint) : 0,
			 errhidestmt(true),
			 errhidecontext(true)));
	PG_RETURN_VOID();
}
