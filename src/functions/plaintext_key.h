/*
 * plaintext_key.h
 *	  Keys that come in as plaintext, and what is surely no key.
 */
#ifndef PLAINTEXT_KEY_H
#define PLAINTEXT_KEY_H

#include "postgres.h"

/* key_vault.allow_hexadecimal_keys */
extern bool plaintext_key_allow_hexadecimal;

/*
 * An error for hexadecimal digits in place of the bytes that they stand for, a warning
 * for a key that is all zero.
 */
extern void plaintext_key_check(const uint8 *key, size_t size);

#endif							/* PLAINTEXT_KEY_H */
