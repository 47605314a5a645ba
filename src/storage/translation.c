/*
 * translation.c
 *	  The function of a storage's owner that translates messages of formats of his own:
 *	  read_message(jsonb), in the storage's schema.
 *
 * The function gets a message from which the plaintext keys were taken out.  It is called
 * before the formats that are built in are tried, so that an update of the extension that
 * brings another format changes nothing for a storage that reads it already.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "nodes/value.h"
#include "parser/parse_func.h"

#include "statement.h"
#include "translation.h"

#define FUNCTION "read_message"

bool
translation_exists(void)
{
	static const Oid types[] = {JSONBOID};

	return OidIsValid(LookupFuncName(list_make1(makeString(FUNCTION)), 1, types, true));
}

/* What the function returns for a message; NULL for SQL's NULL. */
static JsonbValue *
translate(const JsonbValue *message)
{
	static const Oid types[] = {JSONBOID};
	static const Statement call = {"SELECT " FUNCTION "($1)", 1, types};
	MemoryContext caller = CurrentMemoryContext;
	Datum		values[] = {JsonbPGetDatum(json_tree_to_jsonb(message))};
	JsonbValue *tree = NULL;
	bool		isnull;
	Datum		result;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (statement_run(&call, values, NULL) != 1 || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != JSONBOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				 errmsg("function %s must return one jsonb", FUNCTION),
				 errhint("It returns an array of events if a message has several.")));
	result = statement_column(0, 1, &isnull);
	if (!isnull)
	{
		MemoryContext before = MemoryContextSwitchTo(caller);

		if (json_tree_from_jsonb(DatumGetJsonbPCopy(result), &tree) != JSON_READ)
			ereport(ERROR,
					(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
					 errmsg("what function %s returns is nested too deep", FUNCTION)));
		MemoryContextSwitchTo(before);
	}
	SPI_finish();
	return tree;
}

List *
translation_events(const JsonbValue *message, MessageFault *fault)
{
	JsonbValue *translated = translate(message);
	List	   *events;

	if (translated == NULL)
		return message_events(message, fault);
	events = own_format_read(translated, fault);
	return message_is_faulty(fault) ? NIL : events;
}
