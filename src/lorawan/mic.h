/*
 * mic.h
 *	  Message integrity codes of LoRaWAN frames (LoRaWAN L2 1.0.4 and 1.1,
 *	  sections 4.4 and 6.2).
 *
 * A MIC is the first 4 bytes of an AES-CMAC.  A message is a PHYPayload without its MIC.
 * Keys are contexts that are keyed for AES_ENCRYPT.  Addresses and EUIs are as
 * displayed (big-endian).
 */
#ifndef LORAWAN_MIC_H
#define LORAWAN_MIC_H

#include <stdbool.h>

#include "payload.h"

/* Sizes in bytes. */
#define LORAWAN_MIC_SIZE 4
#define LORAWAN_EUI_SIZE 8

/* The longest PHYPayload, with its MIC, in bytes. */
#define LORAWAN_MAX_PHY_PAYLOAD 255

/*
 * The fields of the block that is put before a data frame: B0, or B1 for the second
 * half of the MIC of a 1.1 uplink.  A field that a block does not have is 0.
 */
typedef struct LorawanMicBlock
{
	LorawanDirection direction;
	const uint8_t *dev_addr;	/* LORAWAN_DEV_ADDR_SIZE bytes */
	uint32_t	f_cnt;			/* the full 32-bit frame counter */
	uint16_t	conf_f_cnt;		/* of the frame that this one acknowledges */
	uint8_t		tx_dr;			/* B1: the data rate it was sent with */
	uint8_t		tx_ch;			/* B1: the channel it was sent on */
} LorawanMicBlock;

/* The MIC of a data frame: CMAC(key, block | message). */
extern CryptoStatus lorawan_data_mic(AesCipher *key, const LorawanMicBlock *block,
									 const uint8_t *message, size_t message_len,
									 uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * The MIC of a join-request, a rejoin-request or a join-accept of 1.0: CMAC(key,
 * message).
 */
extern CryptoStatus lorawan_message_mic(AesCipher *key, const uint8_t *message,
										size_t message_len,
										uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * The MIC of a join-accept of 1.1: CMAC(JSIntKey, JoinReqType | JoinEUI | DevNonce |
 * message).  If it answers a join-request, the JoinReqType is 0xff.  If it answers a
 * rejoin-request, the JoinReqType is the type of this request, and dev_nonce is its RJcount.
 */
extern CryptoStatus lorawan_join_accept_mic(AesCipher *js_int_key, uint8_t join_req_type,
											const uint8_t join_eui[LORAWAN_EUI_SIZE],
											uint16_t dev_nonce,
											const uint8_t *message, size_t message_len,
											uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * Whether the MIC of a frame is the one that was computed for it.  The comparison
 * takes the same time wherever the two differ.  It wipes the computed MIC, so that
 * somebody who may check frames cannot use it to make a frame.
 */
extern bool lorawan_mic_fits(const uint8_t *told, uint8_t computed[LORAWAN_MIC_SIZE]);

#endif							/* LORAWAN_MIC_H */
