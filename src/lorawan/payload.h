/*
 * payload.h
 *	  FRMPayload encryption (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) and FOpts
 *	  encryption (1.1, section 4.3.1.6, with the errata about FCntDwn).
 */
#ifndef LORAWAN_PAYLOAD_H
#define LORAWAN_PAYLOAD_H

#include "../crypto/aes.h"

/* Sizes in bytes. */
#define LORAWAN_KEY_SIZE 16
#define LORAWAN_DEV_ADDR_SIZE 4
#define LORAWAN_MAX_PAYLOAD 255
#define LORAWAN_MAX_F_OPTS 15

typedef enum LorawanDirection
{
	LORAWAN_UPLINK = 0,
	LORAWAN_DOWNLINK = 1
} LorawanDirection;

/*
 * Encrypts or decrypts an FRMPayload, which is the same operation.  len is 0 to
 * LORAWAN_MAX_PAYLOAD bytes, session_key is keyed for AES_ENCRYPT, dev_addr is as
 * displayed (big-endian), and f_cnt is the full frame counter of 32 bits.  in and out
 * may be the same buffer.
 */
extern CryptoStatus lorawan_payload_crypt(AesCipher *session_key,
										  LorawanDirection direction,
										  const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
										  uint32_t f_cnt, const uint8_t *in,
										  uint8_t *out, size_t len);

/* Which counter numbers the frame, as the block for FOpts names it. */
typedef enum LorawanCounter
{
	LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN = 1,
	LORAWAN_A_F_CNT_DOWN = 2	/* downlinks with an FPort above 0 */
} LorawanCounter;

/* Encrypts or decrypts FOpts, 0 to LORAWAN_MAX_F_OPTS bytes, with NwkSEncKey. */
extern CryptoStatus lorawan_f_opts_crypt(AesCipher *nwk_s_enc_key,
										 LorawanDirection direction,
										 LorawanCounter counter,
										 const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
										 uint32_t f_cnt, const uint8_t *in,
										 uint8_t *out, size_t len);

#endif							/* LORAWAN_PAYLOAD_H */
