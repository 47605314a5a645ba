/*
 * vault.h
 *	  The vault's door: give it a wrapped key, borrow a ready one.
 *
 * What is borrowed is good until the next call of the vault.  Who borrows
 * gives it back with vault_release() when done; after an error the end of the
 * transaction does.
 */
#ifndef VAULT_H
#define VAULT_H

#include "postgres.h"

#include "../catalog/access.h"
#include "../catalog/wrapped_key.h"
#include "../crypto/aes.h"

/* Why a wrapped key cannot be used, as far as the key itself is the reason. */
typedef enum VaultFailure
{
	VAULT_OK,
	VAULT_KEK_UNKNOWN,
	VAULT_KEK_SUSPENDED,
	VAULT_KEK_DESTROYED,
	VAULT_INTEGRITY,			/* wrong KEK, or damaged: not told apart */
	VAULT_CONTEXT,				/* bound to another DevAddr */
	VAULT_KEY_LENGTH			/* not a LoRaWAN session key */
} VaultFailure;

typedef struct VaultKey
{
	const uint8 *key;
	size_t		key_size;
	const uint8 *dev_addr;		/* what it is bound to; NULL when unbound */
	const char *kek_label;
	int32		kek_version;
} VaultKey;

/* The KEK of a wrapped key, by its names; the label is allocated. */
typedef struct VaultKekName
{
	char	   *label;
	int32		version;
} VaultKekName;

/*
 * Looks up which KEK a wrapped key names; false when it is unknown here.  Opens
 * nothing, and so takes no privilege.
 */
extern bool vault_kek_name(const WrappedKey *wrapped_key, VaultKekName *name);

/* A hint that the key will be borrowed soon; nothing depends on it. */
extern void vault_prefetch(const WrappedKey *wrapped_key);

/*
 * A context keyed for AES_ENCRYPT with a LoRaWAN session key of 16 bytes,
 * for the use that the privileges name.  dev_addr is the device that the key is to
 * be used for, NULL where nothing tells.  With failure NULL whatever is wrong is an
 * error; otherwise the reasons above are told in *failure, and NULL returned.
 */
extern AesCipher *vault_borrow_cipher(const WrappedKey *wrapped_key,
									  KekPrivileges any_of,
									  const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
									  VaultFailure *failure);

/* The key itself; does not fill the cache, since such uses do not repeat. */
extern VaultKey vault_borrow_key(const WrappedKey *wrapped_key,
								 KekPrivileges any_of);

/* The same for a key that will be asked for again: it is inserted into the cache. */
extern VaultKey vault_borrow_cached_key(const WrappedKey *wrapped_key,
										KekPrivileges any_of);

/* The same; false, and the reason, where the key itself is the fault. */
extern bool vault_try_borrow_key(const WrappedKey *wrapped_key, KekPrivileges any_of,
								 VaultKey *key, VaultFailure *failure);

/* A reason in words, as key_status() gives them. */
extern const char *vault_failure_name(VaultFailure failure);

extern void vault_release(void);

#endif							/* VAULT_H */
