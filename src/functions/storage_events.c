/*
 * storage_events.c
 *	  The SQL functions that read a message of a network server into events.
 *
 * Invariant: the rows are returned one by one.  They may contain the key of a message, and a
 * set of rows that is materialized could be written to a file.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "../common/errors.h"
#include "../message/event.h"
#include "../storage/translation.h"

PG_FUNCTION_INFO_V1(key_vault_storage_events);
PG_FUNCTION_INFO_V1(key_vault_storage_read_events);
PG_FUNCTION_INFO_V1(key_vault_storage_time_of_1_0);

/* The number of columns of the type storage_event. */
#define EVENT_COLUMNS 17

static const char *const kind_names[] = {
	[EVENT_UPLINK] = "uplink",
	[EVENT_JOIN] = "join",
	[EVENT_DOWNLINK] = "downlink"
};

static NullableDatum
value_or_null(Datum value, bool there)
{
	NullableDatum result;

	result.value = value;
	result.isnull = !there;
	return result;
}

static NullableDatum
text_or_null(const char *string)
{
	return value_or_null(string != NULL ? CStringGetTextDatum(string) : (Datum) 0, string != NULL);
}

static NullableDatum
bytea_or_null(const bytea *bytes)
{
	return value_or_null(PointerGetDatum(bytes), bytes != NULL);
}

static Datum
event_row(TupleDesc desc, const MessageEvent *event)
{
	NullableDatum columns[EVENT_COLUMNS] = {
		text_or_null(kind_names[event->kind]),
		text_or_null(event->event),
		value_or_null(TimestampTzGetDatum(event->received_at), event->has_received_at),
		bytea_or_null(event->dev_eui),
		text_or_null(event->application_id),
		text_or_null(event->device_id),
		bytea_or_null(event->dev_addr),
		bytea_or_null(event->session_key_id),
		value_or_null(Int16GetDatum(event->f_port), event->has_f_port),
		value_or_null(Int64GetDatum(event->f_cnt), event->has_f_cnt),
		bytea_or_null(event->frm_payload),
		value_or_null(BoolGetDatum(event->form == PAYLOAD_ENCRYPTED), event->form != PAYLOAD_NOT_SAID),
		text_or_null(event->kek_label),
		bytea_or_null(event->encrypted_key),
		value_or_null(Int32GetDatum(event->key_number), event->key_number > 0),
		text_or_null(event->queue_item_id),
		value_or_null(Int32GetDatum(event->item), event->item > 0)
	};
	Datum		values[EVENT_COLUMNS];
	bool		nulls[EVENT_COLUMNS];

	for (int i = 0; i < EVENT_COLUMNS; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

typedef List *(*EventReader) (const JsonbValue *message, MessageFault *fault);

/*
 * Reads the events of the first argument, a message; raises an error if it cannot be used.  The
 * error's fields have the details for the columns of the table rejected: the column has the
 * field, the data type what is expected, and the detail what was found.
 */
static List *
events_of_argument(FunctionCallInfo fcinfo, EventReader reader)
{
	MessageFault fault = {0};
	JsonbValue *message;
	List	   *events = NIL;

	if (json_tree_from_jsonb(PG_GETARG_JSONB_P_COPY(0), &message) == JSON_READ)
		events = reader(message, &fault);
	else
		message_fault(&fault, ERRCODE_STATEMENT_TOO_COMPLEX, NO_DETAILS, "message is nested too deep");
	if (message_is_faulty(&fault))
		ereport(ERROR,
				(errcode(fault.sqlerrcode),
				 errmsg_internal("%s", fault.reason),
				 fault.details.found != NULL ? errdetail_internal("%s", fault.details.found) : 0,
				 fault.details.hint != NULL ? errhint("%s", fault.details.hint) : 0,
				 fault.details.field != NULL ? err_generic_string(PG_DIAG_COLUMN_NAME, fault.details.field) : 0,
				 fault.details.expected != NULL ?
				 err_generic_string(PG_DIAG_DATATYPE_NAME, fault.details.expected) : 0));
	return events;
}

typedef void (*EventChange) (MessageEvent *event);

static Datum
next_event(FunctionCallInfo fcinfo, EventReader reader, EventChange change)
{
	FuncCallContext *context;
	MessageEvent *event;
	List	   *events;
	Datum		row;

	if (SRF_IS_FIRSTCALL())
	{
		MemoryContext caller;

		context = SRF_FIRSTCALL_INIT();
		caller = MemoryContextSwitchTo(context->multi_call_memory_ctx);
		if (get_call_result_type(fcinfo, NULL, &context->tuple_desc) != TYPEFUNC_COMPOSITE ||
			context->tuple_desc->natts != EVENT_COLUMNS)
			elog(ERROR, "storage_events must return key_vault.storage_event");
		context->tuple_desc = BlessTupleDesc(context->tuple_desc);
		context->user_fctx = events_of_argument(fcinfo, reader);
		MemoryContextSwitchTo(caller);
	}
	context = SRF_PERCALL_SETUP();
	events = context->user_fctx;
	if (context->call_cntr >= list_length(events))
		SRF_RETURN_DONE(context);
	event = list_nth(events, context->call_cntr);
	if (change != NULL)
		change(event);
	row = event_row(context->tuple_desc, event);
	SRF_RETURN_NEXT(context, row);
}

/*
 * What version 1.0 of the extension read: a missing counter of an uplink counts as 0, a payload
 * of unknown form as plaintext, and ChirpStack's time is that of the gateway.
 */
static void
read_as_1_0(MessageEvent *event)
{
	if (event->has_time_of_1_0)
		event->received_at = event->time_of_1_0;
	if (event->kind != EVENT_UPLINK)
		return;
	event->has_f_cnt = true;
	if (event->form == PAYLOAD_NOT_SAID)
		event->form = PAYLOAD_PLAIN;
}

/* Storages of version 1.0 have columns that cannot be NULL. */
Datum
key_vault_storage_events(PG_FUNCTION_ARGS)
{
	return next_event(fcinfo, message_events, read_as_1_0);
}

/* Reads a message as the storage in the first schema of search_path does. */
static List *
read_in_storage(const JsonbValue *message, MessageFault *fault)
{
	return translation_exists() ? translation_events(message, fault) : message_events(message, fault);
}

Datum
key_vault_storage_read_events(PG_FUNCTION_ARGS)
{
	return next_event(fcinfo, read_in_storage, NULL);
}

Datum
key_vault_storage_time_of_1_0(PG_FUNCTION_ARGS)
{
	MessageFault fault = {0};
	JsonbValue *message;
	List	   *events = NIL;
	const MessageEvent *first;

	if (json_tree_from_jsonb(PG_GETARG_JSONB_P_COPY(0), &message) == JSON_READ)
		events = message_events(message, &fault);
	first = events != NIL ? linitial(events) : NULL;
	if (first == NULL || !first->has_time_of_1_0)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(first->time_of_1_0);
}
