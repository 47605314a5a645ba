/*
 * join.h
 *	  Joins: opening a join-accept, and the session keys that it gives.
 *
 * A join-accept is encrypted with AES decryption, so that a device opens it with
 * AES encryption, the same operation that derives its session keys.  Whoever
 * was handed what a chosen join-accept opens to would be handed session
 * keys.  So nothing comes out unless the MIC fits, and whatever does not fit
 * gives the one answer CRYPTO_INTEGRITY.
 */
#ifndef LORAWAN_JOIN_H
#define LORAWAN_JOIN_H

#include <stdbool.h>

#include "derive.h"
#include "frame.h"

/* The longest join-accept, MHDR to MIC. */
#define LORAWAN_JOIN_ACCEPT_MAX_SIZE 33

/* JoinReqType of a join-accept that answers a join-request (L2 1.1, 6.2.3). */
#define LORAWAN_JOIN 0xff

/* A frame as it is on the air. */
typedef struct LorawanFrame
{
	const uint8_t *bytes;
	size_t		len;
} LorawanFrame;

/* What a join-accept says; identifiers as displayed (big-endian). */
typedef struct LorawanJoinAccept
{
	uint32_t	join_nonce;		/* 24 bits */
	uint8_t		net_id[LORAWAN_NET_ID_SIZE];
	uint8_t		dev_addr[LORAWAN_DEV_ADDR_SIZE];
	uint8_t		dl_settings;
	uint8_t		rx_delay;
	bool		has_cf_list;
	uint8_t		cf_list[LORAWAN_CF_LIST_SIZE];	/* as on the air */
} LorawanJoinAccept;

/*
 * A join-accept that was opened, whether its MIC fits or not; to be wiped.
 */
typedef struct LorawanOpenedAccept
{
	uint8_t		frame[LORAWAN_JOIN_ACCEPT_MAX_SIZE];	/* MHDR to MIC */
	size_t		len;			/* in bytes, without the MIC */
} LorawanOpenedAccept;

/*
 * A join whose frames fit; to be kept in secure memory, and wiped.  Session
 * keys stand at their LorawanDerivation, 1 to 4.
 */
typedef struct LorawanJoin
{
	LorawanJoinAccept accept;
	uint8_t		block[AES_BLOCK_SIZE];	/* of the session keys, first byte
										 * open */
	uint8_t		keys[LORAWAN_NWK_S_ENC_KEY + 1][LORAWAN_KEY_SIZE];
	uint8_t		js_key[LORAWAN_KEY_SIZE];	/* JSEncKey or JSIntKey, meanwhile */
} LorawanJoin;

/*
 * Opens a well-formed join-accept.  The caller computes its MIC over the first len bytes
 * of what comes out, and shows nothing of them unless it fits.
 */
extern CryptoStatus lorawan_join_accept_open(AesCipher *key, LorawanFrame accept,
											 LorawanOpenedAccept *opened);

/* The fields of a join-accept in the clear, of len bytes without its MIC. */
extern void lorawan_join_accept_read(const uint8_t *frame, size_t len,
									 LorawanJoinAccept *accept);

/*
 * LoRaWAN 1.0 (L2 1.0.4, sections 6.2.5 and 6.2.6): NwkSKey (at
 * LORAWAN_F_NWK_S_INT_KEY) and AppSKey, from the AppKey.  Both MICs must fit.
 * It does not tell whether the join-accept answers this join-request or
 * another one of the same device, since its MIC does not cover DevNonce.
 */
extern CryptoStatus lorawan_join_1_0(const uint8_t app_key[LORAWAN_KEY_SIZE],
									 LorawanFrame request, LorawanFrame accept,
									 LorawanJoin *join);

/*
 * LoRaWAN 1.1 (L2 1.1, sections 6.2.2 to 6.2.4): FNwkSIntKey, SNwkSIntKey and
 * NwkSEncKey, from the NwkKey.  request is a join-request, or a rejoin-request with the
 * JoinEUI as displayed, which rejoin-requests of types 0 and 2 do not carry; NULL
 * with a join-request.  The join-accept must fit the request.  The request's own
 * MIC must fit too, where the NwkKey gives its key: not for types 0 and 2.
 */
extern CryptoStatus lorawan_join_1_1(const uint8_t nwk_key[LORAWAN_KEY_SIZE],
									 LorawanFrame request, const uint8_t *join_eui,
									 LorawanFrame accept, LorawanJoin *join);

/* The AppSKey of a LoRaWAN 1.1 join, from the AppKey. */
extern CryptoStatus lorawan_join_app_s_key(const uint8_t app_key[LORAWAN_KEY_SIZE],
										   LorawanJoin *join);

#endif							/* LORAWAN_JOIN_H */
