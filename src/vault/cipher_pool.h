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
 * The number of a key's own context.  The user of this file keeps it (the owner); the pool
 * changes it when the context gets another owner or another number.
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

/* How many bytes all contexts have to themselves in a cache of this size. */
static inline size_t
cipher_pool_share(size_t cache_bytes)
{
	return Min(cache_bytes / 2, (size_t) CIPHER_POOL_SIZE * AES_CIPHER_FOOTPRINT);
}

/*
 * For an owner that has no context: gives it one of its own, if may_own is true and all
 * contexts fit into max_bytes (one is always allowed), or if it is another owner's who does
 * not use it; otherwise the shared one, which may be used until the next call.
 */
extern AesCipher *cipher_pool_get(CipherSlot *owner, bool may_own, size_t max_bytes,
								  const uint8 *key, size_t key_size);

/* Says that an owner is at another address now. */
extern void cipher_pool_owner_moved(CipherSlot *owner);

/* Wipes and frees an owner's context, if it has one. */
extern void cipher_pool_drop(CipherSlot *owner);

/* Wipes and frees contexts until the others fit into max_bytes. */
extern void cipher_pool_shrink(size_t max_bytes);

extern void cipher_pool_wipe_shared(void);

#endif							/* CIPHER_POOL_H */
