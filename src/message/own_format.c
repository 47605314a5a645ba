/*
 * own_format.c
 *	  Events in the form that a storage itself defines, for messages of network servers that it
 *	  cannot read: a member storage_event, which is an object or an array of objects.
 *
 * Whoever translates messages writes this form, so a member that it does not have is a fault
 * and not skipped: it may be a misspelt counter.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "../common/bytea.h"
#include "../lorawan/frame.h"
#include "found.h"
#include "network_server.h"

#define EVENT OWN_FORMAT_MEMBER

static const char *const members[] = {
	"kind", "event", "received_at", "dev_eui", "application_id", "device_id", "dev_addr", "session_key_id",
	"f_port", "f_cnt", "frm_payload", "phy_payload", "encrypted", "app_s_key", "queue_item_id"
};

static bool
is_member(const JsonbValue *name)
{
	for (int i = 0; i < lengthof(members); i++)
		if (json_name_is(name, members[i]))
			return true;
	return false;
}

static void
require_known_members(const JsonbValue *object, MessageFault *fault)
{
	FaultDetails details = {
		.field = EVENT,
		.expected = "members of the names in the documentation",
		.hint = "Correct the name. What the storage does not need may stand beside storage_event."
	};
	int			unknown = 0;

	for (int i = 0; i < object->val.object.nPairs; i++)
		unknown += !is_member(&object->val.object.pairs[i].key);
	if (unknown == 0)
		return;
	details.found = found_members(object);
	message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details,
				  ngettext("%s has %d unknown member", "%s has %d unknown members", unknown), EVENT, unknown);
}

static void
wrong_value(const JsonbValue *value, const char *field, const char *expected, MessageFault *fault)
{
	FaultDetails details = {.field = field,.found = found_value(value),.expected = expected};

	message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details, "%s is not %s", field, expected);
}

static void
read_kind(const JsonbValue *object, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *value = json_member(object, "kind");
	const char *kind = value != NULL && value->type == jbvString ? json_text(value) : "";

	if (strcmp(kind, "uplink") == 0)
		event->kind = EVENT_UPLINK;
	else if (strcmp(kind, "join") == 0)
		event->kind = EVENT_JOIN;
	else if (strcmp(kind, "downlink") == 0)
		event->kind = EVENT_DOWNLINK;
	else
		wrong_value(value, EVENT ".kind", "uplink, join or downlink", fault);
}

/* A string; NULL if it is missing. */
static char *
read_text(const JsonbValue *object, const char *member, MessageFault *fault)
{
	const JsonbValue *value = json_member(object, member);

	if (json_is_null(value))
		return NULL;
	if (value->type == jbvString)
		return json_text(value);
	wrong_value(value, psprintf("%s.%s", EVENT, member), EXPECTED_NAME, fault);
	return NULL;
}

static bytea *
read_bytes(const JsonbValue *object, const char *member, FieldSize size, MessageFault *fault)
{
	return field_bytes(json_member(object, member), psprintf("%s.%s", EVENT, member), FIELD_HEX, size, fault);
}

static void
read_form(const JsonbValue *object, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *encrypted = json_member(object, "encrypted");

	if (json_is_null(encrypted))
		event->form = json_is_null(json_member(object, "app_s_key")) ? PAYLOAD_NOT_SAID : PAYLOAD_ENCRYPTED;
	else if (encrypted->type == jbvBool)
		event->form = encrypted->val.boolean ? PAYLOAD_ENCRYPTED : PAYLOAD_PLAIN;
	else
		wrong_value(encrypted, EVENT ".encrypted", "true or false", fault);
}

static void
frame_fault(const char *problem, MessageFault *fault)
{
	FaultDetails details = {
		.field = EVENT ".phy_payload",
		.expected = "a LoRaWAN frame that carries data, and that the other members do not contradict"
	};

	message_fault(fault, ERRCODE_INVALID_PARAMETER_VALUE, details, "%s: %s", details.field, problem);
}

/*
 * Reads a whole frame.  It has the low half of the counter only, so the counter has to be
 * beside it.  The payload in a frame is always encrypted.
 */
static void
read_frame(const JsonbValue *object, const bytea *frame, MessageEvent *event, MessageFault *fault)
{
	LorawanFrameFields fields;
	LorawanFault problem;

	if (!lorawan_frame_parse((const uint8 *) VARDATA(frame), VARSIZE(frame) - VARHDRSZ, &fields, &problem))
		frame_fault(psprintf("%s at byte %zu: %s", problem.field, problem.offset, problem.problem), fault);
	else if (!lorawan_is_data(fields.m_type))
		frame_fault("the frame carries no data", fault);
	else if (lorawan_is_uplink(fields.m_type) != (event->kind == EVENT_UPLINK))
		frame_fault("the frame has the other direction", fault);
	else if (!json_is_null(json_member(object, "frm_payload")) || !json_is_null(json_member(object, "f_port")))
		frame_fault("f_port and frm_payload are in the frame, and must not stand beside it", fault);
	else if (event->dev_addr != NULL && memcmp(VARDATA(event->dev_addr), fields.dev_addr, LORAWAN_DEV_ADDR_SIZE) != 0)
		frame_fault("the frame has another DevAddr than dev_addr", fault);
	else if (event->has_f_cnt && (uint16) event->f_cnt != fields.f_cnt)
		frame_fault("the frame has another counter than f_cnt", fault);
	else if (event->form == PAYLOAD_PLAIN)
		frame_fault("the payload in a frame is encrypted", fault);
	if (message_is_faulty(fault))
		return;
	event->dev_addr = bytea_from_bytes(fields.dev_addr, LORAWAN_DEV_ADDR_SIZE);
	event->f_port = fields.has_f_port ? fields.f_port : 0;
	event->has_f_port = true;
	event->frm_payload = bytea_from_bytes(fields.frm_payload, fields.has_f_port ? fields.frm_payload_len : 0);
	event->form = PAYLOAD_ENCRYPTED;
}

static void
read_payload_and_counter(const JsonbValue *object, MessageEvent *event, MessageFault *fault)
{
	const JsonbValue *f_port = json_member(object, "f_port");
	bytea	   *frame = read_bytes(object, "phy_payload", PAYLOAD_FIELD, fault);

	read_form(object, event, fault);
	event->f_cnt = field_integer(json_member(object, "f_cnt"), EVENT ".f_cnt", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(object, "f_cnt"));
	event->f_port = (int16) field_integer(f_port, EVENT ".f_port", MAX_F_PORT, fault);
	event->has_f_port = event->kind == EVENT_UPLINK || !json_is_null(f_port);
	event->frm_payload = read_hex_payload(json_member(object, "frm_payload"), EVENT ".frm_payload", fault);
	if (frame != NULL && !message_is_faulty(fault))
		read_frame(object, frame, event, fault);
	if (event->kind == EVENT_UPLINK && frame == NULL)
		field_require(!json_is_null(f_port), EVENT ".f_port", EXPECTED_F_PORT, fault);
}

static void
read_key(const JsonbValue *object, MessageEvent *event, MessageFault *fault)
{
	static const EnvelopeNames names = {
		.field = EVENT ".app_s_key",
		.label = "kek_label",
		.key = "encrypted_key"
	};
	const JsonbValue *envelope = json_member(object, "app_s_key");
	bool		needs_dev_addr = event->kind == EVENT_JOIN || !json_is_null(envelope) ||
	(event->kind == EVENT_UPLINK && event->form == PAYLOAD_ENCRYPTED);

	field_require(event->dev_addr != NULL || !needs_dev_addr, EVENT ".dev_addr", EXPECTED_DEV_ADDR, fault);
	if (!json_is_null(envelope) && event->kind == EVENT_DOWNLINK)
		wrong_value(envelope, EVENT ".app_s_key", "there in an uplink or join only", fault);
	if (!json_is_null(envelope) && !message_is_faulty(fault))
		read_envelope(envelope, &names, event, fault);
	if (event->kind == EVENT_JOIN)
		field_require(event->session_key_id != NULL || event->key_number > 0, EVENT ".session_key_id",
					  "hexadecimal digits", fault);
}

static MessageEvent *
read_event(const JsonbValue *object, int item, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));

	if (!json_is_object(object))
	{
		wrong_value(object, EVENT, "an object, or an array of objects", fault);
		return event;
	}
	require_known_members(object, fault);
	read_kind(object, event, fault);
	event->item = item;
	event->event = read_text(object, "event", fault);
	event->has_received_at = field_time(json_member(object, "received_at"), EVENT ".received_at",
										&event->received_at, fault);
	event->dev_eui = read_bytes(object, "dev_eui", EUI_FIELD, fault);
	event->application_id = read_text(object, "application_id", fault);
	event->device_id = read_text(object, "device_id", fault);
	event->dev_addr = read_bytes(object, "dev_addr", DEV_ADDR_FIELD, fault);
	event->session_key_id = read_bytes(object, "session_key_id", ANY_SIZE, fault);
	event->queue_item_id = read_text(object, "queue_item_id", fault);
	field_require(event->dev_eui != NULL, EVENT ".dev_eui", EXPECTED_EUI, fault);
	field_require(event->application_id != NULL && *event->application_id != '\0', EVENT ".application_id",
				  EXPECTED_NAME, fault);
	if (event->kind == EVENT_DOWNLINK)
		field_require(event->event != NULL && *event->event != '\0', EVENT ".event", EXPECTED_NAME, fault);
	if (event->kind != EVENT_JOIN)
		read_payload_and_counter(object, event, fault);
	read_key(object, event, fault);
	return event;
}

List *
own_format_read(const JsonbValue *value, MessageFault *fault)
{
	List	   *events = NIL;

	if (value->type != jbvArray)
		return list_make1(read_event(value, 1, fault));
	if (value->val.array.nElems == 0)
		wrong_value(value, EVENT, "an object, or an array of objects", fault);
	for (int i = 0; i < value->val.array.nElems && !message_is_faulty(fault); i++)
	{
		CHECK_FOR_INTERRUPTS();
		events = lappend(events, read_event(&value->val.array.elems[i], i + 1, fault));
	}
	return events;
}

List *
own_format_events(const JsonbValue *message, MessageFault *fault)
{
	return own_format_read(json_member(message, OWN_FORMAT_MEMBER), fault);
}

char *
own_format_application(const JsonbValue *message)
{
	const JsonbValue *event = json_member(message, OWN_FORMAT_MEMBER);

	if (event != NULL && event->type == jbvArray && event->val.array.nElems > 0)
		event = &event->val.array.elems[0];
	return json_text(json_member(event, "application_id"));
}
