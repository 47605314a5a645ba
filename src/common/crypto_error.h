/*
 * crypto_error.h
 *	  Errors for the status that functions of src/crypto and src/lorawan return, and
 *	  memory for keys.
 */
#ifndef CRYPTO_ERROR_H
#define CRYPTO_ERROR_H

#include "postgres.h"

#include "../crypto/crypto_status.h"

/*
 * Raises an error for a status that is not CRYPTO_OK: out_of_memory for
 * CRYPTO_NO_MEMORY, an internal error for the others.  The message is "could not",
 * followed by what.
 */
extern void crypto_error(CryptoStatus status, const char *what);

static inline void
require_crypto_ok(CryptoStatus status, const char *what)
{
	if (unlikely(status != CRYPTO_OK))
		crypto_error(status, what);
}

/* Fills the buffer with random bytes fit for keys, or raises an error. */
extern void random_key_bytes(void *buffer, size_t size);

/*
 * Does what secure_alloc() does, but raises an error if there is no memory.  If such
 * memory cannot be locked, the session gets one warning.
 */
extern void *secure_alloc_or_raise(size_t size);

#endif							/* CRYPTO_ERROR_H */
