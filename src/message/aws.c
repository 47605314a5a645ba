/*
 * aws.c
 *	  Uplinks of AWS IoT Core for LoRaWAN: the JSON that it sends to the destination of a device.
 *
 * AWS decrypts all payloads.  It has no applications; an AWS IoT rule can add one.
 */
#include "postgres.h"

#include "network_server.h"

#define LORAWAN "WirelessMetadata.LoRaWAN"

char *
aws_application(const JsonbValue *message)
{
	return added_application(message, "aws");
}

/* FPort is written in two ways in AWS's own documentation. */
static const JsonbValue *
f_port(const JsonbValue *lorawan)
{
	const JsonbValue *value = json_member(lorawan, "FPort");

	return value != NULL ? value : json_member(lorawan, "Fport");
}

List *
aws_events(const JsonbValue *message, MessageFault *fault)
{
	MessageEvent *event = palloc0(sizeof(MessageEvent));
	const JsonbValue *metadata = field_object(json_member(message, "WirelessMetadata"), "WirelessMetadata", fault);
	const JsonbValue *lorawan = field_object(json_member(metadata, "LoRaWAN"), LORAWAN, fault);

	event->kind = EVENT_UPLINK;
	event->application_id = aws_application(message);
	event->device_id = json_text(json_member(message, "WirelessDeviceId"));
	event->dev_eui = field_bytes(json_member(lorawan, "DevEui"), LORAWAN ".DevEui", FIELD_HEX, EUI_FIELD, fault);
	event->dev_addr = field_bytes(json_member(lorawan, "DevAddr"), LORAWAN ".DevAddr", FIELD_HEX,
								  DEV_ADDR_FIELD, fault);
	event->has_received_at = field_time(json_member(lorawan, "Timestamp"), LORAWAN ".Timestamp",
										&event->received_at, fault);
	event->f_cnt = field_integer(json_member(lorawan, "FCnt"), LORAWAN ".FCnt", MAX_F_CNT, fault);
	event->has_f_cnt = !json_is_null(json_member(lorawan, "FCnt"));
	event->frm_payload = read_payload(json_member(message, "PayloadData"), "PayloadData", fault);
	read_f_port(f_port(lorawan), LORAWAN ".FPort", event, fault);
	event->form = PAYLOAD_PLAIN;
	field_require(event->dev_eui != NULL, LORAWAN ".DevEui", EXPECTED_EUI, fault);
	return list_make1(event);
}
