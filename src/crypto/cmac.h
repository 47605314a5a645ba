/*
 * cmac.h
 *	  AES-CMAC (RFC 4493, NIST SP 800-38B) and the key check value.
 */
#ifndef CMAC_H
#define CMAC_H

#include "aes.h"

/* Sizes in bytes. */
#define AES_CMAC_SIZE 16
#define KEY_CHECK_VALUE_SIZE 5

/*
 * The first mac_len bytes of the CMAC of a message, with a context that is keyed for
 * AES_ENCRYPT.  Unless first is NULL, it is a block that is put before the message.
 */
extern CryptoStatus aes_cmac_keyed(AesCipher *key, const uint8_t *first,
								   const uint8_t *message, size_t message_len,
								   uint8_t *mac, size_t mac_len);

/* The same of one message; key_len is 16, 24 or 32 bytes. */
extern CryptoStatus aes_cmac(const uint8_t *key, size_t key_len,
							 const uint8_t *message, size_t message_len,
							 uint8_t *mac, size_t mac_len);

/*
 * A key check value is the first 5 bytes of the AES-CMAC of this ASCII string (25
 * bytes, without the terminating zero).  The string is the project's own.  It must
 * not be a block that a protocol uses: the CMAC of such a block could be of use to
 * an attacker.
 */
#define KEY_CHECK_STRING "key_vault key check value"

extern CryptoStatus key_check_value(const uint8_t *key, size_t key_len,
									uint8_t kcv[KEY_CHECK_VALUE_SIZE]);

#endif							/* CMAC_H */
