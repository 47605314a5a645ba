/*
 * fuzz_lorawan.c
 *	  What must hold for any bytes at all, for libFuzzer to try and refute: see
 *	  lorawan/frame.c, lorawan/mac_command.c and lorawan/cayenne_lpp.c.
 */
#include "lorawan/cayenne_lpp.h"
#include "lorawan/frame.h"
#include "lorawan/mac_command.h"

#include "must.h"

static void
try_mac_commands(const uint8_t *commands, size_t len, LorawanDirection direction)
{
	size_t		offset = 0;

	while (offset < len)
	{
		size_t		begin = offset;
		const uint8_t *payload;
		LorawanFault fault;
		const LorawanMacCommand *command =
		lorawan_mac_command_next(commands, len, direction, &offset, &payload, &fault);

		if (command == NULL)
		{
			MUST(fault.offset == begin && offset == begin);
			return;
		}
		MUST(offset == begin + 1 + command->size && offset <= len);
		touch(payload, command->size);
		for (int i = 0; i < LORAWAN_MAX_MAC_FIELDS && command->fields[i].name != NULL; i++)
		{
			int64_t		value = lorawan_mac_field_value(command, &command->fields[i], payload);

			MUST(value >= -32 && value <= UINT32_MAX);
		}
	}
}

static void
try_cayenne_lpp(const uint8_t *payload, size_t len)
{
	size_t		offset = 0;

	while (offset < len)
	{
		size_t		begin = offset;
		uint8_t		channel;
		int64_t		numbers[CAYENNE_LPP_MAX_NUMBERS];
		LorawanFault fault;
		const CayenneLppType *type =
		cayenne_lpp_next(payload, len, &offset, &channel, numbers, &fault);

		if (type == NULL)
		{
			MUST(fault.offset >= begin && fault.offset < len && offset == begin);
			return;
		}
		MUST(channel == payload[begin] && type->type == payload[begin + 1]);
		MUST(offset > begin + 2 && offset <= len);
	}
}

static void
try_build(const uint8_t *frame, size_t len, const LorawanFrameFields *fields)
{
	uint8_t		message[LORAWAN_MAX_MESSAGE];
	size_t		message_len;
	LorawanFault fault;
	LorawanFrameFields again;

	MUST(lorawan_message_build(fields, message, &message_len, &fault));
	MUST(message_len == len - LORAWAN_MIC_SIZE);
	/* Reserved bits are gone: of the MHDR, and of a downlink's FCtrl. */
	MUST(message[0] == (frame[0] & 0xe3));
	for (size_t i = 1; i < message_len; i++)
		MUST(message[i] == frame[i] ||
			 (i == 5 && !lorawan_is_uplink(fields->m_type) && message[i] == (frame[i] & 0xbf)));
	/* A message is a frame too, of which the end is taken for the MIC. */
	if (lorawan_frame_parse(message, message_len, &again, &fault))
		MUST(again.m_type == fields->m_type);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LorawanFrameFields fields;
	LorawanFault fault = {NULL, 0, NULL};

	try_mac_commands(data, size, LORAWAN_UPLINK);
	try_mac_commands(data, size, LORAWAN_DOWNLINK);
	try_cayenne_lpp(data, size);
	if (!lorawan_frame_parse(data, size, &fields, &fault))
	{
		MUST(fault.field != NULL && fault.problem != NULL && fault.offset <= size);
		return 0;
	}

	MUST(size > 0 && size <= LORAWAN_MAX_PHY_PAYLOAD);
	if (fields.body != NULL)
	{
		MUST(fields.body == data + 1 && fields.body_len == size - 1 && fields.mic == NULL);
		return 0;
	}
	MUST(fields.mic == data + size - LORAWAN_MIC_SIZE);
	touch(fields.mic, LORAWAN_MIC_SIZE);
	if (lorawan_is_data(fields.m_type))
	{
		LorawanDirection direction =
		lorawan_is_uplink(fields.m_type) ? LORAWAN_UPLINK : LORAWAN_DOWNLINK;

		touch(fields.f_opts, fields.f_opts_len);
		touch(fields.frm_payload, fields.frm_payload_len);
		try_mac_commands(fields.f_opts, fields.f_opts_len, direction);
		if (fields.has_f_port && fields.f_port == 0)
			try_mac_commands(fields.frm_payload, fields.frm_payload_len, direction);
	}
	try_build(data, size, &fields);
	return 0;
}
