/*
 * test_lorawan_mic.c
 *	  Tests of lorawan/mic.c.
 */
#include <openssl/err.h>

#include "check.h"
#include "crypto/cmac.h"
#include "lorawan/mic.h"
#include "vectors.h"

static void
mic_of_data_frames(void)
{
	for (size_t i = 0; i < LENGTH(data_mic_vectors); i++)
	{
		const DataMicVector *v = &data_mic_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		dev_addr = from_hex(v->dev_addr);
		Bytes		message = from_hex(v->message);
		Bytes		mic = from_hex(v->mic);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);
		LorawanMicBlock block = {
			v->direction, dev_addr.data, v->f_cnt, v->conf_f_cnt, v->tx_dr, v->tx_ch
		};
		uint8_t		out[LORAWAN_MIC_SIZE + 1] = {[LORAWAN_MIC_SIZE] = 0xaa};

		CHECK(lorawan_data_mic(cipher, &block, message.data, message.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, mic.data, LORAWAN_MIC_SIZE) == 0);
		CHECK(out[LORAWAN_MIC_SIZE] == 0xaa);
		aes_cipher_free(cipher);
	}
}

static void
mic_of_messages(void)
{
	for (size_t i = 0; i < LENGTH(message_mic_vectors); i++)
	{
		const MessageMicVector *v = &message_mic_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		message = from_hex(v->message);
		Bytes		mic = from_hex(v->mic);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);
		uint8_t		out[LORAWAN_MIC_SIZE];

		CHECK(lorawan_message_mic(cipher, message.data, message.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, mic.data, LORAWAN_MIC_SIZE) == 0);
		aes_cipher_free(cipher);
	}
}

static void
mic_of_join_accepts(void)
{
	for (size_t i = 0; i < LENGTH(join_accept_mic_vectors); i++)
	{
		const JoinAcceptMicVector *v = &join_accept_mic_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		join_eui = from_hex(v->join_eui);
		Bytes		message = from_hex(v->message);
		Bytes		mic = from_hex(v->mic);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);
		uint8_t		out[LORAWAN_MIC_SIZE];

		CHECK(lorawan_join_accept_mic(cipher, v->join_req_type, join_eui.data, v->dev_nonce,
									  message.data, message.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, mic.data, LORAWAN_MIC_SIZE) == 0);
		aes_cipher_free(cipher);
	}
}

static void
mic_refused(void)
{
	const uint8_t key[LORAWAN_KEY_SIZE] = {1};
	const uint8_t zeros[LORAWAN_MAX_PHY_PAYLOAD + 1] = {0};
	const size_t too_long[] = {252, 255, 256, SIZE_MAX};
	const LorawanMicBlock block = {.dev_addr = zeros};
	AesCipher  *cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	AesCipher  *unkeyed = aes_cipher_new();
	uint8_t		out[LORAWAN_MIC_SIZE];

	memset(out, 0xaa, sizeof(out));
	for (size_t i = 0; i < LENGTH(too_long); i++)
	{
		CHECK(lorawan_data_mic(cipher, &block, zeros, too_long[i], out) == CRYPTO_BAD_LENGTH);
		CHECK(lorawan_message_mic(cipher, zeros, too_long[i], out) == CRYPTO_BAD_LENGTH);
		CHECK(lorawan_join_accept_mic(cipher, 0xff, zeros, 0, zeros, too_long[i], out) == CRYPTO_BAD_LENGTH);
	}
	CHECK(lorawan_data_mic(unkeyed, &block, zeros, 12, out) == CRYPTO_LIBRARY);
	CHECK(lorawan_message_mic(unkeyed, zeros, 19, out) == CRYPTO_LIBRARY);
	CHECK(lorawan_join_accept_mic(unkeyed, 0xff, zeros, 0, zeros, 13, out) == CRYPTO_LIBRARY);
	CHECK(all_bytes_are(out, 0xaa, sizeof(out)));
	ERR_clear_error();
	aes_cipher_free(cipher);
	aes_cipher_free(unkeyed);
}

/* A MIC fits if all of its bytes do, and the computed one is gone afterwards. */
static void
mic_compared(void)
{
	const uint8_t told[LORAWAN_MIC_SIZE] = {0x01, 0x80, 0x00, 0xff};
	uint8_t		computed[LORAWAN_MIC_SIZE];

	memcpy(computed, told, sizeof(told));
	CHECK(lorawan_mic_fits(told, computed));
	CHECK(all_bytes_are(computed, 0, sizeof(computed)));
	for (size_t bit = 0; bit < 8 * sizeof(told); bit++)
	{
		memcpy(computed, told, sizeof(told));
		computed[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(!lorawan_mic_fits(told, computed));
		CHECK(all_bytes_are(computed, 0, sizeof(computed)));
	}
}

static AesCipher *stack_cipher;
static uint8_t stack_message[40] = {0xdb};
static uint8_t stack_mic[LORAWAN_MIC_SIZE];
static CryptoStatus stack_status;

static void
make_mic(void *unused)
{
	(void) unused;
	stack_status = lorawan_message_mic(stack_cipher, stack_message, sizeof(stack_message), stack_mic);
}

/* Of the CMAC and of its subkey, K2 for this length (RFC 4493, 2.3), nothing is left about. */
static void
mic_stack_wiped(void)
{
	const uint8_t key[LORAWAN_KEY_SIZE] = {0xdc};
	uint8_t		mac[AES_CMAC_SIZE];
	uint8_t		subkey[AES_BLOCK_SIZE] = {0};

	stack_cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	CHECK(aes_cmac(key, sizeof(key), stack_message, sizeof(stack_message), mac, sizeof(mac)) == CRYPTO_OK);
	CHECK(aes_cipher_run(stack_cipher, subkey, subkey, sizeof(subkey)) == CRYPTO_OK);
	for (int times = 0; times < 2; times++)
	{
		uint8_t		carry = subkey[0] >> 7;

		for (size_t i = 0; i < sizeof(subkey) - 1; i++)
			subkey[i] = (uint8_t) (subkey[i] << 1 | subkey[i + 1] >> 7);
		subkey[15] = (uint8_t) (subkey[15] << 1 ^ carry * 0x87);
	}
	CHECK(!stack_holds(make_mic, NULL, mac + 8, 8));
	CHECK(!stack_holds(make_mic, NULL, subkey, 8));
	CHECK(!stack_holds(make_mic, NULL, subkey + 8, 8));
	CHECK(stack_status == CRYPTO_OK);
	CHECK(memcmp(mac, stack_mic, sizeof(stack_mic)) == 0);
	aes_cipher_free(stack_cipher);
}

void
test_lorawan_mic(void)
{
	RUN(mic_of_data_frames);
	RUN(mic_of_messages);
	RUN(mic_of_join_accepts);
	RUN(mic_refused);
	RUN(mic_compared);
	RUN_NATIVE(mic_stack_wiped);
}
