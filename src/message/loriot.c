/*
 * loriot.c
 *	  Uplinks of Loriot: the JSON of its application outputs (messages rx and gw, which are about
 *	  the same uplink).
 *
 * Loriot decrypts the payload if it has the AppSKey, and sends it as data; otherwise it sends
 * the payload as encdata.  Messages name neither a session, nor a DevAddr, nor an application;
 * a program that passes them on can add an application.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "network_server.h"

/* 2015-01-01 and 10000-01-01 as milliseconds since 1970 (see field_time()). */
#define FIRST_MILLISECOND INT64CONST(1420070400000)
#define LAST_MILLISECOND INT64CONST(253402300800000)

char *
loriot_application(const JsonbValue *message)
{
	return added_application(message, "loriot");
}

static void
read_time(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	int64		milliseconds = field_integer(json_member(message, "ts"), "ts", LAST_MILLISECOND, fault);

	event->has_received_at = milliseconds >= FIRST_MILLISECOND;
	event->received_at = milliseconds * 1000 -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static bool
is_uplink(const JsonbValue *message)
{
	char	   *command = json_text(json_member(message, "cmd"));

	return command != NULL && (strcmp(command, "rx") == 0 || strcmp(command, "gw") == 0);
}

List *
loriot_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));
	const JsonbValue *data = json_member(message, "data");
	const JsonbValue *encrypted = json_member(message, "encdata");

	if (!is_uplink(message))
	{
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, other_event_details(message), "no uplink of Loriot");
		return NIL;
	}
	event->kind = EVENT_UPLINK;
	event->dev_eui = field_bytes(json_member(message, "EUI"), "EUI", FIELD_HEX, EUI_FIELD, fault);
	event->application_id = loriot_application(message);
	read_time(message, event, fault);
	event->f_cnt = field_integer(json_member(message, "fcnt"), "fcnt", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(message, "fcnt"));
	event->form = json_is_null(data) && !json_is_null(encrypted) ? PAYLOAD_ENCRYPTED : PAYLOAD_PLAIN;
	if (event->form == PAYLOAD_ENCRYPTED)
		event->frm_payload = read_hex_payload(encrypted, "encdata", fault);
	else
		event->frm_payload = read_hex_payload(data, "data", fault);
	read_f_port(json_member(message, "port"), "port", event, fault);
	field_require(event->dev_eui != NULL, "EUI", EXPECTED_EUI, fault);
	return list_make1(event);
}
