/*
 * payload.c
 *	  FRMPayload and FOpts encryption: the bytes XOR a keystream of AES blocks.
 *
 * For the vault's callers that hold a session key's cipher.  This runs once per
 * row of a query, so all blocks go through the cipher in one call.
 *
 * Invariants: nothing is written unless the whole keystream is there; the
 * keystream, which is as good as the payload, is wiped on every way out.
 */
#include "payload.h"

#include <string.h>

#include <openssl/crypto.h>

#define BLOCKS(len) (((len) + AES_BLOCK_SIZE - 1) / AES_BLOCK_SIZE)
#define MAX_BLOCKS BLOCKS(LORAWAN_MAX_PAYLOAD)

/* A block as two words. */
typedef uint64_t BlockWords __attribute__((vector_size(AES_BLOCK_SIZE)));

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOWEST_BYTE_FIRST(word) __builtin_bswap64(word)
#else
#define LOWEST_BYTE_FIRST(word) (word)
#endif

/*
 * Writes the blocks A_1 .. A_n; they differ in their last byte only.  Each is
 * written in one piece: the cipher reads it in one, and the processor would
 * make it wait for pieces to come together.
 */
static void
make_blocks(uint8_t *blocks, size_t n, LorawanDirection direction,
			const uint8_t *dev_addr, uint32_t f_cnt)
{
	/* 01 | 00 00 00 00 | direction | the low half of DevAddr */
	uint64_t	first = 0x01 | (uint64_t) direction << 40 |
	(uint64_t) dev_addr[3] << 48 | (uint64_t) dev_addr[2] << 56;

	/* the high half of DevAddr | FCnt | 00 | i */
	uint64_t	second = (uint64_t) dev_addr[1] | (uint64_t) dev_addr[0] << 8 |
	(uint64_t) f_cnt << 16;

	for (size_t i = 0; i < n; i++)
	{
		BlockWords	block = {
			LOWEST_BYTE_FIRST(first),
			LOWEST_BYTE_FIRST(second | (uint64_t) (i + 1) << 56)
		};

		memcpy(blocks + i * AES_BLOCK_SIZE, &block, AES_BLOCK_SIZE);
	}
}

/* A word anywhere in a buffer; never a copy on the stack, which would stay. */
typedef uint64_t AnyWord __attribute__((may_alias, aligned(1)));

static inline uint64_t
xor_word(const uint8_t *in, const uint8_t *keystream)
{
	return *(const AnyWord *) in ^ *(const AnyWord *) keystream;
}

/*
 * out = in XOR keystream, by machine words.  The last word overlaps the one
 * before; it is read first, since out may be in.
 */
static void
xor_bytes(uint8_t *out, const uint8_t *in, const uint8_t *keystream, size_t len)
{
	uint64_t	last;

	if (len < sizeof(last))
	{
		for (size_t i = 0; i < len; i++)
			out[i] = in[i] ^ keystream[i];
		return;
	}

	last = xor_word(in + len - sizeof(last), keystream + len - sizeof(last));
	for (size_t i = 0; i + sizeof(last) < len; i += sizeof(last))
		*(AnyWord *) (out + i) = xor_word(in + i, keystream + i);
	*(AnyWord *) (out + len - sizeof(last)) = last;
}

CryptoStatus
lorawan_payload_crypt(AesCipher *session_key, LorawanDirection direction,
					  const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
					  uint32_t f_cnt, const uint8_t *in, uint8_t *out,
					  size_t len)
{
	uint8_t		keystream[MAX_BLOCKS * AES_BLOCK_SIZE];
	size_t		keystream_len;
	CryptoStatus status;

	if (len > LORAWAN_MAX_PAYLOAD)
		return CRYPTO_BAD_LENGTH;
	if (len == 0)
		return CRYPTO_OK;

	keystream_len = BLOCKS(len) * AES_BLOCK_SIZE;
	make_blocks(keystream, BLOCKS(len), direction, dev_addr, f_cnt);
	status = aes_cipher_run(session_key, keystream, keystream, keystream_len);
	if (status == CRYPTO_OK)
		xor_bytes(out, in, keystream, len);

	OPENSSL_cleanse(keystream, keystream_len);
	return status;
}

CryptoStatus
lorawan_f_opts_crypt(AesCipher *nwk_s_enc_key, LorawanDirection direction,
					 LorawanCounter counter,
					 const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE],
					 uint32_t f_cnt, const uint8_t *in, uint8_t *out, size_t len)
{
	uint8_t		keystream[AES_BLOCK_SIZE];
	CryptoStatus status;

	if (len > LORAWAN_MAX_F_OPTS)
		return CRYPTO_BAD_LENGTH;
	if (len == 0)
		return CRYPTO_OK;

	/* The block A_1 of a payload, but for its fifth byte. */
	make_blocks(keystream, 1, direction, dev_addr, f_cnt);
	keystream[4] = (uint8_t) counter;
	status = aes_cipher_run(nwk_s_enc_key, keystream, keystream, AES_BLOCK_SIZE);
	if (status == CRYPTO_OK)
		xor_bytes(out, in, keystream, len);

	OPENSSL_cleanse(keystream, sizeof(keystream));
	return status;
}
