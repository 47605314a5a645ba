/*
 * aes.c
 *	  AES in ECB mode, by OpenSSL.
 *
 * EVP_CIPHER_fetch() chooses the implementation, as the configuration of OpenSSL
 * says (FIPS, for example).  The implementation is then called directly, through
 * the functions that its provider publishes (provider-cipher(7)): when EVP keys a
 * context again, it first asks the provider for the length of the key, by the
 * parameter's name, which takes longer than the keying itself.  Measured on
 * OpenSSL 3.0.19, in ns, to key a context again and encrypt two blocks:
 *
 *	 38  the provider's functions
 *	 74  EVP_CipherInit_ex2() without a cipher, and EVP_Cipher()
 *
 * Of this, encrypting two blocks takes 14 in both cases.  A provider need not publish
 * all of these functions; if it lacks one, EVP does the work.
 *
 * Invariants: padding is off and only whole blocks go in, so a context never
 * keeps data back from one run to the next.  A context that could not be keyed has
 * no key: it refuses to run, and never uses the key that it had before.
 */
#include "aes.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

/* What EVP fetched for one key length, and the functions for it: the provider's, or those by EVP. */
typedef struct AesImplementation
{
	EVP_CIPHER *fetched;		/* NULL until first needed; keeps the provider
								 * loaded */
	void	   *provider_context;	/* what new_context takes */
	OSSL_FUNC_cipher_newctx_fn *new_context;
	OSSL_FUNC_cipher_freectx_fn *free_context;
	OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_cipher_cipher_fn *run;
} AesImplementation;

struct AesCipher
{
	const AesImplementation *implementation;	/* NULL: there is no key */
	void	   *context;		/* the implementation's; holds the key
								 * schedule */
};

/*
 * One for each key length, in the order of implementation_index(); fetched once,
 * and kept for the life of the process and of those that it forks.
 */
static AesImplementation implementations[3];

static const char *const ecb_names[3] = {
	"AES-128-ECB", "AES-192-ECB", "AES-256-ECB"
};

/* 0, 1 and 2 for keys of 16, 24 and 32 bytes; -1 for every other length. */
static int
implementation_index(size_t key_len)
{
	if (key_len < 16 || key_len > 32 || key_len % 8 != 0)
		return -1;
	return (int) (key_len / 8) - 2;
}

/* Whether name is in names, a list separated by colons. */
static bool
is_named(const char *names, const char *name)
{
	size_t		len = strlen(name);

	while (strncasecmp(names, name, len) != 0 ||
		   (names[len] != ':' && names[len] != '\0'))
	{
		names = strchr(names, ':');
		if (names == NULL)
			return false;
		names++;
	}
	return true;
}

static void
take_functions(AesImplementation *implementation, const OSSL_DISPATCH *functions)
{
	for (; functions->function_id != 0; functions++)
	{
		switch (functions->function_id)
		{
			case OSSL_FUNC_CIPHER_NEWCTX:
				implementation->new_context = OSSL_FUNC_cipher_newctx(functions);
				break;
			case OSSL_FUNC_CIPHER_FREECTX:
				implementation->free_context = OSSL_FUNC_cipher_freectx(functions);
				break;
			case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
				implementation->encrypt_init = OSSL_FUNC_cipher_encrypt_init(functions);
				break;
			case OSSL_FUNC_CIPHER_DECRYPT_INIT:
				implementation->decrypt_init = OSSL_FUNC_cipher_decrypt_init(functions);
				break;
			case OSSL_FUNC_CIPHER_CIPHER:
				implementation->run = OSSL_FUNC_cipher_cipher(functions);
				break;
		}
	}
}

static void *
evp_new_context(void *fetched)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

	if (context != NULL && EVP_CipherInit_ex2(context, fetched, NULL, NULL, AES_ENCRYPT, NULL))
		return context;
	EVP_CIPHER_CTX_free(context);
	return NULL;
}

static void
evp_free_context(void *context)
{
	EVP_CIPHER_CTX_free(context);
}

static int
evp_init(EVP_CIPHER_CTX *context, AesDirection direction, const unsigned char *key,
		 size_t key_len, const OSSL_PARAM params[])
{
	return key_len == (size_t) EVP_CIPHER_CTX_get_key_length(context) &&
		EVP_CipherInit_ex2(context, NULL, key, NULL, direction, params);
}

static int
evp_encrypt_init(void *context, const unsigned char *key, size_t key_len,
				 const unsigned char *iv, size_t iv_len, const OSSL_PARAM params[])
{
	return iv == NULL && iv_len == 0 && evp_init(context, AES_ENCRYPT, key, key_len, params);
}

static int
evp_decrypt_init(void *context, const unsigned char *key, size_t key_len,
				 const unsigned char *iv, size_t iv_len, const OSSL_PARAM params[])
{
	return iv == NULL && iv_len == 0 && evp_init(context, AES_DECRYPT, key, key_len, params);
}

static int
evp_run(void *context, unsigned char *out, size_t *written, size_t out_size,
		const unsigned char *in, size_t in_len)
{
	int			len;

	if (in_len > out_size || in_len > INT_MAX ||
		!EVP_CipherUpdate(context, out, &len, in, (int) in_len))
		return 0;
	*written = (size_t) len;
	return 1;
}

/* What the functions by EVP take as a provider's context is the cipher that was fetched. */
static void
take_evp(AesImplementation *implementation)
{
	implementation->provider_context = implementation->fetched;
	implementation->new_context = evp_new_context;
	implementation->free_context = evp_free_context;
	implementation->encrypt_init = evp_encrypt_init;
	implementation->decrypt_init = evp_decrypt_init;
	implementation->run = evp_run;
}

/* Returns NULL, with the reason in OpenSSL's error queue, if OpenSSL has none. */
static const AesImplementation *
get_implementation(int index)
{
	AesImplementation found = {NULL};
	const OSSL_PROVIDER *provider;
	const OSSL_ALGORITHM *algorithms;
	int			no_cache;

	if (implementations[index].fetched != NULL)
		return &implementations[index];

	found.fetched = EVP_CIPHER_fetch(NULL, ecb_names[index], NULL);
	if (found.fetched == NULL)
		return NULL;
	provider = EVP_CIPHER_get0_provider(found.fetched);
	found.provider_context = OSSL_PROVIDER_get0_provider_ctx(provider);
	algorithms = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &no_cache);
	for (const OSSL_ALGORITHM *a = algorithms; a != NULL && a->algorithm_names != NULL; a++)
	{
		if (is_named(a->algorithm_names, ecb_names[index]))
		{
			take_functions(&found, a->implementation);
			break;
		}
	}
	OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, algorithms);

	if (found.new_context == NULL || found.free_context == NULL ||
		found.encrypt_init == NULL || found.decrypt_init == NULL || found.run == NULL)
		take_evp(&found);
	implementations[index] = found;
	return &implementations[index];
}

static OSSL_FUNC_cipher_encrypt_init_fn *
init_function(const AesImplementation *implementation, AesDirection direction)
{
	return direction == AES_ENCRYPT ? implementation->encrypt_init :
		implementation->decrypt_init;
}

/* Wipes the key, and frees the context that holds it. */
static void
unkey(AesCipher *cipher)
{
	if (cipher->implementation != NULL)
		cipher->implementation->free_context(cipher->context);
	cipher->implementation = NULL;
	cipher->context = NULL;
}

void
aes_fetch(void)
{
	for (int i = 0; i < 3; i++)
		if (get_implementation(i) == NULL)
			(void) crypto_library_failure();
}

AesCipher *
aes_cipher_new(void)
{
	return OPENSSL_zalloc(sizeof(AesCipher));
}

CryptoStatus
aes_cipher_set_key(AesCipher *cipher, const uint8_t *key, size_t key_len,
				   AesDirection direction)
{
	int			index = implementation_index(key_len);
	const AesImplementation *implementation;
	int			ok;

	implementation = index < 0 ? NULL : get_implementation(index);
	if (implementation != NULL && implementation == cipher->implementation)
		ok = init_function(implementation, direction)
			(cipher->context, key, key_len, NULL, 0, NULL);
	else
	{
		unsigned int padding = 0;
		OSSL_PARAM	no_padding[2];

		unkey(cipher);
		if (implementation == NULL)
			return index < 0 ? CRYPTO_BAD_LENGTH : crypto_library_failure();
		cipher->context = implementation->new_context(implementation->provider_context);
		if (cipher->context == NULL)
			return CRYPTO_NO_MEMORY;
		cipher->implementation = implementation;

		/* The context keeps this setting when it is keyed again. */
		no_padding[0] = OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_PADDING, &padding);
		no_padding[1] = OSSL_PARAM_construct_end();
		ok = init_function(implementation, direction)
			(cipher->context, key, key_len, NULL, 0, no_padding);
	}

	if (!ok)
	{
		unkey(cipher);
		return crypto_library_failure();
	}
	return CRYPTO_OK;
}

CryptoStatus
aes_cipher_run(AesCipher *cipher, const uint8_t *in, uint8_t *out, size_t len)
{
	size_t		written;

	if (len % AES_BLOCK_SIZE != 0)
		return CRYPTO_BAD_LENGTH;
	if (len == 0)
		return CRYPTO_OK;

	if (cipher->implementation == NULL)
	{
		ERR_raise(ERR_LIB_EVP, EVP_R_NO_KEY_SET);
		return CRYPTO_LIBRARY;
	}
	if (!cipher->implementation->run(cipher->context, out, &written, len, in, len) ||
		written != len)
		return CRYPTO_LIBRARY;
	return CRYPTO_OK;
}

void
aes_cipher_free(AesCipher *cipher)
{
	if (cipher == NULL)
		return;
	unkey(cipher);
	OPENSSL_free(cipher);
}
