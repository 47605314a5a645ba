/*
 * payload.c
 *	  FRMPayload and FOpts encryption: the bytes XOR a keystream of AES blocks.
 *
 * This runs once for each row of a query, so all blocks are encrypted in one call.
 *
 * Invariants: nothing is written before the whole keystream is there.  The
 * keystream, from which anybody with the ciphertext gets the payload, is wiped on
 * every way out.
 */
#include "payload.h"

#include <string.h>

#include <openssl/crypto.h>

#define BLOCKS(len) (((len) + AES_BLOCK_SIZE - 1) / AES_BLOCK_SIZE)
#define MAX_BLOCKS BLOCKS(LORAWAN_MAX_PAYLOAD)

/* A block as two words of 64 bits. */
typedef uint64_t BlockWords __attribute__((vector_size(AES_BLOCK_SIZE)));

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOWEST_BYTE_FIRST(word) __builtin_bswap64(word)
#else
#define LOWEST_BYTE_FIRST(word) (word)
#endif

/*
 * Writes the blocks A_1 to A_n of the specification, which differ in their last byte
 * only.  Each is written with one store, since the cipher reads it with one load: a
 * processor makes a load wait if it needs the bytes of several stores before it.
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

/*
 * A word at any address in a buffer.  memcpy() could leave a copy on the stack,
 * which nobody wipes.
 */
typedef uint64_t AnyWord __attribute__((may_alias, aligned(1)));

static inline uint64_t
xor_word(const uint8_t *in, const uint8_t *keystream)
{
	return *(const AnyWord *) in ^ *(const AnyWord *) keystream;
}

/*
 * out = in XOR keystream, in words of 8 bytes.  The last word may overlap the one
 * before it, so it is read first: in and out may be the same buffer.
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

	/* The same block as A_1 of a payload, with another fifth byte. */
	make_blocks(keystream, 1, direction, dev_addr, f_cnt);
	keystream[4] = (uint8_t) counter;
	status = aes_cipher_run(nwk_s_enc_key, keystream, keystream, AES_BLOCK_SIZE);
	if (status == CRYPTO_OK)
		xor_bytes(out, in, keystream, len);

	OPENSSL_cleanse(keystream, sizeof(keystream));
	return status;
}
