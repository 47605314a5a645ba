/*
 * root_key_provider.h
 *	  What root_key_list.c needs of a place that root keys come from.
 *
 * A provider is one file: it defines a RootKeyProvider, which root_key_list.c lists.
 * A provider does not raise errors for what is wrong with a root key: the
 * setting may list others that do.  It fills a DeferredError instead.
 */
#ifndef ROOT_KEY_PROVIDER_H
#define ROOT_KEY_PROVIDER_H

#include "postgres.h"

#include "../common/deferred_error.h"
#include "../crypto/aead.h"
#include "../crypto/cmac.h"

typedef struct RootKey RootKey;

typedef struct RootKeyProvider
{
	const char *scheme;			/* of its URIs, with the colon */

	/* Whether a location can be one at all; nothing is looked at yet. */
	bool		(*check) (const char *location, DeferredError *error);

	/* Gets hold of the key at a location and fills key->id. */
	bool		(*load) (RootKey *key, const char *location,
						 DeferredError *error);

	/*
	 * Seals; chooses the nonce.  Where it answers neither CRYPTO_OK nor
	 * CRYPTO_INTEGRITY, it may say why: the error's message is NULL if not.
	 */
	CryptoStatus (*seal) (const RootKey *key, const uint8 *aad, size_t aad_len,
						  const uint8 *plaintext, size_t plaintext_len,
						  uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
						  uint8 tag[AEAD_TAG_SIZE], DeferredError *error);

	/* The same way. */
	CryptoStatus (*open) (const RootKey *key, const uint8 nonce[AEAD_NONCE_SIZE],
						  const uint8 *aad, size_t aad_len,
						  const uint8 *ciphertext, size_t ciphertext_len,
						  const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext,
						  DeferredError *error);

	/* Lets go of it; nothing of it stays in memory. */
	void		(*forget) (RootKey *key);
} RootKeyProvider;

struct RootKey
{
	const RootKeyProvider *provider;
	const char *location;		/* the URI without its scheme */
	bool		loaded;
	uint8		id[KEY_CHECK_VALUE_SIZE];	/* the root key's key check value */
	void	   *handle;			/* the provider's */
};

extern const RootKeyProvider root_key_file_provider;
extern const RootKeyProvider root_key_command_provider;
extern const RootKeyProvider root_key_pkcs11_provider;

/*
 * For providers whose keys are in this process's memory: load takes the text
 * of the key (64 hexadecimal digits, a line end allowed) and wipes it; source
 * names its origin in messages.
 */
extern bool software_root_key_load(RootKey *key, char *text, size_t text_len,
								   const char *source, DeferredError *error);
extern CryptoStatus software_root_key_seal(const RootKey *key, const uint8 *aad,
										   size_t aad_len,
										   const uint8 *plaintext,
										   size_t plaintext_len,
										   uint8 nonce[AEAD_NONCE_SIZE],
										   uint8 *ciphertext,
										   uint8 tag[AEAD_TAG_SIZE],
										   DeferredError *error);
extern CryptoStatus software_root_key_open(const RootKey *key,
										   const uint8 nonce[AEAD_NONCE_SIZE],
										   const uint8 *aad, size_t aad_len,
										   const uint8 *ciphertext,
										   size_t ciphertext_len,
										   const uint8 tag[AEAD_TAG_SIZE],
										   uint8 *plaintext, DeferredError *error);
extern void software_root_key_forget(RootKey *key);

#endif							/* ROOT_KEY_PROVIDER_H */
