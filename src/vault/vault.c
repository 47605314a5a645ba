/*
 * vault.c
 *	  The only way to an unwrapped key: for a wrapped key, a caller borrows the key or an
 *	  AES context that is keyed with it.
 *
 * A look-up applies what other sessions have committed, finds the key in the cache or
 * unwraps it, checks the privileges of the current role, and checks the context of a
 * bound key.  All checks are the same for a key in the cache and for one that is not.
 *
 * Invariant: the key was unwrapped from exactly these bytes, with the KEK that they name,
 * and its integrity was checked; and the KEK's state allows unwrapping, by all messages
 * that had arrived when the look-up began.
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "cache_stats.h"
#include "kek.h"
#include "key_cache.h"
#include "vault.h"

static char *
kek_id_text(const pg_uuid_t *kek_id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(kek_id)));
}

/*
 * Raises the error for a failure or, if failure is not NULL, sets it.  So the texts are the
 * same wherever a failure is found.
 */
static void
fail(VaultFailure reason, const WrappedKey *wrapped_key, const Kek *kek,
	 VaultFailure *failure)
{
	const char *label = kek ? kek->row.label : NULL;
	int			version = kek ? kek->row.version : 0;

	key_cache_release();
	if (failure != NULL)
	{
		*failure = reason;
		return;
	}

	switch (reason)
	{
		case VAULT_OK:
			break;
		case VAULT_KEK_UNKNOWN:
			ereport(ERROR,
					(errcode(ERRCODE_KEK_UNKNOWN),
					 errmsg("KEK %s of the wrapped key is unknown here",
							kek_id_text(wrapped_key->kek_id)),
					 errhint("Restore the row of key_vault.kek from the database that the key was wrapped in.")));
			break;
		case VAULT_KEK_SUSPENDED:
			ereport(ERROR,
					(errcode(ERRCODE_KEK_SUSPENDED),
					 errmsg("KEK label \"%s\" version %d is suspended", label, version),
					 errhint("Use key_vault.kek_resume() to take it back into use.")));
			break;
		case VAULT_KEK_DESTROYED:
			ereport(ERROR,
					(errcode(ERRCODE_KEK_DESTROYED),
					 errmsg("KEK label \"%s\" version %d is destroyed", label, version),
					 errdetail("Keys that were wrapped with it cannot be unwrapped any more.")));
			break;
		case VAULT_INTEGRITY:
			ereport(ERROR,
					(errcode(ERRCODE_KEY_INTEGRITY),
					 errmsg("wrapped key does not open with KEK label \"%s\" version %d",
							label, version),
					 errdetail("The key was wrapped with another KEK, or the wrapped bytes were changed.")));
			break;
		case VAULT_CONTEXT:
			ereport(ERROR,
					(errcode(ERRCODE_KEY_CONTEXT),
					 errmsg("wrapped key is bound to another DevAddr"),
					 errdetail("It is wrapped with KEK label \"%s\" version %d.", label, version),
					 errhint("Check that the key and the frame are of the same session.")));
			break;
		case VAULT_KEY_LENGTH:
			ereport(ERROR,
					(errcode(ERRCODE_KEY_LENGTH),
					 errmsg("wrapped key is not a LoRaWAN session key"),
					 errdetail("A session key has %d bytes.  The key is wrapped with KEK label \"%s\" version %d.",
							   LORAWAN_KEY_SIZE, label, version)));
			break;
		case VAULT_NOT_PERMITTED:
			break;				/* access_require_memo() raises the error */
	}
}

const char *
vault_failure_name(VaultFailure failure)
{
	static const char *const names[] = {
		[VAULT_OK] = "ok",
		[VAULT_KEK_UNKNOWN] = "KEK unknown",
		[VAULT_KEK_SUSPENDED] = "KEK suspended",
		[VAULT_KEK_DESTROYED] = "KEK destroyed",
		[VAULT_INTEGRITY] = "integrity failure",
		[VAULT_CONTEXT] = "other DevAddr",
		[VAULT_KEY_LENGTH] = "not a session key",
		[VAULT_NOT_PERMITTED] = "not permitted",
	};

	return names[failure];
}

/* Unwraps into a new entry; NULL if the integrity check fails. */
static CacheEntry *
unwrap(const WrappedKey *wrapped_key, Kek *kek)
{
	CacheEntry *entry = key_cache_new(wrapped_key, kek);
	size_t		unwrapped_size = wrapped_key->wrapped_size - KEY_WRAP_OVERHEAD;
	CryptoStatus status;

	if (wrapped_key->algorithm == WRAP_AES_KWP)
		status = kek_unwrap_pad(kek, wrapped_key->wrapped, wrapped_key->wrapped_size,
								key_cache_unwrapped(entry), &unwrapped_size);
	else
		status = kek_unwrap(kek, wrapped_key->wrapped, wrapped_key->wrapped_size,
							key_cache_unwrapped(entry));
	key_cache_stats->unwraps++;

	if (status == CRYPTO_OK && entry->is_bound)
	{
		if (!key_context_is_valid(key_cache_unwrapped(entry)))
			status = CRYPTO_INTEGRITY;
		unwrapped_size -= KEY_CONTEXT_SIZE;
	}
	if (status == CRYPTO_OK)
	{
		entry->key_size = unwrapped_size;
		return entry;
	}

	key_cache_release();
	if (status != CRYPTO_INTEGRITY)
		crypto_error(status, "unwrap a key");
	return NULL;
}

/* Unwraps a key that the cache has once more, and compares. */
static void
verify(const WrappedKey *wrapped_key, CacheEntry *entry)
{
	Kek		   *kek = entry->kek;
	CacheEntry *fresh;
	bool		same;

	if (key_cache_verify_rate < 1.0 &&
		pg_prng_double(&pg_global_prng_state) >= key_cache_verify_rate)
		return;

	fresh = unwrap(wrapped_key, kek);
	same = fresh != NULL && fresh->key_size == entry->key_size &&
		secure_equal(key_cache_unwrapped(fresh), key_cache_unwrapped(entry),
					 entry->key_size + (entry->is_bound ? KEY_CONTEXT_SIZE : 0));
	key_cache_release();
	key_cache_stats->verifications++;
	if (same)
		return;

	key_cache_stats->mismatches++;
	key_cache_flush();
	ereport(LOG,
			(errmsg("key_vault: the key cache held a wrong key for KEK label \"%s\" version %d",
					kek->row.label, kek->row.version)));
	ereport(ERROR,
			(errcode(ERRCODE_CACHE_MISMATCH),
			 errmsg("key cache does not agree with the wrapped key"),
			 errdetail("The key is wrapped with KEK label \"%s\" version %d.  The cache of this session has been emptied.",
					   kek->row.label, kek->row.version),
			 errhint("Report this as a bug of key_vault.  Set key_vault.cache = off until it is mended.")));
}

/*
 * Whether the current role has one of the privileges any_of.  That it has none is an error or,
 * if denial_is_failure, sets *failure.
 */
static inline bool
is_permitted(const WrappedKey *wrapped_key, Kek *kek, KekPrivileges any_of,
			 bool denial_is_failure, VaultFailure *failure)
{
	if (!denial_is_failure)
		access_require_memo(&kek->access, kek->row.label, any_of);
	else if ((access_held_memo(&kek->access, kek->row.label) & any_of) == 0)
	{
		fail(VAULT_NOT_PERMITTED, wrapped_key, kek, failure);
		return false;
	}
	return true;
}

/* All keys are found by this function.  Returns NULL if it has set *failure. */
static CacheEntry *
look_up(const WrappedKey *wrapped_key, KekPrivileges any_of, bool denial_is_failure, bool fill,
		VaultFailure *failure)
{
	CacheEntry *entry = NULL;
	Kek		   *kek;

	key_cache_release();
	kek_accept_changes();

	if (key_cache_mode != KEY_CACHE_OFF)
		entry = key_cache_find(wrapped_key);
	if (entry != NULL)
	{
		if (!is_permitted(wrapped_key, entry->kek, any_of, denial_is_failure, failure))
			return NULL;
		if (unlikely(key_cache_mode == KEY_CACHE_VERIFY))
			verify(wrapped_key, entry);
		return entry;
	}

	kek = kek_find(wrapped_key->kek_id);
	if (kek == NULL)
	{
		fail(VAULT_KEK_UNKNOWN, wrapped_key, NULL, failure);
		return NULL;
	}
	if (!is_permitted(wrapped_key, kek, any_of, denial_is_failure, failure))
		return NULL;
	if (!kek_can_unwrap(kek))
	{
		fail(kek->row.state == KEK_SUSPENDED ? VAULT_KEK_SUSPENDED : VAULT_KEK_DESTROYED,
			 wrapped_key, kek, failure);
		return NULL;
	}
	entry = unwrap(wrapped_key, kek);
	if (entry == NULL)
	{
		fail(VAULT_INTEGRITY, wrapped_key, kek, failure);
		return NULL;
	}
	if (fill && key_cache_mode != KEY_CACHE_OFF)
		key_cache_insert(entry);
	return entry;
}

void
vault_prefetch(const WrappedKey *wrapped_key)
{
	key_cache_prefetch(wrapped_key);
}

AesCipher *
vault_borrow_cipher(const WrappedKey *wrapped_key, KekPrivileges any_of,
					const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
					bool denial_is_failure, VaultFailure *failure)
{
	CacheEntry *entry = look_up(wrapped_key, any_of, denial_is_failure, true, failure);

	if (entry == NULL)
		return NULL;
	if (entry->is_bound && dev_addr != NULL &&
		memcmp(key_cache_dev_addr(entry), dev_addr, LORAWAN_DEV_ADDR_SIZE) != 0)
	{
		fail(VAULT_CONTEXT, wrapped_key, entry->kek, failure);
		return NULL;
	}
	if (entry->key_size != LORAWAN_KEY_SIZE)
	{
		fail(VAULT_KEY_LENGTH, wrapped_key, entry->kek, failure);
		return NULL;
	}
	if (failure != NULL)
		*failure = VAULT_OK;
	return key_cache_cipher(entry);
}

/* Returns false if it has set *failure. */
static bool
borrow_key(const WrappedKey *wrapped_key, KekPrivileges any_of, bool fill,
		   VaultKey *key, VaultFailure *failure)
{
	CacheEntry *entry = look_up(wrapped_key, any_of, false, fill, failure);

	if (entry == NULL)
		return false;
	key->key = key_cache_key(entry);
	key->key_size = entry->key_size;
	key->dev_addr = entry->is_bound ? key_cache_dev_addr(entry) : NULL;
	key->kek_label = entry->kek->row.label;
	key->kek_version = entry->kek->row.version;
	key->entry = entry;
	return true;
}

AesCipher *
vault_key_cipher(const VaultKey *key)
{
	return key_cache_cipher(key->entry);
}

void
vault_wipe_key_cipher(void)
{
	cipher_pool_unkey_shared();
}

VaultKey
vault_borrow_key(const WrappedKey *wrapped_key, KekPrivileges any_of)
{
	VaultKey	key = {0};

	(void) borrow_key(wrapped_key, any_of, false, &key, NULL);
	return key;
}

VaultKey
vault_borrow_cached_key(const WrappedKey *wrapped_key, KekPrivileges any_of)
{
	VaultKey	key = {0};

	(void) borrow_key(wrapped_key, any_of, true, &key, NULL);
	return key;
}

bool
vault_try_borrow_key(const WrappedKey *wrapped_key, KekPrivileges any_of,
					 VaultKey *key, VaultFailure *failure)
{
	return borrow_key(wrapped_key, any_of, false, key, failure);
}

bool
vault_kek_name(const WrappedKey *wrapped_key, VaultKekName *name)
{
	const Kek  *kek;

	kek_accept_changes();
	kek = kek_find(wrapped_key->kek_id);
	if (kek == NULL)
		return false;
	name->label = pstrdup(kek->row.label);
	name->version = kek->row.version;
	return true;
}

void
vault_release(void)
{
	key_cache_release();
}
