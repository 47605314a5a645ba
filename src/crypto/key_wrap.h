/*
 * key_wrap.h
 *	  AES key wrap: AES-KW (RFC 3394) and AES-KWP (RFC 5649), both also in NIST
 *	  SP 800-38F.
 *
 * Wrapping takes a context that is keyed for AES_ENCRYPT with the KEK, unwrapping
 * one that is keyed for AES_DECRYPT.  Unless unwrapping returns CRYPTO_OK, no byte
 * of the output is left behind.  Input and output must not overlap.
 */
#ifndef KEY_WRAP_H
#define KEY_WRAP_H

#include "aes.h"

/* By how much AES-KW makes a key longer, in bytes. */
#define KEY_WRAP_OVERHEAD 8

/* The longest key that any of the functions takes, in bytes. */
#define KEY_WRAP_MAX_KEY 4096

/* The size, in bytes, of a key of key_len bytes that AES-KWP has wrapped. */
#define KEY_WRAP_PAD_SIZE(key_len) ((((key_len) + 7) / 8) * 8 + KEY_WRAP_OVERHEAD)

/*
 * Wraps with AES-KW.  key_len is a multiple of 8 from 16 to KEY_WRAP_MAX_KEY;
 * wrapped has room for key_len + 8 bytes.
 */
extern CryptoStatus key_wrap(AesCipher *kek, const uint8_t *key, size_t key_len,
							 uint8_t *wrapped);

/*
 * Wraps up to KEY_WRAP_MAX_SET keys of one length, each as key_wrap() would with the prefix
 * before it, in much less time than one by one.  prefix_len and key_len are multiples
 * of 8, and together what key_wrap() takes.
 */
#define KEY_WRAP_MAX_SET 4
extern CryptoStatus key_wrap_set(AesCipher *kek, const uint8_t *prefix, size_t prefix_len,
								 const uint8_t *const *keys, size_t n_keys, size_t key_len,
								 uint8_t *const *wrapped);

/*
 * Unwraps with AES-KW.  wrapped_len is a multiple of 8 from 24 to
 * KEY_WRAP_MAX_KEY + 8; key has room for wrapped_len - 8 bytes.
 */
extern CryptoStatus key_unwrap(AesCipher *kek, const uint8_t *wrapped,
							   size_t wrapped_len, uint8_t *key);

/*
 * Wraps with AES-KWP.  key_len is 1 to KEY_WRAP_MAX_KEY; wrapped has room for
 * KEY_WRAP_PAD_SIZE(key_len) bytes.
 */
extern CryptoStatus key_wrap_pad(AesCipher *kek, const uint8_t *key,
								 size_t key_len, uint8_t *wrapped);

/*
 * Unwraps with AES-KWP.  wrapped_len is a multiple of 8 from 16 to
 * KEY_WRAP_MAX_KEY + 8; key has room for wrapped_len - 8 bytes, and the first
 * *key_len of them are the key.
 */
extern CryptoStatus key_unwrap_pad(AesCipher *kek, const uint8_t *wrapped,
								   size_t wrapped_len, uint8_t *key,
								   size_t *key_len);

#endif							/* KEY_WRAP_H */
