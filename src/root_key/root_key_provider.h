/*
 * root_key_provider.h
 *	  The interface of providers: the places that root keys come from.
 *
 * A provider is one file, which defines a RootKeyProvider; root_key_list.c lists them.
 * If something is wrong with a root key, a provider raises no error, but notes a
 * DeferredError: another root key of the setting may open the KEK.
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

	/* Whether the location is well-formed; says nothing of what is there. */
	bool		(*check) (const char *location, DeferredError *error);

	/* Loads the key at a location, or connects to it, and sets key->id. */
	bool		(*load) (RootKey *key, const char *location,
						 DeferredError *error);

	/*
	 * Seals, and returns the nonce that it used.  If the status is neither
	 * CRYPTO_OK nor CRYPTO_INTEGRITY it may note an error, whose message is
	 * NULL otherwise.
	 */
	CryptoStatus (*seal) (const RootKey *key, const uint8 *aad, size_t aad_len,
						  const uint8 *plaintext, size_t plaintext_len,
						  uint8 nonce[AEAD_NONCE_SIZE], uint8 *ciphertext,
						  uint8 tag[AEAD_TAG_SIZE], DeferredError *error);

	/* Opens; status and error are as in seal. */
	CryptoStatus (*open) (const RootKey *key, const uint8 nonce[AEAD_NONCE_SIZE],
						  const uint8 *aad, size_t aad_len,
						  const uint8 *ciphertext, size_t ciphertext_len,
						  const uint8 tag[AEAD_TAG_SIZE], uint8 *plaintext,
						  DeferredError *error);

	/* Forgets the key; nothing of it stays in memory. */
	void		(*forget) (RootKey *key);
} RootKeyProvider;

struct RootKey
{
	const RootKeyProvider *provider;
	const char *location;		/* the URI without its scheme */
	bool		loaded;
	uint8		id[KEY_CHECK_VALUE_SIZE];	/* the root key's key check value */
	void	   *handle;			/* what the provider needs of the key */
};

extern const RootKeyProvider root_key_file_provider;
extern const RootKeyProvider root_key_command_provider;
extern const RootKeyProvider root_key_pkcs11_provider;

/*
 * For providers whose keys are in this process's memory.  Loading takes the key as
 * text, 64 hexadecimal digits and perhaps a line end, and wipes the text; source is the
 * name, in messages, of the place that it comes from.
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
