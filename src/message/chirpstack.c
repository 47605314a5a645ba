/*
 * chirpstack.c
 *	  Events of ChirpStack, version 4: the JSON of its integrations (events up, join, ack
 *	  and txack).
 *
 * Version 4.0 leaves out fields whose value is zero, false or empty; later versions write
 * them.  A program that passes messages on may leave out other fields.
 */
#include "postgres.h"

#include "network_server.h"

#define DEDUPLICATION_ID_FIELD ((FieldSize) {.exact = 16})

/* Returns the nsTime of the first gateway in the list that has one; NULL if none has. */
static const JsonbValue *
first_ns_time(const JsonbValue *message)
{
	const JsonbValue *gateways = json_member(message, "rxInfo");

	if (gateways == NULL || gateways->type != jbvArray)
		return NULL;
	for (int i = 0; i < gateways->val.array.nElems; i++)
		if (json_has(&gateways->val.array.elems[i], "nsTime"))
			return json_member(&gateways->val.array.elems[i], "nsTime");
	return NULL;
}

char *
chirpstack_application(const JsonbValue *message)
{
	return json_text(json_member(json_member(message, "deviceInfo"), "applicationId"));
}

static void
read_ids(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *info = json_member(message, "deviceInfo");
	const JsonbValue *time = json_member(message, "time");
	MessageFault ignored = {0};

	event->dev_eui = field_bytes(json_member(info, "devEui"), "deviceInfo.devEui", FIELD_HEX, EUI_FIELD,
								 fault);
	event->application_id = chirpstack_application(message);
	event->device_id = json_text(json_member(info, "deviceName"));
	event->dev_addr = field_bytes(json_member(message, "devAddr"), "devAddr", FIELD_HEX, DEV_ADDR_FIELD,
								  fault);

	/*
	 * The field "time" shows the gateway's clock.  The network server's own
	 * time, which is preferred, is in the entries of rxInfo.
	 */
	event->has_received_at = field_time(first_ns_time(message), "rxInfo.nsTime", &event->received_at, fault);
	if (event->has_received_at)
		event->has_time_of_1_0 = field_time(time, "time", &event->time_of_1_0, &ignored);
	else
		event->has_received_at = field_time(time, "time", &event->received_at, fault);
	field_require(event->dev_eui != NULL, "deviceInfo.devEui", EXPECTED_EUI, fault);
	field_require(event->application_id != NULL && *event->application_id != '\0',
				  "deviceInfo.applicationId", EXPECTED_NAME, fault);
}

static bool
is_empty_string(const JsonbValue *value)
{
	return value != NULL && value->type == jbvString && value->val.string.len == 0;
}

/* If there is no key, ChirpStack writes an envelope of two empty strings. */
static bool
is_empty_envelope(const JsonbValue *envelope)
{
	return envelope->type == jbvObject && envelope->val.object.nPairs == 2 &&
		is_empty_string(json_member(envelope, "kekLabel")) &&
		is_empty_string(json_member(envelope, "aesKey"));
}

static bool
has_wrapped_key(const JsonbValue *envelope)
{
	const JsonbValue *number = json_member(envelope, "wrapped_key");

	return number != NULL && number->type == jbvNumeric;
}

static void
read_app_s_key(const JsonbValue *context, MessageEvent *event, MessageFault *fault)
{
	static const EnvelopeNames names = {
		.field = "joinServerContext.appSKey",
		.label = "kekLabel",
		.key = "aesKey"
	};
	const JsonbValue *envelope = json_member(context, "appSKey");

	if (json_is_null(envelope) || is_empty_envelope(envelope))
		return;

	/*
	 * Without a session key id and a KEK label, ChirpStack has decrypted the
	 * payload itself: the key is not needed.
	 */
	if (event->kind == EVENT_UPLINK && event->form == PAYLOAD_PLAIN && has_wrapped_key(envelope))
		return;
	read_envelope(envelope, &names, event, fault);
}

/*
 * Reads the message's id.  It stands for the session key id of a join that has none, because
 * ChirpStack's own join server answered it.
 */
static bytea *
read_deduplication_id(const JsonbValue *message, MessageFault *fault)
{
	char	   *id = json_text(json_member(message, "deduplicationId"));
	JsonbValue	digits = {.type = jbvString};
	int			n = 0;

	if (id == NULL)
		return NULL;
	for (const char *at = id; *at != '\0'; at++)
		if (*at != '-')
			id[n++] = *at;
	digits.val.string.val = id;
	digits.val.string.len = n;
	return field_bytes(&digits, "deduplicationId", FIELD_HEX, DEDUPLICATION_ID_FIELD, fault);
}

static bool
is_zero(const JsonbValue *value)
{
	if (value->type == jbvBool)
		return !value->val.boolean;
	if (value->type == jbvNumeric)
		return strcmp(json_text(value), "0") == 0;
	return value->type == jbvNull || is_empty_string(value);
}

/*
 * Whether a missing field of an uplink means zero: it does if no field is written with a zero,
 * and the two fields that every uplink has are not missing.
 */
static bool
leaves_out_zeros(const JsonbValue *message)
{
	if (!json_has(message, "rxInfo") || !json_has(message, "txInfo"))
		return false;
	for (int i = 0; i < message->val.object.nPairs; i++)
		if (is_zero(&message->val.object.pairs[i].value))
			return false;
	return true;
}

static void
read_uplink_or_join(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *context = json_member(message, "joinServerContext");
	const char *kek_label;

	context = json_is_null(context) ? NULL : field_object(context, "joinServerContext", fault);
	event->session_key_id = field_bytes(json_member(context, "sessionKeyId"),
										"joinServerContext.sessionKeyId", FIELD_HEX, ANY_SIZE, fault);
	if (event->kind == EVENT_UPLINK)
	{
		event->f_port = (int16) field_integer(json_member(message, "fPort"), "fPort", MAX_F_PORT, fault);
		event->has_f_port = true;
		event->f_cnt = field_integer(json_member(message, "fCnt"), "fCnt", MAX_F_CNT, fault);
		event->has_f_cnt = json_has(message, "fCnt") || leaves_out_zeros(message);
		event->frm_payload = read_payload(json_member(message, "data"), "data", fault);
		kek_label = json_text(json_member(json_member(context, "appSKey"), "kekLabel"));
		event->form = event->session_key_id != NULL || (kek_label != NULL && *kek_label != '\0') ?
			PAYLOAD_ENCRYPTED : PAYLOAD_PLAIN;
	}
	field_require(event->dev_addr != NULL || event->form == PAYLOAD_PLAIN, "devAddr", EXPECTED_DEV_ADDR, fault);
	if (!message_is_faulty(fault))
		read_app_s_key(context, event, fault);
	if (event->kind == EVENT_JOIN && event->session_key_id == NULL)
	{
		event->session_key_id = read_deduplication_id(message, fault);
		field_require(event->session_key_id != NULL, "joinServerContext.sessionKeyId", "hexadecimal digits", fault);
	}
}

static void
read_downlink(const JsonbValue *message, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *acknowledged = json_member(message, "acknowledged");

	event->kind = EVENT_DOWNLINK;
	if (json_has(message, "txInfo"))
		event->event = "txack";
	else if (acknowledged != NULL && acknowledged->type == jbvBool && acknowledged->val.boolean)
		event->event = "ack";
	else
		event->event = "nack";
	event->f_cnt = field_integer(json_member(message, "fCntDown"), "fCntDown", MAX_F_CNT, fault);
	event->has_f_cnt = true;
	event->queue_item_id = json_text(json_member(message, "queueItemId"));
	event->frm_payload = read_payload(NULL, "data", fault);
	event->item = 1;
}

List *
chirpstack_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));
	bool		is_uplink = json_has(message, "fCnt") || json_has(message, "data");

	/*
	 * Uplinks and joins have a DevAddr.  Only an uplink has a port, and data
	 * of the radio (rxInfo, txInfo).
	 */
	if (json_has(message, "devAddr"))
		is_uplink |= json_has(message, "fPort") || json_has(message, "rxInfo") ||
			json_has(message, "txInfo");
	read_ids(message, event, fault);
	if (message_is_faulty(fault))
		return NIL;
	if (is_uplink || json_has(message, "devAddr"))
	{
		event->kind = is_uplink ? EVENT_UPLINK : EVENT_JOIN;
		read_uplink_or_join(message, event, fault);
	}
	else if (json_has(message, "acknowledged") || json_has(message, "txInfo") ||
			 json_has(message, "queueItemId"))
		read_downlink(message, event, fault);
	else
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, other_event_details(message),
					  "no uplink, join or downlink event of ChirpStack");
	return list_make1(event);
}
