/*
 * crypto_status.h
 *	  What the functions of src/crypto and src/lorawan return.
 *
 * They know nothing of PostgreSQL, so they raise no errors: their callers in other
 * rooms do, after looking at the status.
 */
#ifndef CRYPTO_STATUS_H
#define CRYPTO_STATUS_H

typedef enum CryptoStatus
{
	CRYPTO_OK = 0,
	CRYPTO_INTEGRITY,			/* a check value, a tag or a MIC is wrong */
	CRYPTO_BAD_LENGTH,			/* a length that the algorithm does not take */
	CRYPTO_NO_MEMORY,
	CRYPTO_LIBRARY				/* OpenSSL failed for another reason */
} CryptoStatus;

/*
 * To be called when a function of OpenSSL has failed: returns CRYPTO_NO_MEMORY if
 * it lacked memory, otherwise CRYPTO_LIBRARY.  Empties OpenSSL's error queue.
 */
extern CryptoStatus crypto_library_failure(void);

#endif							/* CRYPTO_STATUS_H */
