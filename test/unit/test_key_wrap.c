/*
 * test_key_wrap.c
 *	  Tests of key_wrap.c.
 */
#include <openssl/err.h>

#include "check.h"
#include "crypto/key_wrap.h"
#include "vectors.h"

#define ROOM (KEY_WRAP_MAX_KEY + 128)

typedef CryptoStatus (*UnwrapFunction) (AesCipher *kek, const uint8_t *wrapped,
										size_t wrapped_len, uint8_t *key);

/* key_unwrap_pad() in the shape of key_unwrap(). */
static CryptoStatus
unwrap_pad(AesCipher *kek, const uint8_t *wrapped, size_t wrapped_len,
		   uint8_t *key)
{
	size_t		key_len = 12345;
	CryptoStatus status = key_unwrap_pad(kek, wrapped, wrapped_len, key, &key_len);

	CHECK((status == CRYPTO_OK) == (key_len != 12345));
	return status;
}

/* Refused for its integrity, with nothing of a key left in the output. */
static bool
refused(UnwrapFunction unwrap, AesCipher *kek, const uint8_t *wrapped,
		size_t wrapped_len)
{
	uint8_t		key[ROOM];

	memset(key, 0xaa, sizeof(key));
	return unwrap(kek, wrapped, wrapped_len, key) == CRYPTO_INTEGRITY &&
		all_bytes_are(key, 0, wrapped_len - KEY_WRAP_OVERHEAD) &&
		all_bytes_are(key + wrapped_len - KEY_WRAP_OVERHEAD, 0xaa,
					  sizeof(key) - wrapped_len + KEY_WRAP_OVERHEAD);
}

/*
 * The wrapping function W as SP 800-38F has it (algorithm 1): it takes an
 * initial value of the test's choice, good or bad.
 */
static void
wrap_by_hand(AesCipher *kek, const uint8_t initial_value[8], const uint8_t *plain,
			 size_t plain_len, uint8_t *wrapped)
{
	size_t		n = plain_len / 8 + 1;
	uint8_t		block[16];

	memcpy(wrapped, initial_value, 8);
	memcpy(wrapped + 8, plain, plain_len);
	if (n == 2)
	{
		CHECK(aes_cipher_run(kek, wrapped, wrapped, 16) == CRYPTO_OK);
		return;
	}
	for (uint32_t t = 1; t <= 6 * (n - 1); t++)
	{
		/* The first semiblock and the second go in; all others move up. */
		memcpy(block, wrapped, 16);
		CHECK(aes_cipher_run(kek, block, block, 16) == CRYPTO_OK);
		block[7] ^= (uint8_t) t;
		block[6] ^= (uint8_t) (t >> 8);
		memcpy(wrapped, block, 8);
		memmove(wrapped + 8, wrapped + 16, (n - 2) * 8);
		memcpy(wrapped + (n - 1) * 8, block + 8, 8);
	}
}

static void
kw_expected_values(void)
{
	for (size_t i = 0; i < LENGTH(kw_vectors); i++)
	{
		const KwVector *v = &kw_vectors[i];
		Bytes		kek = from_hex(v->kek);
		Bytes		key = from_hex(v->key);
		Bytes		wrapped = from_hex(v->wrapped);
		uint8_t		out[MAX_BYTES];
		AesCipher  *cipher = keyed_cipher(kek.data, kek.len, AES_ENCRYPT);

		memset(out, 0xaa, sizeof(out));
		CHECK(key_wrap(cipher, key.data, key.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, wrapped.data, wrapped.len) == 0);
		CHECK(all_bytes_are(out + wrapped.len, 0xaa, sizeof(out) - wrapped.len));

		memset(out, 0xaa, sizeof(out));
		CHECK(aes_cipher_set_key(cipher, kek.data, kek.len, AES_DECRYPT) == CRYPTO_OK);
		CHECK_FOR(v->source,
				  key_unwrap(cipher, wrapped.data, wrapped.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, key.data, key.len) == 0);
		CHECK(all_bytes_are(out + key.len, 0xaa, sizeof(out) - key.len));
		aes_cipher_free(cipher);
	}
}

static void
kwp_expected_values(void)
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

		CHECK(wrapped.len == KEY_WRAP_PAD_SIZE(key.len));
		memset(out, 0xaa, sizeof(out));
		CHECK(key_wrap_pad(cipher, key.data, key.len, out) == CRYPTO_OK);
		CHECK_FOR(v->source, memcmp(out, wrapped.data, wrapped.len) == 0);
		CHECK(all_bytes_are(out + wrapped.len, 0xaa, sizeof(out) - wrapped.len));

		memset(out, 0xaa, sizeof(out));
		CHECK(aes_cipher_set_key(cipher, kek.data, kek.len, AES_DECRYPT) == CRYPTO_OK);
		CHECK_FOR(v->source, key_unwrap_pad(cipher, wrapped.data, wrapped.len, out,
											&key_len) == CRYPTO_OK);
		CHECK_FOR(v->source, key_len == key.len);
		CHECK_FOR(v->source, memcmp(out, key.data, key.len) == 0);
		CHECK(all_bytes_are(out + wrapped.len - 8, 0xaa,
							sizeof(out) - wrapped.len + 8));
		aes_cipher_free(cipher);
	}
}

/* Sets of each size, with a prefix and without: the same as one by one. */
static void
kw_sets(void)
{
	static const size_t prefix_lens[] = {0, 8, 16};
	static const size_t key_lens[] = {0, 8, 16, 24, 32, KEY_WRAP_MAX_KEY};
	static uint8_t keys[KEY_WRAP_MAX_SET][KEY_WRAP_MAX_KEY];
	static uint8_t out[KEY_WRAP_MAX_SET][ROOM];
	static uint8_t plain[ROOM];
	static uint8_t expected[ROOM];
	const uint8_t kek[32] = {9};
	AesCipher  *wrapping = keyed_cipher(kek, sizeof(kek), AES_ENCRYPT);
	const uint8_t *keys_of_set[KEY_WRAP_MAX_SET + 1];
	uint8_t    *out_of_set[KEY_WRAP_MAX_SET + 1];
	uint8_t		prefix[16];

	for (size_t i = 0; i < sizeof(prefix); i++)
		prefix[i] = (uint8_t) next_random();
	for (size_t i = 0; i <= KEY_WRAP_MAX_SET; i++)
	{
		keys_of_set[i] = keys[i % KEY_WRAP_MAX_SET];
		out_of_set[i] = out[i % KEY_WRAP_MAX_SET];
	}
	for (size_t i = 0; i < sizeof(keys); i++)
		((uint8_t *) keys)[i] = (uint8_t) next_random();

	for (size_t p = 0; p < LENGTH(prefix_lens); p++)
		for (size_t k = 0; k < LENGTH(key_lens); k++)
			for (size_t n = 0; n <= KEY_WRAP_MAX_SET + 1; n++)
			{
				size_t		prefix_len = prefix_lens[p];
				size_t		len = prefix_len + key_lens[k];
				bool		good = n >= 1 && n <= KEY_WRAP_MAX_SET && len >= 16 &&
				len <= KEY_WRAP_MAX_KEY;

				memset(out, 0xaa, sizeof(out));
				CHECK(key_wrap_set(wrapping, prefix, prefix_len, keys_of_set, n, key_lens[k],
								   out_of_set) == (good ? CRYPTO_OK : CRYPTO_BAD_LENGTH));
				for (size_t i = 0; i < KEY_WRAP_MAX_SET; i++)
				{
					size_t		written = good && i < n ? len + 8 : 0;

					memcpy(plain, prefix, prefix_len);
					memcpy(plain + prefix_len, keys[i], key_lens[k]);
					if (written > 0)
						CHECK(key_wrap(wrapping, plain, len, expected) == CRYPTO_OK);
					CHECK(memcmp(out[i], expected, written) == 0);
					CHECK(all_bytes_are(out[i] + written, 0xaa, ROOM - written));
				}
			}
	aes_cipher_free(wrapping);
}

/* Every length up to beyond the limit, for all four functions. */
static void
all_lengths(void)
{
	static uint8_t key[ROOM];
	static uint8_t wrapped[ROOM];
	static uint8_t out[ROOM];
	const uint8_t kek[16] = {7};
	AesCipher  *wrapping = keyed_cipher(kek, sizeof(kek), AES_ENCRYPT);
	AesCipher  *unwrapping = keyed_cipher(kek, sizeof(kek), AES_DECRYPT);

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t) next_random();

	for (size_t len = 0; len <= KEY_WRAP_MAX_KEY + 24; len++)
	{
		bool		kw = len >= 16 && len <= KEY_WRAP_MAX_KEY && len % 8 == 0;
		bool		kwp = len >= 1 && len <= KEY_WRAP_MAX_KEY;
		bool		whole = len <= KEY_WRAP_MAX_KEY + 8 && len % 8 == 0;
		size_t		key_len = 12345;

		/* Each cycle takes 3072 blocks at the longest: some lengths will do. */
		if (kwp && !kw && len > 300 && len < KEY_WRAP_MAX_KEY - 20 && len % 64 != 1)
			continue;

		memset(wrapped, 0xaa, sizeof(wrapped));
		CHECK(key_wrap(wrapping, key, len, wrapped) ==
			  (kw ? CRYPTO_OK : CRYPTO_BAD_LENGTH));
		if (kw)
		{
			CHECK(all_bytes_are(wrapped + len + 8, 0xaa, sizeof(wrapped) - len - 8));
			CHECK(key_unwrap(unwrapping, wrapped, len + 8, out) == CRYPTO_OK);
			CHECK(memcmp(out, key, len) == 0);
		}
		else
			CHECK(all_bytes_are(wrapped, 0xaa, sizeof(wrapped)));

		memset(wrapped, 0xaa, sizeof(wrapped));
		CHECK(key_wrap_pad(wrapping, key, len, wrapped) ==
			  (kwp ? CRYPTO_OK : CRYPTO_BAD_LENGTH));
		if (kwp)
		{
			size_t		size = KEY_WRAP_PAD_SIZE(len);

			CHECK(all_bytes_are(wrapped + size, 0xaa, sizeof(wrapped) - size));
			CHECK(key_unwrap_pad(unwrapping, wrapped, size, out, &key_len) == CRYPTO_OK);
			CHECK(key_len == len && memcmp(out, key, len) == 0);
		}
		else
			CHECK(all_bytes_are(wrapped, 0xaa, sizeof(wrapped)));

		/* What is no wrapped key: of a good length or not. */
		memset(out, 0xaa, sizeof(out));
		CHECK(key_unwrap(unwrapping, key, len, out) ==
			  (whole && len >= 24 ? CRYPTO_INTEGRITY : CRYPTO_BAD_LENGTH));
		CHECK(all_bytes_are(out, whole && len >= 24 ? 0 : 0xaa,
							len < 8 ? ROOM : len - 8));
		memset(out, 0xaa, sizeof(out));
		CHECK(unwrap_pad(unwrapping, key, len, out) ==
			  (whole && len >= 16 ? CRYPTO_INTEGRITY : CRYPTO_BAD_LENGTH));
		CHECK(all_bytes_are(out, whole && len >= 16 ? 0 : 0xaa,
							len < 8 ? ROOM : len - 8));
	}
	aes_cipher_free(wrapping);
	aes_cipher_free(unwrapping);
}

/* A bit flipped, a piece cut off or put on, a wrong KEK: always the one error. */
static void
tampered_with(UnwrapFunction unwrap, const char *source, const Bytes *kek,
			  const Bytes *wrapped)
{
	AesCipher  *cipher = keyed_cipher(kek->data, kek->len, AES_DECRYPT);
	uint8_t		changed[MAX_BYTES] = {0};
	uint8_t		key[MAX_BYTES];
	size_t		shortest = unwrap == key_unwrap ? 24 : 16;

	memcpy(changed, wrapped->data, wrapped->len);
	CHECK_FOR(source, unwrap(cipher, changed, wrapped->len, key) == CRYPTO_OK);

	for (size_t bit = 0; bit < wrapped->len * 8; bit++)
	{
		changed[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK_FOR(source, refused(unwrap, cipher, changed, wrapped->len));
		changed[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}

	CHECK_FOR(source, refused(unwrap, cipher, changed, wrapped->len + 8));
	if (wrapped->len > shortest)
	{
		CHECK_FOR(source, refused(unwrap, cipher, changed, wrapped->len - 8));
		CHECK_FOR(source, refused(unwrap, cipher, changed + 8, wrapped->len - 8));
	}

	for (size_t bit = 0; bit < kek->len * 8; bit++)
	{
		uint8_t		wrong[32];

		memcpy(wrong, kek->data, kek->len);
		wrong[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(aes_cipher_set_key(cipher, wrong, kek->len, AES_DECRYPT) == CRYPTO_OK);
		CHECK_FOR(source, refused(unwrap, cipher, changed, wrapped->len));
	}
	aes_cipher_free(cipher);
}

static void
kw_tampered_with(void)
{
	for (size_t i = 0; i < LENGTH(kw_vectors); i++)
	{
		Bytes		kek = from_hex(kw_vectors[i].kek);
		Bytes		wrapped = from_hex(kw_vectors[i].wrapped);

		tampered_with(key_unwrap, kw_vectors[i].source, &kek, &wrapped);
		CHECK(ERR_peek_error() == 0);
	}
}

static void
kwp_tampered_with(void)
{
	for (size_t i = 0; i < LENGTH(kwp_vectors); i++)
	{
		Bytes		kek = from_hex(kwp_vectors[i].kek);
		Bytes		wrapped = from_hex(kwp_vectors[i].wrapped);

		if (wrapped.len <= 48)
			tampered_with(unwrap_pad, kwp_vectors[i].source, &kek, &wrapped);
		CHECK(ERR_peek_error() == 0);
	}
}

/* Wrapped rightly, over an initial value that is wrong in one bit. */
static void
kw_initial_values(void)
{
	const uint8_t kek[16] = {3};
	AesCipher  *wrapping = keyed_cipher(kek, sizeof(kek), AES_ENCRYPT);
	AesCipher  *unwrapping = keyed_cipher(kek, sizeof(kek), AES_DECRYPT);
	uint8_t		key[32] = {1, 2, 3};
	uint8_t		initial_value[8];
	uint8_t		wrapped[40];
	uint8_t		out[32];

	memset(initial_value, 0xa6, sizeof(initial_value));
	wrap_by_hand(wrapping, initial_value, key, sizeof(key), wrapped);
	CHECK(key_unwrap(unwrapping, wrapped, sizeof(wrapped), out) == CRYPTO_OK);
	CHECK(memcmp(out, key, sizeof(key)) == 0);
	CHECK(refused(unwrap_pad, unwrapping, wrapped, sizeof(wrapped)));

	for (int bit = 0; bit < 64; bit++)
	{
		initial_value[bit / 8] ^= (uint8_t) (1 << bit % 8);
		wrap_by_hand(wrapping, initial_value, key, sizeof(key), wrapped);
		CHECK(refused(key_unwrap, unwrapping, wrapped, sizeof(wrapped)));
		initial_value[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	aes_cipher_free(wrapping);
	aes_cipher_free(unwrapping);
}

static void
put_length(uint8_t initial_value[8], uint32_t length)
{
	for (int i = 0; i < 4; i++)
		initial_value[4 + i] = (uint8_t) (length >> (24 - 8 * i));
}

/*
 * Wrapped rightly, over an initial value or a padding that RFC 5649 forbids:
 * each of its three checks on its own.
 */
static void
kwp_initial_values(void)
{
	const uint8_t kek[32] = {4};
	AesCipher  *wrapping = keyed_cipher(kek, sizeof(kek), AES_ENCRYPT);
	AesCipher  *unwrapping = keyed_cipher(kek, sizeof(kek), AES_DECRYPT);

	for (uint32_t n = 1; n <= 5; n++)
	{
		uint8_t		initial_value[8] = {0xa6, 0x59, 0x59, 0xa6};
		uint8_t		padded[40] = {0};
		uint8_t		wrapped[48];
		uint8_t		out[40];
		uint32_t	padded_len = 8 * n;
		const uint32_t far[] = {
			256, 65536, 1u << 31, 0x80000000u + padded_len,
			0xffffff00u + padded_len, 0u - 8, 0u - 7, 0u - 1
		};

		/* Lengths around the good ones, over zeros that fit any padding. */
		for (uint32_t length = 0; length <= padded_len + 20; length++)
		{
			size_t		key_len = 0;

			put_length(initial_value, length);
			wrap_by_hand(wrapping, initial_value, padded, padded_len, wrapped);
			if (length > padded_len - 8 && length <= padded_len)
			{
				CHECK(key_unwrap_pad(unwrapping, wrapped, padded_len + 8, out,
									 &key_len) == CRYPTO_OK);
				CHECK(key_len == length);
			}
			else
				CHECK(refused(unwrap_pad, unwrapping, wrapped, padded_len + 8));
		}
		for (size_t i = 0; i < LENGTH(far); i++)
		{
			put_length(initial_value, far[i]);
			wrap_by_hand(wrapping, initial_value, padded, padded_len, wrapped);
			CHECK(refused(unwrap_pad, unwrapping, wrapped, padded_len + 8));
		}

		/* Any bit of the padding. */
		for (uint32_t length = padded_len - 7; length <= padded_len; length++)
		{
			put_length(initial_value, length);
			for (uint32_t bit = 8 * length; bit < 8 * padded_len; bit++)
			{
				padded[bit / 8] ^= (uint8_t) (1 << bit % 8);
				wrap_by_hand(wrapping, initial_value, padded, padded_len, wrapped);
				CHECK(refused(unwrap_pad, unwrapping, wrapped, padded_len + 8));
				padded[bit / 8] ^= (uint8_t) (1 << bit % 8);
			}

			/* The last byte of the key is not padding. */
			padded[length - 1] ^= 1;
			wrap_by_hand(wrapping, initial_value, padded, padded_len, wrapped);
			CHECK(unwrap_pad(unwrapping, wrapped, padded_len + 8, out) == CRYPTO_OK);
			padded[length - 1] ^= 1;
		}

		/* Any bit of the constant. */
		put_length(initial_value, padded_len);
		for (int bit = 0; bit < 32; bit++)
		{
			initial_value[bit / 8] ^= (uint8_t) (1 << bit % 8);
			wrap_by_hand(wrapping, initial_value, padded, padded_len, wrapped);
			CHECK(refused(unwrap_pad, unwrapping, wrapped, padded_len + 8));
			initial_value[bit / 8] ^= (uint8_t) (1 << bit % 8);
		}
	}
	aes_cipher_free(wrapping);
	aes_cipher_free(unwrapping);
}

/* Without a key in the cipher all calls fail, and leave no key in their output. */
static void
failing_cipher(void)
{
	AesCipher  *cipher = aes_cipher_new();
	uint8_t		in[64];
	uint8_t		out[64];
	size_t		key_len = 12345;

	memset(in, 0x55, sizeof(in));
	memset(out, 0xaa, sizeof(out));
	CHECK(key_wrap(cipher, in, 32, out) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_wrap_set(cipher, NULL, 0, (const uint8_t *[]) {in, in}, 2, 16,
					   (uint8_t *[]) {out, out + 24}) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_unwrap(cipher, in, 32, out) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_wrap_pad(cipher, in, 31, out) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_wrap_pad(cipher, in, 7, out) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_unwrap_pad(cipher, in, 32, out, &key_len) == CRYPTO_LIBRARY);
	CHECK(key_unwrap_pad(cipher, in, 16, out, &key_len) == CRYPTO_LIBRARY);
	CHECK(memchr(out, 0x55, sizeof(out)) == NULL);
	CHECK(key_len == 12345);
	ERR_clear_error();
	aes_cipher_free(cipher);
}

typedef struct WipedCall
{
	AesCipher  *wrapping;
	AesCipher  *unwrapping;
	uint8_t		key[16];
	uint8_t		wrapped[24];	/* by AES-KW */
	uint8_t		padded[24];		/* by AES-KWP */
	uint8_t		padded_short[16];	/* the first 8 bytes, by AES-KWP */
	uint8_t		out[24];
	CryptoStatus status;
} WipedCall;

static void
wiped_wrap(void *argument)
{
	WipedCall  *call = argument;

	call->status = key_wrap(call->wrapping, call->key, 16, call->out);
}

static void
wiped_wrap_set(void *argument)
{
	WipedCall  *call = argument;
	static uint8_t other_out[24];

	call->status = key_wrap_set(call->wrapping, NULL, 0,
								(const uint8_t *[]) {call->padded_short, call->key}, 2, 16,
								(uint8_t *[]) {other_out, call->out});
}

static void
wiped_unwrap(void *argument)
{
	WipedCall  *call = argument;

	call->status = key_unwrap(call->unwrapping, call->wrapped, 24, call->out);
}

static void
wiped_wrap_pad(void *argument)
{
	WipedCall  *call = argument;

	call->status = key_wrap_pad(call->wrapping, call->key, 16, call->out);
}

static void
wiped_unwrap_pad(void *argument)
{
	WipedCall  *call = argument;
	size_t		key_len;

	call->status = key_unwrap_pad(call->unwrapping, call->padded, 24, call->out,
								  &key_len);
}

static void
wiped_unwrap_pad_short(void *argument)
{
	WipedCall  *call = argument;
	size_t		key_len;

	call->status = key_unwrap_pad(call->unwrapping, call->padded_short, 16, call->out,
								  &key_len);
}

/*
 * The last thing an unwrapping decrypts is the initial value and 8 bytes of the
 * key; the last thing a wrapping encrypts comes out as its last 8 bytes.
 */
static void
stack_wiped(void)
{
	const uint8_t kek[16] = {5};
	static WipedCall call;
	const struct
	{
		void		(*function) (void *);
		const uint8_t *left;
	}			calls[] = {
		{wiped_wrap, call.wrapped + 16},
		{wiped_wrap_set, call.wrapped + 16},
		{wiped_unwrap, call.key},
		{wiped_wrap_pad, call.padded + 16},
		{wiped_unwrap_pad, call.key},
		{wiped_unwrap_pad_short, call.key}
	};

	memcpy(call.key, "\x9d\x31\xc7\x5e\x82\xf4\x0b\x6a", 8);
	call.wrapping = keyed_cipher(kek, sizeof(kek), AES_ENCRYPT);
	call.unwrapping = keyed_cipher(kek, sizeof(kek), AES_DECRYPT);
	CHECK(key_wrap(call.wrapping, call.key, 16, call.wrapped) == CRYPTO_OK);
	CHECK(key_wrap_pad(call.wrapping, call.key, 16, call.padded) == CRYPTO_OK);
	CHECK(key_wrap_pad(call.wrapping, call.key, 8, call.padded_short) == CRYPTO_OK);

	for (size_t i = 0; i < LENGTH(calls); i++)
	{
		CHECK(!stack_holds(calls[i].function, &call, calls[i].left, 8));
		CHECK(call.status == CRYPTO_OK);
	}
	aes_cipher_free(call.wrapping);
	aes_cipher_free(call.unwrapping);
}

void
test_key_wrap(void)
{
	RUN(kw_expected_values);
	RUN(kwp_expected_values);
	RUN(kw_sets);
	RUN(all_lengths);
	RUN(kw_tampered_with);
	RUN(kwp_tampered_with);
	RUN(kw_initial_values);
	RUN(kwp_initial_values);
	RUN(failing_cipher);
	RUN_NATIVE(stack_wiped);
}
