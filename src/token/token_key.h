/*
 * token_key.h
 *	  AES keys that stay in a token, and what is done with them there.
 */
#ifndef TOKEN_KEY_H
#define TOKEN_KEY_H

#include "postgres.h"

#include "../crypto/aead.h"
#include "../crypto/cmac.h"
#include "../crypto/key_wrap.h"
#include "token.h"

#define TOKEN_KEY_MAX_ID 64

/* All zero but for the first three, it is a key yet to be found. */
typedef struct TokenKey
{
	Token	   *token;
	char	   *label;			/* CKA_LABEL; NULL: any */
	uint8		id[TOKEN_KEY_MAX_ID];	/* CKA_ID */
	size_t		id_size;		/* 0: any */
	bool		has_kcv;
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	uint64		session_number; /* in which handle is good */
	CK_OBJECT_HANDLE handle;
} TokenKey;

/*
 * The functions that answer a CryptoStatus note an error where it is
 * neither CRYPTO_OK nor CRYPTO_INTEGRITY.  A session that was lost they open again.
 */

/*
 * Looks for the key; fills kcv, or if it has one, checks it.  False after an error
 * that was noted.
 */
extern bool token_key_find(TokenKey *key, DeferredError *error);

/* AES-GCM, with a nonce of the token's if it chooses one. */
extern CryptoStatus token_key_seal(TokenKey *key, const uint8 *aad, size_t aad_len,
								   const uint8 *plaintext, size_t plaintext_len,
								   uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
								   uint8 tag[AEAD_TAG_SIZE], DeferredError *error);
extern CryptoStatus token_key_open(TokenKey *key, const uint8 nonce[AEAD_NONCE_SIZE],
								   const uint8 *aad, size_t aad_len,
								   const uint8 *ciphertext, size_t ciphertext_len,
								   const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext,
								   DeferredError *error);

/* AES-KW (RFC 3394), lengths as for key_wrap() and key_unwrap(). */
extern CryptoStatus token_key_wrap(TokenKey *key, const uint8 *wrapped_key, size_t size,
								   uint8 *wrapped, DeferredError *error);
extern CryptoStatus token_key_unwrap(TokenKey *key, const uint8 *wrapped,
									 size_t wrapped_size, uint8 *unwrapped,
									 DeferredError *error);

/* Makes a key of this id and label, for AES-KW, that never leaves the token. */
extern bool token_key_generate(TokenKey *key, size_t size, DeferredError *error);

/* Destroys it, in the session that there is; opens none. */
extern bool token_key_destroy(TokenKey *key, DeferredError *error);

#endif							/* TOKEN_KEY_H */
