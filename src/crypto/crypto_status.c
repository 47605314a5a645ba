/*
 * crypto_status.c
 *	  What a failure of OpenSSL's comes from.
 *
 * OpenSSL puts its reasons into a queue, the first one first; what follows it
 * says where the failure was met, in several words.  So all of the queue is
 * searched for a lack of memory.  Some of its functions give no reason at all
 * when they get no memory, and have no other way to fail: a failure without a
 * reason counts as such.
 */
#include "crypto_status.h"

#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/evp.h>

/*
 * EVP says no more than that it could not initialize where a provider gave it no
 * context, which needs nothing but memory.
 */
static bool
is_lack_of_memory(unsigned long error)
{
	return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ||
		(ERR_GET_LIB(error) == ERR_LIB_EVP &&
		 ERR_GET_REASON(error) == EVP_R_INITIALIZATION_ERROR);
}

CryptoStatus
crypto_library_failure(void)
{
	bool		has_reason = false;
	bool		lacks_memory = false;
	unsigned long error;

	while ((error = ERR_get_error()) != 0)
	{
		has_reason = true;
		lacks_memory |= is_lack_of_memory(error);
	}
	return lacks_memory || !has_reason ? CRYPTO_NO_MEMORY : CRYPTO_LIBRARY;
}
