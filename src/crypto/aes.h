/*
 * aes.h
 *	  AES in ECB mode: the block cipher that key wrap, CMAC and LoRaWAN's
 *	  encryption are built from.
 *
 * A context is made once and keyed as often as needed.  Keying it takes about
 * twice as long as encrypting two blocks, so it is worth keeping a context keyed
 * for a key that is used often.
 */
#ifndef AES_H
#define AES_H

#include <stddef.h>
#include <stdint.h>

#include "crypto_status.h"

/* In bytes. */
#define AES_BLOCK_SIZE 16

typedef struct AesCipher AesCipher;

typedef enum AesDirection
{
	AES_DECRYPT = 0,
	AES_ENCRYPT = 1
} AesDirection;

/*
 * Lets OpenSSL find its implementations now, so that processes that are forked later
 * need not do it.  If it has none, that is an error when a key is first used.
 */
extern void aes_fetch(void);

/* Makes a context without a key; NULL if there is no memory. */
extern AesCipher *aes_cipher_new(void);

/*
 * Gives the context a key of 16, 24 or 32 bytes, in place of the one that it may
 * have.  After a failure it has no key, and refuses to run.
 */
extern CryptoStatus aes_cipher_set_key(AesCipher *cipher, const uint8_t *key,
									   size_t key_len, AesDirection direction);

/*
 * Encrypts or decrypts len bytes, a multiple of 16; in and out may be the same
 * buffer.
 */
extern CryptoStatus aes_cipher_run(AesCipher *cipher, const uint8_t *in,
								   uint8_t *out, size_t len);

/* Wipes the key schedule and frees the context; NULL is allowed. */
extern void aes_cipher_free(AesCipher *cipher);

/* About how much memory a context takes, in bytes; by EVP, it takes some 200 more. */
#define AES_CIPHER_FOOTPRINT 496

#endif							/* AES_H */
