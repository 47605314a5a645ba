/*
 * wrapping.h
 *	  Wrapping keys with KEKs, and moving them from one KEK to another.
 *
 * Results are allocated in the current memory context.  The privileges that are named
 * here are those that the current role needs.
 */
#ifndef WRAPPING_H
#define WRAPPING_H

#include "postgres.h"

#include "vault.h"

/*
 * Wraps a key of 1 to 4096 bytes with the active KEK of a label, and binds it to dev_addr
 * if that is not NULL.  Needs wrap.
 */
extern struct varlena *vault_wrap(const char *label, const uint8 *key,
								  size_t key_size, const uint8 *dev_addr);

/*
 * Does the same with 1 to KEY_WRAP_MAX_SET keys of one length, in less time than one by one.
 * The caller has borrowed the key that they are derived from, and has not given it back: the
 * changes that were applied for that look-up are those that count.
 */
extern void vault_wrap_derived(const char *label, const uint8 *const *keys, size_t n_keys,
							   size_t key_size, const uint8 *dev_addr,
							   struct varlena **values);

/*
 * Raises the error that vault_wrap() would raise if the role may not wrap, or the label has
 * no active KEK: for callers that must do so before anything else.
 */
extern void vault_require_wrap(const char *label);

/* Makes a random key of key_size bytes and wraps it; needs wrap. */
extern struct varlena *vault_generate(const char *label, int32 key_size);

/* Wraps a key with the active KEK of its label; needs rewrap. */
extern struct varlena *vault_rewrap(const WrappedKey *wrapped_key);

/* Does the same, but if the reason is in the key or its KEK, sets *failure, returns NULL. */
extern struct varlena *vault_try_rewrap(const WrappedKey *wrapped_key, VaultFailure *failure);

/*
 * The kek_id with which vault_rewrap() wraps keys of a label; an error if the label has no
 * active KEK.  Needs rewrap.
 */
extern pg_uuid_t vault_rewrap_target(const char *label);

/* Wraps a key with the active KEK of another label; needs unwrap on the old, wrap on the new. */
extern struct varlena *vault_rewrap_to(const WrappedKey *wrapped_key, const char *label);

/* Binds a key to a DevAddr; needs rewrap. */
extern struct varlena *vault_bind(const WrappedKey *wrapped_key, const uint8 *dev_addr);

/* Makes the encrypted_key of a key envelope; needs unwrap, and wrap on transport_label. */
extern bytea *vault_export(const WrappedKey *wrapped_key, const char *transport_label);

/*
 * Opens a key envelope, and wraps its key with the active KEK of at_rest_label.  If
 * kek_label is empty, encrypted_key is the key in the clear.  Needs unwrap on kek_label and
 * wrap on at_rest_label.
 */
extern struct varlena *vault_import(const char *kek_label, const uint8 *encrypted_key,
									size_t encrypted_size, const char *at_rest_label,
									const uint8 *dev_addr);

/*
 * Makes a wrapped key of a key envelope, with the same wrapped bytes and KEK; NULL if no
 * version of the label opens it.  Needs decrypt: without it, raises an error or, if
 * denial_is_failure, returns NULL.
 */
extern struct varlena *vault_try_envelope_key(const char *kek_label, const uint8 *encrypted_key,
											  size_t encrypted_size, bool denial_is_failure);

/*
 * Opens a key envelope; key has room for encrypted_size - 8 bytes.  Raises an error if no
 * version of the label opens it.  Needs unwrap.
 */
extern void vault_open_envelope(const char *kek_label, const uint8 *encrypted_key,
								size_t encrypted_size, uint8 *key);

#endif							/* WRAPPING_H */
