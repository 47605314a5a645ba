/*
 * chirpstack_v3.c
 *	  Events of ChirpStack, version 3: the JSON of its Application Server's integrations (events
 *	  up, join, ack and txack).
 *
 * There are two forms, "JSON" and "JSON (v3)".  They have the same fields; EUIs and DevAddrs are
 * in base64 in the first one, and in hexadecimal digits in the second.  The Application Server
 * decrypts all payloads, and no message names a session.
 */
#include "postgres.h"

#include <openssl/sha.h>

#include "../common/bytea.h"
#include "../lorawan/frame.h"
#include "network_server.h"

/*
 * A field is hexadecimal if it consists of the right number of digits.  Base64 of 8 bytes has
 * fewer characters, and base64 of 4 bytes ends in "==".
 */
static bytea *
read_bytes(const JsonbValue *message, const char *name, FieldSize size, MessageFault *fault)
{
	const JsonbValue *value = json_member(message, name);
	bool		is_hexadecimal = value != NULL && value->type == jbvString &&
	value->val.string.len == 2 * size.exact && is_hex(value->val.string.val, value->val.string.len);

	return field_bytes(value, name, is_hexadecimal ? FIELD_HEX : FIELD_BASE64, size, fault);
}

/* The time of the first gateway in the list that has one; NULL if none has. */
static const JsonbValue *
first_gateway_time(const JsonbValue *message)
{
	const JsonbValue *gateways = json_member(message, "rxInfo");

	if (gateways == NULL || gateways->type != jbvArray)
		return NULL;
	for (int i = 0; i < gateways->val.array.nElems; i++)
		if (!json_is_null(json_member(&gateways->val.array.elems[i], "time")))
			return json_member(&gateways->val.array.elems[i], "time");
	return NULL;
}

char *
chirpstack_v3_application(const JsonbValue *message)
{
	return json_text(json_member(message, "applicationID"));
}

static void
read_ids(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	event->dev_eui = read_bytes(message, "devEUI", EUI_FIELD, fault);
	event->application_id = chirpstack_v3_application(message);
	event->device_id = json_text(json_member(message, "deviceName"));
	event->dev_addr = read_bytes(message, "devAddr", DEV_ADDR_FIELD, fault);
	event->has_received_at =
		field_time(json_member(message, "publishedAt"), "publishedAt", &event->received_at, fault) ||
		field_time(first_gateway_time(message), "rxInfo.time", &event->received_at, fault);
	field_require(event->dev_eui != NULL, "devEUI", EXPECTED_EUI, fault);
	field_require(event->application_id != NULL && *event->application_id != '\0', "applicationID",
				  EXPECTED_NAME, fault);
}

static void
read_uplink(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	event->kind = EVENT_UPLINK;
	event->f_cnt = field_integer(json_member(message, "fCnt"), "fCnt", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(message, "fCnt"));
	event->frm_payload = read_payload(json_member(message, "data"), "data", fault);
	read_f_port(json_member(message, "fPort"), "fPort", event, fault);
	event->form = PAYLOAD_PLAIN;
}

/* A join names no session, so an id is made for it that another delivery of the join gives again. */
static void
read_join(MessageEvent *event, MessageFault *fault)
{
	uint8		ids[LORAWAN_EUI_SIZE + LORAWAN_DEV_ADDR_SIZE];
	uint8		digest[SHA256_DIGEST_LENGTH];

	event->kind = EVENT_JOIN;
	field_require(event->dev_addr != NULL, "devAddr", EXPECTED_DEV_ADDR, fault);
	if (message_is_faulty(fault))
		return;
	memcpy(ids, VARDATA(event->dev_eui), LORAWAN_EUI_SIZE);
	memcpy(ids + LORAWAN_EUI_SIZE, VARDATA(event->dev_addr), LORAWAN_DEV_ADDR_SIZE);
	(void) SHA256(ids, sizeof(ids), digest);
	event->session_key_id = bytea_from_bytes(digest, SESSION_KEY_ID_SIZE);
}

static void
read_downlink(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *acknowledged = json_member(message, "acknowledged");

	event->kind = EVENT_DOWNLINK;
	if (acknowledged == NULL)
		event->event = "txack";
	else
		event->event = acknowledged->type == jbvBool && acknowledged->val.boolean ? "ack" : "nack";
	event->f_cnt = field_integer(json_member(message, "fCnt"), "fCnt", MAX_F_CNT, fault);
	event->has_f_cnt = true;
	event->queue_item_id = json_text(json_member(message, "queueItemId"));
	event->frm_payload = read_payload(NULL, "data", fault);
	event->item = 1;
}

/* Whether a message is one of the events error, status, location and integration. */
static bool
is_other_event(const JsonbValue *message)
{
	return json_has(message, "error") || json_has(message, "margin") || json_has(message, "location") ||
		json_has(message, "integrationName");
}

List *
chirpstack_v3_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));
	bool		is_known = !is_other_event(message);
	bool		is_uplink = json_has(message, "data") || json_has(message, "fPort");

	read_ids(message, event, fault);
	if (message_is_faulty(fault))
		return NIL;
	if (is_known && is_uplink)
		read_uplink(message, event, fault);
	else if (is_known && (json_has(message, "acknowledged") ||
						  (json_has(message, "fCnt") && !json_has(message, "rxInfo"))))
		read_downlink(message, event, fault);
	else if (is_known && json_has(message, "devAddr"))
		read_join(event, fault);
	else
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, other_event_details(message),
					  "no uplink, join or downlink event of ChirpStack v3");
	return list_make1(event);
}
