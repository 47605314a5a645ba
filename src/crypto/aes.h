/*
 * aes.h
 *	  A keyed AES-ECB context, the one block cipher all else is built from.
 *
 * A context is made once and keyed as often as needed; keying costs about
 * twice what a short run does, so callers keep a context keyed for a key that
 * is used often.
 */
#ifndef AES_H
#define AES_H

#include <stddef.h>
#include <stdint.h>

#include "crypto_status.h"

#define AES_BLOCK_SIZE 16

typedef struct AesCipher AesCipher;

typedef enum AesDirection
{
	AES_DECRYPT = 0,
	AES_ENCRYPT = 1
} AesDirection;

/* Makes a context without a key; NULL when memory or OpenSSL refuse. */
extern AesCipher *aes_cipher_new(void);

/*
 * Keys it, again where it has a key already; key_len is 16, 24 or 32 bytes.  After
 * a failure the context has no key, and refuses to run.
 */
extern CryptoStatus aes_cipher_set_key(AesCipher *cipher, const uint8_t *key,
									   size_t key_len, AesDirection direction);

/* Runs whole blocks; len is a multiple of 16, in and out may be the same. */
extern CryptoStatus aes_cipher_run(AesCipher *cipher, const uint8_t *in,
								   uint8_t *out, size_t len);

/* Wipes the key schedule and frees the context; NULL is allowed. */
extern void aes_cipher_free(AesCipher *cipher);

/* About what a context takes in memory, in bytes, for accounting. */
#define AES_CIPHER_FOOTPRINT 496

#endif							/* AES_H */
