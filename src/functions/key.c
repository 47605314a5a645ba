/*
 * key.c
 *	  SQL functions that wrap and unwrap keys.
 *
 * These functions only unpack arguments; the work is done in src/vault/wrapping.c.
 *
 * Invariant: only key_vault.unwrap() copies a key in the clear, into its result.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "../common/crypto_error.h"
#include "../common/errors.h"
#include "../crypto/cmac.h"
#include "../vault/vault.h"
#include "../vault/wrapping.h"
#include "arguments.h"
#include "result_row.h"
#include "../vault/plaintext_key.h"

PG_FUNCTION_INFO_V1(key_vault_generate_key);
PG_FUNCTION_INFO_V1(key_vault_wrap);
PG_FUNCTION_INFO_V1(key_vault_unwrap);
PG_FUNCTION_INFO_V1(key_vault_rewrap);
PG_FUNCTION_INFO_V1(key_vault_rewrap_to);
PG_FUNCTION_INFO_V1(key_vault_bind);
PG_FUNCTION_INFO_V1(key_vault_key_check_value);
PG_FUNCTION_INFO_V1(key_vault_import_envelope);
PG_FUNCTION_INFO_V1(key_vault_try_envelope_key);
PG_FUNCTION_INFO_V1(key_vault_export_envelope);

Datum
key_vault_generate_key(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(vault_generate(label_argument(fcinfo, 0), PG_GETARG_INT32(1)));
}

Datum
key_vault_wrap(PG_FUNCTION_ARGS)
{
	const bytea *key = PG_GETARG_BYTEA_PP(0);

	plaintext_key_check((const uint8 *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
	PG_RETURN_POINTER(vault_wrap(label_argument(fcinfo, 1), (const uint8 *) VARDATA_ANY(key),
								 VARSIZE_ANY_EXHDR(key), NULL));
}

Datum
key_vault_unwrap(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	VaultKey	key;
	bytea	   *result;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	key = vault_borrow_key(&wrapped_key, KEK_UNWRAP);
	result = palloc(VARHDRSZ + key.key_size);
	SET_VARSIZE(result, VARHDRSZ + key.key_size);
	memcpy(VARDATA(result), key.key, key.key_size);
	vault_release();
	PG_RETURN_BYTEA_P(result);
}

Datum
key_vault_rewrap(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	PG_RETURN_POINTER(vault_rewrap(&wrapped_key));
}

Datum
key_vault_rewrap_to(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	PG_RETURN_POINTER(vault_rewrap_to(&wrapped_key, label_argument(fcinfo, 1)));
}

Datum
key_vault_bind(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	PG_RETURN_POINTER(vault_bind(&wrapped_key, dev_addr_argument(fcinfo, 1)));
}

Datum
key_vault_key_check_value(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	bytea	   *result = palloc(VARHDRSZ + KEY_CHECK_VALUE_SIZE);
	VaultKey	key;
	size_t		key_size;
	CryptoStatus status;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	key = vault_borrow_key(&wrapped_key, KEK_OPENS_KEYS);
	key_size = key.key_size;
	status = key_check_value(key.key, key_size, (uint8 *) VARDATA(result));
	vault_release();
	if (status == CRYPTO_BAD_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_KEY_LENGTH),
				 errmsg_plural("a key of %zu byte has no key check value",
							   "a key of %zu bytes has no key check value",
							   key_size, key_size),
				 errdetail("It is made with AES-CMAC, whose keys have 16, 24 or 32 bytes.")));
	require_crypto_ok(status, "compute a key check value");
	SET_VARSIZE(result, VARHDRSZ + KEY_CHECK_VALUE_SIZE);
	PG_RETURN_BYTEA_P(result);
}

/* This function is not strict, since the DevAddr may be NULL, and no other argument. */
Datum
key_vault_import_envelope(PG_FUNCTION_ARGS)
{
	const char *kek_label;
	const bytea *encrypted_key;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	kek_label = label_argument(fcinfo, 0);
	encrypted_key = PG_GETARG_BYTEA_PP(1);
	if (*kek_label == '\0')
		plaintext_key_check((const uint8 *) VARDATA_ANY(encrypted_key),
							VARSIZE_ANY_EXHDR(encrypted_key));
	PG_RETURN_POINTER(vault_import(kek_label,
								   (const uint8 *) VARDATA_ANY(encrypted_key),
								   VARSIZE_ANY_EXHDR(encrypted_key),
								   label_argument(fcinfo, 2),
								   PG_ARGISNULL(3) ? NULL : dev_addr_argument(fcinfo, 3)));
}

Datum
key_vault_try_envelope_key(PG_FUNCTION_ARGS)
{
	const bytea *encrypted_key = PG_GETARG_BYTEA_PP(1);
	struct varlena *value = vault_try_envelope_key(label_argument(fcinfo, 0),
												   (const uint8 *) VARDATA_ANY(encrypted_key),
												   VARSIZE_ANY_EXHDR(encrypted_key), false);

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(value);
}

Datum
key_vault_export_envelope(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	values[0] = PG_GETARG_DATUM(1);
	values[1] = PointerGetDatum(vault_export(&wrapped_key, label_argument(fcinfo, 1)));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(result_row_desc(fcinfo, lengthof(values)), values, nulls)));
}
