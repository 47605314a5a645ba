/*
 * payload_status.c
 *	  SQL functions that decrypt a payload and return it with the status of its key.
 *
 * Payload and status come from one look-up of the key.  If there were two, a KEK could be
 * suspended between them, and the row would contradict itself.
 *
 * These functions are called once for each row, or once for each column (see row_look.c), so
 * they must be fast.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "../catalog/kek_row.h"
#include "../vault/wrapping.h"
#include "arguments.h"
#include "payload_arguments.h"
#include "result_row.h"
#include "row_look.h"

PG_FUNCTION_INFO_V1(key_vault_lorawan_decrypt_uplink_status);
PG_FUNCTION_INFO_V1(key_vault_lorawan_decrypt_downlink_status);
PG_FUNCTION_INFO_V1(key_vault_storage_read_uplink);

/* The highest number of arguments of type bytea, text or wrapped_key. */
#define MAX_PARTS 5

static uint8 *
append_bytes(uint8 *end, const void *bytes, size_t size)
{
	memcpy(end, bytes, size);
	return end + size;
}

/*
 * Writes all that the result depends on, except the KEKs, into one piece of memory: the kind
 * of the function, the current role and the arguments from first on.  f_cnt is the argument
 * before the last; all other arguments have varying lengths, and may be NULL.
 */
static uint8 *
pack_arguments(FunctionCallInfo fcinfo, int first, char kind, size_t *size)
{
	int			n_f_cnt = PG_NARGS() - 2;
	int64		f_cnt = PG_GETARG_INT64(n_f_cnt);
	Oid			role = GetUserId();
	const struct varlena *parts[MAX_PARTS];
	int			nparts = 0;
	uint8	   *packed;
	uint8	   *end;

	*size = sizeof(kind) + sizeof(role) + sizeof(f_cnt);
	for (int n = first; n < PG_NARGS(); n++)
	{
		if (n == n_f_cnt)
			continue;
		if (PG_ARGISNULL(n))
		{
			*size += sizeof(uint32);
			parts[nparts++] = NULL;
			continue;
		}
		parts[nparts] = PG_GETARG_VARLENA_PP(n);
		*size += sizeof(uint32) + VARSIZE_ANY_EXHDR(parts[nparts]);
		nparts++;
	}
	packed = palloc(*size);
	end = append_bytes(packed, &kind, sizeof(kind));
	end = append_bytes(end, &role, sizeof(role));
	end = append_bytes(end, &f_cnt, sizeof(f_cnt));
	for (int i = 0; i < nparts; i++)
	{
		uint32		part_size = parts[i] == NULL ? PG_UINT32_MAX : VARSIZE_ANY_EXHDR(parts[i]);

		end = append_bytes(end, &part_size, sizeof(part_size));
		if (parts[i] != NULL)
			end = append_bytes(end, VARDATA_ANY(parts[i]), part_size);
	}
	return packed;
}

/* Makes the result, a row of payload, which may be NULL, and status. */
static Datum
make_result(FunctionCallInfo fcinfo, bytea *payload, const char *status)
{
	Datum		values[2] = {PointerGetDatum(payload), CStringGetTextDatum(status)};
	bool		nulls[2] = {payload == NULL, false};

	return HeapTupleGetDatum(heap_form_tuple(result_row_desc(fcinfo, lengthof(values)), values, nulls));
}

/*
 * The arguments from first on are dev_addr, f_cnt and frm_payload.  That the role may not use the
 * key is an error unless denial_is_failure.
 */
static Datum
decrypt_with(const WrappedKey *wrapped_key, FunctionCallInfo fcinfo, int first,
			 LorawanDirection direction, bool denial_is_failure)
{
	VaultFailure failure;
	bytea	   *payload = crypt_payload_arguments(wrapped_key, fcinfo, first, direction,
												  denial_is_failure, &failure);

	return make_result(fcinfo, payload,
					   payload == NULL ? vault_failure_name(failure) : "decrypted");
}

/* Arguments: key, dev_addr, f_cnt, frm_payload. */
static Datum
decrypt_with_status(FunctionCallInfo fcinfo, LorawanDirection direction)
{
	size_t		size;
	const uint8 *arguments = pack_arguments(fcinfo, 0, direction == LORAWAN_UPLINK ? 'u' : 'd', &size);
	WrappedKey	wrapped_key;
	Datum		result;

	if (row_look_find(fcinfo->flinfo, arguments, size, &result))
		return result;
	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	result = decrypt_with(&wrapped_key, fcinfo, 1, direction, false);
	row_look_keep(fcinfo->flinfo, arguments, size, result);
	return result;
}

Datum
key_vault_lorawan_decrypt_uplink_status(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(decrypt_with_status(fcinfo, LORAWAN_UPLINK));
}

Datum
key_vault_lorawan_decrypt_downlink_status(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(decrypt_with_status(fcinfo, LORAWAN_DOWNLINK));
}

/* The arguments of key_vault_storage_read_uplink(), in their order. */
enum UplinkArgument
{
	ARGUMENT_ENCRYPTED,
	ARGUMENT_F_PORT,
	ARGUMENT_HAS_SESSION,
	ARGUMENT_KEY,
	ARGUMENT_KEK_LABEL,
	ARGUMENT_ENCRYPTED_KEY,
	ARGUMENT_DEV_ADDR,
	ARGUMENT_F_CNT,
	ARGUMENT_FRM_PAYLOAD
};

/*
 * If the role may not use the key, the status says so and there is no error, so that a report
 * over many sessions does not fail.
 */
static Datum
decrypt_or_say_why(const WrappedKey *wrapped_key, FunctionCallInfo fcinfo)
{
	return decrypt_with(wrapped_key, fcinfo, ARGUMENT_DEV_ADDR, LORAWAN_UPLINK, true);
}

static Datum
decrypt_with_key(FunctionCallInfo fcinfo)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, ARGUMENT_KEY, &wrapped_key);
	return decrypt_or_say_why(&wrapped_key, fcinfo);
}

/* If the role may not open the envelope, the status does not say whether it would open. */
static Datum
decrypt_with_envelope(FunctionCallInfo fcinfo)
{
	const char *kek_label = label_argument(fcinfo, ARGUMENT_KEK_LABEL);
	const bytea *encrypted_key = PG_GETARG_BYTEA_PP(ARGUMENT_ENCRYPTED_KEY);
	struct varlena *key;
	WrappedKey	wrapped_key;

	if (kek_rows_by_label(kek_label) == NIL)
		return make_result(fcinfo, NULL, vault_failure_name(VAULT_KEK_UNKNOWN));
	key = vault_try_envelope_key(kek_label, (const uint8 *) VARDATA_ANY(encrypted_key),
								 VARSIZE_ANY_EXHDR(encrypted_key), true);
	if (key == NULL)
		return make_result(fcinfo, NULL, "envelope not opened");
	wrapped_key_from_varlena(key, &wrapped_key);
	return decrypt_or_say_why(&wrapped_key, fcinfo);
}

/* The result for an uplink that can be decrypted if its key can be used. */
static Datum
decrypt_uplink(FunctionCallInfo fcinfo)
{
	size_t		size;
	const uint8 *arguments = pack_arguments(fcinfo, ARGUMENT_KEY, 's', &size);
	Datum		result;

	if (row_look_find(fcinfo->flinfo, arguments, size, &result))
		return result;
	if (PG_ARGISNULL(ARGUMENT_KEY))
		result = decrypt_with_envelope(fcinfo);
	else
		result = decrypt_with_key(fcinfo);
	row_look_keep(fcinfo->flinfo, arguments, size, result);
	return result;
}

/* Reads an uplink of a storage: decrypts it, or says why not. */
Datum
key_vault_storage_read_uplink(PG_FUNCTION_ARGS)
{
	bool		has_key = !PG_ARGISNULL(ARGUMENT_KEY) ||
	!(PG_ARGISNULL(ARGUMENT_KEK_LABEL) || PG_ARGISNULL(ARGUMENT_ENCRYPTED_KEY));
	bytea	   *payload;
	bool		is_empty;
	const char *status;

	if (PG_ARGISNULL(ARGUMENT_F_PORT) || PG_ARGISNULL(ARGUMENT_HAS_SESSION) ||
		PG_ARGISNULL(ARGUMENT_FRM_PAYLOAD))
		PG_RETURN_NULL();
	payload = PG_GETARG_BYTEA_PP(ARGUMENT_FRM_PAYLOAD);
	is_empty = VARSIZE_ANY_EXHDR(payload) == 0;
	if (PG_ARGISNULL(ARGUMENT_ENCRYPTED) && !is_empty && has_key)
		status = "perhaps encrypted";
	else if (PG_ARGISNULL(ARGUMENT_ENCRYPTED) || !PG_GETARG_BOOL(ARGUMENT_ENCRYPTED))
		PG_RETURN_DATUM(make_result(fcinfo, payload, "plain"));
	else if (PG_GETARG_INT16(ARGUMENT_F_PORT) == 0 && !is_empty)
		status = "network payload";
	else if (!PG_GETARG_BOOL(ARGUMENT_HAS_SESSION) || PG_ARGISNULL(ARGUMENT_DEV_ADDR))
		status = "no session";
	else if (!has_key)
		status = "no key";
	else if (PG_ARGISNULL(ARGUMENT_F_CNT))
		status = "counter missing";
	else
		PG_RETURN_DATUM(decrypt_uplink(fcinfo));
	PG_RETURN_DATUM(make_result(fcinfo, NULL, status));
}
