/*
 * test_byte_order.c
 *	  Tests of what src/ has for big-endian machines, on a little-endian one.
 *
 * The three sources that see bytes as words are compiled once more, as a big-endian
 * machine's compiler would do it.  What the hardware would do differently there is done
 * here: memcpy() between bytes and words reverses each word, and the words in structs are
 * stored in the other order, for which gcc has a pragma.  The results must be the
 * same bytes.  All other sources make bytes of numbers by shifting them, or not at all.
 */
#include "check.h"

#include <openssl/crypto.h>

#include "vectors.h"

#if defined(__GNUC__) && !defined(__clang__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#undef __BYTE_ORDER__
#define __BYTE_ORDER__ __ORDER_BIG_ENDIAN__

#define key_wrap big_endian_key_wrap
#define key_unwrap big_endian_key_unwrap
#define key_wrap_pad big_endian_key_wrap_pad
#define key_unwrap_pad big_endian_key_unwrap_pad
#define aes_cmac_keyed big_endian_aes_cmac_keyed
#define aes_cmac big_endian_aes_cmac
#define key_check_value big_endian_key_check_value
#define lorawan_payload_crypt big_endian_lorawan_payload_crypt
#define lorawan_f_opts_crypt big_endian_lorawan_f_opts_crypt

static void
copy(void *to, const void *from, size_t size, bool of_words)
{
	uint8_t    *bytes = to;

	memcpy(bytes, from, size);
	for (size_t i = 0; of_words && i < size; i += 8)
		for (size_t j = 0; j < 4; j++)
		{
			uint8_t		byte = bytes[i + j];

			bytes[i + j] = bytes[i + 7 - j];
			bytes[i + 7 - j] = byte;
		}
}

typedef uint64_t TwoWords __attribute__((vector_size(16)));

#define IS_OF_WORDS(pointer) \
	(__builtin_types_compatible_p(__typeof__(*(pointer)), uint64_t) || \
	 __builtin_types_compatible_p(__typeof__(*(pointer)), TwoWords))
#define memcpy(to, from, size) copy(to, from, size, IS_OF_WORDS(to) || IS_OF_WORDS(from))
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wscalar-storage-order"
#pragma scalar_storage_order big-endian
#include "crypto/key_wrap.c"
#include "crypto/cmac.c"
#include "lorawan/payload.c"
#pragma scalar_storage_order default
#pragma GCC diagnostic pop
#undef memcpy

static void
big_endian_kw(void)
{
	for (size_t i = 0; i < LENGTH(kw_vectors); i++)
	{
		const KwVector *v = &kw_vectors[i];
		Bytes		kek = from_hex(v->kek);
		Bytes		key = from_hex(v->key);
		Bytes		wrapped = from_hex(v->wrapped);
		uint8_t		out[MAX_BYTES];
		AesCipher  *cipher = keyed_cipher(kek.data, kek.len, AES_ENCRYPT);

		CHECK(key_wrap(cipher, key.data, key.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, wrapped.data, wrapped.len) == 0);
		CHECK(aes_cipher_set_key(cipher, kek.data, kek.len, AES_DECRYPT) == CRYPTO_OK);
		CHECK_FOR(v->source, key_unwrap(cipher, wrapped.data, wrapped.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, key.data, key.len) == 0);
		aes_cipher_free(cipher);
	}
}

static void
big_endian_kwp(void)
{
	for (size_t i = 0; i < LENGTH(kwp_vectors); i++)
	{
		const KwpVector *v = &kwp_vectors[i];
		Bytes		kek = from_hex(v->kek);
		Bytes		key = from_hex(v->key);
		Bytes		wrapped = from_hex(v->wrapped);
		uint8_t		out[MAX_BYTES];
		size_t		key_len = 0;
		AesCipher  *cipher = keyed_cipher(kek.data, kek.len, AES_ENCRYPT);

		CHECK(key_wrap_pad(cipher, key.data, key.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, wrapped.data, wrapped.len) == 0);
		CHECK(aes_cipher_set_key(cipher, kek.data, kek.len, AES_DECRYPT) == CRYPTO_OK);
		CHECK_FOR(v->source, key_unwrap_pad(cipher, wrapped.data, wrapped.len, out, &key_len) == CRYPTO_OK);
		CHECK_FOR(v->source, key_len == key.len && memcmp(out, key.data, key.len) == 0);
		aes_cipher_free(cipher);
	}
}

static void
big_endian_cmac(void)
{
	for (size_t i = 0; i < LENGTH(cmac_vectors); i++)
	{
		const CmacVector *v = &cmac_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		message = from_hex(v->message);
		Bytes		mac = from_hex(v->mac);
		uint8_t		out[AES_CMAC_SIZE];

		CHECK(aes_cmac(key.data, key.len, message.data, message.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, mac.data, sizeof(out)) == 0);
	}
	for (size_t i = 0; i < LENGTH(kcv_vectors); i++)
	{
		Bytes		key = from_hex(kcv_vectors[i].key);
		Bytes		kcv = from_hex(kcv_vectors[i].kcv);
		uint8_t		out[KEY_CHECK_VALUE_SIZE];

		CHECK(key_check_value(key.data, key.len, out) == CRYPTO_OK);
		CHECK_FOR(kcv_vectors[i].key, memcmp(out, kcv.data, sizeof(out)) == 0);
	}
}

static void
big_endian_payload(void)
{
	for (size_t i = 0; i < LENGTH(lorawan_vectors); i++)
	{
		const LorawanVector *v = &lorawan_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		dev_addr = from_hex(v->dev_addr);
		Bytes		plaintext = from_hex(v->plaintext);
		Bytes		encrypted = from_hex(v->encrypted);
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);
		uint8_t		out[LORAWAN_MAX_PAYLOAD];

		for (size_t len = 0; len <= encrypted.len; len++)
		{
			CHECK(lorawan_payload_crypt(cipher, v->direction ? LORAWAN_DOWNLINK : LORAWAN_UPLINK,
										dev_addr.data, v->f_cnt, plaintext.data, out, len) == CRYPTO_OK);
			CHECK_FOR(v->source, memcmp(out, encrypted.data, len) == 0);
		}
		aes_cipher_free(cipher);
	}
}

void
test_byte_order(void)
{
	RUN(big_endian_kw);
	RUN(big_endian_kwp);
	RUN(big_endian_cmac);
	RUN(big_endian_payload);
}

#else

/* A big-endian machine tests it in the other files, with the same vectors. */
void
test_byte_order(void)
{
}

#endif
