/*
 * test_lorawan_mac_command.c
 *	  Tests of lorawan/mac_command.c.
 */
#include <stdlib.h>

#include "check.h"
#include "lorawan/mac_command.h"

#define UP LORAWAN_UPLINK
#define DOWN LORAWAN_DOWNLINK

typedef struct CommandVector
{
	const char *source;
	LorawanDirection direction;
	const char *commands;
	const char *description;
} CommandVector;

static const char *const lorawan_go = "github.com/brocaar/lorawan, mac_commands_test.go";
static const char *const by_hand = "by hand from LoRaWAN L2 1.0.4 and 1.1";

/*
 * Payloads and what they mean from the source's tests, with the CID before them.
 * "By hand": what those lack, and the commands that have no payload.
 */
static const CommandVector vectors[] = {
	{lorawan_go, UP, "0101", "ResetInd minor=1"},
	{lorawan_go, DOWN, "0101", "ResetConf minor=1"},
	{lorawan_go, DOWN, "020a0f", "LinkCheckAns margin=10 gw_cnt=15"},
	{lorawan_go, DOWN, "027bea", "LinkCheckAns margin=123 gw_cnt=234"},
	{lorawan_go, DOWN, "0312040045", "LinkADRReq tx_power=2 data_rate=1 ch_mask=4 nb_trans=5 ch_mask_cntl=4"},
	{"a ChMask and a Redundancy of that source", DOWN, "0300031015", "LinkADRReq tx_power=0 data_rate=0 ch_mask=4099 nb_trans=5 ch_mask_cntl=1"},
	{lorawan_go, UP, "0301", "LinkADRAns channel_mask_ack=1 data_rate_ack=0 power_ack=0"},
	{lorawan_go, UP, "0302", "LinkADRAns channel_mask_ack=0 data_rate_ack=1 power_ack=0"},
	{lorawan_go, UP, "0304", "LinkADRAns channel_mask_ack=0 data_rate_ack=0 power_ack=1"},
	{lorawan_go, DOWN, "040d", "DutyCycleReq max_duty_cycle=13"},
	{lorawan_go, DOWN, "053b010204", "RXParamSetupReq rx2_data_rate=11 rx1_dr_offset=3 frequency=26265700"},
	{lorawan_go, UP, "0501", "RXParamSetupAns channel_ack=1 rx2_data_rate_ack=0 rx1_dr_offset_ack=0"},
	{lorawan_go, UP, "0502", "RXParamSetupAns channel_ack=0 rx2_data_rate_ack=1 rx1_dr_offset_ack=0"},
	{lorawan_go, UP, "0504", "RXParamSetupAns channel_ack=0 rx2_data_rate_ack=0 rx1_dr_offset_ack=1"},
	{lorawan_go, UP, "060022", "DevStatusAns battery=0 margin=-30"},
	{lorawan_go, UP, "06ff1e", "DevStatusAns battery=255 margin=30"},
	{lorawan_go, UP, "067f3f", "DevStatusAns battery=127 margin=-1"},
	{lorawan_go, UP, "067f00", "DevStatusAns battery=127 margin=0"},
	{by_hand, UP, "060020", "DevStatusAns battery=0 margin=-32"},
	{by_hand, UP, "06001f", "DevStatusAns battery=0 margin=31"},
	{lorawan_go, DOWN, "07030102045a", "NewChannelReq ch_index=3 frequency=26265700 min_dr=10 max_dr=5"},
	{lorawan_go, DOWN, "0700001bb700", "NewChannelReq ch_index=0 frequency=2400000000 min_dr=0 max_dr=0"},
	{lorawan_go, UP, "0701", "NewChannelAns channel_frequency_ok=1 data_rate_range_ok=0"},
	{lorawan_go, UP, "0702", "NewChannelAns channel_frequency_ok=0 data_rate_range_ok=1"},
	{lorawan_go, DOWN, "080f", "RXTimingSetupReq delay=15"},
	{by_hand, DOWN, "0925", "TXParamSetupReq max_eirp=5 uplink_dwell_time=0 downlink_dwell_time=1"},
	{by_hand, DOWN, "0910", "TXParamSetupReq max_eirp=0 uplink_dwell_time=1 downlink_dwell_time=0"},
	{lorawan_go, DOWN, "0a00287684", "DlChannelReq ch_index=0 frequency=868100000"},
	{lorawan_go, DOWN, "0a01107a84", "DlChannelReq ch_index=1 frequency=868200000"},
	{lorawan_go, UP, "0a01", "DlChannelAns channel_frequency_ok=1 uplink_frequency_exists=0"},
	{lorawan_go, UP, "0a02", "DlChannelAns channel_frequency_ok=0 uplink_frequency_exists=1"},
	{lorawan_go, UP, "0b01", "RekeyInd minor=1"},
	{lorawan_go, DOWN, "0b01", "RekeyConf minor=1"},
	{lorawan_go, DOWN, "0caf", "ADRParamSetupReq delay_exp=15 limit_exp=10"},
	{lorawan_go, DOWN, "0d0100000000", "DeviceTimeAns gps_seconds=1 fraction=0"},
	{lorawan_go, DOWN, "0d0100000002", "DeviceTimeAns gps_seconds=1 fraction=2"},
	{by_hand, DOWN, "0dfffffffeff", "DeviceTimeAns gps_seconds=4278190079 fraction=255"},
	{lorawan_go, DOWN, "0e251c", "ForceRejoinReq dr=5 rejoin_type=2 max_retries=4 period=3"},
	{lorawan_go, DOWN, "0fef", "RejoinParamSetupReq max_count_n=15 max_time_n=14"},
	{lorawan_go, UP, "0f01", "RejoinParamSetupAns time_ok=1"},
	{lorawan_go, UP, "1003", "PingSlotInfoReq periodicity=3"},
	{lorawan_go, DOWN, "1128768405", "PingSlotChannelReq frequency=868100000 dr=5"},
	{lorawan_go, UP, "1101", "PingSlotChannelAns channel_frequency_ok=1 data_rate_ok=0"},
	{lorawan_go, UP, "1102", "PingSlotChannelAns channel_frequency_ok=0 data_rate_ok=1"},
	{by_hand, DOWN, "12341207", "BeaconTimingAns delay=4660 channel=7"},
	{lorawan_go, DOWN, "13287684", "BeaconFreqReq frequency=868100000"},
	{lorawan_go, UP, "1301", "BeaconFreqAns beacon_frequency_ok=1"},
	{by_hand, UP, "2002", "DeviceModeInd class=2"},
	{by_hand, DOWN, "2002", "DeviceModeConf class=2"},
	{by_hand, UP, "0204080c0d090212", "LinkCheckReq; DutyCycleAns; RXTimingSetupAns; ADRParamSetupAns; DeviceTimeReq; TXParamSetupAns; LinkCheckReq; BeaconTimingReq"},
	{by_hand, DOWN, "0610", "DevStatusReq; PingSlotInfoAns"},
	{by_hand, UP, "0307060030020c", "LinkADRAns channel_mask_ack=1 data_rate_ack=1 power_ack=1; DevStatusAns battery=0 margin=-16; LinkCheckReq; ADRParamSetupAns"},
	/* Reserved bits are no part of a field. */
	{by_hand, UP, "03f806ffc0", "LinkADRAns channel_mask_ack=0 data_rate_ack=0 power_ack=0; DevStatusAns battery=255 margin=0"},
	{by_hand, DOWN, "03000000800ed0c8", "LinkADRReq tx_power=0 data_rate=0 ch_mask=0 nb_trans=0 ch_mask_cntl=0; ForceRejoinReq dr=0 rejoin_type=5 max_retries=0 period=1"},
	{by_hand, DOWN, "", ""},
};

/* Writes all commands; false where one cannot be read. */
static bool
describe(const uint8_t *commands, size_t len, LorawanDirection direction, char *text,
		 LorawanFault *fault)
{
	size_t		offset = 0;

	*text = '\0';
	while (offset < len)
	{
		size_t		begin = offset;
		const uint8_t *payload;
		const LorawanMacCommand *command =
		lorawan_mac_command_next(commands, len, direction, &offset, &payload, fault);

		if (command == NULL)
		{
			CHECK(offset == begin);
			return false;
		}
		CHECK(command->cid == commands[begin] && command->direction == direction);
		CHECK(payload == commands + begin + 1 && offset == begin + 1 + command->size);
		text += sprintf(text, "%s%s", begin > 0 ? "; " : "", command->name);
		for (int i = 0; i < LORAWAN_MAX_MAC_FIELDS && command->fields[i].name != NULL; i++)
			text += sprintf(text, " %s=%lld", command->fields[i].name,
							(long long) lorawan_mac_field_value(command, &command->fields[i], payload));
	}
	return true;
}

static void
mac_commands_published(void)
{
	for (size_t i = 0; i < LENGTH(vectors); i++)
	{
		Bytes		commands = from_hex(vectors[i].commands);
		char		description[4096];
		LorawanFault fault;

		CHECK_FOR(vectors[i].source,
				  describe(commands.data, commands.len, vectors[i].direction, description, &fault));
		CHECK_FOR(description, strcmp(description, vectors[i].description) == 0);
	}
}

/*
 * The sizes of all commands, by CID, -1 for what there is none of: the tables
 * "MAC commands" of LoRaWAN L2 1.0.4, section 5, and 1.1, sections 5, 14 and 18.
 */
static void
mac_command_sizes(void)
{
	static const int8_t sizes[2][0x21] = {
		[UP] = {-1, 1, 0, 1, 0, 1, 2, 1, 0, 0, 1, 1, 0, 0, -1, 1, 1, 1, 0, 1,
		-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1},
		[DOWN] = {-1, 1, 2, 4, 1, 4, 0, 5, 1, 1, 4, 1, 1, 5, 2, 1, 0, 4, 3, 3,
		-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1},
	};

	for (int direction = UP; direction <= DOWN; direction++)
	{
		for (int cid = 0; cid < 256; cid++)
		{
			uint8_t		commands[8] = {(uint8_t) cid};
			int			size = cid <= 0x20 ? sizes[direction][cid] : -1;
			size_t		offset = 0;
			const uint8_t *payload;
			LorawanFault fault;
			const LorawanMacCommand *command =
			lorawan_mac_command_next(commands, sizeof(commands), (LorawanDirection) direction,
									 &offset, &payload, &fault);

			CHECK((command == NULL) == (size < 0));
			if (command == NULL)
			{
				CHECK(strcmp(fault.field, "CID") == 0 && fault.offset == 0);
				continue;
			}
			CHECK(command->size == size);
			for (size_t len = 1; len <= (size_t) size; len++)
			{
				offset = 0;
				CHECK(lorawan_mac_command_next(commands, len, (LorawanDirection) direction,
											   &offset, &payload, &fault) == NULL);
				CHECK(strcmp(fault.field, command->name) == 0 && fault.offset == 0);
			}
		}
	}
}

/* The offset of a fault is that of its command. */
static void
mac_command_faults(void)
{
	const uint8_t cut[] = {0x02, 0x06, 0x00, 0x00, 0x06, 0xff};
	const uint8_t unknown[] = {0x02, 0x80, 0x02};
	char		description[256];
	LorawanFault fault;

	CHECK(!describe(cut, sizeof(cut), UP, description, &fault));
	CHECK(strcmp(fault.field, "DevStatusAns") == 0 && fault.offset == 4);
	CHECK(!describe(unknown, sizeof(unknown), UP, description, &fault));
	CHECK(strcmp(fault.field, "CID") == 0 && fault.offset == 1);
}

static void
mac_commands_random(void)
{
	for (int i = 0; i < (under_valgrind ? 5000 : 200000); i++)
	{
		size_t		len = 1 + next_random() % 20;
		uint8_t    *commands = malloc(len);
		char		description[8192];
		LorawanFault fault;

		for (size_t j = 0; j < len; j++)
			commands[j] = (uint8_t) (next_random() % (i % 2 ? 256 : 0x14));
		if (!describe(commands, len, i % 4 < 2 ? UP : DOWN, description, &fault))
			CHECK(fault.field != NULL && fault.problem != NULL && fault.offset < len);
		free(commands);
	}
}

void
test_lorawan_mac_command(void)
{
	RUN(mac_commands_published);
	RUN(mac_command_sizes);
	RUN(mac_command_faults);
	RUN(mac_commands_random);
}
