/*
 * lorawan.c
 *	  SQL functions that encrypt and decrypt LoRaWAN payloads and FOpts.
 *
 * These functions are called once for each row, so they must be fast.
 *
 * Invariant: all that can raise an error is done before the key is borrowed.
 */
#include "postgres.h"

#include "../common/crypto_error.h"
#include "../lorawan/payload.h"
#include "../vault/vault.h"
#include "arguments.h"
#include "payload_arguments.h"

PG_FUNCTION_INFO_V1(lorawan_crypt_uplink);
PG_FUNCTION_INFO_V1(lorawan_crypt_downlink);
PG_FUNCTION_INFO_V1(lorawan_try_decrypt_uplink);
PG_FUNCTION_INFO_V1(lorawan_try_decrypt_downlink);
PG_FUNCTION_INFO_V1(lorawan_crypt_uplink_f_opts);
PG_FUNCTION_INFO_V1(lorawan_crypt_downlink_f_opts);
PG_FUNCTION_INFO_V1(key_vault_key_status);

bytea *
crypt_payload_arguments(const WrappedKey *wrapped_key, FunctionCallInfo fcinfo, int first,
						LorawanDirection direction, bool denial_is_failure,
						VaultFailure *failure)
{
	const uint8 *dev_addr;
	uint32		f_cnt;
	const bytea *payload;
	size_t		size;
	bytea	   *result;
	AesCipher  *session_key;
	CryptoStatus status;

	vault_prefetch(wrapped_key);
	dev_addr = dev_addr_argument(fcinfo, first);
	f_cnt = f_cnt_argument(fcinfo, first + 1);
	payload = PG_GETARG_BYTEA_PP(first + 2);
	size = VARSIZE_ANY_EXHDR(payload);
	if (size > LORAWAN_MAX_PAYLOAD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("frm_payload must have at most %d bytes, not %zu",
						LORAWAN_MAX_PAYLOAD, size)));

	result = palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	session_key = vault_borrow_cipher(wrapped_key, KEK_DECRYPT, dev_addr, denial_is_failure,
									  failure);
	if (session_key == NULL)
		return NULL;
	status = lorawan_payload_crypt(session_key, direction, dev_addr, f_cnt,
								   (const uint8 *) VARDATA_ANY(payload),
								   (uint8 *) VARDATA(result), size);
	vault_release();
	require_crypto_ok(status, "encrypt or decrypt a payload");
	return result;
}

/* Arguments: key, dev_addr, f_cnt, frm_payload. */
static bytea *
crypt_payload(FunctionCallInfo fcinfo, LorawanDirection direction, VaultFailure *failure)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	return crypt_payload_arguments(&wrapped_key, fcinfo, 1, direction, false, failure);
}

static Datum
try_crypt(FunctionCallInfo fcinfo, LorawanDirection direction)
{
	VaultFailure failure;
	bytea	   *result = crypt_payload(fcinfo, direction, &failure);

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(result);
}

/* Encrypting and decrypting are the same operation, so these do both. */
Datum
lorawan_crypt_uplink(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(crypt_payload(fcinfo, LORAWAN_UPLINK, NULL));
}

Datum
lorawan_crypt_downlink(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(crypt_payload(fcinfo, LORAWAN_DOWNLINK, NULL));
}

Datum
lorawan_try_decrypt_uplink(PG_FUNCTION_ARGS)
{
	return try_crypt(fcinfo, LORAWAN_UPLINK);
}

Datum
lorawan_try_decrypt_downlink(PG_FUNCTION_ARGS)
{
	return try_crypt(fcinfo, LORAWAN_DOWNLINK);
}

/* Arguments: nwk_s_enc_key, dev_addr, f_cnt, f_opts. */
static bytea *
crypt_f_opts(FunctionCallInfo fcinfo, LorawanDirection direction, LorawanCounter counter)
{
	WrappedKey	wrapped_key;
	const uint8 *dev_addr;
	uint32		f_cnt;
	const bytea *f_opts = PG_GETARG_BYTEA_PP(3);
	size_t		size = VARSIZE_ANY_EXHDR(f_opts);
	bytea	   *result;
	CryptoStatus status;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	dev_addr = dev_addr_argument(fcinfo, 1);
	f_cnt = f_cnt_argument(fcinfo, 2);
	if (size > LORAWAN_MAX_F_OPTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("f_opts must have at most %d bytes, not %zu",
						LORAWAN_MAX_F_OPTS, size)));

	result = palloc(VARHDRSZ + size);
	SET_VARSIZE(result, VARHDRSZ + size);
	status = lorawan_f_opts_crypt(vault_borrow_cipher(&wrapped_key, KEK_DECRYPT, dev_addr, false,
													  NULL),
								  direction, counter, dev_addr, f_cnt,
								  (const uint8 *) VARDATA_ANY(f_opts),
								  (uint8 *) VARDATA(result), size);
	vault_release();
	require_crypto_ok(status, "encrypt or decrypt FOpts");
	return result;
}

Datum
lorawan_crypt_uplink_f_opts(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(crypt_f_opts(fcinfo, LORAWAN_UPLINK, LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN));
}

/*
 * This function is not strict, since f_port is NULL for frames that have no FPort.  f_port decides
 * which counter numbers the frame.
 */
Datum
lorawan_crypt_downlink_f_opts(PG_FUNCTION_ARGS)
{
	int32		f_port = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		PG_RETURN_NULL();
	if (f_port < 0 || f_port > UINT8_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("f_port must be from 0 to 255, not %d", f_port)));
	PG_RETURN_BYTEA_P(crypt_f_opts(fcinfo, LORAWAN_DOWNLINK,
								   f_port > 0 ? LORAWAN_A_F_CNT_DOWN : LORAWAN_F_CNT_UP_OR_N_F_CNT_DOWN));
}

Datum
key_vault_key_status(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	VaultFailure failure;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	(void) vault_borrow_cipher(&wrapped_key, KEK_DECRYPT, dev_addr_argument(fcinfo, 1),
							   false, &failure);
	vault_release();
	PG_RETURN_TEXT_P(cstring_to_text(vault_failure_name(failure)));
}
