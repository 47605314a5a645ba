/*
 * derivation.h
 *	  Deriving keys from wrapped keys: joins, multicast, FUOTA, relay.
 *
 * The current role needs the privilege derive on the label of the key to derive from, and
 * wrap on the label of the derived keys.  If these are two labels it also needs unwrap on
 * the first one, since roles with unwrap on the second one can see the derived keys.
 *
 * Results are allocated in the current memory context.
 */
#ifndef DERIVATION_H
#define DERIVATION_H

#include "postgres.h"

#include "../lorawan/join.h"
#include "vault.h"

/* What a join gives: the join-accept, and the session keys, bound to its DevAddr. */
typedef struct VaultJoin
{
	LorawanJoinAccept accept;
	struct varlena *keys[LORAWAN_NWK_S_ENC_KEY + 1];	/* by LorawanDerivation;
														 * NULL if not derived */
} VaultJoin;

/*
 * Derives a key from the parent key and a block.  It is bound to dev_addr or, if that is
 * NULL, to the DevAddr of the parent if that is bound.
 */
extern struct varlena *vault_derive(const WrappedKey *parent,
									const uint8 block[AES_BLOCK_SIZE],
									const uint8 *dev_addr, const char *label);

/* Derives the session keys of a LoRaWAN 1.0 join. */
extern void vault_join_1_0(const WrappedKey *app_key, LorawanFrame request,
						   LorawanFrame accept, const char *label, VaultJoin *result);

/*
 * Derives the session keys of a LoRaWAN 1.1 join (join_eui is NULL), or of a rejoin
 * (join_eui is the JoinEUI of the device).
 */
extern void vault_join_1_1(const WrappedKey *nwk_key, const WrappedKey *app_key,
						   LorawanFrame request, const uint8 *join_eui,
						   LorawanFrame accept, const char *label, VaultJoin *result);

#endif							/* DERIVATION_H */
