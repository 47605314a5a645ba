/*
 * join.h
 *	  Joins: opening a join-accept, and deriving the session keys.
 *
 * A device opens a join-accept by AES encryption with its root key, and derives its
 * session keys by AES encryption with the same key.  So if somebody could choose a
 * join-accept and see what it opens to, he could get session keys.  Therefore
 * nothing of it is returned unless its MIC is right, and everything that is wrong gives
 * the same status, CRYPTO_INTEGRITY.
 *
 * Root keys are given as contexts that are keyed with them for AES_ENCRYPT.
 */
#ifndef LORAWAN_JOIN_H
#define LORAWAN_JOIN_H

#include <stdbool.h>

#include "derive.h"
#include "frame.h"

/* The longest join-accept, from MHDR to MIC, in bytes. */
#define LORAWAN_JOIN_ACCEPT_MAX_SIZE 33

/*
 * The JoinReqType of a join-accept that answers a join-request (L2 1.1, section
 * 6.2.3).
 */
#define LORAWAN_JOIN 0xff

/* A frame as it is sent. */
typedef struct LorawanFrame
{
	const uint8_t *bytes;
	size_t		len;
} LorawanFrame;

/* The fields of a join-accept; identifiers are as displayed (big-endian). */
typedef struct LorawanJoinAccept
{
	uint32_t	join_nonce;		/* 24 bits */
	uint8_t		net_id[LORAWAN_NET_ID_SIZE];
	uint8_t		dev_addr[LORAWAN_DEV_ADDR_SIZE];
	uint8_t		dl_settings;
	uint8_t		rx_delay;
	bool		has_cf_list;
	uint8_t		cf_list[LORAWAN_CF_LIST_SIZE];	/* as it is sent */
} LorawanJoinAccept;

/* A join-accept that was opened, with a right or a wrong MIC; the caller wipes it. */
typedef struct LorawanOpenedAccept
{
	uint8_t		frame[LORAWAN_JOIN_ACCEPT_MAX_SIZE];	/* MHDR to MIC */
	size_t		len;			/* in bytes, without the MIC */
} LorawanOpenedAccept;

/*
 * What a join gives.  The caller keeps it in secure memory, and wipes it.  A session
 * key is in keys at the index of its LorawanDerivation, 1 to 4.
 */
typedef struct LorawanJoin
{
	LorawanJoinAccept accept;
	uint8_t		block[AES_BLOCK_SIZE];	/* from which session keys are
										 * derived; its first byte differs */
	uint8_t		keys[LORAWAN_NWK_S_ENC_KEY + 1][LORAWAN_KEY_SIZE];
	uint8_t		js_key[LORAWAN_KEY_SIZE];	/* JSEncKey or JSIntKey, while
											 * they are needed */
} LorawanJoin;

/*
 * Opens a well-formed join-accept.  The caller computes the MIC over the first len
 * bytes of opened->frame, and shows nothing of them unless it is right.
 */
extern CryptoStatus lorawan_join_accept_open(AesCipher *key, LorawanFrame accept,
											 LorawanOpenedAccept *opened);

/* Reads the fields of a join-accept in the clear; len is without the MIC. */
extern void lorawan_join_accept_read(const uint8_t *frame, size_t len,
									 LorawanJoinAccept *accept);

/*
 * A join of LoRaWAN 1.0 (L2 1.0.4, sections 6.2.5 and 6.2.6): derives NwkSKey (at
 * LORAWAN_F_NWK_S_INT_KEY) and AppSKey from the AppKey.  Both MICs must be right.
 * Whether the join-accept answers this join-request or another one of the same device
 * cannot be known, since its MIC does not cover the DevNonce.
 */
extern CryptoStatus lorawan_join_1_0(AesCipher *app_key, LorawanFrame request,
									 LorawanFrame accept, LorawanJoin *join);

/*
 * A join of LoRaWAN 1.1 (L2 1.1, sections 6.2.2 to 6.2.4): derives FNwkSIntKey,
 * SNwkSIntKey and NwkSEncKey from the NwkKey.  request is a join-request, and
 * join_eui NULL; or it is a rejoin-request, and join_eui the JoinEUI as displayed,
 * which rejoin-requests of types 0 and 2 do not carry.  The MIC of the join-accept must
 * be right for this request.  The request's own MIC must be right, too, except in
 * rejoin-requests of types 0 and 2, whose MIC is made with another key.
 */
extern CryptoStatus lorawan_join_1_1(AesCipher *nwk_key, LorawanFrame request,
									 const uint8_t *join_eui, LorawanFrame accept,
									 LorawanJoin *join);

/* Derives the AppSKey of a join of LoRaWAN 1.1 from the AppKey. */
extern CryptoStatus lorawan_join_app_s_key(AesCipher *app_key, LorawanJoin *join);

#endif							/* LORAWAN_JOIN_H */
