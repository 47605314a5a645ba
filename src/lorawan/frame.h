/*
 * frame.h
 *	  Parsing and building LoRaWAN frames (PHYPayloads; LoRaWAN L2 1.0.4 and 1.1,
 *	  sections 4 and 6.2), without any key.
 *
 * In LorawanFrameFields, addresses and EUIs are as displayed (big-endian); in frames
 * they are little-endian.
 */
#ifndef LORAWAN_FRAME_H
#define LORAWAN_FRAME_H

#include <stdbool.h>

#include "mic.h"

/* Sizes in bytes; a message is a frame without its MIC. */
#define LORAWAN_MAX_MESSAGE (LORAWAN_MAX_PHY_PAYLOAD - LORAWAN_MIC_SIZE)
#define LORAWAN_NET_ID_SIZE 3
#define LORAWAN_CF_LIST_SIZE 16

/* The bit OptNeg of DLSettings: the network server uses LoRaWAN 1.1. */
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
 * The fields of a frame; m_type says which of them it has.  The pointers point into
 * the frame.
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

	/* all other frames */
	const uint8_t *mic;
} LorawanFrameFields;

/* What is wrong with a frame, in constant texts. */
typedef struct LorawanFault
{
	const char *field;			/* its name in the specification */
	size_t		offset;			/* of the field in the frame, in bytes */
	const char *problem;		/* a sentence about it, without the word "It" */
} LorawanFault;

/* Whether frames of this type carry data. */
static inline bool
lorawan_is_data(LorawanMType m_type)
{
	return m_type >= LORAWAN_UNCONFIRMED_UP && m_type <= LORAWAN_CONFIRMED_DOWN;
}

/* Whether frames of this type are sent by devices. */
static inline bool
lorawan_is_uplink(LorawanMType m_type)
{
	return m_type != LORAWAN_PROPRIETARY && m_type % 2 == 0;
}

/*
 * Parses a frame.  Bits that are reserved for future use are ignored, as the
 * specification asks of receivers.  Returns false, and sets fault, if the frame is
 * malformed.
 */
extern bool lorawan_frame_parse(const uint8_t *frame, size_t len,
								LorawanFrameFields *fields, LorawanFault *fault);

/*
 * Builds a frame without its MIC, as MICs are calculated over it, of any type but
 * LORAWAN_JOIN_ACCEPT and LORAWAN_PROPRIETARY.  Returns false, and sets fault, if the
 * fields contradict each other or the frame would be too long.
 */
extern bool lorawan_message_build(const LorawanFrameFields *fields,
								  uint8_t message[LORAWAN_MAX_MESSAGE], size_t *len,
								  LorawanFault *fault);

/*
 * Builds a join-accept without its MIC and in the clear, and returns its length in
 * bytes.  cf_list is as it is sent, or NULL.
 */
extern size_t lorawan_join_accept_build(uint32_t join_nonce,
										const uint8_t net_id[LORAWAN_NET_ID_SIZE],
										const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
										uint8_t dl_settings, uint8_t rx_delay,
										const uint8_t *cf_list,
										uint8_t message[LORAWAN_MAX_MESSAGE]);

#endif							/* LORAWAN_FRAME_H */
