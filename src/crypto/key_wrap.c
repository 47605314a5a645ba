/*
 * key_wrap.c
 *	  AES key wrap, AES-KW (RFC 3394) and AES-KWP (RFC 5649).
 *
 * The algorithms are written out here over AES in ECB mode.  OpenSSL 3.0 has them,
 * too, but over an AES that uses tables: it is six times slower, and the time
 * that it takes depends on the processor's caches, and so on the key, which AES-NI
 * avoids.
 *
 * Invariants: no branch and no memory address depends on a key, on an intermediate
 * value, or on which check of an unwrapping failed; only the status that is
 * returned tells whether it failed.  A call that fails after it began to write its
 * output wipes the output; every call wipes its intermediate values.
 */
#include "key_wrap.h"

#include <string.h>

#include <openssl/crypto.h>

/* The unit of key wrap, half a block, in bytes. */
#define SEMIBLOCK 8

/* The number of rounds (RFC 3394, section 2.2). */
#define ROUNDS 6

/* The initial value of AES-KW (RFC 3394, section 2.2.3.1). */
static const uint8_t kw_initial_value[SEMIBLOCK] = {
	0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6, 0xa6
};

/* The constant half of the initial value of AES-KWP (RFC 5649, section 3). */
static const uint8_t kwp_initial_value[SEMIBLOCK / 2] = {
	0xa6, 0x59, 0x59, 0xa6
};

/* A block as two words of 64 bits. */
typedef uint64_t BlockWords __attribute__((vector_size(AES_BLOCK_SIZE)));

/* A word whose bytes in memory are those of the number, big-endian. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BIG_ENDIAN_WORD(number) __builtin_bswap64(number)
#else
#define BIG_ENDIAN_WORD(number) (number)
#endif

static inline uint64_t
load_word(const uint8_t *bytes)
{
	uint64_t	word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

/*
 * XORs the step number t, big-endian, into the first half of the block, which the
 * RFC calls A.
 */
static inline void
xor_step(uint8_t *block, uint64_t t)
{
	uint64_t	a = load_word(block) ^ BIG_ENDIAN_WORD(t);

	memcpy(block, &a, sizeof(a));
}

/* Writes a block of A, into which the step number t is XORed, and a register. */
static inline void
put_block(uint8_t *block, uint64_t t, const uint8_t *in)
{
	BlockWords	words = {load_word(block) ^ BIG_ENDIAN_WORD(t), load_word(in)};

	memcpy(block, &words, AES_BLOCK_SIZE);
}

/*
 * The wrapping function W of SP 800-38F, section 6.1, for n_keys keys of n >= 2 semiblocks
 * each, which are changed in place: the registers follow the first semiblock of wrapped.  The
 * first half of a key's block is its A, before and after.  The keys go side by side, since
 * AES of several blocks in one call takes little longer than of one, and the steps of one key
 * must wait for each other.
 *
 * A block is written with one store, since the cipher reads it with one load: a processor
 * makes a load wait if it needs the bytes of two stores before it.
 */
static CryptoStatus
wrap_registers(AesCipher *kek, uint8_t *blocks, uint8_t *const *wrapped, size_t n_keys, size_t n)
{
	uint64_t	t = 0;

	for (int round = 0; round < ROUNDS; round++)
	{
		for (size_t r = 1; r <= n; r++)
		{
			CryptoStatus status;

			for (size_t key = 0; key < n_keys; key++)
				put_block(blocks + key * AES_BLOCK_SIZE, t, wrapped[key] + r * SEMIBLOCK);
			status = aes_cipher_run(kek, blocks, blocks, n_keys * AES_BLOCK_SIZE);
			if (status != CRYPTO_OK)
				return status;
			for (size_t key = 0; key < n_keys; key++)
				memcpy(wrapped[key] + r * SEMIBLOCK,
					   blocks + key * AES_BLOCK_SIZE + SEMIBLOCK, SEMIBLOCK);
			t++;
		}
	}
	for (size_t key = 0; key < n_keys; key++)
		xor_step(blocks + key * AES_BLOCK_SIZE, t);
	return CRYPTO_OK;
}

/* The inverse of wrap_registers(). */
static CryptoStatus
unwrap_registers(AesCipher *kek, uint8_t *block, uint8_t *registers, size_t n)
{
	uint64_t	t = ROUNDS * (uint64_t) n;

	for (int round = 0; round < ROUNDS; round++)
	{
		uint8_t    *r = registers + n * SEMIBLOCK;

		for (size_t i = 0; i < n; i++)
		{
			CryptoStatus status;

			/* Compilers make one store of these two lines. */
			r -= SEMIBLOCK;
			memcpy(block + SEMIBLOCK, r, SEMIBLOCK);
			xor_step(block, t--);
			status = aes_cipher_run(kek, block, block, AES_BLOCK_SIZE);
			if (status != CRYPTO_OK)
				return status;
			memcpy(r, block + SEMIBLOCK, SEMIBLOCK);
		}
	}
	return CRYPTO_OK;
}

/*
 * The result of an integrity check.  This is the only place where a secret decides
 * what a caller gets to know.  The compiler cannot see into CRYPTO_memcmp(), so it cannot move
 * the branch on the result into the comparison.
 */
static CryptoStatus
integrity_answer(const void *actual, const void *expected, size_t len)
{
	return CRYPTO_memcmp(actual, expected, len) == 0 ?
		CRYPTO_OK : CRYPTO_INTEGRITY;
}

CryptoStatus
key_wrap_set(AesCipher *kek, const uint8_t *prefix, size_t prefix_len,
			 const uint8_t *const *keys, size_t n_keys, size_t key_len,
			 uint8_t *const *wrapped)
{
	uint8_t		blocks[KEY_WRAP_MAX_SET * AES_BLOCK_SIZE];
	size_t		len = prefix_len + key_len;
	CryptoStatus status;

	if (n_keys < 1 || n_keys > KEY_WRAP_MAX_SET || len < 2 * SEMIBLOCK || len > KEY_WRAP_MAX_KEY ||
		len % SEMIBLOCK != 0)
		return CRYPTO_BAD_LENGTH;

	for (size_t i = 0; i < n_keys; i++)
	{
		memcpy(blocks + i * AES_BLOCK_SIZE, kw_initial_value, SEMIBLOCK);
		if (prefix_len > 0)
			memcpy(wrapped[i] + SEMIBLOCK, prefix, prefix_len);
		memcpy(wrapped[i] + SEMIBLOCK + prefix_len, keys[i], key_len);
	}
	status = wrap_registers(kek, blocks, wrapped, n_keys, len / SEMIBLOCK);
	for (size_t i = 0; i < n_keys; i++)
	{
		if (status == CRYPTO_OK)
			memcpy(wrapped[i], blocks + i * AES_BLOCK_SIZE, SEMIBLOCK);
		else
			OPENSSL_cleanse(wrapped[i], len + KEY_WRAP_OVERHEAD);
	}

	OPENSSL_cleanse(blocks, n_keys * AES_BLOCK_SIZE);
	return status;
}

CryptoStatus
key_wrap(AesCipher *kek, const uint8_t *key, size_t key_len, uint8_t *wrapped)
{
	return key_wrap_set(kek, NULL, 0, &key, 1, key_len, &wrapped);
}

CryptoStatus
key_unwrap(AesCipher *kek, const uint8_t *wrapped, size_t wrapped_len,
		   uint8_t *key)
{
	size_t		key_len = wrapped_len - KEY_WRAP_OVERHEAD;
	uint8_t		block[AES_BLOCK_SIZE];
	CryptoStatus status;

	if (wrapped_len < 3 * SEMIBLOCK ||
		wrapped_len > KEY_WRAP_MAX_KEY + KEY_WRAP_OVERHEAD ||
		wrapped_len % SEMIBLOCK != 0)
		return CRYPTO_BAD_LENGTH;

	memcpy(block, wrapped, SEMIBLOCK);
	memcpy(key, wrapped + SEMIBLOCK, key_len);
	status = unwrap_registers(kek, block, key, key_len / SEMIBLOCK);
	if (status == CRYPTO_OK)
		status = integrity_answer(block, kw_initial_value, SEMIBLOCK);
	if (status != CRYPTO_OK)
		OPENSSL_cleanse(key, key_len);

	OPENSSL_cleanse(block, sizeof(block));
	return status;
}

CryptoStatus
key_wrap_pad(AesCipher *kek, const uint8_t *key, size_t key_len,
			 uint8_t *wrapped)
{
	size_t		n = (key_len + SEMIBLOCK - 1) / SEMIBLOCK;
	uint8_t		block[AES_BLOCK_SIZE] = {0};
	CryptoStatus status;

	if (key_len < 1 || key_len > KEY_WRAP_MAX_KEY)
		return CRYPTO_BAD_LENGTH;

	memcpy(block, kwp_initial_value, sizeof(kwp_initial_value));
	xor_step(block, key_len);

	if (n == 1)
	{
		/* Initial value and key are one block (RFC 5649, section 4.1). */
		memcpy(block + SEMIBLOCK, key, key_len);
		status = aes_cipher_run(kek, block, block, AES_BLOCK_SIZE);
		if (status == CRYPTO_OK)
			memcpy(wrapped, block, AES_BLOCK_SIZE);
	}
	else
	{
		memcpy(wrapped + SEMIBLOCK, key, key_len);
		memset(wrapped + SEMIBLOCK + key_len, 0, n * SEMIBLOCK - key_len);
		status = wrap_registers(kek, block, &wrapped, 1, n);
		if (status == CRYPTO_OK)
			memcpy(wrapped, block, SEMIBLOCK);
		else
			OPENSSL_cleanse(wrapped, KEY_WRAP_PAD_SIZE(key_len));
	}

	OPENSSL_cleanse(block, sizeof(block));
	return status;
}

/*
 * Makes the three checks of RFC 5649, section 3, and returns 0 if all hold: the
 * constant is right, the length leaves 0 to 7 bytes of padding, and all bytes of
 * the padding are zero.
 */
static uint32_t
kwp_difference(const uint8_t *initial_value, const uint8_t *last_semiblock,
			   size_t padded_len, uint32_t *key_len)
{
	uint32_t	difference = 0;
	uint32_t	padding;

	for (size_t i = 0; i < sizeof(kwp_initial_value); i++)
		difference |= initial_value[i] ^ kwp_initial_value[i];

	*key_len = (uint32_t) initial_value[4] << 24 |
		(uint32_t) initial_value[5] << 16 |
		(uint32_t) initial_value[6] << 8 |
		(uint32_t) initial_value[7];

	/* If the length is too large this wraps around, to more than 7 as well. */
	padding = (uint32_t) padded_len - *key_len;
	difference |= padding & ~(uint32_t) 7;
	padding &= 7;

	for (uint32_t i = 0; i < SEMIBLOCK; i++)
	{
		/* All ones for the last padding bytes of the semiblock. */
		uint32_t	is_padding = 0 - ((i + padding) >> 3);

		difference |= last_semiblock[i] & is_padding;
	}
	return difference;
}

CryptoStatus
key_unwrap_pad(AesCipher *kek, const uint8_t *wrapped, size_t wrapped_len,
			   uint8_t *key, size_t *key_len)
{
	size_t		padded_len = wrapped_len - KEY_WRAP_OVERHEAD;
	uint8_t		block[AES_BLOCK_SIZE];
	uint32_t	length = 0;
	CryptoStatus status;

	if (wrapped_len < 2 * SEMIBLOCK ||
		wrapped_len > KEY_WRAP_MAX_KEY + KEY_WRAP_OVERHEAD ||
		wrapped_len % SEMIBLOCK != 0)
		return CRYPTO_BAD_LENGTH;

	if (wrapped_len == AES_BLOCK_SIZE)
	{
		status = aes_cipher_run(kek, wrapped, block, AES_BLOCK_SIZE);
		if (status == CRYPTO_OK)
			memcpy(key, block + SEMIBLOCK, SEMIBLOCK);
	}
	else
	{
		memcpy(block, wrapped, SEMIBLOCK);
		memcpy(key, wrapped + SEMIBLOCK, padded_len);
		status = unwrap_registers(kek, block, key, padded_len / SEMIBLOCK);
	}

	if (status == CRYPTO_OK)
	{
		const uint32_t none = 0;
		uint32_t	difference = kwp_difference(block,
												key + padded_len - SEMIBLOCK,
												padded_len, &length);

		status = integrity_answer(&difference, &none, sizeof(none));
		OPENSSL_cleanse(&difference, sizeof(difference));
	}
	if (status == CRYPTO_OK)
		*key_len = length;
	else
		OPENSSL_cleanse(key, padded_len);

	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(&length, sizeof(length));
	return status;
}
