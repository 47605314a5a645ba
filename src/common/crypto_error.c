/*
 * crypto_error.c
 *	  Errors for the status that functions of src/crypto and src/lorawan return, and
 *	  memory for keys.
 *
 * Invariant: a lack of memory is always PostgreSQL's error out_of_memory, whether
 * OpenSSL or the system had none, so that clients can tell it from other failures.
 */
#include "postgres.h"

#include "../crypto/secure_memory.h"
#include "crypto_error.h"
#include "errors.h"

void
crypto_error(CryptoStatus status, const char *what)
{
	if (status == CRYPTO_NO_MEMORY)
		(void) check_allocated(NULL);
	elog(ERROR, "could not %s: crypto status %d", what, status);
}

void
random_key_bytes(void *buffer, size_t size)
{
	if (!secure_random(buffer, size))
		crypto_error(crypto_library_failure(), "generate random bytes");
}

static void
warn_of_unlocked_memory(void)
{
	ereport(WARNING,
			(errmsg("memory of keys could not be locked"),
			 errdetail("Keys of this session may be written to swap space."),
			 errhint("Raise the limit on locked memory of the server (LimitMEMLOCK= of its systemd unit) or lower key_vault.cache_size.")));
}

void *
secure_alloc_or_raise(size_t size)
{
	static bool warned = false;
	void	   *piece = check_allocated(secure_alloc(size));

	if (unlikely(!secure_memory_is_locked()) && !warned)
	{
		warned = true;
		PG_TRY();
		{
			warn_of_unlocked_memory();
		}
		PG_CATCH();
		{
			secure_free(piece);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	return piece;
}
