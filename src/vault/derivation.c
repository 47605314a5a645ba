/*
 * derivation.c
 *	  Deriving keys from wrapped keys: joins, multicast, FUOTA, relay.
 *
 * Invariants:
 * - Derived keys are in secure memory until they are wrapped, and wiped on every way out.
 *	 The keys that they are derived from do not stay in an AES context either, unless they
 *	 are cached.
 * - Privileges are checked first, so that a role that lacks one learns nothing about keys
 *   or frames.
 * - Whatever is wrong with the frames of a join, the error is the same.
 * - A derived key is bound if the DevAddr is known, and a bound key derives only keys for
 *   its own DevAddr.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "derivation.h"
#include "kek.h"
#include "key_cache.h"
#include "wrapping.h"

/*
 * Whether the role may derive from keys under the KEK, and put the derived keys under this
 * label, whose own privilege vault_require_wrap() checks.
 */
static void
require_derive(Kek *kek, const char *label)
{
	access_require_memo(&kek->access, kek->row.label, KEK_DERIVE);
	if (strcmp(kek->row.label, label) != 0)
		access_require_memo(&kek->access, kek->row.label, KEK_UNWRAP);
}

/* Checks the privileges on a key to derive from that is borrowed later. */
static void
require_derive_later(const WrappedKey *parent, const char *label)
{
	Kek		   *kek;

	kek_accept_changes();
	kek = kek_find(parent->kek_id);
	/* If it is unknown, borrowing the key raises the error. */
	if (kek != NULL)
		require_derive(kek, label);
}

/* Borrows the key to derive from. */
static VaultKey
borrow_parent(const WrappedKey *parent, const char *label)
{
	VaultKey	key = vault_borrow_key(parent, KEK_DERIVE);

	require_derive(key.entry->kek, label);
	if (key.key_size != LORAWAN_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_LENGTH),
				 errmsg("wrapped key is not a LoRaWAN key"),
				 errdetail("A LoRaWAN key has %d bytes.  The key is wrapped with KEK label \"%s\" version %d.",
						   LORAWAN_KEY_SIZE, key.kek_label, key.kek_version)));
	return key;
}

static void
check_binding(const VaultKey *key, const uint8 *dev_addr)
{
	if (key->dev_addr != NULL && memcmp(key->dev_addr, dev_addr, LORAWAN_DEV_ADDR_SIZE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_CONTEXT),
				 errmsg("wrapped key is bound to another DevAddr"),
				 errdetail("It is wrapped with KEK label \"%s\" version %d.",
						   key->kek_label, key->kek_version),
				 errhint("Check that the key and the DevAddr are of the same session.")));
}

static void
check_status(CryptoStatus status)
{
	if (status == CRYPTO_INTEGRITY)
		ereport(ERROR,
				(errcode(ERRCODE_JOIN_MISMATCH),
				 errmsg("join-accept does not fit the key and the request"),
				 errdetail("The key, the request or the join-accept is another device's or another join's, or was changed.")));
	require_crypto_ok(status, "derive a key");
}

struct varlena *
vault_derive(const WrappedKey *parent, const uint8 block[AES_BLOCK_SIZE],
			 const uint8 *dev_addr, const char *label)
{
	uint8	   *secret = secure_alloc_or_raise(LORAWAN_KEY_SIZE);
	struct varlena *value;

	PG_TRY();
	{
		VaultKey	key;
		const uint8 *keys[] = {secret};

		vault_require_wrap(label);
		key = borrow_parent(parent, label);
		if (dev_addr != NULL)
			check_binding(&key, dev_addr);
		check_status(lorawan_derive(vault_key_cipher(&key), block, secret));
		vault_wrap_derived(label, keys, lengthof(keys), LORAWAN_KEY_SIZE,
						   dev_addr != NULL ? dev_addr : key.dev_addr, &value);
		vault_release();
	}
	PG_FINALLY();
	{
		secure_free(secret);
		vault_wipe_key_cipher();
	}
	PG_END_TRY();
	return value;
}

/* Wraps the session keys of a join, and gives back the key that is borrowed. */
static void
finish_join(const LorawanJoin *join, bool is_1_1, const char *label, VaultJoin *result)
{
	const uint8 *keys[] = {
		join->keys[LORAWAN_F_NWK_S_INT_KEY], join->keys[LORAWAN_APP_S_KEY],
		join->keys[LORAWAN_S_NWK_S_INT_KEY], join->keys[LORAWAN_NWK_S_ENC_KEY]
	};

	memset(result, 0, sizeof(*result));
	result->accept = join->accept;
	vault_wrap_derived(label, keys, is_1_1 ? 4 : 2, LORAWAN_KEY_SIZE, join->accept.dev_addr,
					   result->keys + LORAWAN_F_NWK_S_INT_KEY);
	vault_release();
}

void
vault_join_1_0(const WrappedKey *app_key, LorawanFrame request,
			   LorawanFrame accept, const char *label, VaultJoin *result)
{
	LorawanJoin *join = secure_alloc_or_raise(sizeof(LorawanJoin));

	PG_TRY();
	{
		VaultKey	key;

		vault_require_wrap(label);
		key = borrow_parent(app_key, label);
		check_status(lorawan_join_1_0(vault_key_cipher(&key), request, accept, join));
		check_binding(&key, join->accept.dev_addr);
		finish_join(join, false, label, result);
	}
	PG_FINALLY();
	{
		secure_free(join);
		vault_wipe_key_cipher();
	}
	PG_END_TRY();
}

void
vault_join_1_1(const WrappedKey *nwk_key, const WrappedKey *app_key,
			   LorawanFrame request, const uint8 *join_eui,
			   LorawanFrame accept, const char *label, VaultJoin *result)
{
	LorawanJoin *join = secure_alloc_or_raise(sizeof(LorawanJoin));

	PG_TRY();
	{
		VaultKey	key;

		vault_require_wrap(label);
		require_derive_later(app_key, label);
		key = borrow_parent(nwk_key, label);
		check_status(lorawan_join_1_1(vault_key_cipher(&key), request, join_eui, accept, join));
		check_binding(&key, join->accept.dev_addr);
		key = borrow_parent(app_key, label);
		check_binding(&key, join->accept.dev_addr);
		check_status(lorawan_join_app_s_key(vault_key_cipher(&key), join));
		finish_join(join, true, label, result);
	}
	PG_FINALLY();
	{
		secure_free(join);
		vault_wipe_key_cipher();
	}
	PG_END_TRY();
}
