/*
 * plaintext_key.h
 *	  Checking keys that come in as plaintext for mistakes.
 */
#ifndef PLAINTEXT_KEY_H
#define PLAINTEXT_KEY_H

#include "postgres.h"

/* The setting key_vault.allow_hexadecimal_keys. */
extern bool plaintext_key_allow_hexadecimal;

/*
 * Raises an error if the key is hexadecimal digits or base64 in place of the bytes that these
 * mean, and a warning if all its bytes are zero.
 */
extern void plaintext_key_check(const uint8 *key, size_t size);

#endif							/* PLAINTEXT_KEY_H */
