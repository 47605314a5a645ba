/*
 * root_key_pkcs11.c
 *	  Root keys in tokens, "pkcs11:..." (RFC 7512): AES keys that seal with
 *	  CKM_AES_GCM.
 *
 * In the URI, object (the key's label), id or both say which key of the token it is.
 *
 * Invariants: the key never leaves the token.  It is identified by its key check value
 * like other root keys, so that the same key in a file and in a token is one root key.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "../common/errors.h"
#include "../token/token_key.h"
#include "root_key_provider.h"

static void
forget(RootKey *key)
{
	pfree(key->handle);
	key->handle = NULL;
}

static bool
parse(const char *location, TokenUri *uri, DeferredError *error)
{
	if (!token_uri_parse(location, uri, error))
		return false;
	if ((uri->object == NULL && uri->id_size == 0) || uri->id_size > TOKEN_KEY_MAX_ID)
	{
		return deferred_error_set(error, ERRCODE_TOKEN_URI,
								  pstrdup("PKCS#11 URI of a root key does not name a key"),
								  uri->id_size > TOKEN_KEY_MAX_ID ?
								  psprintf("An id has %d bytes at most.", TOKEN_KEY_MAX_ID) : NULL,
								  pstrdup("Add object=, the key's label, or id=, its id percent-encoded."));
	}
	return true;
}

static bool
check(const char *location, DeferredError *error)
{
	TokenUri	uri;

	return parse(location, &uri, error);
}

/* Copies a key and its label into one piece of memory, which lasts until it is freed. */
static TokenKey *
copy_key(const TokenKey *key)
{
	size_t		label_size = key->label != NULL ? strlen(key->label) + 1 : 0;
	TokenKey   *copy = MemoryContextAlloc(TopMemoryContext, sizeof(TokenKey) + label_size);

	*copy = *key;
	if (key->label != NULL)
		copy->label = memcpy(copy + 1, key->label, label_size);
	return copy;
}

static bool
load(RootKey *key, const char *location, DeferredError *error)
{
	TokenUri	uri;
	TokenKey	found = {0};

	if (!parse(location, &uri, error))
		return false;
	found.token = token_get(&uri);
	found.label = uri.object;
	found.id_size = uri.id_size;
	if (uri.id_size > 0)
		memcpy(found.id, uri.id, uri.id_size);
	if (!token_key_find(&found, error))
		return false;

	key->handle = copy_key(&found);
	memcpy(key->id, found.kcv, KEY_CHECK_VALUE_SIZE);
	return true;
}

static CryptoStatus
seal(const RootKey *key, const uint8 *aad, size_t aad_len, const uint8 *plaintext,
	 size_t plaintext_len, uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
	 uint8 tag[AEAD_TAG_SIZE], DeferredError *error)
{
	return token_key_seal(key->handle, aad, aad_len, plaintext, plaintext_len, nonce,
						  ciphertext, tag, error);
}

static CryptoStatus
open_sealed(const RootKey *key, const uint8 nonce[AEAD_NONCE_SIZE], const uint8 *aad,
			size_t aad_len, const uint8 *ciphertext, size_t ciphertext_len,
			const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext, DeferredError *error)
{
	return token_key_open(key->handle, nonce, aad, aad_len, ciphertext, ciphertext_len, tag,
						  plaintext, error);
}

const RootKeyProvider root_key_pkcs11_provider = {
	.scheme = TOKEN_URI_SCHEME,
	.check = check,
	.load = load,
	.seal = seal,
	.open = open_sealed,
	.forget = forget,
};
