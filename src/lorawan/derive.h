/*
 * derive.h
 *	  LoRaWAN's derived keys: AES of one block under the parent key.
 *
 * The block is one byte that says which key it is, then data, then zeros.  Only the
 * block of a McKey is not: it is the McKey in its encrypted form.
 */
#ifndef LORAWAN_DERIVE_H
#define LORAWAN_DERIVE_H

#include "payload.h"

/* The first byte of the block; the comments name the parent key, then the data. */
typedef enum LorawanDerivation
{
	/* NwkKey or AppKey; nonces of the join (L2 1.0.4, 6.2.6; 1.1, 6.2.3) */
	LORAWAN_F_NWK_S_INT_KEY = 0x01, /* 1.0: NwkSKey */
	LORAWAN_APP_S_KEY = 0x02,
	LORAWAN_S_NWK_S_INT_KEY = 0x03,
	LORAWAN_NWK_S_ENC_KEY = 0x04,

	/* NwkKey, DevEUI (LoRaWAN L2 1.1, 6.1.1.4) */
	LORAWAN_JS_ENC_KEY = 0x05,
	LORAWAN_JS_INT_KEY = 0x06,

	/* GenAppKey; AppKey; McRootKey, each without data (TS005, 4.3) */
	LORAWAN_MC_ROOT_KEY_1_0 = 0x00,
	LORAWAN_MC_ROOT_KEY_1_1 = 0x20,
	LORAWAN_MC_KE_KEY = 0x00,

	/* McKey, McAddr (TS005, 4.3) */
	LORAWAN_MC_APP_S_KEY = 0x01,
	LORAWAN_MC_NWK_S_KEY = 0x02,

	/* GenAppKey or AppKey (TS004, 3.3) */
	LORAWAN_DATA_BLOCK_INT_KEY = 0x30,

	/* NwkSEncKey (TS011, 4.4); RootWorSKey, DevAddr (TS011, 4.5) */
	LORAWAN_ROOT_WOR_S_KEY = 0x01,
	LORAWAN_WOR_S_INT_KEY = 0x01,
	LORAWAN_WOR_S_ENC_KEY = 0x02
} LorawanDerivation;

/*
 * Writes the block of a key: its first byte, then an identifier of 0 to 15 bytes,
 * then zeros.  The identifier is given as displayed (big-endian), and is little-endian
 * in the block.
 */
extern void lorawan_derivation_block(LorawanDerivation derivation,
									 const uint8_t *identifier, size_t len,
									 uint8_t block[AES_BLOCK_SIZE]);

/*
 * Derives the key that belongs to this block and the parent key, with which the context is
 * keyed for AES_ENCRYPT.
 */
extern CryptoStatus lorawan_derive(AesCipher *parent,
								   const uint8_t block[AES_BLOCK_SIZE],
								   uint8_t key[LORAWAN_KEY_SIZE]);

#endif							/* LORAWAN_DERIVE_H */
