/*
 * cipher_pool.h
 *	  AES contexts that stay keyed, for the keys that are used most.
 */
#ifndef CIPHER_POOL_H
#define CIPHER_POOL_H

#include "postgres.h"

#include "../crypto/aes.h"

/* The number of contexts that fit into the caches of one processor core. */
#define CIPHER_POOL_SIZE 512

/*
 * The number of a key's own context.  The user of this file keeps it in memory that stays
 * at its address (the owner); the pool changes it when the context gets another owner or
 * another number.
 */
typedef uint16 CipherSlot;

#define NO_CIPHER CIPHER_POOL_SIZE

typedef struct CipherPool
{
	uint32		n_ciphers;
	AesCipher  *ciphers[CIPHER_POOL_SIZE];
	bool		used[CIPHER_POOL_SIZE]; /* since the hand was here */
} CipherPool;

extern CipherPool cipher_pool;

/* The context of a slot that is not NO_CIPHER; it is keyed with its owner's key. */
static inline AesCipher *
cipher_pool_use(CipherSlot slot)
{
	if (!cipher_pool.used[slot])
		cipher_pool.used[slot] = true;
	return cipher_pool.ciphers[slot];
}

/* Whether all contexts fit into max_bytes with one more; one is always allowed. */
static inline bool
cipher_pool_may_grow(size_t max_bytes)
{
	uint32		n = cipher_pool.n_ciphers;

	return n == 0 ||
		(n < CIPHER_POOL_SIZE && (n + 1) * (size_t) AES_CIPHER_FOOTPRINT <= max_bytes);
}

/* Adds a context, for an owner that has none. */
extern AesCipher *cipher_pool_add(CipherSlot *owner, const uint8 *key, size_t key_size);

/*
 * For an owner that has no context: returns the shared one, which may be used until the
 * next call.  If may_own is true, the owner sometimes gets the context of another owner
 * that does not use it.
 */
extern AesCipher *cipher_pool_get(CipherSlot *owner, bool may_own, const uint8 *key,
								  size_t key_size);

/* Wipes and frees an owner's context, if it has one. */
extern void cipher_pool_drop(CipherSlot *owner);

/*
 * Makes the shared context forget its key, which takes less time than to free it and to make
 * another.
 */
extern void cipher_pool_unkey_shared(void);

extern void cipher_pool_wipe_shared(void);

#endif							/* CIPHER_POOL_H */
