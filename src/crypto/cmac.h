/*
 * cmac.h
 *	  AES-CMAC (RFC 4493, NIST SP 800-38B) and the key check value.
 */
#ifndef CMAC_H
#define CMAC_H

#include "aes.h"

#define AES_CMAC_SIZE 16
#define KEY_CHECK_VALUE_SIZE 5

/* By a context that is keyed for AES_ENCRYPT already, as for many messages. */
extern CryptoStatus aes_cmac_keyed(AesCipher *key, const uint8_t *message,
								   size_t message_len, uint8_t mac[AES_CMAC_SIZE]);

/* key_len is 16, 24 or 32 bytes. */
extern CryptoStatus aes_cmac(const uint8_t *key, size_t key_len,
							 const uint8_t *message, size_t message_len,
							 uint8_t mac[AES_CMAC_SIZE]);

/*
 * The key check value: the first 5 bytes of AES-CMAC over this ASCII string
 * (25 bytes, no terminator).  A string of the
 * project's own, never a block that a protocol might use: the CMAC of such a
 * block could be worth something.
 */
#define KEY_CHECK_STRING "key_vault key check value"

extern CryptoStatus key_check_value(const uint8_t *key, size_t key_len,
									uint8_t kcv[KEY_CHECK_VALUE_SIZE]);

#endif							/* CMAC_H */
