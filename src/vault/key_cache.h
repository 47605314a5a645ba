/*
 * key_cache.h
 *	  The cache of unwrapped keys.
 */
#ifndef KEY_CACHE_H
#define KEY_CACHE_H

#include "postgres.h"

#include "../catalog/wrapped_key.h"
#include "../crypto/aes.h"
#include "cache_entry.h"
#include "cipher_pool.h"

typedef enum KeyCacheMode
{
	KEY_CACHE_OFF,
	KEY_CACHE_ON,
	KEY_CACHE_VERIFY			/* unwrap the key again at a hit, and compare */
} KeyCacheMode;

/* The settings key_vault.cache, cache_size, and so on. */
extern int	key_cache_mode;
extern int	key_cache_size;		/* kB */
extern double key_cache_max_age;	/* seconds; 0: no limit */
extern int	key_cache_max_uses; /* 0: no limit */
extern double key_cache_verify_rate;	/* 0 to 1 */

/* Registers the callbacks at the end of transactions; called once. */
extern void key_cache_init(void);

/* The settings' assign hooks: they wipe keys that the new value does not allow. */
extern void key_cache_assign_mode(int newval, void *extra);
extern void key_cache_assign_size(int newval, void *extra);
extern void key_cache_assign_max_age(double newval, void *extra);
extern void key_cache_assign_max_uses(int newval, void *extra);

/*
 * Asks the processor to load the entry of a wrapped key that will be looked up soon: with
 * thousands of keys, a hit mostly waits for memory.  Nothing else depends on it.
 */
extern void key_cache_prefetch(const WrappedKey *wrapped_key);

/*
 * Finds the entry of a wrapped key, and counts a use; NULL if there is none that may be
 * used.  The pointer is valid until the cache is called again, except for
 * key_cache_cipher().
 */
extern CacheEntry *key_cache_find(const WrappedKey *wrapped_key);

/*
 * Makes a new entry in these steps.  key_cache_new() returns one with room for the unwrapped
 * bytes, which the caller writes at key_cache_unwrapped().  After they were checked,
 * key_cache_complete() makes the entry that of the wrapped key.  Then the caller may call
 * key_cache_insert(), which puts the entry into the cache, or decides not to, and returns
 * where it is then.  An entry that was not inserted is wiped by key_cache_release(), or at
 * the end of the transaction.
 */
extern CacheEntry *key_cache_new(const WrappedKey *wrapped_key, Kek *kek);
extern uint8 *key_cache_unwrapped(CacheEntry *entry, const WrappedKey *wrapped_key);
extern void key_cache_complete(CacheEntry *entry, const WrappedKey *wrapped_key,
							   size_t key_size);
extern CacheEntry *key_cache_insert(CacheEntry *entry);

/* The new entry that was not inserted; NULL if there is none. */
extern CacheEntry *key_cache_uninserted;
extern void key_cache_wipe_uninserted(void);

/* Wipes the new entry that was not inserted, if there is one. */
static inline void
key_cache_release(void)
{
	if (unlikely(key_cache_uninserted != NULL))
		key_cache_wipe_uninserted();
}

/* Wipes all keys. */
extern void key_cache_flush(void);

/* An AES context keyed with the entry's key, valid until the cache is called again. */
static inline AesCipher *
key_cache_cipher(CacheEntry *entry)
{
	if (likely(entry->cipher_slot != NO_CIPHER))
		return cipher_pool_use(entry->cipher_slot);

	/* At the first use it is not known whether there will be another. */
	return cipher_pool_get(&entry->cipher_slot, entry->used_again,
						   cipher_pool_share((size_t) key_cache_size * 1024),
						   entry_key(entry), entry_key_size(entry));
}

#endif							/* KEY_CACHE_H */
