/*
 * key_cache.h
 *	  Unwrapped keys, remembered under the whole wrapped key.
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
	KEY_CACHE_VERIFY			/* unwrap on a hit too, and compare */
} KeyCacheMode;

/* The settings key_vault.cache, .cache_size (kB), .cache_max_age (s), ... */
extern int	key_cache_mode;
extern int	key_cache_size;
extern int	key_cache_max_age;
extern int	key_cache_max_uses;
extern double key_cache_verify_rate;

/*
 * One unwrapped key, in secure memory.  With a session key of 16 bytes that is not
 * bound it is one line of the processor's caches, which is what a hit reads.
 */
typedef struct CacheEntry
{
	struct Kek *kek;			/* what it was unwrapped with */
	uint32		place;			/* in the clock, once it is cached */
	uint32		uses;			/* beyond 2, only while there is a limit */
	uint16		wrapped_size;
	uint16		key_size;
	CipherSlot	cipher_slot;
	uint8		algorithm;		/* WrapAlgorithm */
	bool		is_bound:1;
	bool		is_cached:1;	/* it was inserted */
	bool		used:1;			/* since the clock's hand came by */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];	/* wrapped bytes; context if
												 * bound; key */
} CacheEntry;

/* Registers what wipes keys at the end of transactions; from _PG_init. */
extern void key_cache_init(void);

/* Assign hooks: wipe what the new value does not allow. */
extern void key_cache_assign_mode(int newval, void *extra);
extern void key_cache_assign_size(int newval, void *extra);
extern void key_cache_assign_max_age(int newval, void *extra);
extern void key_cache_assign_max_uses(int newval, void *extra);

/*
 * Asks the processor to fetch the entry of a wrapped key that will be looked for
 * soon: with thousands of keys the wait for memory is much of what a hit
 * costs.  A hint, nothing depends on it.
 */
extern void key_cache_prefetch(const WrappedKey *wrapped_key);

/*
 * The entry of a wrapped key, NULL when there is none that may be used; counts a use.  Good
 * until the cache is called again, key_cache_cipher() excepted.
 */
extern CacheEntry *key_cache_find(const WrappedKey *wrapped_key);

/*
 * A new entry, with room for the unwrapped bytes.  The caller writes them at
 * key_cache_unwrapped(), and the size of the key in key_size.  The entry is wiped by
 * key_cache_release(), or at the end of the transaction at the latest, unless
 * key_cache_insert() is called; that may decide not to insert it.
 */
extern CacheEntry *key_cache_new(const WrappedKey *wrapped_key, struct Kek *kek);
extern void key_cache_insert(CacheEntry *entry);

/* The new entry that was not inserted; NULL when there is none. */
extern CacheEntry *key_cache_uninserted;
extern void key_cache_wipe_uninserted(void);

static inline void
key_cache_release(void)
{
	if (unlikely(key_cache_uninserted != NULL))
		key_cache_wipe_uninserted();
}

/* Wipes everything. */
extern void key_cache_flush(void);

/* What came out of the unwrapping: the context of a bound key, then the key. */
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

/* Makes room for one more cipher, which is the entry's from then on. */
extern AesCipher *key_cache_add_cipher(CacheEntry *entry);

/* A context keyed with the entry's key; good until the cache is called again. */
static inline AesCipher *
key_cache_cipher(CacheEntry *entry)
{
	bool		may_own;

	if (likely(entry->cipher_slot != NO_CIPHER))
		return cipher_pool_use(entry->cipher_slot);

	/* The first use may well be the only one. */
	may_own = entry->is_cached && entry->uses >= 2;
	if (may_own && cipher_pool_may_grow((size_t) key_cache_size * 1024 / 2))
		return key_cache_add_cipher(entry);
	return cipher_pool_get(&entry->cipher_slot, may_own, key_cache_key(entry),
						   entry->key_size);
}

#endif							/* KEY_CACHE_H */
