/*
 * test_cmac.c
 *	  Tests of cmac.c.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "check.h"
#include "crypto/cmac.h"
#include "vectors.h"

static void
cmac_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(cmac_vectors); i++)
	{
		const CmacVector *v = &cmac_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		message = from_hex(v->message);
		Bytes		mac = from_hex(v->mac);
		uint8_t		out[AES_CMAC_SIZE];

		CHECK(aes_cmac(key.data, key.len, message.data, message.len, out, sizeof(out)) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, mac.data, sizeof(out)) == 0);
	}
}

/* One context for many messages, as the vault lends it. */
static void
cmac_keyed_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(cmac_vectors); i++)
	{
		const CmacVector *v = &cmac_vectors[i];
		Bytes		key = from_hex(v->key);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);

		for (size_t j = 0; j < LENGTH(cmac_vectors); j++)
		{
			Bytes		message = from_hex(cmac_vectors[j].message);
			Bytes		mac = from_hex(cmac_vectors[j].mac);
			uint8_t		out[AES_CMAC_SIZE];
			bool		same_key = strcmp(v->key, cmac_vectors[j].key) == 0;

			CHECK(aes_cmac_keyed(cipher, NULL, message.data, message.len, out,
								 sizeof(out)) == CRYPTO_OK);
			CHECK_FOR(cmac_vectors[j].source,
					  (memcmp(out, mac.data, sizeof(out)) == 0) == same_key);
		}
		aes_cipher_free(cipher);
	}
}

/* The CMAC by OpenSSL's own implementation. */
static void
openssl_cmac(const uint8_t *key, size_t key_len, const uint8_t *message, size_t len,
			 uint8_t mac[AES_CMAC_SIZE])
{
	char	   *names[] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};
	OSSL_PARAM	cipher[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, names[key_len / 8 - 2], 0),
		OSSL_PARAM_construct_end()
	};
	EVP_MAC    *cmac = EVP_MAC_fetch(NULL, "CMAC", NULL);
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(cmac);
	size_t		mac_len;

	CHECK(EVP_MAC_init(context, key, key_len, cipher) == 1);
	CHECK(EVP_MAC_update(context, message, len) == 1);
	CHECK(EVP_MAC_final(context, mac, &mac_len, AES_CMAC_SIZE) == 1);
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(cmac);
}

/*
 * All lengths of frames and more, compared with OpenSSL: in one piece, and with the first
 * block apart.  Two contexts are used in turn, and one of them gets another key each time:
 * nothing of one message or key may be in the next CMAC.
 */
static void
cmac_of_all_lengths(void)
{
	uint8_t		kept_key[32];
	uint8_t		key[32];
	uint8_t		message[300];
	AesCipher  *kept;
	AesCipher  *changing = aes_cipher_new();

	for (size_t i = 0; i < sizeof(kept_key); i++)
		kept_key[i] = (uint8_t) next_random();
	kept = keyed_cipher(kept_key, 16, AES_ENCRYPT);

	for (size_t len = 0; len <= sizeof(message); len++)
	{
		size_t		key_len = 16 + 8 * (len % 3);
		size_t		mac_len = len % AES_CMAC_SIZE + 1;
		uint8_t		expected[AES_CMAC_SIZE];
		uint8_t		out[AES_CMAC_SIZE];

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t) next_random();
		for (size_t i = 0; i < len; i++)
			message[i] = (uint8_t) next_random();
		CHECK(aes_cipher_set_key(changing, key, key_len, AES_ENCRYPT) == CRYPTO_OK);

		openssl_cmac(key, key_len, message, len, expected);
		CHECK(aes_cmac_keyed(changing, NULL, message, len, out, sizeof(out)) == CRYPTO_OK);
		CHECK(memcmp(out, expected, sizeof(out)) == 0);

		openssl_cmac(kept_key, 16, message, len, expected);
		CHECK(aes_cmac_keyed(kept, NULL, message, len, out, sizeof(out)) == CRYPTO_OK);
		CHECK(memcmp(out, expected, sizeof(out)) == 0);

		memset(out, 0xaa, sizeof(out));
		if (len < AES_BLOCK_SIZE)
			continue;
		CHECK(aes_cmac_keyed(kept, message, message + AES_BLOCK_SIZE, len - AES_BLOCK_SIZE,
							 out, mac_len) == CRYPTO_OK);
		CHECK(memcmp(out, expected, mac_len) == 0);
		CHECK(all_bytes_are(out + mac_len, 0xaa, sizeof(out) - mac_len));
	}
	aes_cipher_free(kept);
	aes_cipher_free(changing);
}

/* A context without a key gives an error, and no byte. */
static void
cmac_keyed_refused(void)
{
	AesCipher  *unkeyed = aes_cipher_new();
	uint8_t		out[AES_CMAC_SIZE];

	memset(out, 0xaa, sizeof(out));
	for (size_t len = 0; len <= 48; len += 16)
	{
		const uint8_t zeros[48] = {0};

		CHECK(aes_cmac_keyed(unkeyed, NULL, zeros, len, out, sizeof(out)) == CRYPTO_LIBRARY);
		CHECK(aes_cmac_keyed(unkeyed, zeros, zeros, len, out, sizeof(out)) == CRYPTO_LIBRARY);
	}
	CHECK(all_bytes_are(out, 0xaa, sizeof(out)));
	ERR_clear_error();
	aes_cipher_free(unkeyed);
}

static void
kcv_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(kcv_vectors); i++)
	{
		Bytes		key = from_hex(kcv_vectors[i].key);
		Bytes		kcv = from_hex(kcv_vectors[i].kcv);
		uint8_t		out[KEY_CHECK_VALUE_SIZE];

		CHECK(key_check_value(key.data, key.len, out) == CRYPTO_OK);
		CHECK(kcv.len == sizeof(out));
		CHECK_FOR(kcv_vectors[i].key, memcmp(out, kcv.data, sizeof(out)) == 0);
	}
}

static void
cmac_lengths(void)
{
	uint8_t		key[40] = {1};

	for (size_t key_len = 0; key_len <= sizeof(key); key_len++)
	{
		bool		good = key_len == 16 || key_len == 24 || key_len == 32;
		CryptoStatus expected = good ? CRYPTO_OK : CRYPTO_BAD_LENGTH;
		uint8_t		out[AES_CMAC_SIZE];

		memset(out, 0xaa, sizeof(out));
		CHECK(aes_cmac(key, key_len, key, 3, out, sizeof(out)) == expected);
		CHECK(all_bytes_are(out, 0xaa, sizeof(out)) == !good);
		memset(out, 0xaa, sizeof(out));
		CHECK(key_check_value(key, key_len, out) == expected);
		CHECK(all_bytes_are(out, 0xaa, sizeof(out)) == !good);
	}
	/* No message at all. */
	CHECK(aes_cmac(key, 16, NULL, 0, key, AES_CMAC_SIZE) == CRYPTO_OK);
}

static void
cmac_freed_wiped(void)
{
	uint8_t		key[16];
	uint8_t		out[AES_CMAC_SIZE];

	memset(key, 0xd7, sizeof(key));
	heap_watch(key, sizeof(key));
	CHECK(aes_cmac(key, sizeof(key), out, 0, out, sizeof(out)) == CRYPTO_OK);
	CHECK(heap_unwatch() == 0);
}

static uint8_t wiped_key[16] = {0xd8};
static uint8_t wiped_kcv[KEY_CHECK_VALUE_SIZE];
static CryptoStatus wiped_status;

static void
check_value(void *unused)
{
	(void) unused;
	wiped_status = key_check_value(wiped_key, sizeof(wiped_key), wiped_kcv);
}

/* Of the CMAC only the first 5 bytes are told; the rest is not left about. */
static void
cmac_stack_wiped(void)
{
	uint8_t		mac[AES_CMAC_SIZE];

	CHECK(aes_cmac(wiped_key, sizeof(wiped_key),
				   (const uint8_t *) "key_vault key check value", 25, mac, sizeof(mac)) == CRYPTO_OK);
	CHECK(!stack_holds(check_value, NULL, mac + 8, 8));
	CHECK(wiped_status == CRYPTO_OK);
	CHECK(memcmp(mac, wiped_kcv, sizeof(wiped_kcv)) == 0);
}

void
test_cmac(void)
{
	RUN(cmac_expected_values);
	RUN(cmac_keyed_expected_values);
	RUN(cmac_of_all_lengths);
	RUN(cmac_keyed_refused);
	RUN(kcv_expected_values);
	RUN(cmac_lengths);
	RUN(cmac_freed_wiped);
	RUN_NATIVE(cmac_stack_wiped);
}
