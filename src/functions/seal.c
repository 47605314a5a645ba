/*
 * seal.c
 *	  SQL functions that seal plaintext, and open sealed values.
 *
 * A sealed value is the format (1 byte), and the nonce (12 bytes), the ciphertext and the
 * tag (16 bytes) of AES-256-GCM.  The additional data are the format and, in format 2, the
 * context.
 *
 * Invariant: values that users have stored keep their meaning, so formats never change.
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
#define SEAL_FORMAT_CONTEXT 2

/* Sizes in bytes: of what comes before the ciphertext, and of all that is added to it. */
#define SEAL_HEADER_SIZE (1 + AEAD_NONCE_SIZE)
#define SEAL_OVERHEAD (SEAL_HEADER_SIZE + AEAD_TAG_SIZE)

/* The same key seals many values, so it is cached. */
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

/* The additional data of AES-256-GCM. */
typedef struct AdditionalData
{
	uint8	   *bytes;
	size_t		size;
} AdditionalData;

/*
 * Functions with three arguments have the context as argument 2.  If it is NULL that is an
 * error, so that nothing is sealed without a context by mistake.
 */
static AdditionalData
additional_data(FunctionCallInfo fcinfo)
{
	AdditionalData aad = {.size = 1};
	const bytea *context;

	if (PG_NARGS() == 2)
	{
		aad.bytes = palloc(aad.size);
		aad.bytes[0] = SEAL_FORMAT;
		return aad;
	}
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("context must not be NULL"),
				 errhint("Leave the argument out to do without a context.")));
	context = PG_GETARG_BYTEA_PP(2);
	aad.size += VARSIZE_ANY_EXHDR(context);
	aad.bytes = palloc(aad.size);
	aad.bytes[0] = SEAL_FORMAT_CONTEXT;
	memcpy(aad.bytes + 1, VARDATA_ANY(context), aad.size - 1);
	return aad;
}

/* Arguments: key, plaintext and, in the function with three arguments, context. */
Datum
key_vault_seal(PG_FUNCTION_ARGS)
{
	const bytea *plaintext;
	size_t		size;
	bytea	   *sealed;
	uint8	   *bytes;
	AdditionalData aad;
	VaultKey	key;
	CryptoStatus status;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	plaintext = PG_GETARG_BYTEA_PP(1);
	size = VARSIZE_ANY_EXHDR(plaintext);
	aad = additional_data(fcinfo);
	sealed = palloc(VARHDRSZ + SEAL_OVERHEAD + size);
	SET_VARSIZE(sealed, VARHDRSZ + SEAL_OVERHEAD + size);
	bytes = (uint8 *) VARDATA(sealed);
	bytes[0] = aad.bytes[0];
	key = sealing_key(fcinfo, 0);
	status = aead_seal(key.key, aad.bytes, aad.size, (const uint8 *) VARDATA_ANY(plaintext), size,
					   bytes + 1, bytes + SEAL_HEADER_SIZE, bytes + SEAL_HEADER_SIZE + size);
	vault_release();
	require_crypto_ok(status, "seal");
	PG_RETURN_BYTEA_P(sealed);
}

static void
check_format(const uint8 *bytes, size_t size, uint8 format)
{
	if (size < SEAL_OVERHEAD || (bytes[0] != SEAL_FORMAT && bytes[0] != SEAL_FORMAT_CONTEXT))
		ereport(ERROR,
				(errcode(ERRCODE_SEALED_INTEGRITY),
				 errmsg("not a sealed value"),
				 errdetail("Its size is %zu.  A sealed value has %d bytes or more, and the first is %d or %d.",
						   size, SEAL_OVERHEAD, SEAL_FORMAT, SEAL_FORMAT_CONTEXT)));
	if (bytes[0] != format)
		ereport(ERROR,
				(errcode(ERRCODE_SEALED_INTEGRITY),
				 format == SEAL_FORMAT ?
				 errmsg("sealed value has a context, and opens only with it") :
				 errmsg("sealed value has no context, and opens only without one")));
}

/* Arguments: key, sealed and, in the function with three arguments, context. */
Datum
key_vault_open(PG_FUNCTION_ARGS)
{
	const bytea *sealed;
	const uint8 *bytes;
	size_t		size;
	AdditionalData aad;
	bytea	   *plaintext;
	VaultKey	key;
	CryptoStatus status;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	sealed = PG_GETARG_BYTEA_PP(1);
	bytes = (const uint8 *) VARDATA_ANY(sealed);
	aad = additional_data(fcinfo);
	check_format(bytes, VARSIZE_ANY_EXHDR(sealed), aad.bytes[0]);

	size = VARSIZE_ANY_EXHDR(sealed) - SEAL_OVERHEAD;
	plaintext = palloc(VARHDRSZ + size);
	SET_VARSIZE(plaintext, VARHDRSZ + size);
	key = sealing_key(fcinfo, 0);
	status = aead_open(key.key, bytes + 1, aad.bytes, aad.size, bytes + SEAL_HEADER_SIZE, size,
					   bytes + SEAL_HEADER_SIZE + size, (uint8 *) VARDATA(plaintext));
	vault_release();
	if (status == CRYPTO_INTEGRITY)
		ereport(ERROR,
				(errcode(ERRCODE_SEALED_INTEGRITY),
				 PG_NARGS() == 2 ?
				 errmsg("sealed value does not open with the key") :
				 errmsg("sealed value does not open with the key and the context"),
				 errdetail("It was sealed with another key%s, or changed.  The key is wrapped with KEK label \"%s\" version %d.",
						   PG_NARGS() == 2 ? "" : " or context", key.kek_label, key.kek_version)));
	require_crypto_ok(status, "open a sealed value");
	PG_RETURN_BYTEA_P(plaintext);
}
