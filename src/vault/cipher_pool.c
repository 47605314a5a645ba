/*
 * cipher_pool.c
 *	  Keyed AES contexts, for the keys that are used most.
 *
 * A context keyed with a key saves keying one for each row (25 ns), but takes
 * several times the memory of the key: beyond some hundreds of them, waiting
 * for memory was measured to cost more than it saves.  So there are few, which go
 * round among the owners of keys; who has none has the shared one keyed for each use.
 *
 * Invariants:
 * - A cipher of the pool has one owner, which notes the cipher's number as its
 *   slot; it is keyed with the owner's key when it becomes its own.
 * - The shared one is keyed anew each time that it is asked for.
 * - What OpenSSL derives from a key is in its own memory, wiped when keyed anew
 *   or freed.
 * - The ciphers of the pool are in the statistics' bytes.
 *
 * The limit on memory is on keys and ciphers together; the cache sees to it before it asks
 * for one more cipher.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "cache_stats.h"
#include "cipher_pool.h"

/* Of so many uses of the shared cipher, one may take over another's. */
#define TAKEOVER_INTERVAL 16

CipherPool	cipher_pool;

static CipherSlot *owners[CIPHER_POOL_SIZE];

/* The hand that looks for a cipher to take over. */
static uint32 hand = 0;
static uint32 uses_without_cipher = 0;

static AesCipher *shared_cipher = NULL;

static void
give_cipher(CipherSlot slot, CipherSlot *owner)
{
	owners[slot] = owner;
	*owner = slot;
}

/* The last one takes the number of the one that leaves. */
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

/* Out of the way of the shared cipher, which many keys have keyed for each row. */
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
 * Takes the cipher of an owner that had no use of it since the hand last came
 * by.  Tried only now and then, so that many keys, each used seldom, do not make
 * the ciphers go round for nothing.
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
	require_crypto_ok(aes_cipher_set_key(shared_cipher, key, key_size, AES_ENCRYPT),
					  "key a cipher");
	return shared_cipher;
}

void
cipher_pool_wipe_shared(void)
{
	aes_cipher_free(shared_cipher);
	shared_cipher = NULL;
}
