/*
 * cipher_pool.c
 *	  AES contexts that stay keyed, for the keys that are used most.
 *
 * If a context is keyed already, a row takes 25 ns less.  But a context needs several
 * times the memory of the key: with more than some hundreds of them, the processor waits
 * longer for memory than keying takes, as was measured.  So the pool has a limited
 * number, which pass from keys that are not used to keys that are.  All other keys use
 * one shared context, which is keyed for each use.
 *
 * A key's owner is the place where the user of this file remembers which context is its
 * own (a CipherSlot).
 *
 * Invariants:
 * - A context of the pool has one owner, and is keyed with the owner's key when it
 *   becomes the owner's.
 * - The shared context is keyed anew at each use.
 * - What OpenSSL computes from a key is in OpenSSL's memory; OpenSSL wipes it when the
 *   context is keyed anew or freed.
 * - The bytes of the statistics include the contexts of the pool.
 *
 * The limit on memory is for keys and contexts together.  The cache makes room before it
 * asks for another context.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "cache_stats.h"
#include "cipher_pool.h"

/* One of this number of uses of the shared context may take over the context of another key. */
#define TAKEOVER_INTERVAL 16

CipherPool	cipher_pool;

static CipherSlot *owners[CIPHER_POOL_SIZE];

/* The hand of a clock: the slot at which the next search for a context to take over begins. */
static uint32 hand = 0;
static uint32 uses_without_cipher = 0;

static AesCipher *shared_cipher = NULL;
static bool shared_has_key = false;

static void
give_cipher(CipherSlot slot, CipherSlot *owner)
{
	owners[slot] = owner;
	*owner = slot;
}

/* The last context of the pool gets the number of the one that is dropped. */
void
cipher_pool_drop(CipherSlot *owner)
{
	CipherSlot	slot = *owner;
	CipherSlot	last;

	if (slot == NO_CIPHER)
		return;
	aes_cipher_free(cipher_pool.ciphers[slot]);
	last = --cipher_pool.n_ciphers;
	cipher_pool.ciphers[slot] = cipher_pool.ciphers[last];
	cipher_pool.used[slot] = cipher_pool.used[last];
	give_cipher(slot, owners[last]);
	*owner = NO_CIPHER;
	key_cache_stats->bytes -= AES_CIPHER_FOOTPRINT;
}

/* The function is not inlined, so that its callers stay fast when they use the shared context. */
static pg_noinline AesCipher *
key_own_cipher(CipherSlot *owner, const uint8 *key, size_t key_size)
{
	AesCipher  *cipher = cipher_pool_use(*owner);
	CryptoStatus status = aes_cipher_set_key(cipher, key, key_size, AES_ENCRYPT);

	if (status != CRYPTO_OK)
	{
		cipher_pool_drop(owner);
		crypto_error(status, "key a cipher");
	}
	return cipher;
}

AesCipher *
cipher_pool_add(CipherSlot *owner, const uint8 *key, size_t key_size)
{
	cipher_pool.ciphers[cipher_pool.n_ciphers] = check_allocated(aes_cipher_new());
	give_cipher(cipher_pool.n_ciphers++, owner);
	key_cache_stats->bytes += AES_CIPHER_FOOTPRINT;
	return key_own_cipher(owner, key, key_size);
}

/*
 * Takes over the context at the hand, if its owner has not used it since the hand was here
 * before.  This is tried only once in TAKEOVER_INTERVAL uses, so that many keys, each of
 * which is used seldom, do not take contexts from each other.
 */
static bool
take_over(CipherSlot *owner)
{
	if (++uses_without_cipher % TAKEOVER_INTERVAL != 0 || cipher_pool.n_ciphers == 0)
		return false;
	hand = (hand + 1) % cipher_pool.n_ciphers;
	if (cipher_pool.used[hand])
	{
		cipher_pool.used[hand] = false;
		return false;
	}
	*owners[hand] = NO_CIPHER;
	give_cipher(hand, owner);
	return true;
}

AesCipher *
cipher_pool_get(CipherSlot *owner, bool may_own, const uint8 *key, size_t key_size)
{
	if (may_own && take_over(owner))
		return key_own_cipher(owner, key, key_size);

	if (shared_cipher == NULL)
		shared_cipher = check_allocated(aes_cipher_new());
	shared_has_key = true;
	require_crypto_ok(aes_cipher_set_key(shared_cipher, key, key_size, AES_ENCRYPT),
					  "key a cipher");
	return shared_cipher;
}

void
cipher_pool_unkey_shared(void)
{
	static const uint8 no_key[16];

	if (!shared_has_key)
		return;
	shared_has_key = false;
	/* If this fails, the context has no key either. */
	(void) aes_cipher_set_key(shared_cipher, no_key, sizeof(no_key), AES_ENCRYPT);
}

void
cipher_pool_wipe_shared(void)
{
	shared_has_key = false;
	aes_cipher_free(shared_cipher);
	shared_cipher = NULL;
}
