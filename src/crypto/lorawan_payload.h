/*
 * lorawan_payload.h
 *	  FRMPayload encryption (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3).
 */
#ifndef LORAWAN_PAYLOAD_H
#define LORAWAN_PAYLOAD_H

#include "aes.h"

#define LORAWAN_KEY_SIZE 16
#define LORAWAN_DEV_ADDR_SIZE 4
#define LORAWAN_MAX_PAYLOAD 255

typedef enum LorawanDirection
{
	LORAWAN_UPLINK = 0,
	LORAWAN_DOWNLINK = 1
} LorawanDirection;

/*
 * Encrypts or decrypts (the cipher is symmetric) len bytes, 0 to
 * LORAWAN_MAX_PAYLOAD.  session_key is keyed for AES_ENCRYPT with the session
 * key, dev_addr is in the order it is displayed in (big-endian), f_cnt is the full
 * 32-bit frame counter.  in and out may be the same.
 */
extern CryptoStatus lorawan_payload_crypt(AesCipher *session_key,
										  LorawanDirection direction,
										  const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
										  uint32_t f_cnt, const uint8_t *in,
										  uint8_t *out, size_t len);

#endif							/* LORAWAN_PAYLOAD_H */
