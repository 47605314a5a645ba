/*
 * key_cache.h
 *	  The cache of unwrapped keys.
 */
#ifndef KEY_CACHE_H
#define KEY_CACHE_H

#include "postgres.h"

#include "../catalog/wrapped_key.h"
#include "../crypto/aes.h"
#include "cipher_pool.h"

struct Kek;

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

/*
 * One unwrapped key, in secure memory.  For a session key of 16 bytes that is not bound,
 * the entry is one line of the processor's caches, and a hit reads no other.
 */
typedef struct CacheEntry
{
	struct Kek *kek;			/* that unwrapped it */
	uint32		place;			/* in the clock, if it is cached */
	uint32		uses;			/* without a limit, not counted beyond 2 */
	uint16		wrapped_size;
	uint16		key_size;
	CipherSlot	cipher_slot;
	uint8		used_in;		/* the period, see ghosts.h */
	uint8		algorithm:2;	/* WrapAlgorithm */
	bool		is_bound:1;
	bool		is_cached:1;	/* it was inserted */
	bool		used:1;			/* since the clock's hand was here */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];	/* the wrapped bytes, the
												 * context if bound, the key */
} CacheEntry;

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
 * Makes a new entry, with room for the unwrapped bytes.  The caller writes these at
 * key_cache_unwrapped(), and the size of the key into key_size.  Then it may call
 * key_cache_insert(), which puts the entry into the cache, or decides not to.  An entry
 * that was not inserted is wiped by key_cache_release(), or at the end of the transaction.
 */
extern CacheEntry *key_cache_new(const WrappedKey *wrapped_key, struct Kek *kek);
extern void key_cache_insert(CacheEntry *entry);

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

/* The unwrapped bytes: the context if the key is bound, then the key. */
static inline uint8 *
key_cache_unwrapped(CacheEntry *entry)
{
	return entry->data + entry->wrapped_size;
}

static inline const uint8 *
key_cache_key(const CacheEntry *entry)
{
	return entry->data + entry->wrapped_size + (entry->is_bound ? KEY_CONTEXT_SIZE : 0);
}

static inline const uint8 *
key_cache_dev_addr(const CacheEntry *entry)
{
	return entry->data + entry->wrapped_size + KEY_CONTEXT_SIZE - LORAWAN_DEV_ADDR_SIZE;
}

/* Makes room for another AES context, and gives it to the entry. */
extern AesCipher *key_cache_add_cipher(CacheEntry *entry);

/* An AES context keyed with the entry's key, valid until the cache is called again. */
static inline AesCipher *
key_cache_cipher(CacheEntry *entry)
{
	bool		may_own;

	if (likely(entry->cipher_slot != NO_CIPHER))
		return cipher_pool_use(entry->cipher_slot);

	/* At the first use it is not known whether there will be another. */
	may_own = entry->is_cached && entry->uses >= 2;
	if (may_own && cipher_pool_may_grow((size_t) key_cache_size * 1024 / 2))
		return key_cache_add_cipher(entry);
	return cipher_pool_get(&entry->cipher_slot, may_own, key_cache_key(entry),
						   entry->key_size);
}

#endif							/* KEY_CACHE_H */
