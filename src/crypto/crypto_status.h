/*
 * crypto_status.h
 *	  What the functions of src/crypto and src/lorawan return.
 *
 * They raise no errors, and know nothing of PostgreSQL: the caller turns a status
 * into an error.
 */
#ifndef CRYPTO_STATUS_H
#define CRYPTO_STATUS_H

typedef enum CryptoStatus
{
	CRYPTO_OK = 0,
	CRYPTO_INTEGRITY,			/* a check value or tag does not fit */
	CRYPTO_BAD_LENGTH,			/* a length that the algorithm does not take */
	CRYPTO_NO_MEMORY,
	CRYPTO_LIBRARY				/* OpenSSL refused */
} CryptoStatus;

/*
 * After a call of OpenSSL's that failed: CRYPTO_NO_MEMORY where memory was what
 * it lacked, CRYPTO_LIBRARY otherwise.  Empties OpenSSL's error queue.
 */
extern CryptoStatus crypto_library_failure(void);

#endif							/* CRYPTO_STATUS_H */
