/*
 * mic.h
 *	  Message integrity codes of LoRaWAN frames (LoRaWAN L2 1.0.4 and 1.1,
 *	  sections 4.4 and 6.2).
 *
 * A MIC is over a message: the PHYPayload from MHDR on, without the MIC.  Keys are
 * contexts keyed for AES_ENCRYPT.  MICs are compared with secure_equal().  Addresses
 * and EUIs are in the order they are displayed in (big-endian).
 */
#ifndef LORAWAN_MIC_H
#define LORAWAN_MIC_H

#include <stdbool.h>

#include "payload.h"

#define LORAWAN_MIC_SIZE 4
#define LORAWAN_EUI_SIZE 8

/* The longest PHYPayload, with its MIC. */
#define LORAWAN_MAX_PHY_PAYLOAD 255

/*
 * The block before a data frame: B0, or B1 where the fields of a 1.1 uplink are
 * set.  What a block does not have is 0.
 */
typedef struct LorawanMicBlock
{
	LorawanDirection direction;
	const uint8_t *dev_addr;	/* LORAWAN_DEV_ADDR_SIZE bytes */
	uint32_t	f_cnt;			/* the full 32-bit frame counter */
	uint16_t	conf_f_cnt;		/* of the frame that this one acknowledges */
	uint8_t		tx_dr;			/* B1: data rate of the transmission */
	uint8_t		tx_ch;			/* B1: its channel */
} LorawanMicBlock;

/* CMAC(key, B | message), the first 4 bytes. */
extern CryptoStatus lorawan_data_mic(AesCipher *key, const LorawanMicBlock *block,
									 const uint8_t *message, size_t message_len,
									 uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * CMAC(key, message), the first 4 bytes: join-requests, rejoin-requests, and
 * join-accepts of 1.0.
 */
extern CryptoStatus lorawan_message_mic(AesCipher *key, const uint8_t *message,
										size_t message_len,
										uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * The MIC of a join-accept of 1.1: CMAC(JSIntKey, type | JoinEUI | DevNonce |
 * message).  The type is 0xff where it answers a join-request, otherwise that of
 * the rejoin-request, whose RJcount is the dev_nonce then.
 */
extern CryptoStatus lorawan_join_accept_mic(AesCipher *js_int_key, uint8_t join_req_type,
											const uint8_t join_eui[LORAWAN_EUI_SIZE],
											uint16_t dev_nonce,
											const uint8_t *message, size_t message_len,
											uint8_t mic[LORAWAN_MIC_SIZE]);

/*
 * Whether the MIC of a frame is the one that was computed for it.  The comparison
 * takes the same time wherever they differ, and the computed MIC is wiped: whoever
 * only checks frames must not be able to make them.
 */
extern bool lorawan_mic_fits(const uint8_t *told, uint8_t computed[LORAWAN_MIC_SIZE]);

#endif							/* LORAWAN_MIC_H */
