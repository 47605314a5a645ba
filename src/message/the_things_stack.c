/*
 * the_things_stack.c
 *	  Events of The Things Stack, version 3: the JSON of its message ApplicationUp, which
 *	  comes by webhooks, MQTT and the Storage Integration.
 *
 * The Things Stack leaves out fields whose value is zero or empty, and a webhook also those
 * that its field mask does not list.  So a missing field says little: a counter may be 0 or
 * masked, and a payload without a key may be encrypted.
 */
#include "postgres.h"

#include <openssl/sha.h>

#include "lib/stringinfo.h"

#include "found.h"
#include "network_server.h"

/* The number of bytes of a digest that are used as an event's id. */
#define CORRELATION_SIZE 16

/* A member of a message that is an event of a downlink, and its name in a storage. */
typedef struct DownlinkEvent
{
	const char *member;
	const char *event;
} DownlinkEvent;

static const DownlinkEvent downlink_events[] = {
	{"downlink_queued", "queued"},
	{"downlink_sent", "sent"},
	{"downlink_ack", "ack"},
	{"downlink_nack", "nack"},
	{"downlink_failed", "failed"},
	{"downlink_queue_invalidated", "invalidated"}
};

char *
the_things_stack_application(const JsonbValue *message)
{
	const JsonbValue *ids = json_member(message, "end_device_ids");

	return json_text(json_member(json_member(ids, "application_ids"), "application_id"));
}

static void
read_ids(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *ids = json_member(message, "end_device_ids");

	event->dev_eui = field_bytes(json_member(ids, "dev_eui"), "end_device_ids.dev_eui", FIELD_HEX,
								 EUI_FIELD, fault);
	event->application_id = the_things_stack_application(message);
	event->device_id = json_text(json_member(ids, "device_id"));
	event->dev_addr = field_bytes(json_member(ids, "dev_addr"), "end_device_ids.dev_addr", FIELD_HEX,
								  DEV_ADDR_FIELD, fault);
	field_require(event->dev_eui != NULL, "end_device_ids.dev_eui", EXPECTED_EUI, fault);
	field_require(event->application_id != NULL && *event->application_id != '\0',
				  "end_device_ids.application_ids.application_id", EXPECTED_NAME, fault);
}

/*
 * The event's own object has the network server's time, which is the same in each delivery
 * of an uplink.  The message itself has the application server's time.
 */
static void
read_received_at(const JsonbValue *message, const JsonbValue *body, const char *name,
				 MessageEvent *event, MessageFault *fault)
{
	event->has_received_at =
		field_time(json_member(body, "received_at"), name, &event->received_at, fault) ||
		field_time(json_member(message, "received_at"), "received_at", &event->received_at, fault);
}

static void
read_app_s_key(const JsonbValue *body, const char *field, MessageEvent *event, MessageFault *fault)
{
	EnvelopeNames names = {.field = field,.label = "kek_label",.key = "encrypted_key"};

	read_envelope(json_member(body, "app_s_key"), &names, event, fault);
}

static bool
is_there(const JsonbValue *body, const char *name)
{
	return !json_is_null(json_member(body, name));
}

static bool
is_true(const JsonbValue *value)
{
	return value != NULL && value->type == jbvBool && value->val.boolean;
}

/*
 * Whether a missing counter means 0, and was not removed by a field mask.  These four fields are
 * in every uplink, and hardly anybody makes a mask that lists all of them but not the counter.
 */
static bool
is_whole(const JsonbValue *body)
{
	return is_there(body, "rx_metadata") && is_there(body, "settings") &&
		is_there(body, "received_at") && is_there(body, "network_ids");
}

/*
 * Both app_s_key and last_a_f_cnt_down are there only if the network does not decrypt
 * (API reference, ApplicationUplink).  The network decodes only what it has decrypted.
 */
static PayloadForm
form_of_payload(const JsonbValue *body)
{
	if (is_there(body, "app_s_key") || is_there(body, "last_a_f_cnt_down"))
		return PAYLOAD_ENCRYPTED;
	if (is_there(body, "decoded_payload") || is_there(body, "normalized_payload"))
		return PAYLOAD_PLAIN;
	return PAYLOAD_NOT_SAID;
}

static List *
read_uplink(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *body = field_object(json_member(message, "uplink_message"), "uplink_message", fault);

	event->kind = EVENT_UPLINK;
	event->is_simulated = is_true(json_member(message, "simulated"));
	read_received_at(message, body, "uplink_message.received_at", event, fault);
	event->session_key_id = field_bytes(json_member(body, "session_key_id"),
										"uplink_message.session_key_id", FIELD_BASE64, ANY_SIZE, fault);
	event->f_port = (int16) field_integer(json_member(body, "f_port"), "uplink_message.f_port",
										  MAX_F_PORT, fault);
	event->has_f_port = true;
	event->f_cnt = field_integer(json_member(body, "f_cnt"), "uplink_message.f_cnt", MAX_F_CNT, fault);
	event->has_f_cnt = json_has(body, "f_cnt") || is_whole(body);
	event->frm_payload = read_payload(json_member(body, "frm_payload"), "uplink_message.frm_payload", fault);
	event->form = form_of_payload(body);
	field_require(event->dev_addr != NULL || event->form != PAYLOAD_ENCRYPTED, "end_device_ids.dev_addr",
				  EXPECTED_DEV_ADDR, fault);
	if (is_there(body, "app_s_key") && !message_is_faulty(fault))
		read_app_s_key(body, "uplink_message.app_s_key", event, fault);
	return list_make1(event);
}

/* Reads one downlink of an event, which may list several; item is its number, from 1. */
static MessageEvent *
read_downlink(const MessageEvent *common, const JsonbValue *downlink, const JsonbValue *session_key_id,
			  const char *prefix, int item, MessageFault *fault)
{
	MessageEvent *event = palloc(sizeof(MessageEvent));
	const char *session_field = psprintf("%s.session_key_id", prefix);

	*event = *common;
	event->kind = EVENT_DOWNLINK;
	event->item = item;
	(void) field_object(downlink, psprintf("downlink of %s", prefix), fault);
	event->session_key_id = field_bytes(json_member(downlink, "session_key_id"), session_field,
										FIELD_BASE64, ANY_SIZE, fault);
	if (event->session_key_id == NULL)
		event->session_key_id = field_bytes(session_key_id, session_field, FIELD_BASE64, ANY_SIZE, fault);
	event->f_port = (int16) field_integer(json_member(downlink, "f_port"), psprintf("%s.f_port", prefix),
										  MAX_F_PORT, fault);
	event->has_f_port = true;
	event->f_cnt = field_integer(json_member(downlink, "f_cnt"), psprintf("%s.f_cnt", prefix),
								 MAX_F_CNT, fault);
	event->has_f_cnt = true;
	event->frm_payload = read_payload(json_member(downlink, "frm_payload"),
									  psprintf("%s.frm_payload", prefix), fault);
	return event;
}

static List *
read_downlinks(List *events, const MessageEvent *common, const JsonbValue *list,
			   const JsonbValue *session_key_id, const char *prefix, const char *list_name,
			   MessageFault *fault)
{
	if (json_is_null(list))
		return events;
	if (list->type != jbvArray)
	{
		FaultDetails details = {.field = list_name,.found = found_value(list),.expected = "an array"};

		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details, "%s is not an array", list_name);
		return events;
	}
	for (int i = 0; i < list->val.array.nElems && !message_is_faulty(fault); i++)
		events = lappend(events, read_downlink(common, &list->val.array.elems[i], session_key_id, prefix,
											   i + 1, fault));
	return events;
}

static List *
read_join(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *body = field_object(json_member(message, "join_accept"), "join_accept", fault);
	bytea	   *dev_addr = field_bytes(json_member(body, "dev_addr"), "join_accept.dev_addr", FIELD_HEX,
									   DEV_ADDR_FIELD, fault);
	MessageEvent waiting;

	event->kind = EVENT_JOIN;
	if (dev_addr != NULL)
		event->dev_addr = dev_addr;
	field_require(event->dev_addr != NULL, "end_device_ids.dev_addr", EXPECTED_DEV_ADDR, fault);
	read_received_at(message, body, "join_accept.received_at", event, fault);
	event->session_key_id = field_bytes(json_member(body, "session_key_id"), "join_accept.session_key_id",
										FIELD_BASE64, ANY_SIZE, fault);
	if (!json_is_null(json_member(body, "app_s_key")) && !message_is_faulty(fault))
		read_app_s_key(body, "join_accept.app_s_key", event, fault);
	field_require(event->session_key_id != NULL, "join_accept.session_key_id", "base64", fault);

	/*
	 * The message lists the downlinks that were queued for the session
	 * before.
	 */
	waiting = *event;
	waiting.event = "invalidated";
	waiting.dev_addr = NULL;
	waiting.kek_label = NULL;
	waiting.encrypted_key = NULL;
	waiting.key_number = 0;
	return read_downlinks(list_make1(event), &waiting, json_member(body, "invalidated_downlinks"), NULL,
						  "join_accept.invalidated_downlinks", "join_accept.invalidated_downlinks", fault);
}

/* An event without downlinks: the queue is empty.  The event is kept all the same. */
static MessageEvent *
empty_queue(const MessageEvent *common, const JsonbValue *body, const char *prefix, MessageFault *fault)
{
	JsonbValue	nothing = {.type = jbvObject};
	MessageEvent *event = read_downlink(common, &nothing, json_member(body, "session_key_id"), prefix, 1,
										fault);

	event->f_cnt = field_integer(json_member(body, "last_f_cnt_down"), psprintf("%s.f_cnt", prefix),
								 MAX_F_CNT, fault);
	return event;
}

/* Makes an id of 32 hexadecimal digits from the correlation ids of a message. */
static char *
id_of_correlation(const JsonbValue *ids)
{
	const char *text;
	size_t		size;
	uint8		digest[SHA256_DIGEST_LENGTH];
	StringInfoData digits;

	if (ids == NULL)
		return NULL;
	text = json_tree_to_text(ids, &size);
	text = text_in_utf8(text, &size);
	(void) SHA256((const uint8 *) text, size, digest);
	initStringInfo(&digits);
	for (int i = 0; i < CORRELATION_SIZE; i++)
		appendStringInfo(&digits, "%02x", digest[i]);
	return digits.data;
}

static List *
read_downlink_event(const JsonbValue *message, const DownlinkEvent *kind, MessageEvent *event,
					MessageFault *fault)
{
	const char *prefix = kind->member;
	const JsonbValue *body;
	const JsonbValue *session_key_id;
	const JsonbValue *list;

	event->event = kind->event;
	event->has_received_at = field_time(json_member(message, "received_at"), "received_at", &event->received_at, fault);

	/*
	 * Without a time, only this id tells events with the same content apart.
	 */
	if (!event->has_received_at)
		event->queue_item_id = id_of_correlation(json_member(message, "correlation_ids"));
	body = field_object(json_member(message, prefix), prefix, fault);
	session_key_id = json_member(body, "session_key_id");
	if (strcmp(kind->event, "failed") == 0)
	{
		JsonbValue	null = {.type = jbvNull};
		const JsonbValue *downlink = json_member(body, "downlink");

		return list_make1(read_downlink(event, downlink != NULL ? downlink : &null, session_key_id, prefix,
										1, fault));
	}
	if (strcmp(kind->event, "invalidated") != 0)
		return list_make1(read_downlink(event, body, session_key_id, prefix, 1, fault));
	list = json_member(body, "downlinks");
	if (json_is_null(list) || (list->type == jbvArray && list->val.array.nElems == 0))
		return list_make1(empty_queue(event, body, prefix, fault));
	return read_downlinks(NIL, event, list, session_key_id, prefix,
						  "downlink_queue_invalidated.downlinks", fault);
}

List *
the_things_stack_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));

	read_ids(message, event, fault);
	if (message_is_faulty(fault))
		return NIL;
	if (json_has(message, "uplink_message"))
		return read_uplink(message, event, fault);
	if (json_has(message, "join_accept"))
		return read_join(message, event, fault);
	for (int i = 0; i < lengthof(downlink_events); i++)
		if (json_has(message, downlink_events[i].member))
			return read_downlink_event(message, &downlink_events[i], event, fault);
	message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, other_event_details(message),
				  "no uplink, join or downlink event of The Things Stack");
	return NIL;
}
