/*
 * mic_frames.c
 *	  Frames as arguments of the functions that make and check MICs.
 *
 * Invariant: an argument that is not a frame, or not one of the right kind, is an error.  If
 * such an argument only failed the check of its MIC, people would look for the fault in the
 * key.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "../lorawan/join.h"
#include "mic_frames.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* A set of kinds of frames has one bit for each. */
#define KIND(m_type) (1 << (m_type))

static void
frame_argument(FunctionCallInfo fcinfo, int n, bool has_mic, int kinds,
			   const char *kind_name, LorawanFrameFields *fields, MicFrame *frame)
{
	const bytea *argument = PG_GETARG_BYTEA_PP(n);
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(argument);
	size_t		size = VARSIZE_ANY_EXHDR(argument);
	uint8		whole[LORAWAN_MAX_PHY_PAYLOAD];
	LorawanFault fault;

	frame->message = bytes;
	if (has_mic)
	{
		/* If the frame is too short for a MIC, parsing it fails below. */
		frame->message_size = size - LORAWAN_MIC_SIZE;
		frame->mic = bytes + frame->message_size;
	}
	else
	{
		frame->message_size = size;
		frame->mic = NULL;
		if (size > LORAWAN_MAX_MESSAGE)
			ereport(ERROR,
					(errcode(ERRCODE_FRAME_MALFORMED),
					 errmsg("message must have at most %d bytes, not %zu", LORAWAN_MAX_MESSAGE, size)));
		memcpy(whole, bytes, size);
		memset(whole + size, 0, LORAWAN_MIC_SIZE);
		bytes = whole;
		size += LORAWAN_MIC_SIZE;
	}

	if (!lorawan_frame_parse(bytes, size, fields, &fault))
		ereport(ERROR,
				(errcode(ERRCODE_FRAME_MALFORMED),
				 errmsg("malformed LoRaWAN frame: %s at offset %zu", fault.field, fault.offset),
				 errdetail("It %s.", fault.problem)));
	if ((kinds & KIND(fields->m_type)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("LoRaWAN frame is not a %s", kind_name),
				 errdetail("Its MType is %d.", (int) fields->m_type)));
}

void
data_frame_argument(FunctionCallInfo fcinfo, int n, bool has_mic,
					LorawanDirection direction, MicFrame *frame)
{
	LorawanFrameFields fields;

	if (direction == LORAWAN_UPLINK)
		frame_argument(fcinfo, n, has_mic,
					   KIND(LORAWAN_UNCONFIRMED_UP) | KIND(LORAWAN_CONFIRMED_UP),
					   "data uplink", &fields, frame);
	else
		frame_argument(fcinfo, n, has_mic,
					   KIND(LORAWAN_UNCONFIRMED_DOWN) | KIND(LORAWAN_CONFIRMED_DOWN),
					   "data downlink", &fields, frame);
	memcpy(frame->dev_addr, fields.dev_addr, LORAWAN_DEV_ADDR_SIZE);
	frame->f_cnt = fields.f_cnt;
	frame->ack = fields.ack;
}

void
join_request_argument(FunctionCallInfo fcinfo, int n, bool has_mic, MicFrame *frame)
{
	LorawanFrameFields fields;

	frame_argument(fcinfo, n, has_mic, KIND(LORAWAN_JOIN_REQUEST), "join-request",
				   &fields, frame);
}

void
rejoin_request_argument(FunctionCallInfo fcinfo, int n, bool has_mic, MicFrame *frame)
{
	LorawanFrameFields fields;

	frame_argument(fcinfo, n, has_mic, KIND(LORAWAN_REJOIN_REQUEST), "rejoin-request",
				   &fields, frame);
}

void
join_accept_argument(FunctionCallInfo fcinfo, int n, bool has_mic, MicFrame *frame)
{
	LorawanFrameFields fields;
	LorawanJoinAccept accept;

	frame_argument(fcinfo, n, has_mic, KIND(LORAWAN_JOIN_ACCEPT), "join-accept",
				   &fields, frame);
	if (has_mic)
		return;
	lorawan_join_accept_read(frame->message, frame->message_size, &accept);
	memcpy(frame->dev_addr, accept.dev_addr, LORAWAN_DEV_ADDR_SIZE);
}
