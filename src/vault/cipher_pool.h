/*
 * cipher_pool.h
 *	  Keyed AES contexts, for the keys that are used most.
 */
#ifndef CIPHER_POOL_H
#define CIPHER_POOL_H

#include "postgres.h"

#include "../crypto/aes.h"

/* So many keyed contexts fit the caches that a processor core has to itself. */
#define CIPHER_POOL_SIZE 512

/*
 * Which cipher is its own is noted by whoever has the key: in memory that stays
 * where it is, and that the pool writes when another takes the cipher over or
 * its number changes.
 */
typedef uint16 CipherSlot;

#define NO_CIPHER CIPHER_POOL_SIZE

typedef struct CipherPool
{
	uint32		n_ciphers;
	AesCipher  *ciphers[CIPHER_POOL_SIZE];
	bool		used[CIPHER_POOL_SIZE]; /* since the hand came by */
} CipherPool;

extern CipherPool cipher_pool;

/* The cipher of a slot that is not NO_CIPHER, keyed with its owner's key. */
static inline AesCipher *
cipher_pool_use(CipherSlot slot)
{
	if (!cipher_pool.used[slot])
		cipher_pool.used[slot] = true;
	return cipher_pool.ciphers[slot];
}

/* Whether there may be one more cipher; of some bytes for all, one is always allowed. */
static inline bool
cipher_pool_may_grow(size_t max_bytes)
{
	uint32		n = cipher_pool.n_ciphers;

	return n == 0 ||
		(n < CIPHER_POOL_SIZE && (n + 1) * (size_t) AES_CIPHER_FOOTPRINT <= max_bytes);
}

/* One more cipher, for an owner that has none. */
extern AesCipher *cipher_pool_add(CipherSlot *owner, const uint8 *key, size_t key_size);

/*
 * For an owner that has none: the shared cipher, good until the next call, or
 * now and then, if it may own one, that of another that has no use for it.
 */
extern AesCipher *cipher_pool_get(CipherSlot *owner, bool may_own, const uint8 *key,
								  size_t key_size);

/* Wipes and frees an owner's cipher, if it has one. */
extern void cipher_pool_drop(CipherSlot *owner);

extern void cipher_pool_wipe_shared(void);

#endif							/* CIPHER_POOL_H */
