/*
 * wrapping.c
 *	  Wrapping keys with KEKs, and moving them from one KEK to another.
 *
 * Invariants:
 * - Keys in the clear are wiped from the buffers of this file on every way out, also
 *   after an error.
 * - The KEK that wraps is always the active one of its label; the key's length, and
 *   whether it is bound, decide about the algorithm.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "../catalog/unknown_label.h"
#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/secure_memory.h"
#include "kek.h"
#include "wrapping.h"

/* The active KEK of a label, if the current role has one of the privileges any_of. */
static Kek *
wrapping_kek(const char *label, KekPrivileges any_of)
{
	Kek		   *kek = kek_find_active(label);

	if (kek != NULL)
	{
		access_require_memo(&kek->access, label, any_of);
		return kek;
	}

	access_require(label, any_of);
	require_label_exists(label, "The view key_vault.keks lists the labels.  Use key_vault.kek_create() or key_vault.kek_import() to make one.");
	ereport(ERROR,
			(errcode(ERRCODE_KEK_NOT_ACTIVE),
			 errmsg("KEK label \"%s\" has no active version", label),
			 errhint("Use key_vault.kek_rotate() to make one, or key_vault.kek_resume() where it is suspended.")));
}

static void
check_key_size(int64 key_size)
{
	if (key_size < 1 || key_size > KEY_WRAP_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must have 1 to %d bytes, not " INT64_FORMAT,
						KEY_WRAP_MAX_KEY, key_size)));
}

static bool
fits_aes_kw(size_t key_size)
{
	return key_size >= 16 && key_size % 8 == 0;
}

static void
check_wrap_status(CryptoStatus status)
{
	require_crypto_ok(status, "wrap a key");
}

/*
 * Wraps keys of one length, and binds them to a DevAddr.  The keys may point into the cache,
 * which is not called here.
 */
static void
wrap_bound_with(Kek *kek, const uint8 *const *keys, size_t n_keys, size_t key_size,
				const uint8 *dev_addr, struct varlena **values)
{
	uint8		context[KEY_CONTEXT_SIZE];
	uint8	   *wrapped[KEY_WRAP_MAX_SET];

	if (!fits_aes_kw(key_size) || KEY_CONTEXT_SIZE + key_size > KEY_WRAP_MAX_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_LENGTH),
				 errmsg_plural("a key of %zu byte cannot be bound to a DevAddr",
							   "a key of %zu bytes cannot be bound to a DevAddr",
							   key_size, key_size),
				 errdetail("A bound key has a length of a multiple of 8 bytes, 16 at least.")));
	for (size_t i = 0; i < n_keys; i++)
		values[i] = wrapped_key_make(WRAP_AES_KW_BOUND, &kek->kek_id,
									 KEY_CONTEXT_SIZE + key_size + KEY_WRAP_OVERHEAD,
									 &wrapped[i]);
	key_context_from_dev_addr(dev_addr, context);
	check_wrap_status(kek_wrap_set(kek, context, KEY_CONTEXT_SIZE, keys, n_keys, key_size,
								   wrapped));
}

/* Wraps a key, which may point into the cache. */
static struct varlena *
wrap_with(Kek *kek, const uint8 *key, size_t key_size, const uint8 *dev_addr)
{
	struct varlena *value;
	uint8	   *wrapped;
	CryptoStatus status;

	if (dev_addr != NULL)
	{
		wrap_bound_with(kek, &key, 1, key_size, dev_addr, &value);
		return value;
	}
	if (fits_aes_kw(key_size))
	{
		value = wrapped_key_make(WRAP_AES_KW, &kek->kek_id,
								 key_size + KEY_WRAP_OVERHEAD, &wrapped);
		status = kek_wrap(kek, key, key_size, wrapped);
	}
	else
	{
		value = wrapped_key_make(WRAP_AES_KWP, &kek->kek_id,
								 KEY_WRAP_PAD_SIZE(key_size), &wrapped);
		status = kek_wrap_pad(kek, key, key_size, wrapped);
	}
	check_wrap_status(status);
	return value;
}

struct varlena *
vault_wrap(const char *label, const uint8 *key, size_t key_size,
		   const uint8 *dev_addr)
{
	check_key_size(key_size);
	kek_accept_changes();
	return wrap_with(wrapping_kek(label, KEK_WRAP), key, key_size, dev_addr);
}

void
vault_wrap_derived(const char *label, const uint8 *const *keys, size_t n_keys, size_t key_size,
				   const uint8 *dev_addr, struct varlena **values)
{
	Kek		   *kek = wrapping_kek(label, KEK_WRAP);

	if (dev_addr != NULL)
		wrap_bound_with(kek, keys, n_keys, key_size, dev_addr, values);
	else
		for (size_t i = 0; i < n_keys; i++)
			values[i] = wrap_with(kek, keys[i], key_size, NULL);
}

void
vault_require_wrap(const char *label)
{
	kek_accept_changes();
	(void) wrapping_kek(label, KEK_WRAP);
}

struct varlena *
vault_generate(const char *label, int32 key_size)
{
	uint8		key[KEY_WRAP_MAX_KEY];
	Kek		   *kek;
	struct varlena *value;

	check_key_size(key_size);
	kek_accept_changes();
	kek = wrapping_kek(label, KEK_WRAP);
	PG_TRY();
	{
		random_key_bytes(key, key_size);
		value = wrap_with(kek, key, key_size, NULL);
	}
	PG_FINALLY();
	{
		secure_wipe(key, key_size);
	}
	PG_END_TRY();
	return value;
}

/*
 * Wraps a borrowed key.  If this KEK has wrapped it before, the bytes are the same, since
 * AES-KW is deterministic.
 */
static struct varlena *
wrap_borrowed(const VaultKey *key, Kek *kek, const uint8 *dev_addr)
{
	struct varlena *value = wrap_with(kek, key->key, key->key_size, dev_addr);

	vault_release();
	return value;
}

struct varlena *
vault_rewrap(const WrappedKey *wrapped_key)
{
	VaultKey	key = vault_borrow_key(wrapped_key, KEK_REWRAP);

	return wrap_borrowed(&key, wrapping_kek(key.kek_label, KEK_REWRAP), key.dev_addr);
}

struct varlena *
vault_try_rewrap(const WrappedKey *wrapped_key, VaultFailure *failure)
{
	VaultKey	key;

	if (!vault_try_borrow_key(wrapped_key, KEK_REWRAP, &key, failure))
		return NULL;
	return wrap_borrowed(&key, wrapping_kek(key.kek_label, KEK_REWRAP), key.dev_addr);
}

pg_uuid_t
vault_rewrap_target(const char *label)
{
	kek_accept_changes();
	return wrapping_kek(label, KEK_REWRAP)->kek_id;
}

struct varlena *
vault_rewrap_to(const WrappedKey *wrapped_key, const char *label)
{
	VaultKey	key = vault_borrow_key(wrapped_key, KEK_UNWRAP);

	return wrap_borrowed(&key, wrapping_kek(label, KEK_WRAP), key.dev_addr);
}

struct varlena *
vault_bind(const WrappedKey *wrapped_key, const uint8 *dev_addr)
{
	VaultKey	key = vault_borrow_key(wrapped_key, KEK_REWRAP);

	if (key.dev_addr != NULL && memcmp(key.dev_addr, dev_addr, LORAWAN_DEV_ADDR_SIZE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_CONTEXT),
				 errmsg("wrapped key is bound to another DevAddr already"),
				 errdetail("It is wrapped with KEK label \"%s\" version %d.",
						   key.kek_label, key.kek_version)));
	return wrap_borrowed(&key, wrapping_kek(key.kek_label, KEK_REWRAP), dev_addr);
}

bytea *
vault_export(const WrappedKey *wrapped_key, const char *transport_label)
{
	VaultKey	key = vault_borrow_key(wrapped_key, KEK_UNWRAP);
	Kek		   *kek = wrapping_kek(transport_label, KEK_WRAP);
	bytea	   *encrypted_key;

	if (!fits_aes_kw(key.key_size))
		ereport(ERROR,
				(errcode(ERRCODE_KEY_LENGTH),
				 errmsg_plural("a key of %zu byte cannot be put into a key envelope",
							   "a key of %zu bytes cannot be put into a key envelope",
							   key.key_size, key.key_size),
				 errdetail("A key envelope is AES-KW (RFC 3394), which takes multiples of 8 bytes, 16 at least.")));
	encrypted_key = palloc(VARHDRSZ + key.key_size + KEY_WRAP_OVERHEAD);
	SET_VARSIZE(encrypted_key, VARHDRSZ + key.key_size + KEY_WRAP_OVERHEAD);
	check_wrap_status(kek_wrap(kek, key.key, key.key_size,
							   (uint8 *) VARDATA(encrypted_key)));
	vault_release();
	return encrypted_key;
}

/* Whether AES-KW can make an encrypted key of this size, which is the key's plus 8. */
static bool
is_envelope_size(size_t encrypted_size)
{
	return encrypted_size <= KEY_WRAP_MAX_KEY + KEY_WRAP_OVERHEAD &&
		encrypted_size >= KEY_WRAP_OVERHEAD &&
		fits_aes_kw(encrypted_size - KEY_WRAP_OVERHEAD);
}

/* The KEK, among a label's rows, that has wrapped the key; NULL if it is none of them. */
static Kek *
kek_of_envelope(const List *rows, const uint8 *encrypted_key,
				size_t encrypted_size, uint8 *key)
{
	ListCell   *cell;

	foreach(cell, rows)
	{
		KekRow	   *row = lfirst(cell);
		Kek		   *kek = kek_find(&row->kek_id);
		CryptoStatus status = CRYPTO_INTEGRITY;

		if (kek != NULL && kek_can_unwrap(kek))
			status = kek_unwrap(kek, encrypted_key, encrypted_size, key);
		if (status == CRYPTO_OK)
			return kek;
		if (status != CRYPTO_INTEGRITY)
			crypto_error(status, "unwrap a key");
	}
	return NULL;
}

/*
 * Raises the error for an envelope that no version opened.  A version that was not tried may be
 * the right one; then the envelope is not damaged.
 */
static void
refuse_envelope(const char *kek_label, const List *rows)
{
	StringInfoData versions;
	int			sqlstate = ERRCODE_KEY_INTEGRITY;
	ListCell   *cell;

	initStringInfo(&versions);
	foreach(cell, rows)
	{
		KekRow	   *row = lfirst(cell);

		appendStringInfo(&versions, "%s%d (%s)", versions.len > 0 ? ", " : "",
						 row->version, kek_state_name(row->state));
		if (row->state == KEK_SUSPENDED)
			sqlstate = ERRCODE_KEK_SUSPENDED;
		else if (row->state == KEK_DESTROYED && sqlstate != ERRCODE_KEK_SUSPENDED)
			sqlstate = ERRCODE_KEK_DESTROYED;
	}
	ereport(ERROR,
			(errcode(sqlstate),
			 sqlstate == ERRCODE_KEY_INTEGRITY ?
			 errmsg("encrypted key does not open with any version of KEK label \"%s\"", kek_label) :
			 errmsg("encrypted key does not open with those versions of KEK label \"%s\" that can be used",
					kek_label),
			 errdetail("Its versions: %s.  Suspended and destroyed ones were not tried.",
					   versions.data),
			 sqlstate == ERRCODE_KEK_SUSPENDED ?
			 errhint("Use key_vault.kek_resume() to take a suspended version back into use.") : 0));
}

/*
 * Opens a key envelope.  Does not call kek_accept_changes(), since the caller may have a
 * pointer to a KEK.
 */
static void
open_envelope(const char *kek_label, const uint8 *encrypted_key, size_t encrypted_size,
			  uint8 *key)
{
	List	   *rows;

	if (!is_envelope_size(encrypted_size))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg_plural("encrypted key of %zu byte is not AES-KW (RFC 3394)",
							   "encrypted key of %zu bytes is not AES-KW (RFC 3394)",
							   encrypted_size, encrypted_size),
				 errdetail("A wrapped key of n bytes has n + 8, a multiple of 8, 24 at least.")));

	access_require(kek_label, KEK_UNWRAP);
	require_label_exists(kek_label, "Import the KEK with key_vault.kek_import().");
	rows = kek_rows_by_label(kek_label);
	if (kek_of_envelope(rows, encrypted_key, encrypted_size, key) == NULL)
		refuse_envelope(kek_label, rows);
}

void
vault_open_envelope(const char *kek_label, const uint8 *encrypted_key,
					size_t encrypted_size, uint8 *key)
{
	kek_accept_changes();
	open_envelope(kek_label, encrypted_key, encrypted_size, key);
}

struct varlena *
vault_try_envelope_key(const char *kek_label, const uint8 *encrypted_key,
					   size_t encrypted_size, bool denial_is_failure)
{
	uint8		key[KEY_WRAP_MAX_KEY];
	Kek		   *kek;
	struct varlena *value;
	uint8	   *wrapped;

	kek_accept_changes();
	if (!denial_is_failure)
		access_require(kek_label, KEK_DECRYPT);
	else if ((access_held(kek_label) & KEK_DECRYPT) == 0)
		return NULL;
	if (!is_envelope_size(encrypted_size))
		return NULL;

	/*
	 * The envelope must be opened to find out which version has wrapped its
	 * key.
	 */
	PG_TRY();
	{
		kek = kek_of_envelope(kek_rows_by_label(kek_label), encrypted_key, encrypted_size, key);
	}
	PG_FINALLY();
	{
		secure_wipe(key, sizeof(key));
	}
	PG_END_TRY();
	if (kek == NULL)
		return NULL;
	value = wrapped_key_make(WRAP_AES_KW, &kek->kek_id, encrypted_size, &wrapped);
	memcpy(wrapped, encrypted_key, encrypted_size);
	return value;
}

struct varlena *
vault_import(const char *kek_label, const uint8 *encrypted_key,
			 size_t encrypted_size, const char *at_rest_label,
			 const uint8 *dev_addr)
{
	uint8		key[KEY_WRAP_MAX_KEY];
	Kek		   *kek;
	struct varlena *value;

	kek_accept_changes();
	kek = wrapping_kek(at_rest_label, KEK_WRAP);

	/*
	 * Only the length that the specification has is accepted: a wrapped key
	 * whose label was lost must not be taken for a key in the clear.
	 */
	if (*kek_label == '\0' && encrypted_size != LORAWAN_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("plaintext key of a key envelope must have %d bytes, not %zu",
						LORAWAN_KEY_SIZE, encrypted_size),
				 errdetail("An empty KEK label means that the key is not encrypted.")));

	PG_TRY();
	{
		if (*kek_label == '\0')
		{
			memcpy(key, encrypted_key, encrypted_size);
			value = wrap_with(kek, key, encrypted_size, dev_addr);
		}
		else
		{
			open_envelope(kek_label, encrypted_key, encrypted_size, key);
			value = wrap_with(kek, key, encrypted_size - KEY_WRAP_OVERHEAD, dev_addr);
		}
	}
	PG_FINALLY();
	{
		secure_wipe(key, sizeof(key));
	}
	PG_END_TRY();
	return value;
}
