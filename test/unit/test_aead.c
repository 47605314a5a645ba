/*
 * test_aead.c
 *	  Tests of aead.c.
 */
#include <openssl/err.h>

#include "crypto/aead.h"
#include "check.h"
#include "vectors.h"

static void
aead_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(gcm_vectors); i++)
	{
		const GcmVector *v = &gcm_vectors[i];
		Bytes		key = from_hex(v->key);
		Bytes		nonce = from_hex(v->nonce);
		Bytes		aad = from_hex(v->aad);
		Bytes		plaintext = from_hex(v->plaintext);
		Bytes		ciphertext = from_hex(v->ciphertext);
		Bytes		tag = from_hex(v->tag);
		uint8_t		out[MAX_BYTES];

		memset(out, 0xaa, sizeof(out));
		CHECK_FOR(v->source,
				  aead_open(key.data, nonce.data, aad.data, aad.len, ciphertext.data,
							ciphertext.len, tag.data, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, plaintext.data, plaintext.len) == 0);
		CHECK(all_bytes_are(out + plaintext.len, 0xaa, sizeof(out) - plaintext.len));
	}
}

static void
aead_round_trips(void)
{
	uint8_t		key[AEAD_KEY_SIZE] = {1};
	uint8_t		text[80];
	uint8_t		sealed[80];
	uint8_t		opened[80];
	uint8_t		nonces[80][AEAD_NONCE_SIZE];
	uint8_t		tag[AEAD_TAG_SIZE];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t) next_random();
	for (size_t len = 0; len < LENGTH(nonces); len++)
	{
		memset(sealed, 0xaa, sizeof(sealed));
		CHECK(aead_seal(key, text, 80 - len, text, len, nonces[len], sealed, tag) ==
			  CRYPTO_OK);
		CHECK(all_bytes_are(sealed + len, 0xaa, sizeof(sealed) - len));
		CHECK(len < 16 || memcmp(sealed, text, len) != 0);
		CHECK(aead_open(key, nonces[len], text, 80 - len, sealed, len, tag,
						opened) == CRYPTO_OK);
		CHECK(memcmp(opened, text, len) == 0);

		/* A nonce that comes twice would give the key stream away. */
		for (size_t earlier = 0; earlier < len; earlier++)
			CHECK(memcmp(nonces[earlier], nonces[len], AEAD_NONCE_SIZE) != 0);
	}
	CHECK(aead_seal(key, NULL, 0, NULL, 0, nonces[0], NULL, tag) == CRYPTO_OK);
	CHECK(aead_open(key, nonces[0], NULL, 0, NULL, 0, tag, NULL) == CRYPTO_OK);
}

typedef struct Sealed
{
	uint8_t		key[AEAD_KEY_SIZE];
	uint8_t		nonce[AEAD_NONCE_SIZE];
	uint8_t		aad[20];
	uint8_t		ciphertext[24];
	uint8_t		tag[AEAD_TAG_SIZE];
} Sealed;

static bool
sealed_refused(const Sealed *sealed, size_t aad_len, size_t len)
{
	uint8_t		out[64];

	memset(out, 0xaa, sizeof(out));
	return aead_open(sealed->key, sealed->nonce, sealed->aad, aad_len,
					 sealed->ciphertext, len, sealed->tag, out) == CRYPTO_INTEGRITY &&
		all_bytes_are(out, 0, len) &&
		all_bytes_are(out + len, 0xaa, sizeof(out) - len);
}

/* Every bit of key, nonce, associated data, ciphertext and tag counts. */
static void
aead_tampered_with(void)
{
	Sealed		sealed;
	uint8_t		text[sizeof(sealed.ciphertext)];
	uint8_t		out[sizeof(text)];
	uint8_t    *bytes = (uint8_t *) &sealed;

	memset(&sealed, 0x42, sizeof(sealed));
	memset(text, 0x17, sizeof(text));
	CHECK(aead_seal(sealed.key, sealed.aad, sizeof(sealed.aad), text, sizeof(text),
					sealed.nonce, sealed.ciphertext, sealed.tag) == CRYPTO_OK);
	CHECK(aead_open(sealed.key, sealed.nonce, sealed.aad, sizeof(sealed.aad),
					sealed.ciphertext, sizeof(text), sealed.tag, out) == CRYPTO_OK);
	CHECK(memcmp(out, text, sizeof(text)) == 0);

	for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++)
	{
		bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(sealed_refused(&sealed, sizeof(sealed.aad), sizeof(text)));
		bytes[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	for (size_t len = 0; len < sizeof(text); len++)
		CHECK(sealed_refused(&sealed, sizeof(sealed.aad), len));
	for (size_t len = 0; len < sizeof(sealed.aad); len++)
		CHECK(sealed_refused(&sealed, len, sizeof(text)));

	/* A wrong tag is an answer, not an error of OpenSSL's. */
	CHECK(ERR_peek_error() == 0);
}

static void
aead_lengths(void)
{
	uint8_t		bytes[64];
	size_t		beyond = (size_t) 1 << 31;

	memset(bytes, 0xaa, sizeof(bytes));
	CHECK(aead_seal(bytes, bytes, beyond, bytes, 16, bytes, bytes, bytes) ==
		  CRYPTO_BAD_LENGTH);
	CHECK(aead_seal(bytes, bytes, 16, bytes, beyond, bytes, bytes, bytes) ==
		  CRYPTO_BAD_LENGTH);
	CHECK(aead_open(bytes, bytes, bytes, beyond, bytes, 16, bytes, bytes) ==
		  CRYPTO_BAD_LENGTH);
	CHECK(aead_open(bytes, bytes, bytes, 16, bytes, beyond, bytes, bytes) ==
		  CRYPTO_BAD_LENGTH);
	CHECK(all_bytes_are(bytes, 0xaa, sizeof(bytes)));
}

static void
aead_freed_wiped(void)
{
	uint8_t		key[AEAD_KEY_SIZE];
	uint8_t		text[16] = {0};
	uint8_t		nonce[AEAD_NONCE_SIZE];
	uint8_t		tag[AEAD_TAG_SIZE];

	memset(key, 0xd9, sizeof(key));
	heap_watch(key, 16);
	CHECK(aead_seal(key, NULL, 0, text, sizeof(text), nonce, text, tag) == CRYPTO_OK);
	CHECK(aead_open(key, nonce, NULL, 0, text, sizeof(text), tag, text) == CRYPTO_OK);
	CHECK(all_bytes_are(text, 0, sizeof(text)));
	CHECK(heap_unwatch() == 0);
}

void
test_aead(void)
{
	RUN(aead_expected_values);
	RUN(aead_round_trips);
	RUN(aead_tampered_with);
	RUN(aead_lengths);
	RUN(aead_freed_wiped);
}
