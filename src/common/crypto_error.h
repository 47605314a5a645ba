/*
 * crypto_error.h
 *	  Errors for what the crypto storey answers, and memory for keys.
 */
#ifndef CRYPTO_ERROR_H
#define CRYPTO_ERROR_H

#include "postgres.h"

#include "../crypto/crypto_status.h"

/*
 * Raises, for any status but CRYPTO_OK: out_of_memory for CRYPTO_NO_MEMORY, an
 * internal error for the others.  what completes the words "could not ...".
 */
extern void crypto_error(CryptoStatus status, const char *what) pg_attribute_noreturn();

static inline void
require_crypto_ok(CryptoStatus status, const char *what)
{
	if (unlikely(status != CRYPTO_OK))
		crypto_error(status, what);
}

/* Random bytes fit for keys, or an error. */
extern void random_key_bytes(void *buffer, size_t size);

/*
 * Memory as secure_alloc() gives it, or an error.  Warns the session once where
 * such memory could not be locked.
 */
extern void *secure_alloc_or_raise(size_t size);

#endif							/* CRYPTO_ERROR_H */
