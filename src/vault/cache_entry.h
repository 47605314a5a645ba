/*
 * cache_entry.h
 *	  One unwrapped key of the key cache.
 *
 * A session key, of 16 bytes, is in the entry itself, and so are the bytes that it was
 * unwrapped from.  Such an entry is one line of the processor's caches, and a hit reads no
 * other.  Keys of other lengths are in a piece of memory of their own.
 *
 * Entries and pieces are in secure memory.
 */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H

#include "postgres.h"

#include "../catalog/wrapped_key.h"
#include "../crypto/secure_memory.h"
#include "cipher_pool.h"
#include "kek.h"

/* What an entry has.  The first two forms say which algorithm and which length. */
typedef enum EntryForm
{
	ENTRY_FREE,					/* nothing: all bytes are zero */
	ENTRY_SESSION_KEY,			/* WRAP_AES_KW, a key of 16 bytes */
	ENTRY_BOUND_SESSION_KEY,	/* WRAP_AES_KW_BOUND, a key of 16 bytes */
	ENTRY_OTHER_KEY				/* all others */
} EntryForm;

/* The sizes of the wrapped bytes of session keys. */
#define WRAPPED_SESSION_KEY_SIZE (LORAWAN_KEY_SIZE + KEY_WRAP_OVERHEAD)
#define WRAPPED_BOUND_SESSION_KEY_SIZE (KEY_CONTEXT_SIZE + WRAPPED_SESSION_KEY_SIZE)

/* A key that is not a session key. */
typedef struct OtherKey
{
	uint16		wrapped_size;
	uint16		key_size;
	uint8		algorithm;		/* WrapAlgorithm */
	uint8		data[FLEXIBLE_ARRAY_MEMBER];	/* the wrapped bytes, the
												 * context if bound, the key */
} OtherKey;

typedef struct CacheEntry
{
	Kek		   *kek;			/* that unwrapped it */
	union
	{
		uint8		wrapped[WRAPPED_BOUND_SESSION_KEY_SIZE];	/* of a session key */
		OtherKey   *other;
	};
	uint8		dev_addr[LORAWAN_DEV_ADDR_SIZE];	/* of a bound session key */
	uint8		key[LORAWAN_KEY_SIZE];	/* a session key */
	CipherSlot	cipher_slot;
	uint8		form;			/* EntryForm */
	bool		is_cached:1;	/* it is in the table */
	bool		used:1;			/* its mark of use: see key_cache.c */
	bool		used_again:1;	/* since it was inserted */
} CacheEntry;

StaticAssertDecl(sizeof(CacheEntry) == SECURE_MEMORY_LINE,
				 "an entry must be one line of the processor's caches");

static inline EntryForm
entry_form_of(const WrappedKey *wrapped_key)
{
	if (wrapped_key->algorithm == WRAP_AES_KW &&
		wrapped_key->wrapped_size == WRAPPED_SESSION_KEY_SIZE)
		return ENTRY_SESSION_KEY;
	if (wrapped_key->algorithm == WRAP_AES_KW_BOUND &&
		wrapped_key->wrapped_size == WRAPPED_BOUND_SESSION_KEY_SIZE)
		return ENTRY_BOUND_SESSION_KEY;
	return ENTRY_OTHER_KEY;
}

/*
 * Whether the entry was unwrapped from exactly this wrapped key, whose form is given:
 * whether algorithm, length, kek_id and every wrapped byte are the same.
 */
static inline bool
entry_matches(const CacheEntry *entry, EntryForm form, const WrappedKey *wrapped_key)
{
	if (entry->form != form)
		return false;
	if (unlikely(form == ENTRY_OTHER_KEY))
	{
		const OtherKey *other = entry->other;

		return other->algorithm == wrapped_key->algorithm &&
			other->wrapped_size == wrapped_key->wrapped_size &&
			memcmp(other->data, wrapped_key->wrapped, other->wrapped_size) == 0 &&
			memcmp(&entry->kek->kek_id, wrapped_key->kek_id, UUID_LEN) == 0;
	}

	/* A bound session key has eight more wrapped bytes. */
	return memcmp(entry->wrapped, wrapped_key->wrapped, WRAPPED_SESSION_KEY_SIZE) == 0 &&
		(form == ENTRY_SESSION_KEY ||
		 memcmp(entry->wrapped + WRAPPED_SESSION_KEY_SIZE,
				wrapped_key->wrapped + WRAPPED_SESSION_KEY_SIZE, KEY_CONTEXT_SIZE) == 0) &&
		memcmp(&entry->kek->kek_id, wrapped_key->kek_id, UUID_LEN) == 0;
}

/* The size of a key that is not a session key, in bytes. */
static inline size_t
other_key_size(size_t wrapped_size)
{
	return offsetof(OtherKey, data) + wrapped_size + (wrapped_size - KEY_WRAP_OVERHEAD);
}

/* The wrapped bytes. */
static inline const uint8 *
entry_wrapped(const CacheEntry *entry)
{
	return entry->form == ENTRY_OTHER_KEY ? entry->other->data : entry->wrapped;
}

static inline size_t
entry_key_size(const CacheEntry *entry)
{
	return entry->form == ENTRY_OTHER_KEY ? entry->other->key_size : LORAWAN_KEY_SIZE;
}

static inline bool
entry_is_bound(const CacheEntry *entry)
{
	return entry->form == ENTRY_BOUND_SESSION_KEY ||
		(entry->form == ENTRY_OTHER_KEY && entry->other->algorithm == WRAP_AES_KW_BOUND);
}

static inline const uint8 *
entry_key(const CacheEntry *entry)
{
	if (likely(entry->form != ENTRY_OTHER_KEY))
		return entry->key;
	return entry->other->data + entry->other->wrapped_size +
		(entry->other->algorithm == WRAP_AES_KW_BOUND ? KEY_CONTEXT_SIZE : 0);
}

/* The DevAddr of a bound key. */
static inline const uint8 *
entry_dev_addr(const CacheEntry *entry)
{
	if (likely(entry->form != ENTRY_OTHER_KEY))
		return entry->dev_addr;
	return entry_key(entry) - LORAWAN_DEV_ADDR_SIZE;
}

#endif							/* CACHE_ENTRY_H */
