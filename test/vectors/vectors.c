/*
 * vectors.c
 *	  Computes published test vectors with src/crypto.
 *
 * Each line of the input is "OPERATION KEY INPUT", of the output the result: both in
 * hexadecimal digits, "-" for no bytes, "error" where the operation refuses.
 * OPERATION is wrap, unwrap, wrap_pad, unwrap_pad or cmac.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "crypto/cmac.h"
#include "crypto/key_wrap.h"

/* The longest message of a vector, in bytes, with room for its wrapping. */
#define MAX_BYTES 8192

typedef struct Bytes
{
	size_t		len;
	uint8_t		data[MAX_BYTES];
} Bytes;

static bool
from_hex(const char *text, Bytes *bytes)
{
	bytes->len = 0;
	return strcmp(text, "-") == 0 ||
		OPENSSL_hexstr2buf_ex(bytes->data, MAX_BYTES, &bytes->len, text, '\0') == 1;
}

static CryptoStatus
run_keyed(const char *operation, AesCipher *cipher, const Bytes *in, Bytes *out)
{
	if (strcmp(operation, "wrap") == 0)
	{
		out->len = in->len + KEY_WRAP_OVERHEAD;
		return key_wrap(cipher, in->data, in->len, out->data);
	}
	if (strcmp(operation, "unwrap") == 0)
	{
		out->len = in->len - KEY_WRAP_OVERHEAD;
		return key_unwrap(cipher, in->data, in->len, out->data);
	}
	if (strcmp(operation, "wrap_pad") == 0)
	{
		out->len = KEY_WRAP_PAD_SIZE(in->len);
		return key_wrap_pad(cipher, in->data, in->len, out->data);
	}
	return key_unwrap_pad(cipher, in->data, in->len, out->data, &out->len);
}

static CryptoStatus
run(const char *operation, const Bytes *key, const Bytes *in, Bytes *out)
{
	AesCipher  *cipher;
	CryptoStatus status;
	bool		wraps = strncmp(operation, "wrap", 4) == 0;

	if (strcmp(operation, "cmac") == 0)
	{
		out->len = AES_CMAC_SIZE;
		return aes_cmac(key->data, key->len, in->data, in->len, out->data, AES_CMAC_SIZE);
	}
	cipher = aes_cipher_new();
	if (cipher == NULL)
		return CRYPTO_NO_MEMORY;
	status = aes_cipher_set_key(cipher, key->data, key->len, wraps ? AES_ENCRYPT : AES_DECRYPT);
	if (status == CRYPTO_OK)
		status = run_keyed(operation, cipher, in, out);
	aes_cipher_free(cipher);
	return status;
}

int
main(void)
{
	static char line[4 * MAX_BYTES],
				operation[16],
				key_text[2 * MAX_BYTES + 1],
				in_text[2 * MAX_BYTES + 1];
	static Bytes key,
				in,
				out;

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		if (sscanf(line, "%15s %16384s %16384s", operation, key_text, in_text) != 3 ||
			!from_hex(key_text, &key) || !from_hex(in_text, &in))
		{
			fprintf(stderr, "not a vector: %s", line);
			return 1;
		}
		if (run(operation, &key, &in, &out) != CRYPTO_OK)
			puts("error");
		else
		{
			for (size_t i = 0; i < out.len; i++)
				printf("%02x", out.data[i]);
			puts(out.len == 0 ? "-" : "");
		}
	}
	return 0;
}
