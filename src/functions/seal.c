/*
 * seal.c
 *	  SQL functions that seal plaintext at rest, and open it again.
 *
 * A sealed value is the format (1 byte, 1), the nonce (12 bytes), the ciphertext and the
 * tag (16 bytes) of AES-256-GCM.
 *
 * Invariants: the tag covers the format too; stored bytes never change their meaning.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/aead.h"
#include "../vault/vault.h"
#include "arguments.h"

PG_FUNCTION_INFO_V1(key_vault_seal);
PG_FUNCTION_INFO_V1(key_vault_open);

#define SEAL_FORMAT 1
#define SEAL_HEADER_SIZE (1 + AEAD_NONCE_SIZE)
#define SEAL_OVERHEAD (SEAL_HEADER_SIZE + AEAD_TAG_SIZE)

/* Such keys are asked for with every message, so they go through the cache. */
static VaultKey
sealing_key(FunctionCallInfo fcinfo, int n)
{
	WrappedKey	wrapped_key;
	VaultKey	key;

	wrapped_key_argument(fcinfo, n, &wrapped_key);
	key = vault_borrow_cached_key(&wrapped_key, KEK_DECRYPT);
	if (key.key_size != AEAD_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_LENGTH),
				 errmsg("wrapped key is not a key to seal with"),
				 errdetail("Such a key has %d bytes.  The key is wrapped with KEK label \"%s\" version %d.",
						   AEAD_KEY_SIZE, key.kek_label, key.kek_version),
				 errhint("Make one with key_vault.generate_key(label, %d).", AEAD_KEY_SIZE)));
	return key;
}

Datum
key_vault_seal(PG_FUNCTION_ARGS)
{
	const bytea *plaintext = PG_GETARG_BYTEA_PP(1);
	size_t		size = VARSIZE_ANY_EXHDR(plaintext);
	bytea	   *sealed = palloc(VARHDRSZ + SEAL_OVERHEAD + size);
	uint8	   *bytes = (uint8 *) VARDATA(sealed);
	VaultKey	key;
	CryptoStatus status;

	SET_VARSIZE(sealed, VARHDRSZ + SEAL_OVERHEAD + size);
	bytes[0] = SEAL_FORMAT;
	key = sealing_key(fcinfo, 0);
	status = aead_seal(key.key, bytes, 1, (const uint8 *) VARDATA_ANY(plaintext), size,
					   bytes + 1, bytes + SEAL_HEADER_SIZE, bytes + SEAL_HEADER_SIZE + size);
	vault_release();
	require_crypto_ok(status, "seal");
	PG_RETURN_BYTEA_P(sealed);
}

Datum
key_vault_open(PG_FUNCTION_ARGS)
{
	const bytea *sealed = PG_GETARG_BYTEA_PP(1);
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(sealed);
	size_t		sealed_size = VARSIZE_ANY_EXHDR(sealed);
	size_t		size = sealed_size - SEAL_OVERHEAD;
	bytea	   *plaintext;
	VaultKey	key;
	CryptoStatus status;

	if (sealed_size < SEAL_OVERHEAD || bytes[0] != SEAL_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_SEALED_INTEGRITY),
				 errmsg("not a sealed value"),
				 errdetail("It has %zu bytes, of which the first is not %d, or fewer than %d.",
						   sealed_size, SEAL_FORMAT, SEAL_OVERHEAD)));

	plaintext = palloc(VARHDRSZ + size);
	SET_VARSIZE(plaintext, VARHDRSZ + size);
	key = sealing_key(fcinfo, 0);
	status = aead_open(key.key, bytes + 1, bytes, 1, bytes + SEAL_HEADER_SIZE, size,
					   bytes + SEAL_HEADER_SIZE + size, (uint8 *) VARDATA(plaintext));
	vault_release();
	if (status == CRYPTO_INTEGRITY)
		ereport(ERROR,
				(errcode(ERRCODE_SEALED_INTEGRITY),
				 errmsg("sealed value does not open with the key"),
				 errdetail("It was sealed with another key, or changed.  The key is wrapped with KEK label \"%s\" version %d.",
						   key.kek_label, key.kek_version)));
	require_crypto_ok(status, "open a sealed value");
	PG_RETURN_BYTEA_P(plaintext);
}
