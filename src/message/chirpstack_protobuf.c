/*
 * chirpstack_protobuf.c
 *	  Events of ChirpStack, version 4, as Protocol Buffers: converts them into the JSON that
 *	  ChirpStack would send instead.
 *
 * The tables below have the numbers and names of the fields, from the definitions that
 * ChirpStack 4.19 publishes (integration.proto, gw.proto, common.proto).  An event does not say
 * of which kind it is, since topics and URLs do: so its kind is found out from its fields.
 */
#include "postgres.h"

#include "chirpstack_protobuf.h"
#include "field.h"
#include "protobuf_json.h"

#define DEV_EUI_DIGITS 16
#define DEV_ADDR_DIGITS 8
#define UUID_LENGTH 36

static const char *const device_classes[] = {"CLASS_A", "CLASS_B", "CLASS_C", NULL};
static const char *const code_rates[] = {
	"CR_UNDEFINED", "CR_4_5", "CR_4_6", "CR_4_7", "CR_4_8", "CR_3_8", "CR_2_6", "CR_1_4", "CR_1_6", "CR_5_6",
	"CR_LI_4_5", "CR_LI_4_6", "CR_LI_4_8", NULL
};
static const char *const crc_statuses[] = {"NO_CRC", "BAD_CRC", "CRC_OK", NULL};

static const FieldRule device_info[] = {
	{1, "tenantId", TYPE_STRING},
	{2, "tenantName", TYPE_STRING},
	{3, "applicationId", TYPE_STRING},
	{4, "applicationName", TYPE_STRING},
	{5, "deviceProfileId", TYPE_STRING},
	{6, "deviceProfileName", TYPE_STRING},
	{7, "deviceName", TYPE_STRING},
	{8, "devEui", TYPE_STRING},
	{10, "deviceClassEnabled", TYPE_ENUM,.names = device_classes},
	{9, "tags", TYPE_MAP},
	{0}
};

static const FieldRule key_envelope[] = {
	{1, "kekLabel", TYPE_STRING,.has_default = true},
	{2, "aesKey", TYPE_BYTES,.has_default = true},
	{0}
};

static const FieldRule join_server_context[] = {
	{1, "sessionKeyId", TYPE_STRING,.has_default = true},
	{2, "appSKey", TYPE_MESSAGE,.rules = key_envelope},
	{0}
};

static const FieldRule location[] = {
	{1, "latitude", TYPE_DOUBLE},
	{2, "longitude", TYPE_DOUBLE},
	{3, "altitude", TYPE_DOUBLE},
	{4, "source", TYPE_UNSIGNED},
	{5, "accuracy", TYPE_FLOAT},
	{0}
};

static const FieldRule lora_modulation[] = {
	{1, "bandwidth", TYPE_UNSIGNED},
	{2, "spreadingFactor", TYPE_UNSIGNED},
	{5, "codeRate", TYPE_ENUM,.names = code_rates},
	{4, "polarizationInversion", TYPE_BOOL},
	{6, "preamble", TYPE_UNSIGNED},
	{7, "noCrc", TYPE_BOOL},
	{0}
};

static const FieldRule fsk_modulation[] = {
	{1, "frequencyDeviation", TYPE_UNSIGNED},
	{2, "datarate", TYPE_UNSIGNED},
	{0}
};

static const FieldRule lr_fhss_modulation[] = {
	{1, "operatingChannelWidth", TYPE_UNSIGNED},
	{4, "codeRate", TYPE_ENUM,.names = code_rates},
	{3, "gridSteps", TYPE_UNSIGNED},
	{0}
};

static const FieldRule modulation[] = {
	{3, "lora", TYPE_MESSAGE,.rules = lora_modulation},
	{4, "fsk", TYPE_MESSAGE,.rules = fsk_modulation},
	{5, "lrFhss", TYPE_MESSAGE,.rules = lr_fhss_modulation},
	{0}
};

static const FieldRule uplink_tx_info[] = {
	{1, "frequency", TYPE_UNSIGNED},
	{2, "modulation", TYPE_MESSAGE,.rules = modulation},
	{0}
};

static const FieldRule downlink_tx_info[] = {
	{1, "frequency", TYPE_UNSIGNED},
	{2, "power", TYPE_SIGNED},
	{3, "modulation", TYPE_MESSAGE,.rules = modulation},
	{4, "board", TYPE_UNSIGNED},
	{5, "antenna", TYPE_UNSIGNED},
	{7, "context", TYPE_BYTES},
	{0}
};

static const FieldRule uplink_rx_info[] = {
	{1, "gatewayId", TYPE_STRING},
	{2, "uplinkId", TYPE_UNSIGNED},
	{3, "gwTime", TYPE_TIME},
	{17, "nsTime", TYPE_TIME},
	{4, "timeSinceGpsEpoch", TYPE_DURATION},
	{5, "fineTimeSinceGpsEpoch", TYPE_DURATION},
	{6, "rssi", TYPE_SIGNED},
	{7, "snr", TYPE_FLOAT},
	{8, "channel", TYPE_UNSIGNED},
	{9, "rfChain", TYPE_UNSIGNED},
	{10, "board", TYPE_UNSIGNED},
	{11, "antenna", TYPE_UNSIGNED},
	{12, "location", TYPE_MESSAGE,.rules = location},
	{13, "context", TYPE_BYTES},
	{15, "metadata", TYPE_MAP},
	{16, "crcStatus", TYPE_ENUM,.names = crc_statuses},
	{0}
};

static const FieldRule relay_rx_info[] = {
	{1, "devEui", TYPE_STRING},
	{2, "frequency", TYPE_UNSIGNED},
	{3, "dr", TYPE_UNSIGNED},
	{4, "snr", TYPE_SIGNED},
	{5, "rssi", TYPE_SIGNED},
	{6, "worChannel", TYPE_UNSIGNED},
	{0}
};

/* In the event log, the fields time and deviceInfo are 1 and 2. */
#define COMMON_FIELDS \
	{1, "deduplicationId", TYPE_STRING}, \
	{2, "time", TYPE_TIME}, \
	{3, "deviceInfo", TYPE_MESSAGE,.rules = device_info}

static const FieldRule uplink_event[] = {
	COMMON_FIELDS,
	{4, "devAddr", TYPE_STRING},
	{5, "adr", TYPE_BOOL,.has_default = true},
	{6, "dr", TYPE_UNSIGNED,.has_default = true},
	{7, "fCnt", TYPE_UNSIGNED,.has_default = true},
	{8, "fPort", TYPE_UNSIGNED,.has_default = true},
	{9, "confirmed", TYPE_BOOL,.has_default = true},
	{10, "data", TYPE_BYTES,.has_default = true},
	{11, "object", TYPE_STRUCT},
	{12, "rxInfo", TYPE_LIST,.rules = uplink_rx_info},
	{13, "txInfo", TYPE_MESSAGE,.rules = uplink_tx_info},
	{14, "relayRxInfo", TYPE_MESSAGE,.rules = relay_rx_info},
	{15, "joinServerContext", TYPE_MESSAGE,.rules = join_server_context},
	{16, "regionConfigId", TYPE_STRING},
	{0}
};

static const FieldRule join_event[] = {
	COMMON_FIELDS,
	{4, "devAddr", TYPE_STRING},
	{5, "relayRxInfo", TYPE_MESSAGE,.rules = relay_rx_info},
	{6, "joinServerContext", TYPE_MESSAGE,.rules = join_server_context},
	{7, "regionConfigId", TYPE_STRING},
	{0}
};

static const FieldRule ack_event[] = {
	COMMON_FIELDS,
	{4, "queueItemId", TYPE_STRING},
	{5, "acknowledged", TYPE_BOOL,.has_default = true},
	{6, "fCntDown", TYPE_UNSIGNED,.has_default = true},
	{0}
};

static const FieldRule tx_ack_event[] = {
	{1, "downlinkId", TYPE_UNSIGNED,.has_default = true},
	{2, "time", TYPE_TIME},
	{3, "deviceInfo", TYPE_MESSAGE,.rules = device_info},
	{4, "queueItemId", TYPE_STRING},
	{5, "fCntDown", TYPE_UNSIGNED,.has_default = true},
	{6, "gatewayId", TYPE_STRING},
	{7, "txInfo", TYPE_MESSAGE,.rules = downlink_tx_info,.has_default = true},
	{0}
};

/* Of events that a storage does not store: what is needed to say so. */
static const FieldRule other_event[] = {COMMON_FIELDS, {0}};
static const FieldRule log_event[] = {
	{1, "time", TYPE_TIME},
	{2, "deviceInfo", TYPE_MESSAGE,.rules = device_info},
	{5, "description", TYPE_STRING},
	{6, "context", TYPE_MAP},
	{0}
};

static bool
has_wire(const uint8 *message, size_t size, uint32 number, ProtobufWire wire)
{
	ProtobufField field;

	return protobuf_find(message, size, number, &field) && field.wire == wire;
}

static bool
is_hex_field(const ProtobufField *field, size_t digits)
{
	return field->wire == PROTOBUF_BYTES && field->size == digits && is_hex((const char *) field->bytes, digits);
}

/* Whether a field is a deviceInfo, which has a DevEUI. */
static bool
is_device_info(const uint8 *message, size_t size, uint32 number)
{
	ProtobufField info;
	ProtobufField dev_eui;

	return protobuf_find(message, size, number, &info) && info.wire == PROTOBUF_BYTES &&
		protobuf_is_whole(info.bytes, info.size) && protobuf_find(info.bytes, info.size, 8, &dev_eui) &&
		is_hex_field(&dev_eui, DEV_EUI_DIGITS);
}

/* Whether a message has a field that, among events with a DevAddr, only uplinks have. */
static bool
has_field_of_uplink(const uint8 *message, size_t size)
{
	ProtobufReader reader = protobuf_reader(message, size);
	ProtobufField field;

	while (protobuf_next(&reader, &field))
		if ((field.number >= 5 && field.number <= 9 && field.wire == PROTOBUF_VARINT) ||
			(field.number >= 10 && field.number <= 13))
			return true;
	return false;
}

/*
 * The rules of the kind of event that a message is; NULL if it is none.  Each uplink has rxInfo
 * and txInfo: one without is cut off, and must not be taken for a join, or lose its payload.
 */
static const FieldRule *
rules_of(const uint8 *message, size_t size)
{
	ProtobufField fourth = {0};
	bool		has_fourth = protobuf_find(message, size, 4, &fourth);

	if (is_device_info(message, size, 2) && has_wire(message, size, 1, PROTOBUF_BYTES))
		return log_event;
	if (!is_device_info(message, size, 3))
		return NULL;
	if (has_fourth && is_hex_field(&fourth, DEV_ADDR_DIGITS))
	{
		if (has_wire(message, size, 12, PROTOBUF_BYTES) && has_wire(message, size, 13, PROTOBUF_BYTES))
			return uplink_event;
		return has_field_of_uplink(message, size) ? NULL : join_event;
	}
	if (has_fourth && fourth.wire == PROTOBUF_BYTES && fourth.size == UUID_LENGTH)
	{
		if (!has_wire(message, size, 1, PROTOBUF_BYTES))
			return tx_ack_event;
		/* An event of an integration has the type of the event as field 5. */
		if (!has_wire(message, size, 5, PROTOBUF_BYTES))
			return ack_event;
	}
	return other_event;
}

bool
chirpstack_protobuf_to_json(const uint8 *event, size_t size, StringInfo json)
{
	const FieldRule *rules = protobuf_is_whole(event, size) ? rules_of(event, size) : NULL;

	return rules != NULL && protobuf_write_json(rules, event, size, json);
}
