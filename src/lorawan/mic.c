/*
 * mic.c
 *	  Message integrity codes of LoRaWAN frames.
 *
 * Invariants: messages that are too long for a PHYPayload are refused; of a CMAC only
 * the 4 bytes of the MIC are left behind.
 */
#include "mic.h"

#include <string.h>

#include <openssl/crypto.h>

#include "../crypto/cmac.h"
#include "../crypto/secure_memory.h"

/* In bytes. */
#define MAX_MESSAGE (LORAWAN_MAX_PHY_PAYLOAD - LORAWAN_MIC_SIZE)

/* The size of JoinReqType | JoinEUI | DevNonce, in bytes. */
#define JOIN_ACCEPT_PREFIX_SIZE (1 + LORAWAN_EUI_SIZE + 2)

static void
put_reversed(uint8_t *out, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = in[len - 1 - i];
}

static void
put_le(uint8_t *out, uint32_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t) (value >> (8 * i));
}

CryptoStatus
lorawan_data_mic(AesCipher *key, const LorawanMicBlock *block, const uint8_t *message,
				 size_t message_len, uint8_t mic[LORAWAN_MIC_SIZE])
{
	uint8_t		first[AES_BLOCK_SIZE];

	if (message_len > MAX_MESSAGE)
		return CRYPTO_BAD_LENGTH;

	first[0] = 0x49;
	put_le(first + 1, block->conf_f_cnt, 2);
	first[3] = block->tx_dr;
	first[4] = block->tx_ch;
	first[5] = (uint8_t) block->direction;
	put_reversed(first + 6, block->dev_addr, LORAWAN_DEV_ADDR_SIZE);
	put_le(first + 10, block->f_cnt, 4);
	first[14] = 0;
	first[15] = (uint8_t) message_len;
	return aes_cmac_keyed(key, first, message, message_len, mic, LORAWAN_MIC_SIZE);
}

CryptoStatus
lorawan_message_mic(AesCipher *key, const uint8_t *message, size_t message_len,
					uint8_t mic[LORAWAN_MIC_SIZE])
{
	if (message_len > MAX_MESSAGE)
		return CRYPTO_BAD_LENGTH;
	return aes_cmac_keyed(key, NULL, message, message_len, mic, LORAWAN_MIC_SIZE);
}

CryptoStatus
lorawan_join_accept_mic(AesCipher *js_int_key, uint8_t join_req_type,
						const uint8_t join_eui[LORAWAN_EUI_SIZE],
						uint16_t dev_nonce, const uint8_t *message,
						size_t message_len, uint8_t mic[LORAWAN_MIC_SIZE])
{
	uint8_t		buffer[JOIN_ACCEPT_PREFIX_SIZE + MAX_MESSAGE];
	CryptoStatus status;

	if (message_len > MAX_MESSAGE)
		return CRYPTO_BAD_LENGTH;

	buffer[0] = join_req_type;
	put_reversed(buffer + 1, join_eui, LORAWAN_EUI_SIZE);
	put_le(buffer + 1 + LORAWAN_EUI_SIZE, dev_nonce, 2);
	memcpy(buffer + JOIN_ACCEPT_PREFIX_SIZE, message, message_len);
	status = aes_cmac_keyed(js_int_key, NULL, buffer, JOIN_ACCEPT_PREFIX_SIZE + message_len,
							mic, LORAWAN_MIC_SIZE);

	/*
	 * Nothing of an opened join-accept must be left behind if its MIC is
	 * wrong.
	 */
	OPENSSL_cleanse(buffer, JOIN_ACCEPT_PREFIX_SIZE + message_len);
	return status;
}

bool
lorawan_mic_fits(const uint8_t *told, uint8_t computed[LORAWAN_MIC_SIZE])
{
	bool		fits = secure_equal(told, computed, LORAWAN_MIC_SIZE);

	secure_wipe(computed, LORAWAN_MIC_SIZE);
	return fits;
}
