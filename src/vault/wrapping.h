/*
 * wrapping.h
 *	  Bringing keys under KEKs, and from one KEK to another.
 *
 * All results are allocated in the current memory context; privileges are
 * checked for the current role.
 */
#ifndef WRAPPING_H
#define WRAPPING_H

#include "postgres.h"

#include "vault.h"

/*
 * Wraps a key of 1 to 4096 bytes with the active KEK of a label.  dev_addr is
 * what to bind it to, or NULL.  Takes the privilege wrap.
 */
extern struct varlena *vault_wrap(const char *label, const uint8 *key,
								  size_t key_size, const uint8 *dev_addr);

/*
 * Accepts changes and raises what keeps the current role from wrapping under a
 * label: for callers that are to say so before anything else.
 */
extern void vault_require_wrap(const char *label);

/* A new random key; takes the privilege wrap. */
extern struct varlena *vault_generate(const char *label, int32 key_size);

/* To the active KEK of the same label; takes the privilege rewrap there. */
extern struct varlena *vault_rewrap(const WrappedKey *wrapped_key);

/* The same; NULL, and the reason, where the key itself is the fault. */
extern struct varlena *vault_try_rewrap(const WrappedKey *wrapped_key, VaultFailure *failure);

/*
 * The kek_id to which rewrapping goes for a label; an error where there is none.
 * Takes the privilege rewrap.
 */
extern pg_uuid_t vault_rewrap_target(const char *label);

/* To another label; takes unwrap on the old and wrap on the new one. */
extern struct varlena *vault_rewrap_to(const WrappedKey *wrapped_key, const char *label);

/* Binds to a DevAddr; takes the privilege rewrap. */
extern struct varlena *vault_bind(const WrappedKey *wrapped_key, const uint8 *dev_addr);

/* The encrypted_key of a key envelope; takes unwrap here and wrap there. */
extern bytea *vault_export(const WrappedKey *wrapped_key, const char *transport_label);

/*
 * The key of an envelope (an empty label: in the clear) under a label at rest;
 * takes unwrap on the first and wrap on the second.
 */
extern struct varlena *vault_import(const char *kek_label, const uint8 *encrypted_key,
									size_t encrypted_size, const char *at_rest_label,
									const uint8 *dev_addr);

/*
 * An envelope as a wrapped key under its own KEK, with nothing rewrapped; NULL
 * when no version opens it.  Takes the privilege decrypt.
 */
extern struct varlena *vault_try_envelope_key(const char *kek_label, const uint8 *encrypted_key,
											  size_t encrypted_size);

/*
 * Unwraps what some version of a label wrapped; key takes encrypted_size - 8
 * bytes.  Raises when no version opens it.  Takes the privilege unwrap.
 */
extern void vault_open_envelope(const char *kek_label, const uint8 *encrypted_key,
								size_t encrypted_size, uint8 *key);

#endif							/* WRAPPING_H */
