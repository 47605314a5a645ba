/*
 * key_wrap.h
 *	  AES key wrap: RFC 3394 (AES-KW) and RFC 5649 (AES-KWP), also NIST
 *	  SP 800-38F.
 *
 * Wrapping takes a context keyed for AES_ENCRYPT with the KEK, unwrapping one
 * keyed for AES_DECRYPT.  Where unwrapping does not answer CRYPTO_OK, no byte
 * of the output is left behind.  Input and output must not overlap.
 */
#ifndef KEY_WRAP_H
#define KEY_WRAP_H

#include "aes.h"

/* What AES-KW adds to a key, in bytes. */
#define KEY_WRAP_OVERHEAD 8

/* The longest key that any of the functions takes, in bytes. */
#define KEY_WRAP_MAX_KEY 4096

/* The size in bytes of an AES-KWP wrapped key of key_len bytes. */
#define KEY_WRAP_PAD_SIZE(key_len) ((((key_len) + 7) / 8) * 8 + KEY_WRAP_OVERHEAD)

/*
 * AES-KW: key_len is a multiple of 8 from 16 to KEY_WRAP_MAX_KEY; wrapped takes
 * key_len + 8 bytes.
 */
extern CryptoStatus key_wrap(AesCipher *kek, const uint8_t *key, size_t key_len,
							 uint8_t *wrapped);

/*
 * wrapped_len is a multiple of 8 from 24 to KEY_WRAP_MAX_KEY + 8; key takes
 * wrapped_len - 8 bytes.
 */
extern CryptoStatus key_unwrap(AesCipher *kek, const uint8_t *wrapped,
							   size_t wrapped_len, uint8_t *key);

/*
 * AES-KWP: key_len is 1 to KEY_WRAP_MAX_KEY; wrapped takes
 * KEY_WRAP_PAD_SIZE(key_len) bytes.
 */
extern CryptoStatus key_wrap_pad(AesCipher *kek, const uint8_t *key,
								 size_t key_len, uint8_t *wrapped);

/*
 * wrapped_len is a multiple of 8 from 16 to KEY_WRAP_MAX_KEY + 8; key takes
 * wrapped_len - 8 bytes, of which *key_len are the key.
 */
extern CryptoStatus key_unwrap_pad(AesCipher *kek, const uint8_t *wrapped,
								   size_t wrapped_len, uint8_t *key,
								   size_t *key_len);

#endif							/* KEY_WRAP_H */
