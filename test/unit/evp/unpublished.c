/*
 * unpublished.c
 *	  Hides from aes.c, which asks OSSL_PROVIDER_query_operation(), functions of OpenSSL's
 *	  provider: of each key length others, so that aes.c must use EVP for all of them.
 */
#include <stdbool.h>
#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "check.h"

#define MAX_FUNCTIONS 64

bool		by_evp = true;

extern const OSSL_ALGORITHM *__real_OSSL_PROVIDER_query_operation(const OSSL_PROVIDER *provider,
																  int operation, int *no_cache);
extern const OSSL_ALGORITHM *__wrap_OSSL_PROVIDER_query_operation(const OSSL_PROVIDER *provider,
																  int operation, int *no_cache);

/* Copies the functions but for one. */
static const OSSL_DISPATCH *
without(const OSSL_DISPATCH *functions, int hidden, OSSL_DISPATCH *copy)
{
	int			n = 0;

	for (; functions->function_id != 0 && n < MAX_FUNCTIONS - 1; functions++)
		if (functions->function_id != hidden)
			copy[n++] = *functions;
	memset(&copy[n], 0, sizeof(*copy));
	return copy;
}

const OSSL_ALGORITHM *
__wrap_OSSL_PROVIDER_query_operation(const OSSL_PROVIDER *provider, int operation, int *no_cache)
{
	static OSSL_DISPATCH no_run[MAX_FUNCTIONS];
	static OSSL_DISPATCH no_decrypt[MAX_FUNCTIONS];
	static OSSL_ALGORITHM published[3];
	const OSSL_ALGORITHM *algorithms =
		__real_OSSL_PROVIDER_query_operation(provider, operation, no_cache);
	int			n = 0;

	/* AES-256-ECB is in the list no more. */
	for (; algorithms != NULL && algorithms->algorithm_names != NULL; algorithms++)
	{
		bool		is_128 = strncmp(algorithms->algorithm_names, "AES-128-ECB", 11) == 0;

		if (n == 2 || (!is_128 && strncmp(algorithms->algorithm_names, "AES-192-ECB", 11) != 0))
			continue;
		published[n] = *algorithms;
		published[n].implementation = is_128 ?
			without(algorithms->implementation, OSSL_FUNC_CIPHER_CIPHER, no_run) :
			without(algorithms->implementation, OSSL_FUNC_CIPHER_DECRYPT_INIT, no_decrypt);
		n++;
	}
	memset(&published[n], 0, sizeof(*published));
	return published;
}
