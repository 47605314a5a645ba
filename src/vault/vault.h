/*
 * vault.h
 *	  The only way to an unwrapped key: for a wrapped key, a caller borrows the key or an
 *	  AES context that is keyed with it.
 *
 * What was borrowed is valid until the next call of the vault.  The caller gives it back
 * with vault_release(); after an error, that happens at the end of the transaction.
 */
#ifndef VAULT_H
#define VAULT_H

#include "postgres.h"

#include "../catalog/access.h"
#include "../catalog/wrapped_key.h"
#include "../crypto/aes.h"

/* Why a wrapped key cannot be used: most reasons are in the key or its KEK. */
typedef enum VaultFailure
{
	VAULT_OK,
	VAULT_KEK_UNKNOWN,
	VAULT_KEK_SUSPENDED,
	VAULT_KEK_DESTROYED,
	VAULT_INTEGRITY,			/* wrapped by another KEK, or damaged */
	VAULT_CONTEXT,				/* bound to another DevAddr */
	VAULT_KEY_LENGTH,			/* not a LoRaWAN session key */
	VAULT_NOT_PERMITTED			/* only where denial_is_failure */
} VaultFailure;

typedef struct VaultKey
{
	const uint8 *key;
	size_t		key_size;
	const uint8 *dev_addr;		/* to which it is bound; NULL if it is not */
	const char *kek_label;
	int32		kek_version;
	struct CacheEntry *entry;	/* for the files of the vault */
} VaultKey;

/* The label and version of a KEK; the label is allocated. */
typedef struct VaultKekName
{
	char	   *label;
	int32		version;
} VaultKekName;

/*
 * Finds the label and version of a wrapped key's KEK; false if this database does not have
 * the KEK.  Opens nothing, so the current role needs no privilege.
 */
extern bool vault_kek_name(const WrappedKey *wrapped_key, VaultKekName *name);

/* Says that the key will be borrowed soon, which makes that faster. */
extern void vault_prefetch(const WrappedKey *wrapped_key);

/*
 * Borrows an AES context that is keyed for AES_ENCRYPT with a LoRaWAN session key of 16
 * bytes.  The current role must have one of the privileges any_of.  A bound key must be
 * bound to dev_addr, unless that is NULL.  If failure is NULL, everything that is wrong
 * raises an error; otherwise one of the reasons above is set in *failure, and NULL
 * returned.
 *
 * That the role lacks the privilege is one of these reasons only if denial_is_failure, and an
 * error otherwise.  One look-up decides about all reasons, so a privilege that is revoked
 * meanwhile cannot raise the error after all.
 */
extern AesCipher *vault_borrow_cipher(const WrappedKey *wrapped_key,
									  KekPrivileges any_of,
									  const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
									  bool denial_is_failure, VaultFailure *failure);

/* Borrows the key itself, without caching it: for keys that are used once. */
extern VaultKey vault_borrow_key(const WrappedKey *wrapped_key,
								 KekPrivileges any_of);

/* Of a key that is borrowed: an AES context that is keyed with it for AES_ENCRYPT. */
extern AesCipher *vault_key_cipher(const VaultKey *key);

/*
 * Wipes that context, unless it is kept for a cached key.  Otherwise the key would stay in it
 * until the end of the transaction.
 */
extern void vault_wipe_key_cipher(void);

/* Borrows the key itself, and caches it: for keys that are used again. */
extern VaultKey vault_borrow_cached_key(const WrappedKey *wrapped_key,
										KekPrivileges any_of);

/* Does what vault_borrow_key() does, but for the reasons above sets *failure. */
extern bool vault_try_borrow_key(const WrappedKey *wrapped_key, KekPrivileges any_of,
								 VaultKey *key, VaultFailure *failure);

/* The name of a reason, as key_status() returns it. */
extern const char *vault_failure_name(VaultFailure failure);

/* Gives back what was borrowed; wipes it if it is not cached. */
extern void vault_release(void);

#endif							/* VAULT_H */
