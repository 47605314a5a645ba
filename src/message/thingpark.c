/*
 * thingpark.c
 *	  Uplinks and sent downlinks of Actility ThingPark: the JSON documents DevEUI_uplink and
 *	  DevEUI_downlink_Sent of its LRC-AS tunnel interface.
 *
 * ThingPark decrypts payloads if it has the AppSKey.  Otherwise a message can bring the AppSKey,
 * which the join server has either encrypted in a way that the message does not name, or not at
 * all.  A payload that is decrypted with the wrong one of these would be garbage, so the key is
 * not used.  Messages name no session.
 */
#include "postgres.h"

#include "network_server.h"

#define UPLINK "DevEUI_uplink"
#define SENT "DevEUI_downlink_Sent"

static const JsonbValue *
document(const JsonbValue *message)
{
	const JsonbValue *uplink = json_member(message, UPLINK);

	return uplink != NULL ? uplink : json_member(message, SENT);
}

/* The subscriber stands for the application, which messages do not name. */
char *
thingpark_application(const JsonbValue *message)
{
	return json_text(json_member(document(message), "CustomerID"));
}

static const char *
field_of(const char *prefix, const char *name)
{
	return psprintf("%s.%s", prefix, name);
}

static void
read_common(const JsonbValue *message, const char *prefix, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *body = field_object(json_member(message, prefix), prefix, fault);
	const JsonbValue *customer = json_member(body, "CustomerData");

	event->dev_eui = field_bytes(json_member(body, "DevEUI"), field_of(prefix, "DevEUI"), FIELD_HEX, EUI_FIELD,
								 fault);
	event->application_id = thingpark_application(message);
	event->device_id = json_text(json_member(customer, "name"));
	event->dev_addr = field_bytes(json_member(body, "DevAddr"), field_of(prefix, "DevAddr"), FIELD_HEX,
								  DEV_ADDR_FIELD, fault);
	event->has_received_at = field_time(json_member(body, "Time"), field_of(prefix, "Time"), &event->received_at,
										fault);
	event->frm_payload = read_hex_payload(json_member(body, "payload_hex"), field_of(prefix, "payload_hex"), fault);
	read_f_port(json_member(body, "FPort"), field_of(prefix, "FPort"), event, fault);
	field_require(event->dev_eui != NULL, field_of(prefix, "DevEUI"), EXPECTED_EUI, fault);
	field_require(event->application_id != NULL && *event->application_id != '\0', field_of(prefix, "CustomerID"),
				  EXPECTED_NAME, fault);
}

/* PayloadEncryption is there from release 8.0 on; an AppSKey only if ThingPark does not decrypt. */
static PayloadForm
form_of_payload(const JsonbValue *body, MessageFault *fault)
{
	const JsonbValue *encryption = json_member(body, "PayloadEncryption");

	if (!json_is_null(encryption))
		return field_integer(encryption, UPLINK ".PayloadEncryption", 1, fault) == 1 ? PAYLOAD_ENCRYPTED : PAYLOAD_PLAIN;
	return json_is_null(json_member(body, "AppSKey")) ? PAYLOAD_NOT_SAID : PAYLOAD_ENCRYPTED;
}

static void
read_uplink(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *body = json_member(message, UPLINK);

	event->kind = EVENT_UPLINK;
	read_common(message, UPLINK, event, fault);
	event->f_cnt = field_integer(json_member(body, "FCntUp"), UPLINK ".FCntUp", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(body, "FCntUp"));
	event->form = form_of_payload(body, fault);
}

static void
read_sent(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *body = json_member(message, SENT);

	event->kind = EVENT_DOWNLINK;
	read_common(message, SENT, event, fault);
	event->event = field_integer(json_member(body, "DeliveryStatus"), SENT ".DeliveryStatus", 1, fault) == 1 ?
		"sent" : "failed";
	event->f_cnt = field_integer(json_member(body, "FCntDn"), SENT ".FCntDn", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(body, "FCntDn"));
	event->queue_item_id = json_text(json_member(body, "CorrelationID"));
	event->item = 1;
}

List *
thingpark_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));

	if (json_has(message, UPLINK))
		read_uplink(message, event, fault);
	else if (json_has(message, SENT))
		read_sent(message, event, fault);
	else
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, other_event_details(message),
					  "no uplink or downlink event of Actility ThingPark");
	return list_make1(event);
}
