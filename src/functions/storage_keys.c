/*
 * storage_keys.c
 *	  SQL functions that take plaintext keys out of a message, for storages of version 1.0,
 *	  which have code of their own that calls them.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "../catalog/key_columns.h"
#include "../message/message_keys.h"
#include "../storage/value_list.h"

PG_FUNCTION_INFO_V1(key_vault_storage_seal);
PG_FUNCTION_INFO_V1(key_vault_storage_wrap_keys);

static List *
keys_of_array(ArrayType *array)
{
	List	   *keys = NIL;
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);
	Datum		element;
	bool		isnull;

	while (array_iterate(iterator, &element, &isnull))
		if (!isnull)
			keys = lappend(keys, DatumGetPointer(element));
	array_free_iterator(iterator);
	return keys;
}

static const char *
given_label(MessageKeys *keys)
{
	return keys->context;
}

/* Arguments: text, label. */
Datum
key_vault_storage_seal(PG_FUNCTION_ARGS)
{
	text	   *line = PG_GETARG_TEXT_PP(0);
	List	   *keys = message_seal(VARDATA_ANY(line), VARSIZE_ANY_EXHDR(line),
									text_to_cstring(PG_GETARG_TEXT_PP(1)));

	PG_RETURN_DATUM(array_of_pointers(wrapped_key_type(), keys));
}

/* Arguments: message, label, keys that were taken out before, in_key (see message_wrap_keys()). */
Datum
key_vault_storage_wrap_keys(PG_FUNCTION_ARGS)
{
	MessageKeys keys = {.label = given_label};
	MessageFault fault = {0};
	JsonbValue *message;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != lengthof(values))
		elog(ERROR, "result must be a message and its keys");
	keys.context = text_to_cstring(PG_GETARG_TEXT_PP(1));
	keys.wrapped = keys_of_array(PG_GETARG_ARRAYTYPE_P(2));
	if (json_tree_from_jsonb(PG_GETARG_JSONB_P_COPY(0), &message) == JSON_READ)
		message_wrap_keys(message, &keys, PG_GETARG_BOOL(3), &fault);
	else
		message_fault(&fault, ERRCODE_STATEMENT_TOO_COMPLEX, NO_DETAILS, "message is nested too deep");
	if (message_is_faulty(&fault))
		ereport(ERROR, (errcode(fault.sqlerrcode), errmsg_internal("%s", fault.reason)));
	values[0] = JsonbPGetDatum(json_tree_to_jsonb(message));
	values[1] = array_of_pointers(wrapped_key_type(), keys.wrapped);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
