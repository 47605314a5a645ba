/*
 * token_key.h
 *	  AES keys that stay in a token, and the operations with them.
 */
#ifndef TOKEN_KEY_H
#define TOKEN_KEY_H

#include "postgres.h"

#include "../crypto/aead.h"
#include "../crypto/cmac.h"
#include "../crypto/key_wrap.h"
#include "token.h"

/* The longest id, in bytes. */
#define TOKEN_KEY_MAX_ID 64

/* Before the key was found, only token, label and id are set, and kcv if it is known. */
typedef struct TokenKey
{
	Token	   *token;
	char	   *label;			/* CKA_LABEL; NULL: any */
	uint8		id[TOKEN_KEY_MAX_ID];	/* CKA_ID */
	size_t		id_size;		/* in bytes; 0: any id */
	bool		has_kcv;
	uint8		kcv[KEY_CHECK_VALUE_SIZE];
	uint64		session_number; /* of the session in which handle is valid */
	CK_OBJECT_HANDLE handle;
} TokenKey;

/*
 * The functions that return a CryptoStatus note an error if it is neither CRYPTO_OK nor
 * CRYPTO_INTEGRITY.  If the session was lost, they open another one and try again.
 */

/*
 * Looks for the key.  If its key check value is known it is checked, otherwise it is
 * set.  Returns false, and notes an error, if that fails.
 */
extern bool token_key_find(TokenKey *key, DeferredError *error);

/* Seal and open with AES-GCM; nonce returns the one that was used. */
extern CryptoStatus token_key_seal(TokenKey *key, const uint8 *aad, size_t aad_len,
								   const uint8 *plaintext, size_t plaintext_len,
								   uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
								   uint8 tag[AEAD_TAG_SIZE], DeferredError *error);
extern CryptoStatus token_key_open(TokenKey *key, const uint8 nonce[AEAD_NONCE_SIZE],
								   const uint8 *aad, size_t aad_len,
								   const uint8 *ciphertext, size_t ciphertext_len,
								   const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext,
								   DeferredError *error);

/* Wrap and unwrap with AES-KW; lengths are as for key_wrap() and key_unwrap(). */
extern CryptoStatus token_key_wrap(TokenKey *key, const uint8 *wrapped_key, size_t size,
								   uint8 *wrapped, DeferredError *error);
extern CryptoStatus token_key_unwrap(TokenKey *key, const uint8 *wrapped,
									 size_t wrapped_size, uint8 *unwrapped,
									 DeferredError *error);

/*
 * Makes a key of size bytes with this id and label, for AES-KW, which never leaves the
 * token.  Returns false, and notes an error, if that fails.
 */
extern bool token_key_generate(TokenKey *key, size_t size, DeferredError *error);

/* Destroys the key that was found, unless that session with the token has ended. */
extern bool token_key_destroy(TokenKey *key, DeferredError *error);

#endif							/* TOKEN_KEY_H */
