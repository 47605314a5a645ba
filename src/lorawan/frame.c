/*
 * frame.c
 *	  Parses LoRaWAN frames, and builds them.
 *
 * A frame may come from anybody, so nothing that it says is trusted.
 *
 * Invariants: no byte outside the frame is read.  If a frame can be parsed and has no
 * reserved bits set, building it from its fields gives the same bytes.  A frame that
 * could not be parsed is not built.
 */
#include "frame.h"

#include <string.h>

/* MHDR: MType in the upper three bits, Major in the lower two. */
#define MHDR_SIZE 1
#define MHDR(m_type) ((uint8_t) ((m_type) << 5))
#define MTYPE(mhdr) ((LorawanMType) ((mhdr) >> 5))
#define MAJOR(mhdr) ((mhdr) & 0x03)

/* Bits of FCtrl; its lower four bits are FOptsLen. */
#define FCTRL_ADR 0x80
#define FCTRL_ADR_ACK_REQ 0x40
#define FCTRL_ACK 0x20
#define FCTRL_CLASS_B 0x10		/* uplinks */
#define FCTRL_F_PENDING 0x10	/* downlinks */

/* A join-accept with its MIC, without MHDR and CFList, in bytes. */
#define JOIN_ACCEPT_BODY_SIZE 16

static const char *const ends_early = "is cut off by the frame's end";
static const char *const too_long = "goes beyond 255 bytes, the longest PHYPayload";
static const char *const two_places =
"is 0, for MAC commands in FRMPayload, but there are MAC commands in FOpts, too";

static bool
faulty(LorawanFault *fault, const char *field, size_t offset, const char *problem)
{
	fault->field = field;
	fault->offset = offset;
	fault->problem = problem;
	return false;
}

/* A frame that is read from its start to end; at is the offset of the next field. */
typedef struct FrameReader
{
	const uint8_t *frame;
	size_t		at;
	size_t		end;
	LorawanFault *fault;
} FrameReader;

/* Returns the next field, or NULL if it would go beyond the frame's end. */
static const uint8_t *
read_bytes(FrameReader *reader, const char *field, size_t size)
{
	const uint8_t *bytes = reader->frame + reader->at;

	if (reader->end - reader->at < size)
	{
		faulty(reader->fault, field, reader->at, ends_early);
		return NULL;
	}
	reader->at += size;
	return bytes;
}

static bool
read_reversed(FrameReader *reader, const char *field, uint8_t *to, size_t size)
{
	const uint8_t *bytes = read_bytes(reader, field, size);

	if (bytes == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		to[i] = bytes[size - 1 - i];
	return true;
}

static bool
read_uint16(FrameReader *reader, const char *field, uint16_t *to)
{
	const uint8_t *bytes = read_bytes(reader, field, 2);

	if (bytes == NULL)
		return false;
	*to = (uint16_t) (bytes[0] | bytes[1] << 8);
	return true;
}

static bool
read_mic(FrameReader *reader, LorawanFrameFields *fields)
{
	fields->mic = read_bytes(reader, "MIC", LORAWAN_MIC_SIZE);
	if (fields->mic == NULL)
		return false;
	if (reader->at < reader->end)
		return faulty(reader->fault, "PHYPayload", reader->at, "goes on after the MIC");
	return true;
}

/* The FHDR (section 4.3.1), FPort (4.3.2) and FRMPayload (4.3.3) of data frames. */
static bool
read_data(FrameReader *reader, LorawanFrameFields *fields)
{
	const uint8_t *f_ctrl;
	const uint8_t *f_port;

	if (!read_reversed(reader, "DevAddr", fields->dev_addr, LORAWAN_DEV_ADDR_SIZE))
		return false;
	f_ctrl = read_bytes(reader, "FCtrl", 1);
	if (f_ctrl == NULL)
		return false;
	fields->adr = (*f_ctrl & FCTRL_ADR) != 0;
	fields->ack = (*f_ctrl & FCTRL_ACK) != 0;
	if (lorawan_is_uplink(fields->m_type))
	{
		fields->adr_ack_req = (*f_ctrl & FCTRL_ADR_ACK_REQ) != 0;
		fields->class_b = (*f_ctrl & FCTRL_CLASS_B) != 0;
	}
	else
		fields->f_pending = (*f_ctrl & FCTRL_F_PENDING) != 0;
	fields->f_opts_len = *f_ctrl & LORAWAN_MAX_F_OPTS;

	if (!read_uint16(reader, "FCnt", &fields->f_cnt))
		return false;
	fields->f_opts = read_bytes(reader, "FOpts", fields->f_opts_len);
	if (fields->f_opts == NULL)
		return false;

	if (reader->end - reader->at > LORAWAN_MIC_SIZE)
	{
		f_port = read_bytes(reader, "FPort", 1);
		if (*f_port == 0 && fields->f_opts_len > 0)
			return faulty(reader->fault, "FPort", reader->at - 1, two_places);
		fields->has_f_port = true;
		fields->f_port = *f_port;
		fields->frm_payload_len = reader->end - LORAWAN_MIC_SIZE - reader->at;
		fields->frm_payload = read_bytes(reader, "FRMPayload", fields->frm_payload_len);
	}
	return read_mic(reader, fields);
}

/* LoRaWAN L2 1.0.4, section 6.2.5; 1.1, section 6.2.2. */
static bool
read_join_request(FrameReader *reader, LorawanFrameFields *fields)
{
	return read_reversed(reader, "JoinEUI", fields->join_eui, LORAWAN_EUI_SIZE) &&
		read_reversed(reader, "DevEUI", fields->dev_eui, LORAWAN_EUI_SIZE) &&
		read_uint16(reader, "DevNonce", &fields->dev_nonce) &&
		read_mic(reader, fields);
}

/* LoRaWAN L2 1.1, section 6.2.4. */
static bool
read_rejoin_request(FrameReader *reader, LorawanFrameFields *fields)
{
	const uint8_t *type = read_bytes(reader, "RejoinType", 1);

	if (type == NULL)
		return false;
	fields->rejoin_type = *type;
	switch (*type)
	{
		case 0:
		case 2:
			return read_reversed(reader, "NetID", fields->net_id, LORAWAN_NET_ID_SIZE) &&
				read_reversed(reader, "DevEUI", fields->dev_eui, LORAWAN_EUI_SIZE) &&
				read_uint16(reader, "RJcount0", &fields->dev_nonce) &&
				read_mic(reader, fields);
		case 1:
			return read_reversed(reader, "JoinEUI", fields->join_eui, LORAWAN_EUI_SIZE) &&
				read_reversed(reader, "DevEUI", fields->dev_eui, LORAWAN_EUI_SIZE) &&
				read_uint16(reader, "RJcount1", &fields->dev_nonce) &&
				read_mic(reader, fields);
		default:
			return faulty(reader->fault, "RejoinType", MHDR_SIZE, "is not 0, 1 or 2");
	}
}

/* Takes all that follows the MHDR as one field. */
static bool
read_body(FrameReader *reader, LorawanFrameFields *fields)
{
	fields->body_len = reader->end - reader->at;
	if (fields->m_type == LORAWAN_JOIN_ACCEPT)
	{
		if (fields->body_len < JOIN_ACCEPT_BODY_SIZE)
			return faulty(reader->fault, "MACPayload", MHDR_SIZE,
						  "is cut off by the frame's end: a join-accept has 16 or 32 bytes there");
		if (fields->body_len != JOIN_ACCEPT_BODY_SIZE &&
			fields->body_len != JOIN_ACCEPT_BODY_SIZE + LORAWAN_CF_LIST_SIZE)
			return faulty(reader->fault, "MACPayload", MHDR_SIZE,
						  "has neither the 16 nor the 32 bytes of a join-accept");
	}
	fields->body = read_bytes(reader, "MACPayload", fields->body_len);
	return true;
}

bool
lorawan_frame_parse(const uint8_t *frame, size_t len, LorawanFrameFields *fields,
					LorawanFault *fault)
{
	FrameReader reader = {.frame = frame,.end = len,.fault = fault};
	const uint8_t *mhdr;

	memset(fields, 0, sizeof(*fields));
	if (len > LORAWAN_MAX_PHY_PAYLOAD)
		return faulty(fault, "PHYPayload", LORAWAN_MAX_PHY_PAYLOAD, too_long);
	mhdr = read_bytes(&reader, "MHDR", MHDR_SIZE);
	if (mhdr == NULL)
		return false;
	fields->m_type = MTYPE(*mhdr);
	/* Another Major means another format; proprietary frames have any format. */
	if (MAJOR(*mhdr) != 0 && fields->m_type != LORAWAN_PROPRIETARY)
		return faulty(fault, "MHDR", 0, "has a Major other than 0, LoRaWAN R1");

	switch (fields->m_type)
	{
		case LORAWAN_JOIN_REQUEST:
			return read_join_request(&reader, fields);
		case LORAWAN_REJOIN_REQUEST:
			return read_rejoin_request(&reader, fields);
		case LORAWAN_JOIN_ACCEPT:
		case LORAWAN_PROPRIETARY:
			return read_body(&reader, fields);
		default:
			return read_data(&reader, fields);
	}
}

/*
 * A frame that is written field by field.  After the first field that does not fit,
 * with room left for the MIC, it is full and takes no more.
 */
typedef struct FrameWriter
{
	uint8_t    *message;
	size_t		at;
	bool		full;
	LorawanFault *fault;
} FrameWriter;

static void
write_bytes(FrameWriter *writer, const char *field, const uint8_t *bytes, size_t size)
{
	if (writer->full)
		return;
	if (size > LORAWAN_MAX_MESSAGE - writer->at)
	{
		faulty(writer->fault, field, writer->at, too_long);
		writer->full = true;
		return;
	}
	if (size > 0)
		memcpy(writer->message + writer->at, bytes, size);
	writer->at += size;
}

static void
write_byte(FrameWriter *writer, const char *field, uint8_t byte)
{
	write_bytes(writer, field, &byte, 1);
}

static void
write_reversed(FrameWriter *writer, const char *field, const uint8_t *bytes, size_t size)
{
	while (size-- > 0)
		write_byte(writer, field, bytes[size]);
}

static void
write_uint16(FrameWriter *writer, const char *field, uint16_t value)
{
	write_byte(writer, field, (uint8_t) value);
	write_byte(writer, field, (uint8_t) (value >> 8));
}

static bool
write_data(FrameWriter *writer, const LorawanFrameFields *fields)
{
	bool		uplink = lorawan_is_uplink(fields->m_type);
	uint8_t		f_ctrl;

	write_reversed(writer, "DevAddr", fields->dev_addr, LORAWAN_DEV_ADDR_SIZE);
	if (fields->f_opts_len > LORAWAN_MAX_F_OPTS)
		return faulty(writer->fault, "FOpts", writer->at + 3, "has more than 15 bytes");
	f_ctrl = (uint8_t) fields->f_opts_len;
	if (fields->adr)
		f_ctrl |= FCTRL_ADR;
	if (fields->ack)
		f_ctrl |= FCTRL_ACK;
	if (uplink && fields->adr_ack_req)
		f_ctrl |= FCTRL_ADR_ACK_REQ;
	if (uplink && fields->class_b)
		f_ctrl |= FCTRL_CLASS_B;
	if (!uplink && fields->f_pending)
		f_ctrl |= FCTRL_F_PENDING;
	write_byte(writer, "FCtrl", f_ctrl);
	write_uint16(writer, "FCnt", fields->f_cnt);
	write_bytes(writer, "FOpts", fields->f_opts, fields->f_opts_len);
	if (!fields->has_f_port)
		return true;

	if (fields->f_port == 0 && fields->f_opts_len > 0)
		return faulty(writer->fault, "FPort", writer->at, two_places);
	write_byte(writer, "FPort", fields->f_port);
	write_bytes(writer, "FRMPayload", fields->frm_payload, fields->frm_payload_len);
	return true;
}

static void
write_join_request(FrameWriter *writer, const LorawanFrameFields *fields)
{
	write_reversed(writer, "JoinEUI", fields->join_eui, LORAWAN_EUI_SIZE);
	write_reversed(writer, "DevEUI", fields->dev_eui, LORAWAN_EUI_SIZE);
	write_uint16(writer, "DevNonce", fields->dev_nonce);
}

static bool
write_rejoin_request(FrameWriter *writer, const LorawanFrameFields *fields)
{
	if (fields->rejoin_type > 2)
		return faulty(writer->fault, "RejoinType", writer->at, "is not 0, 1 or 2");
	write_byte(writer, "RejoinType", fields->rejoin_type);
	if (fields->rejoin_type == 1)
		write_reversed(writer, "JoinEUI", fields->join_eui, LORAWAN_EUI_SIZE);
	else
		write_reversed(writer, "NetID", fields->net_id, LORAWAN_NET_ID_SIZE);
	write_reversed(writer, "DevEUI", fields->dev_eui, LORAWAN_EUI_SIZE);
	write_uint16(writer, "RJcount", fields->dev_nonce);
	return true;
}

bool
lorawan_message_build(const LorawanFrameFields *fields,
					  uint8_t message[LORAWAN_MAX_MESSAGE], size_t *len,
					  LorawanFault *fault)
{
	FrameWriter writer = {.message = message,.fault = fault};
	bool		fits = true;

	write_byte(&writer, "MHDR", MHDR(fields->m_type));
	if (fields->m_type == LORAWAN_JOIN_REQUEST)
		write_join_request(&writer, fields);
	else if (fields->m_type == LORAWAN_REJOIN_REQUEST)
		fits = write_rejoin_request(&writer, fields);
	else
		fits = write_data(&writer, fields);
	*len = writer.at;
	return fits && !writer.full;
}

size_t
lorawan_join_accept_build(uint32_t join_nonce,
						  const uint8_t net_id[LORAWAN_NET_ID_SIZE],
						  const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
						  uint8_t dl_settings, uint8_t rx_delay,
						  const uint8_t *cf_list,
						  uint8_t message[LORAWAN_MAX_MESSAGE])
{
	LorawanFault none;			/* is never set: all fields fit */
	FrameWriter writer = {.message = message,.fault = &none};

	write_byte(&writer, "MHDR", MHDR(LORAWAN_JOIN_ACCEPT));
	write_uint16(&writer, "JoinNonce", (uint16_t) join_nonce);
	write_byte(&writer, "JoinNonce", (uint8_t) (join_nonce >> 16));
	write_reversed(&writer, "NetID", net_id, LORAWAN_NET_ID_SIZE);
	write_reversed(&writer, "DevAddr", dev_addr, LORAWAN_DEV_ADDR_SIZE);
	write_byte(&writer, "DLSettings", dl_settings);
	write_byte(&writer, "RxDelay", rx_delay);
	if (cf_list != NULL)
		write_bytes(&writer, "CFList", cf_list, LORAWAN_CF_LIST_SIZE);
	return writer.at;
}
