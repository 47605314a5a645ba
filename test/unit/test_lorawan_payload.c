/*
 * test_lorawan_payload.c
 *	  Tests of lorawan/payload.c.
 */
#include <openssl/err.h>

#include "check.h"
#include "lorawan/payload.h"
#include "vectors.h"

/* Every vector at every length up to its own: a shorter payload is a prefix. */
static void
payload_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(lorawan_vectors); i++)
	{
		const LorawanVector *v = &lorawan_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		dev_addr = from_hex(v->dev_addr);
		Bytes		plaintext = from_hex(v->plaintext);
		Bytes		encrypted = from_hex(v->encrypted);
		LorawanDirection direction = v->direction ? LORAWAN_DOWNLINK : LORAWAN_UPLINK;
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);

		CHECK(dev_addr.len == LORAWAN_DEV_ADDR_SIZE && key.len == LORAWAN_KEY_SIZE);
		for (size_t len = 0; len <= encrypted.len; len++)
		{
			uint8_t		out[LORAWAN_MAX_PAYLOAD + 1];

			memset(out, 0xaa, sizeof(out));
			CHECK(lorawan_payload_crypt(cipher, direction, dev_addr.data, v->f_cnt,
										plaintext.data, out, len) == CRYPTO_OK);
			CHECK_FOR(v->source, memcmp(out, encrypted.data, len) == 0);
			CHECK(all_bytes_are(out + len, 0xaa, sizeof(out) - len));

			/* In place, and back. */
			CHECK(lorawan_payload_crypt(cipher, direction, dev_addr.data, v->f_cnt,
										out, out, len) == CRYPTO_OK);
			CHECK_FOR(v->source, memcmp(out, plaintext.data, len) == 0);
			CHECK(all_bytes_are(out + len, 0xaa, sizeof(out) - len));
		}
		aes_cipher_free(cipher);
	}
}

/* The vectors can only tell what they hold. */
static void
payload_vectors_complete(void)
{
	const uint32_t f_cnts[] = {0, 1, 65535, 65536, 65538, UINT32_MAX};

	for (size_t i = 0; i < LENGTH(f_cnts); i++)
	{
		for (uint32_t direction = 0; direction <= 1; direction++)
		{
			int			found = 0;

			for (size_t j = 0; j < LENGTH(lorawan_vectors); j++)
				found += lorawan_vectors[j].f_cnt == f_cnts[i] &&
					lorawan_vectors[j].direction == direction &&
					strlen(lorawan_vectors[j].encrypted) == 2 * LORAWAN_MAX_PAYLOAD;
			CHECK(found == 1);
		}
	}
}

static void
payload_refused(void)
{
	const uint8_t key[LORAWAN_KEY_SIZE] = {1};
	const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE] = {2};
	uint8_t		in[300] = {3};
	uint8_t		out[300];
	AesCipher  *cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	AesCipher  *unkeyed = aes_cipher_new();

	memset(out, 0xaa, sizeof(out));
	for (size_t len = 256; len <= sizeof(in); len++)
		CHECK(lorawan_payload_crypt(cipher, LORAWAN_UPLINK, dev_addr, 1, in, out,
									len) == CRYPTO_BAD_LENGTH);
	CHECK(lorawan_payload_crypt(cipher, LORAWAN_UPLINK, dev_addr, 1, in, out,
								SIZE_MAX) == CRYPTO_BAD_LENGTH);
	CHECK(lorawan_payload_crypt(unkeyed, LORAWAN_UPLINK, dev_addr, 1, in, out,
								16) == CRYPTO_LIBRARY);
	CHECK(all_bytes_are(out, 0xaa, sizeof(out)));
	CHECK(lorawan_payload_crypt(cipher, LORAWAN_UPLINK, dev_addr, 1, NULL, NULL,
								0) == CRYPTO_OK);
	ERR_clear_error();
	aes_cipher_free(cipher);
	aes_cipher_free(unkeyed);
}

typedef struct PayloadCall
{
	AesCipher  *cipher;
	uint8_t		in[LORAWAN_MAX_PAYLOAD];
	uint8_t		out[LORAWAN_MAX_PAYLOAD];
	size_t		len;
	CryptoStatus status;
} PayloadCall;

static void
crypt_payload(void *argument)
{
	PayloadCall *call = argument;
	const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE] = {2};

	call->status = lorawan_payload_crypt(call->cipher, LORAWAN_UPLINK, dev_addr, 1,
										 call->in, call->out, call->len);
}

/* Over a payload of zeros the output is the keystream. */
static void
payload_stack_wiped(void)
{
	const uint8_t key[LORAWAN_KEY_SIZE] = {0xda};
	static PayloadCall call;

	call.cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	for (call.len = 16; call.len <= LORAWAN_MAX_PAYLOAD; call.len += 37)
	{
		uint8_t		keystream[LORAWAN_MAX_PAYLOAD];

		crypt_payload(&call);
		CHECK(call.status == CRYPTO_OK);
		memcpy(keystream, call.out, call.len);
		/* Neither its first bytes nor its last are left on the stack. */
		CHECK(!stack_holds(crypt_payload, &call, keystream, 8));
#ifndef __SANITIZE_ADDRESS__	/* which makes gcc 14 put a register there */
		CHECK(!stack_holds(crypt_payload, &call, keystream + call.len - 8, 8));
#endif
	}
	aes_cipher_free(call.cipher);
}

/* As with payloads: every length up to a vector's own. */
static void
f_opts_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(f_opts_vectors); i++)
	{
		const FOptsVector *v = &f_opts_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		dev_addr = from_hex(v->dev_addr);
		Bytes		plaintext = from_hex(v->plaintext);
		Bytes		encrypted = from_hex(v->encrypted);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);

		for (size_t len = 0; len <= encrypted.len; len++)
		{
			uint8_t		out[LORAWAN_MAX_F_OPTS + 1];

			memset(out, 0xaa, sizeof(out));
			CHECK(lorawan_f_opts_crypt(cipher, v->direction, v->counter, dev_addr.data, v->f_cnt,
									   plaintext.data, out, len) == CRYPTO_OK);
			CHECK_FOR(v->source, memcmp(out, encrypted.data, len) == 0);
			CHECK(all_bytes_are(out + len, 0xaa, sizeof(out) - len));
		}
		aes_cipher_free(cipher);
	}
}

static void
f_opts_refused(void)
{
	const uint8_t key[LORAWAN_KEY_SIZE] = {1};
	const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE] = {2};
	uint8_t		in[32] = {3};
	uint8_t		out[32];
	AesCipher  *cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	AesCipher  *unkeyed = aes_cipher_new();

	memset(out, 0xaa, sizeof(out));
	CHECK(lorawan_f_opts_crypt(cipher, LORAWAN_UPLINK, LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN, dev_addr, 1,
							   in, out, LORAWAN_MAX_F_OPTS + 1) == CRYPTO_BAD_LENGTH);
	CHECK(lorawan_f_opts_crypt(cipher, LORAWAN_UPLINK, LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN, dev_addr, 1,
							   in, out, SIZE_MAX) == CRYPTO_BAD_LENGTH);
	CHECK(lorawan_f_opts_crypt(unkeyed, LORAWAN_UPLINK, LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN, dev_addr, 1,
							   in, out, 3) == CRYPTO_LIBRARY);
	CHECK(all_bytes_are(out, 0xaa, sizeof(out)));
	CHECK(lorawan_f_opts_crypt(cipher, LORAWAN_UPLINK, LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN, dev_addr, 1,
							   NULL, NULL, 0) == CRYPTO_OK);
	ERR_clear_error();
	aes_cipher_free(cipher);
	aes_cipher_free(unkeyed);
}

void
test_lorawan_payload(void)
{
	RUN(payload_expected_values);
	RUN(payload_vectors_complete);
	RUN(payload_refused);
	RUN_NATIVE(payload_stack_wiped);
	RUN(f_opts_expected_values);
	RUN(f_opts_refused);
}
