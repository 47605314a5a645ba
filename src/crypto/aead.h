/*
 * aead.h
 *	  AES-256-GCM (NIST SP 800-38D) with random nonces of 12 bytes.
 */
#ifndef AEAD_H
#define AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "crypto_status.h"

/* Sizes in bytes. */
#define AEAD_KEY_SIZE 32
#define AEAD_NONCE_SIZE 12
#define AEAD_TAG_SIZE 16

/* As aes_fetch(). */
extern void aead_fetch(void);

/*
 * Encrypts.  The function draws the nonce and returns it; ciphertext has room for
 * plaintext_len bytes.
 */
extern CryptoStatus aead_seal(const uint8_t key[AEAD_KEY_SIZE],
							  const uint8_t *aad, size_t aad_len,
							  const uint8_t *plaintext, size_t plaintext_len,
							  uint8_t nonce[AEAD_NONCE_SIZE],
							  uint8_t *ciphertext,
							  uint8_t tag[AEAD_TAG_SIZE]);

/* Decrypts.  Unless it returns CRYPTO_OK, no byte of plaintext is left behind. */
extern CryptoStatus aead_open(const uint8_t key[AEAD_KEY_SIZE],
							  const uint8_t nonce[AEAD_NONCE_SIZE],
							  const uint8_t *aad, size_t aad_len,
							  const uint8_t *ciphertext, size_t ciphertext_len,
							  const uint8_t tag[AEAD_TAG_SIZE],
							  uint8_t *plaintext);

#endif							/* AEAD_H */
