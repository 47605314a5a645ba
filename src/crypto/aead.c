/*
 * aead.c
 *	  AES-256-GCM over OpenSSL's EVP.
 *
 * Each call makes a context of its own, and wipes and frees it at the end.
 *
 * Invariants: each sealing draws a new random nonce, and no caller can give one;
 * a call that fails leaves no output behind.
 */
#include "aead.h"

#include <limits.h>
#include <stdbool.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

/* Fetched once and kept for the life of the process and of those that it forks. */
static EVP_CIPHER *gcm_cipher;

static bool
fetch_cipher(void)
{
	if (gcm_cipher == NULL)
		gcm_cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return gcm_cipher != NULL;
}

void
aead_fetch(void)
{
	if (!fetch_cipher())
		(void) crypto_library_failure();
}

/* Makes a context that is ready to encrypt or decrypt with this key and nonce. */
static CryptoStatus
gcm_begin(const uint8_t *key, const uint8_t *nonce, int encrypt,
		  EVP_CIPHER_CTX **context)
{
	if (!fetch_cipher())
		return crypto_library_failure();

	*context = EVP_CIPHER_CTX_new();
	if (*context == NULL)
		return CRYPTO_NO_MEMORY;

	/* A nonce of AEAD_NONCE_SIZE bytes is GCM's default. */
	if (!EVP_CipherInit_ex2(*context, gcm_cipher, key, nonce, encrypt, NULL))
		return crypto_library_failure();
	return CRYPTO_OK;
}

/* Gives OpenSSL the next associated data (then out is NULL) or text. */
static int
gcm_update(EVP_CIPHER_CTX *context, uint8_t *out, const uint8_t *in, size_t len)
{
	int			written = 0;

	if (len == 0)
		return 1;
	return EVP_CipherUpdate(context, out, &written, in, (int) len) &&
		written == (int) len;
}

CryptoStatus
aead_seal(const uint8_t key[AEAD_KEY_SIZE], const uint8_t *aad, size_t aad_len,
		  const uint8_t *plaintext, size_t plaintext_len,
		  uint8_t nonce[AEAD_NONCE_SIZE], uint8_t *ciphertext,
		  uint8_t tag[AEAD_TAG_SIZE])
{
	EVP_CIPHER_CTX *context = NULL;
	uint8_t		unused[EVP_MAX_BLOCK_LENGTH];
	int			unused_len = 0;
	CryptoStatus status;

	if (aad_len > INT_MAX || plaintext_len > INT_MAX)
		return CRYPTO_BAD_LENGTH;
	if (RAND_bytes(nonce, AEAD_NONCE_SIZE) != 1)
		return crypto_library_failure();

	status = gcm_begin(key, nonce, 1, &context);
	if (status == CRYPTO_OK &&
		!(gcm_update(context, NULL, aad, aad_len) &&
		  gcm_update(context, ciphertext, plaintext, plaintext_len) &&
		  EVP_CipherFinal_ex(context, unused, &unused_len) &&
		  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE,
							  tag) == 1))
	{
		status = crypto_library_failure();
		OPENSSL_cleanse(ciphertext, plaintext_len);
	}

	EVP_CIPHER_CTX_free(context);
	return status;
}

CryptoStatus
aead_open(const uint8_t key[AEAD_KEY_SIZE],
		  const uint8_t nonce[AEAD_NONCE_SIZE],
		  const uint8_t *aad, size_t aad_len,
		  const uint8_t *ciphertext, size_t ciphertext_len,
		  const uint8_t tag[AEAD_TAG_SIZE], uint8_t *plaintext)
{
	EVP_CIPHER_CTX *context = NULL;
	uint8_t		unused[EVP_MAX_BLOCK_LENGTH];
	int			unused_len = 0;
	CryptoStatus status;

	if (aad_len > INT_MAX || ciphertext_len > INT_MAX)
		return CRYPTO_BAD_LENGTH;

	status = gcm_begin(key, nonce, 0, &context);
	if (status == CRYPTO_OK)
	{
		/* OpenSSL only reads the tag, but its control calls have no const. */
		if (!(gcm_update(context, NULL, aad, aad_len) &&
			  gcm_update(context, plaintext, ciphertext, ciphertext_len) &&
			  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE,
								  (void *) tag) == 1))
			status = crypto_library_failure();
		/* Here OpenSSL compares the tag, in constant time. */
		else if (!EVP_CipherFinal_ex(context, unused, &unused_len))
			status = CRYPTO_INTEGRITY;

		if (status != CRYPTO_OK)
			OPENSSL_cleanse(plaintext, ciphertext_len);
	}

	EVP_CIPHER_CTX_free(context);
	return status;
}
