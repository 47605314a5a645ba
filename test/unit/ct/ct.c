/*
 * ct.c
 *	  A check for constant time, to be run under valgrind.
 *
 * Secrets are marked undefined, so memcheck reports each branch and each address
 * that depends on one.  What comes out of the block cipher counts as secret;
 * what comes out of CRYPTO_memcmp() is told to the caller anyway.  The cipher
 * itself is OpenSSL's and is not looked at.
 */
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "crypto/cmac.h"
#include "crypto/hex.h"
#include "crypto/key_wrap.h"
#include "crypto/secure_memory.h"
#include "lorawan/payload.h"

extern CryptoStatus __real_aes_cipher_run(AesCipher *cipher, const uint8_t *in,
										  uint8_t *out, size_t len);
extern CryptoStatus __wrap_aes_cipher_run(AesCipher *cipher, const uint8_t *in,
										  uint8_t *out, size_t len);
extern int	__real_CRYPTO_memcmp(const void *a, const void *b, size_t len);
extern int	__wrap_CRYPTO_memcmp(const void *a, const void *b, size_t len);

/* Runs on a defined copy: what OpenSSL does with its input is its own affair. */
CryptoStatus
__wrap_aes_cipher_run(AesCipher *cipher, const uint8_t *in, uint8_t *out,
					  size_t len)
{
	uint8_t		copy[256];
	CryptoStatus status;

	memcpy(copy, in, len);
	(void) VALGRIND_MAKE_MEM_DEFINED(copy, len);
	status = __real_aes_cipher_run(cipher, copy, out, len);
	(void) VALGRIND_MAKE_MEM_UNDEFINED(out, len);
	return status;
}

int
__wrap_CRYPTO_memcmp(const void *a, const void *b, size_t len)
{
	int			result = __real_CRYPTO_memcmp(a, b, len);

	(void) VALGRIND_MAKE_MEM_DEFINED(&result, sizeof(result));
	return result;
}

/* Unwraps what is good and what is bad in each of several ways. */
static int
unwrap_variants(AesCipher *wrapping, AesCipher *unwrapping, size_t key_len)
{
	uint8_t		key[64];
	uint8_t		wrapped[72];
	uint8_t		out_of_set[72];
	uint8_t		out[64];
	size_t		len = KEY_WRAP_PAD_SIZE(key_len);
	size_t		found_len;
	int			surprises = 0;

	memset(key, 0x5a, sizeof(key));
	(void) VALGRIND_MAKE_MEM_UNDEFINED(key, sizeof(key));

	surprises += key_wrap_pad(wrapping, key, key_len, wrapped) != CRYPTO_OK;
	(void) VALGRIND_MAKE_MEM_DEFINED(wrapped, sizeof(wrapped));
	surprises += key_unwrap_pad(unwrapping, wrapped, len, out, &found_len) != CRYPTO_OK;
	wrapped[len - 1] ^= 1;
	surprises += key_unwrap_pad(unwrapping, wrapped, len, out, &found_len) == CRYPTO_OK;

	if (key_len % 8 == 0 && key_len >= 16)
	{
		surprises += key_wrap_set(wrapping, key, 8, (const uint8_t *[]) {key + 8, key + 8}, 2,
								  key_len - 8, (uint8_t *[]) {out_of_set, wrapped}) != CRYPTO_OK;
		surprises += key_wrap(wrapping, key, key_len, wrapped) != CRYPTO_OK;
		(void) VALGRIND_MAKE_MEM_DEFINED(wrapped, sizeof(wrapped));
		surprises += key_unwrap(unwrapping, wrapped, key_len + 8, out) != CRYPTO_OK;
		wrapped[0] ^= 1;
		surprises += key_unwrap(unwrapping, wrapped, key_len + 8, out) == CRYPTO_OK;
	}
	return surprises;
}

/* Reads a key in hexadecimal, good or with one character that is no digit. */
static int
read_hex(char last)
{
	char		digits[32] = "00112233445566778899aAbBcCdDeEf";
	uint8_t		key[16];
	bool		answer;

	digits[31] = last;
	(void) VALGRIND_MAKE_MEM_UNDEFINED(digits, sizeof(digits));
	answer = hex_to_bytes(digits, sizeof(key), key);
	(void) VALGRIND_MAKE_MEM_DEFINED(&answer, sizeof(answer));
	return answer;
}

int
main(void)
{
	const uint8_t kek[32] = {1};
	const uint8_t dev_addr[LORAWAN_DEV_ADDR_SIZE] = {2};
	AesCipher  *wrapping = aes_cipher_new();
	AesCipher  *unwrapping = aes_cipher_new();
	uint8_t		payload[LORAWAN_MAX_PAYLOAD] = {0};
	uint8_t		other[LORAWAN_MAX_PAYLOAD] = {0};
	int			surprises = 0;

	surprises += aes_cipher_set_key(wrapping, kek, sizeof(kek), AES_ENCRYPT) != CRYPTO_OK;
	surprises += aes_cipher_set_key(unwrapping, kek, sizeof(kek), AES_DECRYPT) != CRYPTO_OK;

	for (size_t key_len = 1; key_len <= 40; key_len++)
		surprises += unwrap_variants(wrapping, unwrapping, key_len);

	(void) VALGRIND_MAKE_MEM_UNDEFINED(payload, sizeof(payload));
	for (size_t len = 0; len <= sizeof(payload); len++)
		surprises += lorawan_payload_crypt(wrapping, LORAWAN_UPLINK, dev_addr, 1,
										   payload, payload, len) != CRYPTO_OK;

	for (size_t len = 0; len <= 49; len++)
	{
		for (int blocks = 0; blocks <= 1; blocks++)
		{
			surprises += aes_cmac_keyed(wrapping, blocks == 0 ? NULL : payload, payload, len,
										other, AES_CMAC_SIZE) != CRYPTO_OK;
			surprises += secure_equal(other, payload, 4);
		}
	}
	memset(other, 0, sizeof(other));

	memset(payload, 0, sizeof(payload));
	(void) VALGRIND_MAKE_MEM_UNDEFINED(payload, sizeof(payload));
	surprises += !secure_equal(payload, other, sizeof(payload));

	surprises += !read_hex('f');
	surprises += read_hex('g');

	aes_cipher_free(wrapping);
	aes_cipher_free(unwrapping);
	printf("%d passed, %d failed\n", surprises == 0, surprises);
	return surprises != 0;
}
