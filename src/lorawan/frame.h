/*
 * frame.h
 *	  LoRaWAN frames (PHYPayload; LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2),
 *	  between bytes and fields.  Nothing here takes a key.
 *
 * In fields, addresses and EUIs are in the order they are displayed in
 * (big-endian); in frames they are little-endian.
 */
#ifndef LORAWAN_FRAME_H
#define LORAWAN_FRAME_H

#include <stdbool.h>

#include "mic.h"

#define LORAWAN_MAX_MESSAGE (LORAWAN_MAX_PHY_PAYLOAD - LORAWAN_MIC_SIZE)
#define LORAWAN_NET_ID_SIZE 3
#define LORAWAN_CF_LIST_SIZE 16

/* OptNeg of DLSettings: the server has negotiated LoRaWAN 1.1. */
#define LORAWAN_OPT_NEG 0x80

/* The values are those of the MHDR. */
typedef enum LorawanMType
{
	LORAWAN_JOIN_REQUEST = 0,
	LORAWAN_JOIN_ACCEPT,
	LORAWAN_UNCONFIRMED_UP,
	LORAWAN_UNCONFIRMED_DOWN,
	LORAWAN_CONFIRMED_UP,
	LORAWAN_CONFIRMED_DOWN,
	LORAWAN_REJOIN_REQUEST,
	LORAWAN_PROPRIETARY
} LorawanMType;

/*
 * What a frame says.  Which fields there are depends on m_type, and the
 * pointers lead into the frame.
 */
typedef struct LorawanFrameFields
{
	LorawanMType m_type;

	/* data frames */
	uint8_t		dev_addr[LORAWAN_DEV_ADDR_SIZE];
	bool		adr;
	bool		adr_ack_req;	/* uplinks */
	bool		ack;
	bool		class_b;		/* uplinks */
	bool		f_pending;		/* downlinks */
	uint16_t	f_cnt;			/* the low half of the frame counter */
	const uint8_t *f_opts;
	size_t		f_opts_len;
	bool		has_f_port;		/* without it there is no frm_payload */
	uint8_t		f_port;
	const uint8_t *frm_payload;
	size_t		frm_payload_len;

	/* join-requests and rejoin-requests */
	uint8_t		rejoin_type;	/* 0, 1 or 2 */
	uint8_t		net_id[LORAWAN_NET_ID_SIZE];	/* rejoin types 0 and 2 */
	uint8_t		join_eui[LORAWAN_EUI_SIZE]; /* not in rejoin types 0 and 2 */
	uint8_t		dev_eui[LORAWAN_EUI_SIZE];
	uint16_t	dev_nonce;		/* rejoin-requests: RJcount0 or RJcount1 */

	/* join-accepts, encrypted with their MIC, and proprietary frames */
	const uint8_t *body;
	size_t		body_len;

	/* all others */
	const uint8_t *mic;
} LorawanFrameFields;

/* What is wrong with a frame: constant texts, the field's by its specified name. */
typedef struct LorawanFault
{
	const char *field;
	size_t		offset;			/* of the field, in the frame */
	const char *problem;		/* goes on after "it" */
} LorawanFault;

/* Whether frames of the kind are data frames, or sent by devices. */
static inline bool
lorawan_is_data(LorawanMType m_type)
{
	return m_type >= LORAWAN_UNCONFIRMED_UP && m_type <= LORAWAN_CONFIRMED_DOWN;
}

static inline bool
lorawan_is_uplink(LorawanMType m_type)
{
	return m_type != LORAWAN_PROPRIETARY && m_type % 2 == 0;
}

/*
 * Takes a frame apart.  Bits that are reserved for future use are ignored, as
 * receivers must.  False: it is malformed, and fault says where.
 */
extern bool lorawan_frame_parse(const uint8_t *frame, size_t len,
								LorawanFrameFields *fields, LorawanFault *fault);

/*
 * Puts a frame together, up to its MIC, which is what MICs are calculated over;
 * m_type is any but LORAWAN_JOIN_ACCEPT and LORAWAN_PROPRIETARY.  False: the
 * fields do not fit together or do not fit in, and fault says which.
 */
extern bool lorawan_message_build(const LorawanFrameFields *fields,
								  uint8_t message[LORAWAN_MAX_MESSAGE], size_t *len,
								  LorawanFault *fault);

/*
 * Writes a join-accept before it has a MIC and is encrypted, and returns its length.
 * cf_list is as on the air, or NULL.
 */
extern size_t lorawan_join_accept_build(uint32_t join_nonce,
										const uint8_t net_id[LORAWAN_NET_ID_SIZE],
										const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
										uint8_t dl_settings, uint8_t rx_delay,
										const uint8_t *cf_list,
										uint8_t message[LORAWAN_MAX_MESSAGE]);

#endif							/* LORAWAN_FRAME_H */
