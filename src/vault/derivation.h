/*
 * derivation.h
 *	  Keys derived from keys: joins, multicast, FUOTA, relay.
 *
 * All of it takes the privilege derive on the label of the key that is derived from, and
 * wrap on the label that the derived keys go under.  Where that is
 * another label it takes unwrap on the first one too: whoever unwraps there
 * sees keys that were derived here.
 *
 * Results are allocated in the current memory context.
 */
#ifndef DERIVATION_H
#define DERIVATION_H

#include "postgres.h"

#include "../lorawan/join.h"
#include "vault.h"

/* A join: what was accepted, and the session keys, bound to its DevAddr. */
typedef struct VaultJoin
{
	LorawanJoinAccept accept;
	struct varlena *keys[LORAWAN_NWK_S_ENC_KEY + 1];	/* by LorawanDerivation;
														 * NULL if it has none */
} VaultJoin;

/*
 * The key that a block gives.  It is bound to dev_addr, if that is not NULL, or else
 * to what the parent is bound to.
 */
extern struct varlena *vault_derive(const WrappedKey *parent,
									const uint8 block[AES_BLOCK_SIZE],
									const uint8 *dev_addr, const char *label);

/* The session keys of a LoRaWAN 1.0 join. */
extern void vault_join_1_0(const WrappedKey *app_key, LorawanFrame request,
						   LorawanFrame accept, const char *label, VaultJoin *result);

/*
 * The session keys of a LoRaWAN 1.1 join or, with the JoinEUI of the device,
 * rejoin.
 */
extern void vault_join_1_1(const WrappedKey *nwk_key, const WrappedKey *app_key,
						   LorawanFrame request, const uint8 *join_eui,
						   LorawanFrame accept, const char *label, VaultJoin *result);

#endif							/* DERIVATION_H */
