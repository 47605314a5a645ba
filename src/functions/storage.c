/*
 * storage.c
 *	  SQL functions that take messages into a storage (see src/sql/storage).  They keep the
 *	  messages out of the server log, since there may be plaintext keys in them.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "../common/outage.h"
#include "../message/body.h"
#include "../storage/message_set.h"
#include "../storage/one_by_one.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(key_vault_storage_ingest_message);
PG_FUNCTION_INFO_V1(key_vault_storage_ingest_line);
PG_FUNCTION_INFO_V1(key_vault_storage_ingest_bytes);
PG_FUNCTION_INFO_V1(key_vault_storage_ingest_messages);
PG_FUNCTION_INFO_V1(key_vault_storage_ingest_lines);
PG_FUNCTION_INFO_V1(key_vault_storage_outage);
PG_FUNCTION_INFO_V1(key_vault_storage_refuse);

/*
 * PostgreSQL calls this for each error, warning and notice that is raised between
 * out_of_the_log_begin() and out_of_the_log_end(), before it writes the log.
 */
static void
hide_statement_and_context(void *arg)
{
	errhidestmt(true);
	errhidecontext(true);

	/*
	 * PostgreSQL's own detail would show the statements of all sessions in
	 * the deadlock.
	 */
	if (geterrcode() == ERRCODE_T_R_DEADLOCK_DETECTED)
		errdetail_log("The statements are not shown: they may have plaintext keys in them.");
}

void
out_of_the_log_begin(ErrorContextCallback *callback)
{
	callback->callback = hide_statement_and_context;
	callback->arg = NULL;
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

void
out_of_the_log_end(const ErrorContextCallback *callback)
{
	error_context_stack = callback->previous;
}

/* Stores the set, and says what became of its message, or the counts if it is not one. */
static Datum
store_one(MessageSet *set)
{
	MessageCounts counts;
	Datum		result;

	message_set_store(set);
	counts = message_set_counts(set);
	if (counts.stored + counts.duplicates + counts.rejected == 1)
		result = CStringGetTextDatum(outcome_name(message_set_last(set)));
	else
		result = CStringGetTextDatum(message_counts_text(&counts));
	message_set_delete(set);
	return result;
}

Datum
key_vault_storage_ingest_message(PG_FUNCTION_ARGS)
{
	ErrorContextCallback callback;
	MessageSet *set;
	Datum		outcome;

	out_of_the_log_begin(&callback);
	set = message_set_create(CurrentMemoryContext, NULL);
	message_set_add_jsonb(set, PG_GETARG_JSONB_P(0));
	outcome = store_one(set);
	out_of_the_log_end(&callback);
	PG_RETURN_DATUM(outcome);
}

static void
add_text(MessageSet *set, Datum element)
{
	text	   *line = DatumGetTextPP(element);

	message_set_add_text(set, VARDATA_ANY(line), VARSIZE_ANY_EXHDR(line));
}

static Datum
store_line(Datum line)
{
	MessageSet *set = message_set_create(CurrentMemoryContext, NULL);

	add_text(set, line);
	return store_one(set);
}

Datum
key_vault_storage_ingest_line(PG_FUNCTION_ARGS)
{
	ErrorContextCallback callback;
	Datum		outcome;

	out_of_the_log_begin(&callback);
	outcome = store_line(PG_GETARG_DATUM(0));
	out_of_the_log_end(&callback);
	PG_RETURN_DATUM(outcome);
}

Datum
key_vault_storage_ingest_bytes(PG_FUNCTION_ARGS)
{
	ErrorContextCallback callback;
	bytea	   *body;
	Datum		outcome;

	out_of_the_log_begin(&callback);
	body = PG_GETARG_BYTEA_PP(0);
	outcome = store_line(PointerGetDatum(body_to_text(VARDATA_ANY(body), VARSIZE_ANY_EXHDR(body))));
	out_of_the_log_end(&callback);
	PG_RETURN_DATUM(outcome);
}

/* Stores the set, and returns a row of counts. */
static Datum
store_all(FunctionCallInfo fcinfo, MessageSet *set)
{
	TupleDesc	desc;
	MessageCounts counts;
	Datum		values[3];
	bool		nulls[3] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "result must be a row of three counts");
	message_set_store(set);
	counts = message_set_counts(set);
	message_set_delete(set);
	values[0] = Int64GetDatum(counts.stored);
	values[1] = Int64GetDatum(counts.duplicates);
	values[2] = Int64GetDatum(counts.rejected);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

typedef void (*AddElement) (MessageSet *set, Datum element);

static void
add_jsonb(MessageSet *set, Datum element)
{
	message_set_add_jsonb(set, DatumGetJsonbP(element));
}

static Datum
ingest_elements(FunctionCallInfo fcinfo, AddElement add)
{
	ErrorContextCallback callback;
	MessageSet *set;
	ArrayIterator iterator;
	Datum		element;
	bool		isnull;
	Datum		row;

	out_of_the_log_begin(&callback);
	set = message_set_create(CurrentMemoryContext, NULL);
	iterator = array_create_iterator(PG_GETARG_ARRAYTYPE_P(0), 0, NULL);
	while (array_iterate(iterator, &element, &isnull))
		if (!isnull)
			add(set, element);
	array_free_iterator(iterator);
	row = store_all(fcinfo, set);
	out_of_the_log_end(&callback);
	return row;
}

Datum
key_vault_storage_ingest_messages(PG_FUNCTION_ARGS)
{
	return ingest_elements(fcinfo, add_jsonb);
}

Datum
key_vault_storage_ingest_lines(PG_FUNCTION_ARGS)
{
	return ingest_elements(fcinfo, add_text);
}

/* For storages of version 1.0, which know nothing of an error but its SQLSTATE. */
Datum
key_vault_storage_outage(PG_FUNCTION_ARGS)
{
	const char *state = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(strlen(state) == 5 &&
				   sqlstate_is_outage(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])));
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
 * For storages of version 1.0: raises an error again, with neither the statement nor the
 * context in the server log.  Only roles that may call ingest() of such a storage may call this
 * function.  They can keep their statements out of the log anyway; other roles must not be able
 * to do so.
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
