/*
 * event.c
 *	  Reads the events of a message: finds out which network server sent it, and reads the
 *	  parts that the messages of all network servers share.
 */
#include "postgres.h"

#include <openssl/sha.h>

#include "../catalog/kek_label.h"
#include "../common/bytea.h"
#include "found.h"
#include "network_server.h"

char *
added_application(const JsonbValue *message, const char *name)
{
	char	   *application = json_text(json_member(message, "application_id"));

	return application != NULL && *application != '\0' ? application : pstrdup(name);
}

void
read_f_port(const JsonbValue *value, const char *name, MessageEvent *event, MessageFault *fault)
{
	event->f_port = (int16) field_integer(value, name, MAX_F_PORT, fault);
	event->has_f_port = true;
	field_require(!json_is_null(value) || VARSIZE(event->frm_payload) == VARHDRSZ, name, EXPECTED_F_PORT, fault);
}

static bytea *
read_payload_in(const JsonbValue *value, const char *name, FieldEncoding encoding, MessageFault *fault)
{
	bytea	   *payload = field_bytes(value, name, encoding, PAYLOAD_FIELD, fault);

	return payload != NULL ? payload : bytea_from_bytes((const uint8 *) "", 0);
}

bytea *
read_payload(const JsonbValue *value, const char *name, MessageFault *fault)
{
	return read_payload_in(value, name, FIELD_BASE64, fault);
}

bytea *
read_hex_payload(const JsonbValue *value, const char *name, MessageFault *fault)
{
	return read_payload_in(value, name, FIELD_HEX, fault);
}

/* Whether message_wrap_keys() has sealed a value because its form is not known, here or below. */
static bool
has_sealed(const JsonbValue *value)
{
	if (value->type == jbvArray)
	{
		for (int i = 0; i < value->val.array.nElems; i++)
			if (has_sealed(&value->val.array.elems[i]))
				return true;
	}
	else if (value->type == jbvObject)
	{
		if (json_has(value, "sealed"))
			return true;
		for (int i = 0; i < value->val.object.nPairs; i++)
			if (has_sealed(&value->val.object.pairs[i].value))
				return true;
	}
	return false;
}

static bytea *
session_key_id_of_envelope(const MessageEvent *event)
{
	const char *label = kek_label_utf8(event->kek_label);
	StringInfoData text;
	uint8		digest[SHA256_DIGEST_LENGTH];

	initStringInfo(&text);
	appendBinaryStringInfo(&text, label, strlen(label) + 1);
	appendBinaryStringInfo(&text, VARDATA(event->encrypted_key), VARSIZE(event->encrypted_key) - VARHDRSZ);
	appendBinaryStringInfo(&text, VARDATA(event->dev_addr), VARSIZE(event->dev_addr) - VARHDRSZ);
	(void) SHA256((uint8 *) text.data, text.len, digest);
	return bytea_from_bytes(digest, SESSION_KEY_ID_SIZE);
}

void
read_envelope(const JsonbValue *envelope, const EnvelopeNames *names, MessageEvent *event,
			  MessageFault *fault)
{
	FaultDetails no_key = {
		.field = names->field,
		.expected = "a plaintext key of 16 bytes, or a key wrapped under the KEK of its label"
	};
	const JsonbValue *number;
	const JsonbValue *key;
	int			label_size;

	if (field_object(envelope, names->field, fault) == NULL)
		return;
	number = json_member(envelope, "wrapped_key");
	key = json_member(envelope, names->key);
	if (number != NULL && number->type == jbvNumeric)
	{
		event->key_number = (int) field_integer(number, names->field, PG_INT32_MAX, fault);
		return;
	}
	if ((key == NULL || key->type != jbvString) && has_sealed(envelope))
	{
		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, no_key,
					  "%s holds no key of 16 bytes and no wrapped one", names->field);
		return;
	}
	event->encrypted_key = field_bytes(key, psprintf("%s.%s", names->field, names->key), FIELD_BASE64,
									   ANY_SIZE, fault);
	event->kek_label = json_text(json_member(envelope, names->label));
	field_require(event->encrypted_key != NULL, psprintf("%s.%s", names->field, names->key),
				  EXPECTED_WRAPPED_KEY, fault);
	field_require(event->kek_label != NULL, psprintf("%s.%s", names->field, names->label), EXPECTED_NAME,
				  fault);
	if (message_is_faulty(fault))
		return;
	label_size = strlen(kek_label_utf8(event->kek_label));
	if (label_size > KEK_LABEL_MAX_SIZE)
	{
		FaultDetails long_label = {
			.field = psprintf("%s.%s", names->field, names->label),
			.found = found_value(json_member(envelope, names->label)),
			.expected = psprintf("a KEK label of at most %d bytes", KEK_LABEL_MAX_SIZE),
			.hint = "Give the KEK a shorter label in the network server or join server, and here."
		};

		message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, long_label, "%s has %d bytes, more than %d",
					  long_label.field, label_size, KEK_LABEL_MAX_SIZE);
	}
	else if (event->session_key_id == NULL)
		event->session_key_id = session_key_id_of_envelope(event);
}

/* A message format, recognized by members that no other has. */
typedef struct MessageFormat
{
	const char *member;
	const char *beside;			/* a second member, or NULL */
	const char *name;
	List	   *(*events) (const JsonbValue *message, MessageFault *fault); /* NULL if it cannot be
																			 * read */
	char	   *(*application) (const JsonbValue *message);
} MessageFormat;

static const MessageFormat formats[] = {
	{"end_device_ids", NULL, "The Things Stack", the_things_stack_events, the_things_stack_application},
	{"deviceInfo", NULL, "ChirpStack", chirpstack_events, chirpstack_application},
	{OWN_FORMAT_MEMBER, NULL, "the storage", own_format_events, own_format_application},
	{"devEUI", "applicationID", "ChirpStack v3", chirpstack_v3_events, chirpstack_v3_application},
	{"DevEUI_uplink", NULL, "Actility ThingPark", thingpark_events, thingpark_application},
	{"DevEUI_downlink_Sent", NULL, "Actility ThingPark", thingpark_events, thingpark_application},
	{"DevEUI_location", NULL, "Actility ThingPark", thingpark_events, thingpark_application},
	{"DevEUI_notification", NULL, "Actility ThingPark", thingpark_events, thingpark_application},
	{"WirelessDeviceId", "WirelessMetadata", "AWS IoT Core for LoRaWAN", aws_events, aws_application},
	{"cmd", "EUI", "Loriot", loriot_events, loriot_application},
	{"hardware_serial", "dev_id", "The Things Stack v2"}
};

/* The format that a message has, or NULL. */
static const MessageFormat *
format_of(const JsonbValue *message)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (json_has(message, formats[i].member) &&
			(formats[i].beside == NULL || json_has(message, formats[i].beside)))
			return &formats[i];
	return NULL;
}

static FaultDetails
format_details(const JsonbValue *message)
{
	FaultDetails details = {
		.found = found_members(message),
		.expected = "a message of a network server that a storage knows, or a member storage_event",
		.hint = "Let a function read_message() of the storage translate such messages, then replay_rejected() tries this one again."
	};

	return details;
}

FaultDetails
other_event_details(const JsonbValue *message)
{
	FaultDetails details = {
		.found = found_members(message),
		.expected = "an uplink, a join or an event of a downlink",
		.hint = "A storage does not need the message: delete it, and let the network server not send events of this kind."
	};

	return details;
}

List *
message_events(const JsonbValue *message, MessageFault *fault)
{
	const MessageFormat *format = format_of(message);
	List	   *events = NIL;

	if (format == NULL)
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, format_details(message),
					  "message has no known format");
	else if (format->events == NULL)
		message_fault(fault, ERRCODE_FEATURE_NOT_SUPPORTED, format_details(message),
					  "message has no known format: this looks like %s", format->name);
	else
		events = format->events(message, fault);
	return message_is_faulty(fault) ? NIL : events;
}

char *
message_application(const JsonbValue *message)
{
	const MessageFormat *format = format_of(message);

	return format != NULL && format->application != NULL ? format->application(message) : NULL;
}
