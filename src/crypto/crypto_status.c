/*
 * crypto_status.c
 *	  Whether OpenSSL failed for lack of memory.
 *
 * A function of OpenSSL that fails puts the reason into a queue, and each function
 * that called it may add a reason of its own.  So the whole queue is searched
 * for lack of memory.  Some functions can fail only for lack of memory, and
 * give no reason then: so a failure without any reason counts as lack of
 * memory, too.
 */
#include "crypto_status.h"

#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/evp.h>

/*
 * "Initialization error" is all that EVP says when a provider could not make a
 * context; and making one fails only for lack of memory.
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
