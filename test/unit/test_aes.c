/*
 * test_aes.c
 *	  Tests of aes.c.
 */
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include "check.h"
#include "vectors.h"

static void
published_blocks(void)
{
	for (size_t i = 0; i < LENGTH(aes_vectors); i++)
	{
		const AesVector *v = &aes_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		plain = from_hex(v->plain);
		Bytes		encrypted = from_hex(v->encrypted);
		uint8_t		out[AES_BLOCK_SIZE];
		AesCipher  *cipher = keyed_cipher(key.data, key.len, AES_ENCRYPT);

		CHECK(aes_cipher_run(cipher, plain.data, out, sizeof(out)) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, encrypted.data, sizeof(out)) == 0);
		CHECK(aes_cipher_set_key(cipher, key.data, key.len, AES_DECRYPT) == CRYPTO_OK);
		CHECK(aes_cipher_run(cipher, out, out, sizeof(out)) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, plain.data, sizeof(out)) == 0);
		aes_cipher_free(cipher);
	}
}

/* One context through every change of key, length and direction. */
static void
keyed_again(void)
{
	AesCipher  *kept = aes_cipher_new();

	for (int i = 0; i < 500; i++)
	{
		uint8_t		key[32];
		uint8_t		in[64];
		uint8_t		out[64];
		uint8_t		expected[64];
		size_t		key_len = 16 + 8 * (next_random() % 3);
		size_t		len = 16 * (1 + next_random() % 4);
		AesDirection direction = next_random() % 2 ? AES_ENCRYPT : AES_DECRYPT;
		AesCipher  *fresh;

		for (size_t j = 0; j < sizeof(key); j++)
			key[j] = (uint8_t) next_random();
		for (size_t j = 0; j < sizeof(in); j++)
			in[j] = (uint8_t) next_random();

		fresh = keyed_cipher(key, key_len, direction);
		CHECK(aes_cipher_set_key(kept, key, key_len, direction) == CRYPTO_OK);
		CHECK(aes_cipher_run(fresh, in, expected, len) == CRYPTO_OK);
		CHECK(aes_cipher_run(kept, in, out, len) == CRYPTO_OK);
		CHECK(memcmp(out, expected, len) == 0);
		/* A run leaves nothing behind for the next. */
		CHECK(aes_cipher_run(kept, in, out, len) == CRYPTO_OK);
		CHECK(memcmp(out, expected, len) == 0);
		aes_cipher_free(fresh);
	}
	aes_cipher_free(kept);
}

static void
lengths(void)
{
	uint8_t		key[40] = {1};
	uint8_t		in[64] = {2};
	uint8_t		out[64];
	AesCipher  *cipher = keyed_cipher(key, 16, AES_ENCRYPT);

	for (size_t len = 0; len <= sizeof(in); len++)
	{
		bool		whole = len % AES_BLOCK_SIZE == 0;

		memset(out, 0xaa, sizeof(out));
		CHECK(aes_cipher_run(cipher, in, out, len) ==
			  (whole ? CRYPTO_OK : CRYPTO_BAD_LENGTH));
		CHECK(all_bytes_are(out + (whole ? len : 0), 0xaa,
							sizeof(out) - (whole ? len : 0)));
	}
	for (size_t key_len = 0; key_len <= sizeof(key); key_len++)
	{
		bool		good = key_len == 16 || key_len == 24 || key_len == 32;

		CHECK(aes_cipher_set_key(cipher, key, key_len, AES_DECRYPT) ==
			  (good ? CRYPTO_OK : CRYPTO_BAD_LENGTH));
	}
	aes_cipher_free(cipher);
	aes_cipher_free(NULL);
}

static void
no_key_no_run(void)
{
	uint8_t		key[32] = {1};
	uint8_t		in[16] = {2};
	uint8_t		out[16];
	AesCipher  *cipher = aes_cipher_new();

	memset(out, 0xaa, sizeof(out));
	CHECK(aes_cipher_run(cipher, in, out, sizeof(in)) == CRYPTO_LIBRARY);
	CHECK(aes_cipher_set_key(cipher, key, 16, AES_ENCRYPT) == CRYPTO_OK);
	CHECK(aes_cipher_set_key(cipher, key, 17, AES_ENCRYPT) == CRYPTO_BAD_LENGTH);
	/* Not with the key from before. */
	CHECK(aes_cipher_run(cipher, in, out, sizeof(in)) == CRYPTO_LIBRARY);
	CHECK(all_bytes_are(out, 0xaa, sizeof(out)));
	CHECK(ERR_peek_error() != 0);
	ERR_clear_error();
	CHECK(aes_cipher_set_key(cipher, key, 16, AES_ENCRYPT) == CRYPTO_OK);
	CHECK(aes_cipher_run(cipher, in, out, sizeof(in)) == CRYPTO_OK);
	aes_cipher_free(cipher);
}

/* The first round key of AES is the key itself: it is gone before the memory is. */
static void
freed_wiped(void)
{
	uint8_t		key[32];
	uint8_t		block[16] = {0};

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t) (0xc0 + i);
	for (size_t key_len = 16; key_len <= 32; key_len += 8)
	{
		AesCipher  *cipher = keyed_cipher(key, key_len, AES_ENCRYPT);

		CHECK(aes_cipher_run(cipher, block, block, sizeof(block)) == CRYPTO_OK);
		heap_watch(key, 16);
		aes_cipher_free(cipher);
		CHECK(heap_unwatch() == 0);

		/* Another key length has another provider's context made. */
		cipher = keyed_cipher(key, key_len, AES_ENCRYPT);
		heap_watch(key, 16);
		CHECK(aes_cipher_set_key(cipher, block, key_len == 16 ? 32 : 16,
								 AES_ENCRYPT) == CRYPTO_OK);
		CHECK(heap_unwatch() == 0);
		aes_cipher_free(cipher);
	}
}

/* Per row of a query: whatever allocates there costs more than it does. */
static void
hot_path_allocates_nothing(void)
{
	uint8_t		key[16] = {1};
	uint8_t		block[32] = {0};
	AesCipher  *cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);
	size_t		before = heap_allocations();

	for (int i = 0; i < 10; i++)
	{
		key[0]++;
		CHECK(aes_cipher_set_key(cipher, key, sizeof(key),
								 i % 2 ? AES_ENCRYPT : AES_DECRYPT) == CRYPTO_OK);
		CHECK(aes_cipher_run(cipher, block, block, sizeof(block)) == CRYPTO_OK);
	}
	CHECK(heap_allocations() == before);
	aes_cipher_free(cipher);
}

/*
 * The implementation is the expected provider's, if one is expected: a test of FIPS whose
 * configuration is not read would pass.
 */
static void
provider(void)
{
	const char *expected = getenv("KEY_VAULT_EXPECTED_PROVIDER");
	EVP_CIPHER *fetched = EVP_CIPHER_fetch(NULL, "AES-128-ECB", NULL);

	CHECK(fetched != NULL);
	if (expected != NULL)
		CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(fetched)), expected) == 0);
	EVP_CIPHER_free(fetched);
}

/*
 * The cache's accounting rests on it; another OpenSSL may be a little off, and a context by EVP
 * is larger.
 */
static void
footprint(void)
{
	uint8_t		key[16] = {1};
	size_t		allocations = heap_allocations();
	size_t		bytes = heap_bytes();
	AesCipher  *cipher = keyed_cipher(key, sizeof(key), AES_ENCRYPT);

	/* Each allocation takes 8 bytes of malloc's and is rounded up to 16. */
	bytes = heap_bytes() - bytes + 16 * (heap_allocations() - allocations);
	CHECK(bytes >= AES_CIPHER_FOOTPRINT - 64);
	CHECK(bytes <= AES_CIPHER_FOOTPRINT + (by_evp ? 264 : 64));
	aes_cipher_free(cipher);
}

void
test_aes(void)
{
	RUN(published_blocks);
	RUN(keyed_again);
	RUN(lengths);
	RUN(no_key_no_run);
	RUN(freed_wiped);
	RUN(hot_path_allocates_nothing);
	RUN(provider);
	RUN(footprint);
}
