/*
 * mac_command.c
 *	  The table of MAC commands, and parsing lists of commands with it.
 *
 * The table has the size of each command, and which of its bits are which field.
 * Fields have their names in the specification, with underscores between words; bits
 * that are reserved for future use are no fields.
 *
 * Invariant: nothing is read beyond the end of a list.
 */
#include "mac_command.h"

#define UP LORAWAN_UPLINK
#define DOWN LORAWAN_DOWNLINK

#define NUMBER(name, shift, bits) {name, shift, bits, LORAWAN_MAC_NUMBER}
#define SIGNED(name, shift, bits) {name, shift, bits, LORAWAN_MAC_SIGNED}
#define FLAG(name, shift) {name, shift, 1, LORAWAN_MAC_FLAG}
#define NO_FIELDS {{0}}
#define FREQUENCY(shift) {"frequency", shift, 24, LORAWAN_MAC_FREQUENCY}

static const LorawanMacCommand commands_known[] = {
	{0x01, UP, 1, "ResetInd", {NUMBER("minor", 0, 4)}},
	{0x01, DOWN, 1, "ResetConf", {NUMBER("minor", 0, 4)}},
	{0x02, UP, 0, "LinkCheckReq", NO_FIELDS},
	{0x02, DOWN, 2, "LinkCheckAns",
		{NUMBER("margin", 0, 8), NUMBER("gw_cnt", 8, 8)}
	},
	{0x03, UP, 1, "LinkADRAns",
		{FLAG("channel_mask_ack", 0), FLAG("data_rate_ack", 1),
		FLAG("power_ack", 2)}
	},
	{0x03, DOWN, 4, "LinkADRReq",
		{NUMBER("tx_power", 0, 4), NUMBER("data_rate", 4, 4),
			NUMBER("ch_mask", 8, 16), NUMBER("nb_trans", 24, 4),
		NUMBER("ch_mask_cntl", 28, 3)}
	},
	{0x04, UP, 0, "DutyCycleAns", NO_FIELDS},
	{0x04, DOWN, 1, "DutyCycleReq", {NUMBER("max_duty_cycle", 0, 4)}},
	{0x05, UP, 1, "RXParamSetupAns",
		{FLAG("channel_ack", 0), FLAG("rx2_data_rate_ack", 1),
		FLAG("rx1_dr_offset_ack", 2)}
	},
	{0x05, DOWN, 4, "RXParamSetupReq",
		{NUMBER("rx2_data_rate", 0, 4), NUMBER("rx1_dr_offset", 4, 3),
		FREQUENCY(8)}
	},
	{0x06, UP, 2, "DevStatusAns",
		{NUMBER("battery", 0, 8), SIGNED("margin", 8, 6)}
	},
	{0x06, DOWN, 0, "DevStatusReq", NO_FIELDS},
	{0x07, UP, 1, "NewChannelAns",
		{FLAG("channel_frequency_ok", 0), FLAG("data_rate_range_ok", 1)}
	},
	{0x07, DOWN, 5, "NewChannelReq",
		{NUMBER("ch_index", 0, 8), FREQUENCY(8), NUMBER("min_dr", 32, 4),
		NUMBER("max_dr", 36, 4)}
	},
	{0x08, UP, 0, "RXTimingSetupAns", NO_FIELDS},
	{0x08, DOWN, 1, "RXTimingSetupReq", {NUMBER("delay", 0, 4)}},
	{0x09, UP, 0, "TXParamSetupAns", NO_FIELDS},
	{0x09, DOWN, 1, "TXParamSetupReq",
		{NUMBER("max_eirp", 0, 4), FLAG("uplink_dwell_time", 4),
		FLAG("downlink_dwell_time", 5)}
	},
	{0x0a, UP, 1, "DlChannelAns",
		{FLAG("channel_frequency_ok", 0), FLAG("uplink_frequency_exists", 1)}
	},
	{0x0a, DOWN, 4, "DlChannelReq", {NUMBER("ch_index", 0, 8), FREQUENCY(8)}},
	{0x0b, UP, 1, "RekeyInd", {NUMBER("minor", 0, 4)}},
	{0x0b, DOWN, 1, "RekeyConf", {NUMBER("minor", 0, 4)}},
	{0x0c, UP, 0, "ADRParamSetupAns", NO_FIELDS},
	{0x0c, DOWN, 1, "ADRParamSetupReq",
		{NUMBER("delay_exp", 0, 4), NUMBER("limit_exp", 4, 4)}
	},
	{0x0d, UP, 0, "DeviceTimeReq", NO_FIELDS},
	{0x0d, DOWN, 5, "DeviceTimeAns",
		{NUMBER("gps_seconds", 0, 32), NUMBER("fraction", 32, 8)}
	},
	{0x0e, DOWN, 2, "ForceRejoinReq",
		{NUMBER("dr", 0, 4), NUMBER("rejoin_type", 4, 3),
		NUMBER("max_retries", 8, 3), NUMBER("period", 11, 3)}
	},
	{0x0f, UP, 1, "RejoinParamSetupAns", {FLAG("time_ok", 0)}},
	{0x0f, DOWN, 1, "RejoinParamSetupReq",
		{NUMBER("max_count_n", 0, 4), NUMBER("max_time_n", 4, 4)}
	},
	{0x10, UP, 1, "PingSlotInfoReq", {NUMBER("periodicity", 0, 3)}},
	{0x10, DOWN, 0, "PingSlotInfoAns", NO_FIELDS},
	{0x11, UP, 1, "PingSlotChannelAns",
		{FLAG("channel_frequency_ok", 0), FLAG("data_rate_ok", 1)}
	},
	{0x11, DOWN, 4, "PingSlotChannelReq", {FREQUENCY(0), NUMBER("dr", 24, 4)}},
	{0x12, UP, 0, "BeaconTimingReq", NO_FIELDS},
	{0x12, DOWN, 3, "BeaconTimingAns",
		{NUMBER("delay", 0, 16), NUMBER("channel", 16, 8)}
	},
	{0x13, UP, 1, "BeaconFreqAns", {FLAG("beacon_frequency_ok", 0)}},
	{0x13, DOWN, 3, "BeaconFreqReq", {FREQUENCY(0)}},
	{0x20, UP, 1, "DeviceModeInd", {NUMBER("class", 0, 8)}},
	{0x20, DOWN, 1, "DeviceModeConf", {NUMBER("class", 0, 8)}},
};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const LorawanMacCommand *
find_command(uint8_t cid, LorawanDirection direction)
{
	for (size_t i = 0; i < LENGTH(commands_known); i++)
	{
		if (commands_known[i].cid == cid && commands_known[i].direction == direction)
			return &commands_known[i];
	}
	return NULL;
}

const LorawanMacCommand *
lorawan_mac_command_next(const uint8_t *commands, size_t len, LorawanDirection direction,
						 size_t *offset, const uint8_t **payload, LorawanFault *fault)
{
	const LorawanMacCommand *command = find_command(commands[*offset], direction);

	fault->offset = *offset;
	if (command == NULL)
	{
		fault->field = "CID";
		fault->problem = "is none of LoRaWAN 1.0 or 1.1 in this direction";
		return NULL;
	}
	if (len - *offset - 1 < command->size)
	{
		fault->field = command->name;
		fault->problem = "is cut off by the end of the commands";
		return NULL;
	}
	*payload = commands + *offset + 1;
	*offset += 1 + (size_t) command->size;
	return command;
}

int64_t
lorawan_mac_field_value(const LorawanMacCommand *command, const LorawanMacField *field,
						const uint8_t *payload)
{
	uint64_t	whole = 0;
	int64_t		value;

	for (size_t i = command->size; i-- > 0;)
		whole = whole << 8 | payload[i];
	value = (int64_t) (whole >> field->shift & ((UINT64_C(1) << field->bits) - 1));

	switch (field->kind)
	{
		case LORAWAN_MAC_SIGNED:
			if (value >> (field->bits - 1) != 0)
				value -= INT64_C(1) << field->bits;
			break;
		case LORAWAN_MAC_FREQUENCY:
			/* In steps of 200 Hz in the 2.4 GHz band (RP002, ISM2400). */
			value *= value >= INT64_C(2400000000) / 200 ? 200 : 100;
			break;
		default:
			break;
	}
	return value;
}
