/*
 * derive.c
 *	  LoRaWAN's derived keys: AES of one block under the parent key.
 *
 * Invariant: a derived key is written only to where the caller says, which has to be
 * secure memory.
 */
#include "derive.h"

#include <string.h>

void
lorawan_derivation_block(LorawanDerivation derivation, const uint8_t *identifier,
						 size_t len, uint8_t block[AES_BLOCK_SIZE])
{
	memset(block, 0, AES_BLOCK_SIZE);
	block[0] = (uint8_t) derivation;
	for (size_t i = 0; i < len; i++)
		block[1 + i] = identifier[len - 1 - i];
}

CryptoStatus
lorawan_derive(AesCipher *parent, const uint8_t block[AES_BLOCK_SIZE],
			   uint8_t key[LORAWAN_KEY_SIZE])
{
	return aes_cipher_run(parent, block, key, AES_BLOCK_SIZE);
}
