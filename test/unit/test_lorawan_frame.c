/*
 * test_lorawan_frame.c
 *	  Tests of lorawan/frame.c.
 */
#include <stdlib.h>

#include "check.h"
#include "lorawan/frame.h"

/* A frame, and what describe() says of it. */
typedef struct FrameVector
{
	const char *source;
	const char *frame;
	const char *description;
} FrameVector;

/*
 * The frames are from the tests of two other implementations, and so is what is
 * in them: lora-packet (github.com/anthonykirby/lora-packet, README.md and
 * __tests__/parse_test.ts) and lorawan (github.com/brocaar/lorawan,
 * phypayload_test.go; its rejoin types in payload_test.go).
 */
static const FrameVector published[] = {
	{"lora-packet README", "40F17DBE4900020001954378762B11FF0D",
	"2 49be7df1 - 2 () 1 (95437876) mic 2b11ff0d"},
	{"lora-packet, empty payload", "40F17DBE49000300012A3518AF",
	"2 49be7df1 - 3 () 1 () mic 2a3518af"},
	{"lora-packet, ack", "60f17dbe4920020001f9d65d27",
	"3 49be7df1 ack 2 () 1 () mic f9d65d27"},
	{"lora-packet, join-request", "0039363463336913AA05693574323831338EF1C1D5EC6C",
	"0 join_eui aa13693363343639 dev_eui 3331383274356905 nonce 61838 mic c1d5ec6c"},
	{"lorawan, uplink with ADR", "400403020180010001a694642615d6c3b582",
	"2 01020304 adr 1 () 1 (a694642615) mic d6c3b582"},
	{"lorawan, FOpts and payload", "4004030201030000020305016a3798f5b64dc039",
	"2 01020304 - 0 (020305) 1 (6a3798f5) mic b64dc039"},
	{"lorawan, FPort 0", "40040302010000000069369eee6aa508",
	"2 01020304 - 0 () 0 (69369e) mic ee6aa508"},
	{"lorawan, ADR and ACK", "4004030201a0010001a694642615f842c4b9",
	"2 01020304 adr ack 1 () 1 (a694642615) mic f842c4b9"},
	{"lorawan, downlink with encrypted FOpts", "6004030201030000dfb4f1e24f1f9f",
	"3 01020304 - 0 (dfb4f1) no port mic e24f1f9f"},
	{"lorawan, downlink with FOpts in the clear", "60040302010300000207010177701ea3",
	"3 01020304 - 0 (020701) 1 () mic 77701ea3"},
	{"lorawan, join-request", "00040302010403020105040302050403022d106a990e12",
	"0 join_eui 0102030401020304 dev_eui 0203040502030405 nonce 4141 mic 6a990e12"},
	{"lorawan, join-accept", "20493eeb51fba2116f810edb3742975142",
	"1 body (493eeb51fba2116f810edb3742975142)"},
	{"a join-accept with a CFList", "20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	"1 body (000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f)"},
	{"lorawan, rejoin-request 2", "c0020302010807060504030201db003c8642ae",
	"6 type 2 net_id 010203 dev_eui 0102030405060708 nonce 219 mic 3c8642ae"},
	{"lorawan, rejoin-request 1", "c0010807060504030201100f0e0d0c0b0a09db00eac31072",
	"6 type 1 join_eui 0102030405060708 dev_eui 090a0b0c0d0e0f10 nonce 219 mic eac31072"},
	{"lorawan, rejoin-request 0", "c000030201100f0e0d0c0b0a09db0000000000",
	"6 type 0 net_id 010203 dev_eui 090a0b0c0d0e0f10 nonce 219 mic 00000000"},
	/* FCtrl by hand: f0 is ADR, ADRACKReq, ACK, bit 4; LoRaWAN L2 1.0.4, section 4.3.1 */
	{"all bits of an uplink", "8004030201f0ffffaabbccdd",
	"4 01020304 adr adr_ack_req ack class_b 65535 () no port mic aabbccdd"},
	{"all bits of a downlink", "a004030201b0ffffaabbccdd",
	"5 01020304 adr ack f_pending 65535 () no port mic aabbccdd"},
	{"reserved bits", "5c04030201000000aabbccdd",
	"2 01020304 - 0 () no port mic aabbccdd"},
	{"a downlink's reserved bit", "6004030201400000aabbccdd",
	"3 01020304 - 0 () no port mic aabbccdd"},
	{"proprietary, any Major", "e3010203", "7 body (010203)"},
	{"proprietary, empty", "e0", "7 body ()"},
};

static size_t
add_hex(char *text, const char *before, const uint8_t *bytes, size_t len, const char *after)
{
	size_t		n = (size_t) sprintf(text, "%s", before);

	for (size_t i = 0; i < len; i++)
		n += (size_t) sprintf(text + n, "%02x", bytes[i]);
	return n + (size_t) sprintf(text + n, "%s", after);
}

static void
describe(const LorawanFrameFields *f, char *text)
{
	text += sprintf(text, "%d ", f->m_type);
	if (lorawan_is_data(f->m_type))
	{
		text += add_hex(text, "", f->dev_addr, sizeof(f->dev_addr), " ");
		text += sprintf(text, "%s%s%s%s%s%s%u ",
						f->adr ? "adr " : "", f->adr_ack_req ? "adr_ack_req " : "",
						f->ack ? "ack " : "", f->class_b ? "class_b " : "",
						f->f_pending ? "f_pending " : "",
						f->adr || f->adr_ack_req || f->ack || f->class_b || f->f_pending ? "" : "- ",
						f->f_cnt);
		text += add_hex(text, "(", f->f_opts, f->f_opts_len, ") ");
		if (f->has_f_port)
		{
			text += sprintf(text, "%d ", f->f_port);
			text += add_hex(text, "(", f->frm_payload, f->frm_payload_len, ") ");
		}
		else
			text += sprintf(text, "no port ");
	}
	else if (f->body != NULL)
	{
		CHECK(f->mic == NULL);
		add_hex(text, "body (", f->body, f->body_len, ")");
		return;
	}
	else
	{
		bool		rejoin = f->m_type == LORAWAN_REJOIN_REQUEST;

		if (rejoin)
			text += sprintf(text, "type %d ", f->rejoin_type);
		if (rejoin && f->rejoin_type != 1)
			text += add_hex(text, "net_id ", f->net_id, sizeof(f->net_id), " ");
		else
			text += add_hex(text, "join_eui ", f->join_eui, sizeof(f->join_eui), " ");
		text += add_hex(text, "dev_eui ", f->dev_eui, sizeof(f->dev_eui), " ");
		text += sprintf(text, "nonce %u ", f->dev_nonce);
	}
	add_hex(text, "mic ", f->mic, LORAWAN_MIC_SIZE, "");
}

static void
frame_published(void)
{
	for (size_t i = 0; i < LENGTH(published); i++)
	{
		Bytes		frame = from_hex(published[i].frame);
		LorawanFrameFields fields;
		LorawanFault fault;
		char		description[2 * MAX_BYTES];

		CHECK_FOR(published[i].source,
				  lorawan_frame_parse(frame.data, frame.len, &fields, &fault));
		describe(&fields, description);
		CHECK_FOR(description, strcmp(description, published[i].description) == 0);
	}
}

/* Bits that are reserved, and so are not built again. */
static bool
has_reserved_bits(const uint8_t *frame, const LorawanFrameFields *fields)
{
	return (frame[0] & 0x1c) != 0 ||
		(lorawan_is_data(fields->m_type) && !lorawan_is_uplink(fields->m_type) &&
		 (frame[5] & 0x40) != 0);
}

/* What parses is built again, byte for byte. */
static void
check_rebuilt(const uint8_t *frame, size_t len, const LorawanFrameFields *fields)
{
	uint8_t		message[LORAWAN_MAX_MESSAGE];
	size_t		message_len;
	LorawanFault fault;

	if (fields->body != NULL || has_reserved_bits(frame, fields))
		return;
	CHECK(lorawan_message_build(fields, message, &message_len, &fault));
	CHECK(message_len == len - LORAWAN_MIC_SIZE);
	CHECK(memcmp(message, frame, message_len) == 0);
	CHECK(fields->mic == frame + message_len);
}

static void
frame_rebuilt(void)
{
	for (size_t i = 0; i < LENGTH(published); i++)
	{
		Bytes		frame = from_hex(published[i].frame);
		LorawanFrameFields fields;
		LorawanFault fault;

		CHECK(lorawan_frame_parse(frame.data, frame.len, &fields, &fault));
		check_rebuilt(frame.data, frame.len, &fields);
	}
}

/* Frames of every length, random but for a likely MHDR, in memory of their size. */
static void
frame_random(void)
{
	int			parsed[LORAWAN_PROPRIETARY + 1] = {0};

	for (int i = 0; i < (under_valgrind ? 5000 : 200000); i++)
	{
		static const size_t likely[] = {12, 17, 19, 23, 24, 33};
		size_t		len = i % 2 ? likely[next_random() % LENGTH(likely)] : next_random() % 260;
		uint8_t    *frame = malloc(len ? len : 1);
		LorawanFrameFields fields;
		LorawanFault fault = {NULL, 0, NULL};

		for (size_t j = 0; j < len; j++)
			frame[j] = (uint8_t) next_random();
		if (len > 0)
			frame[0] &= 0xe3 | (uint8_t) (next_random() >> 16 & next_random() >> 8 & 0x1c);
		if (len > 0 && next_random() % 8 != 0)
			frame[0] &= 0xfc;
		if (len > 1 && frame[0] == 0xc0)
			frame[1] %= 4;

		if (lorawan_frame_parse(frame, len, &fields, &fault))
		{
			char		description[4 * MAX_BYTES];

			CHECK(len <= LORAWAN_MAX_PHY_PAYLOAD);
			describe(&fields, description);
			check_rebuilt(frame, len, &fields);
			parsed[fields.m_type]++;
		}
		else
			CHECK(fault.field != NULL && fault.problem != NULL && fault.offset <= len);
		free(frame);
	}
	for (size_t i = 0; i < LENGTH(parsed); i++)
		CHECK(parsed[i] > 0);
}

typedef struct FaultVector
{
	const char *frame;
	const char *field;
	size_t		offset;
} FaultVector;

/* By the layouts of LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2. */
static const FaultVector faults[] = {
	{"", "MHDR", 0},
	{"41", "MHDR", 0},
	{"4304030201000000aabbccdd", "MHDR", 0},
	{"40", "DevAddr", 1},
	{"40040302", "DevAddr", 1},
	{"4004030201", "FCtrl", 5},
	{"400403020100", "FCnt", 6},
	{"40040302010000", "FCnt", 6},
	{"4004030201000000", "MIC", 8},
	{"4004030201000000aabbcc", "MIC", 8},
	{"40040302010f0000aabbccdd", "FOpts", 8},
	{"4004030201050000aabbccddee", "MIC", 13},
	{"4004030201050000aabbccddee01", "MIC", 13},
	{"400403020101000002000102030405", "FPort", 9},
	{"6004030201010000020001020304", "FPort", 9},
	{"00", "JoinEUI", 1},
	{"0001020304050607", "JoinEUI", 1},
	{"000102030405060708", "DevEUI", 9},
	{"00010203040506070801020304050607", "DevEUI", 9},
	{"0001020304050607080102030405060708", "DevNonce", 17},
	{"000102030405060708010203040506070801", "DevNonce", 17},
	{"00010203040506070801020304050607080102", "MIC", 19},
	{"00010203040506070801020304050607080102aabbcc", "MIC", 19},
	{"00010203040506070801020304050607080102aabbccddee", "PHYPayload", 23},
	{"20", "MACPayload", 1},
	{"20493eeb51fba2116f810edb37429751", "MACPayload", 1},
	{"20493eeb51fba2116f810edb374297514242", "MACPayload", 1},
	{"20493eeb51fba2116f810edb3742975142493eeb51fba2116f810edb3742975142aa", "MACPayload", 1},
	{"c0", "RejoinType", 1},
	{"c003030201100f0e0d0c0b0a09db0000000000", "RejoinType", 1},
	{"c0000302", "NetID", 2},
	{"c000030201100f0e0d0c0b0a", "DevEUI", 5},
	{"c000030201100f0e0d0c0b0a09db", "RJcount0", 13},
	{"c002030201100f0e0d0c0b0a09db00aabbcc", "MIC", 15},
	{"c002030201100f0e0d0c0b0a09db00aabbccddee", "PHYPayload", 19},
	{"c00108070605040302", "JoinEUI", 2},
	{"c0010807060504030201100f", "DevEUI", 10},
	{"c0010807060504030201100f0e0d0c0b0a09db", "RJcount1", 18},
	{"c0010807060504030201100f0e0d0c0b0a09db00", "MIC", 20},
	{"c0010807060504030201100f0e0d0c0b0a09db00eac3107200", "PHYPayload", 24},
};

static void
frame_faults(void)
{
	uint8_t		longest[LORAWAN_MAX_PHY_PAYLOAD + 1] = {0x40};
	LorawanFrameFields fields;
	LorawanFault fault;

	for (size_t i = 0; i < LENGTH(faults); i++)
	{
		Bytes		frame = from_hex(faults[i].frame);

		CHECK_FOR(faults[i].frame,
				  !lorawan_frame_parse(frame.data, frame.len, &fields, &fault));
		CHECK_FOR(faults[i].frame, strcmp(fault.field, faults[i].field) == 0);
		CHECK_FOR(faults[i].frame, fault.offset == faults[i].offset);
	}

	CHECK(lorawan_frame_parse(longest, LORAWAN_MAX_PHY_PAYLOAD, &fields, &fault));
	CHECK(fields.frm_payload_len == 255 - 9 - 4);
	CHECK(!lorawan_frame_parse(longest, sizeof(longest), &fields, &fault));
	CHECK(strcmp(fault.field, "PHYPayload") == 0 && fault.offset == 255);
}

/* Fields that make no frame; what they could overwrite is not. */
static void
message_faults(void)
{
	uint8_t		many[300] = {0};
	uint8_t		message[LORAWAN_MAX_MESSAGE + 8];
	size_t		len;
	LorawanFault fault;
	LorawanFrameFields fields = {.m_type = LORAWAN_UNCONFIRMED_UP,.has_f_port = true,
		.f_port = 1,.f_opts = many,.frm_payload = many};

	memset(message, 0xaa, sizeof(message));
	/* 251 bytes without the MIC: 9 before the payload */
	fields.frm_payload_len = 242;
	CHECK(lorawan_message_build(&fields, message, &len, &fault) && len == 251);
	fields.frm_payload_len = 243;
	CHECK(!lorawan_message_build(&fields, message, &len, &fault));
	CHECK(strcmp(fault.field, "FRMPayload") == 0 && fault.offset == 9);
	fields.f_opts_len = 15;
	fields.frm_payload_len = 227;
	CHECK(lorawan_message_build(&fields, message, &len, &fault) && len == 251);
	fields.frm_payload_len = 228;
	CHECK(!lorawan_message_build(&fields, message, &len, &fault));
	CHECK(strcmp(fault.field, "FRMPayload") == 0 && fault.offset == 24);
	CHECK(all_bytes_are(message + LORAWAN_MAX_MESSAGE, 0xaa, 8));

	fields.frm_payload_len = 1;
	fields.f_opts_len = 16;
	CHECK(!lorawan_message_build(&fields, message, &len, &fault));
	CHECK(strcmp(fault.field, "FOpts") == 0 && fault.offset == 8);
	fields.f_opts_len = 1;
	fields.f_port = 0;
	CHECK(!lorawan_message_build(&fields, message, &len, &fault));
	CHECK(strcmp(fault.field, "FPort") == 0 && fault.offset == 9);
	fields.f_opts_len = 0;
	CHECK(lorawan_message_build(&fields, message, &len, &fault) && len == 10);

	fields.m_type = LORAWAN_REJOIN_REQUEST;
	fields.rejoin_type = 3;
	CHECK(!lorawan_message_build(&fields, message, &len, &fault));
	CHECK(strcmp(fault.field, "RejoinType") == 0 && fault.offset == 1);
}

/*
 * github.com/brocaar/lorawan, payload_test.go: JoinNonce 65793, NetID 020202, DevAddr
 * 01020304, RX2DataRate 7, RX1DROffset 6, RXDelay 9, and a CFList; the nonce and the
 * NetID of another order are lora-packet's (parse_test.ts).
 */
static void
join_accept_published(void)
{
	Bytes		expected = from_hex("20010101020202040302016709184f84e85684b85e84886684586e8400");
	Bytes		other = from_hex("20386337CCBBAAE7CD2C010000");
	uint8_t		message[LORAWAN_MAX_MESSAGE];

	CHECK(lorawan_join_accept_build(65793, (const uint8_t *) "\2\2\2", (const uint8_t *) "\1\2\3\4",
									0x67, 9, NULL, message) == 13);
	CHECK(memcmp(message, expected.data, 13) == 0);
	CHECK(lorawan_join_accept_build(65793, (const uint8_t *) "\2\2\2", (const uint8_t *) "\1\2\3\4",
									0x67, 9, expected.data + 13, message) == expected.len);
	CHECK(memcmp(message, expected.data, expected.len) == 0);
	CHECK(lorawan_join_accept_build(0x376338, (const uint8_t *) "\xaa\xbb\xcc",
									(const uint8_t *) "\x01\x2c\xcd\xe7", 0, 0, NULL, message) == other.len);
	CHECK(memcmp(message, other.data, other.len) == 0);
}

void
test_lorawan_frame(void)
{
	RUN(frame_published);
	RUN(frame_rebuilt);
	RUN(frame_random);
	RUN(frame_faults);
	RUN(message_faults);
	RUN(join_accept_published);
}
