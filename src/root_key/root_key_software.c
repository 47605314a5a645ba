/*
 * root_key_software.c
 *	  Root keys in this process's memory, for providers that read them as text.
 *
 * Invariant: the key is in secure memory only; its text is wiped, after an error, too.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/hex.h"
#include "../crypto/secure_memory.h"
#include "root_key_provider.h"

static bool
load_text(RootKey *key, const char *text, size_t text_len, const char *source,
		  DeferredError *error)
{
	uint8	   *bytes = secure_alloc_or_raise(AEAD_KEY_SIZE);
	size_t		line_len = text_len;
	bool		decoded;
	CryptoStatus status;

	if (line_len > 0 && text[line_len - 1] == '\n')
		line_len--;
	if (line_len > 0 && text[line_len - 1] == '\r')
		line_len--;
	decoded = line_len == 2 * AEAD_KEY_SIZE && hex_to_bytes(text, AEAD_KEY_SIZE, bytes);

	if (!decoded)
	{
		secure_free(bytes);
		return deferred_error_set(error, ERRCODE_ROOT_KEY_MALFORMED,
								  psprintf("%s does not hold a root key", source),
								  line_len == 2 * AEAD_KEY_SIZE ?
								  pstrdup("A root key is one line of 64 hexadecimal digits; there are other characters among them.") :
								  psprintf(ngettext("A root key is one line of 64 hexadecimal digits; there is %zu character.",
													"A root key is one line of 64 hexadecimal digits; there are %zu characters.",
													line_len), line_len),
								  pstrdup("A new root key is made by: openssl rand -hex 32"));
	}
	status = key_check_value(bytes, AEAD_KEY_SIZE, key->id);
	if (status != CRYPTO_OK)
	{
		secure_free(bytes);
		crypto_error(status, "compute the key check value of a root key");
	}
	key->handle = bytes;
	return true;
}

bool
software_root_key_load(RootKey *key, char *text, size_t text_len,
					   const char *source, DeferredError *error)
{
	bool		loaded;

	PG_TRY();
	{
		loaded = load_text(key, text, text_len, source, error);
	}
	PG_FINALLY();
	{
		secure_wipe(text, text_len);
	}
	PG_END_TRY();
	return loaded;
}

CryptoStatus
software_root_key_seal(const RootKey *key, const uint8 *aad, size_t aad_len,
					   const uint8 *plaintext, size_t plaintext_len,
					   uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
					   uint8 tag[AEAD_TAG_SIZE], DeferredError *error)
{
	return aead_seal(key->handle, aad, aad_len, plaintext, plaintext_len,
					 nonce, ciphertext, tag);
}

CryptoStatus
software_root_key_open(const RootKey *key, const uint8 nonce[AEAD_NONCE_SIZE],
					   const uint8 *aad, size_t aad_len,
					   const uint8 *ciphertext, size_t ciphertext_len,
					   const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext,
					   DeferredError *error)
{
	return aead_open(key->handle, nonce, aad, aad_len, ciphertext,
					 ciphertext_len, tag, plaintext);
}

void
software_root_key_forget(RootKey *key)
{
	secure_free(key->handle);
	key->handle = NULL;
}
