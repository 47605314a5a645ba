/*
 * wrapped_key.c
 *	  SQL functions of the type wrapped_key: input and output, comparison, and the parts of
 *	  a value.
 *
 * The text form is kv1:ALGORITHM:KEK_ID:HEX, for example
 * kv1:aes-kw:6f1d0c9e-3f4e-4a43-9c1f-1f7e0b6f3c55:eea8001cf43da05a22fcc7f0c2a9...
 *
 * Invariant: of these functions, only bound_dev_addr() opens a key, through the vault.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

#include "../crypto/hex.h"
#include "../vault/vault.h"
#include "arguments.h"

#define TEXT_PREFIX "kv1"

/* Before PostgreSQL 16, an input function cannot return an error, only raise it. */
#ifndef ereturn
#define ereturn(context, result, ...) ereport(ERROR, __VA_ARGS__)
#endif

PG_FUNCTION_INFO_V1(wrapped_key_in);
PG_FUNCTION_INFO_V1(wrapped_key_out);
PG_FUNCTION_INFO_V1(wrapped_key_recv);
PG_FUNCTION_INFO_V1(wrapped_key_send);
PG_FUNCTION_INFO_V1(wrapped_key_eq);
PG_FUNCTION_INFO_V1(wrapped_key_ne);
PG_FUNCTION_INFO_V1(wrapped_key_lt);
PG_FUNCTION_INFO_V1(wrapped_key_le);
PG_FUNCTION_INFO_V1(wrapped_key_gt);
PG_FUNCTION_INFO_V1(wrapped_key_ge);
PG_FUNCTION_INFO_V1(wrapped_key_cmp);
PG_FUNCTION_INFO_V1(wrapped_key_hash);
PG_FUNCTION_INFO_V1(wrapped_key_hash_extended);
PG_FUNCTION_INFO_V1(wrapped_key_kek_id);
PG_FUNCTION_INFO_V1(wrapped_key_kek_label);
PG_FUNCTION_INFO_V1(wrapped_key_kek_version);
PG_FUNCTION_INFO_V1(wrapped_key_algorithm);
PG_FUNCTION_INFO_V1(wrapped_key_bound_dev_addr);

/* Reads a uuid in its usual form, with groups of 8-4-4-4-12 digits of either case. */
static bool
decode_uuid(const char *text, size_t len, pg_uuid_t *uuid)
{
	char		hex[2 * UUID_LEN];

	if (len != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
		return false;
	memcpy(hex, text, 8);
	memcpy(hex + 8, text + 9, 4);
	memcpy(hex + 12, text + 14, 4);
	memcpy(hex + 16, text + 19, 4);
	memcpy(hex + 20, text + 24, 12);
	return hex_to_bytes(hex, UUID_LEN, uuid->data);
}

/* Reads the text form; returns NULL, or a sentence about what is wrong with it. */
static const char *
read_text(const char *text, struct varlena **value)
{
	const char *fields[4];
	size_t		lengths[4];
	const char *end = text;
	WrapAlgorithm algorithm;
	pg_uuid_t	kek_id;
	uint8	   *wrapped;
	WrappedKey	wrapped_key;

	for (int i = 0; i < 4; i++)
	{
		fields[i] = end;
		lengths[i] = strcspn(end, ":");
		end += lengths[i];
		if (*end != (i < 3 ? ':' : '\0'))
			return "There must be four fields with colons between them.";
		end++;
	}

	if (lengths[0] != strlen(TEXT_PREFIX) ||
		pg_strncasecmp(fields[0], TEXT_PREFIX, lengths[0]) != 0)
		return "The format version is unknown.";
	if (!wrap_algorithm_from_name(fields[1], lengths[1], &algorithm))
		return "The algorithm is unknown.";
	if (!decode_uuid(fields[2], lengths[2], &kek_id))
		return "The kek_id is not a uuid.";
	if (lengths[3] % 2 != 0)
		return "The wrapped bytes have an odd number of hexadecimal digits.";
	if (lengths[3] / 2 > KEY_WRAP_MAX_KEY + KEY_WRAP_OVERHEAD)
		return "The wrapped bytes are too long.";

	*value = wrapped_key_make(algorithm, &kek_id, lengths[3] / 2, &wrapped);
	if (!hex_to_bytes(fields[3], lengths[3] / 2, wrapped))
		return "The wrapped bytes are not hexadecimal digits.";
	return wrapped_key_parse((uint8 *) VARDATA(*value), VARSIZE(*value) - VARHDRSZ,
							 &wrapped_key);
}

/*
 * The error does not show the value, since it may be a plaintext key that was put into the
 * wrong column.
 */
Datum
wrapped_key_in(PG_FUNCTION_ARGS)
{
	struct varlena *value;
	const char *fault = read_text(PG_GETARG_CSTRING(0), &value);

	if (fault != NULL)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s", "wrapped_key"),
				 errdetail("%s", fault),
				 errhint("A wrapped_key is written kv1:ALGORITHM:KEK_ID:HEX.")));
	PG_RETURN_POINTER(value);
}

Datum
wrapped_key_out(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	StringInfoData text;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	initStringInfo(&text);
	appendStringInfo(&text, TEXT_PREFIX ":%s:%s:", wrap_algorithm_name(wrapped_key.algorithm),
					 DatumGetCString(DirectFunctionCall1(uuid_out,
														 UUIDPGetDatum(wrapped_key.kek_id))));
	enlargeStringInfo(&text, 2 * wrapped_key.wrapped_size);
	text.len += hex_encode((const char *) wrapped_key.wrapped, wrapped_key.wrapped_size,
						   text.data + text.len);
	text.data[text.len] = '\0';
	PG_RETURN_CSTRING(text.data);
}

/* The binary form is the bytes of the value, see wrapped_key.h. */
Datum
wrapped_key_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			size = message->len - message->cursor;
	const char *bytes = pq_getmsgbytes(message, size);
	struct varlena *value;
	WrappedKey	wrapped_key;
	const char *fault = wrapped_key_parse((const uint8 *) bytes, size, &wrapped_key);

	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type %s", "wrapped_key"),
				 errdetail("%s", fault)));
	value = palloc(VARHDRSZ + size);
	SET_VARSIZE(value, VARHDRSZ + size);
	memcpy(VARDATA(value), bytes, size);
	PG_RETURN_POINTER(value);
}

Datum
wrapped_key_send(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	StringInfoData message;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	pq_begintypsend(&message);
	pq_sendbytes(&message, (const char *) wrapped_key.bytes, wrapped_key.size);
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

static int
compare(FunctionCallInfo fcinfo)
{
	struct varlena *a = PG_GETARG_VARLENA_PP(0);
	struct varlena *b = PG_GETARG_VARLENA_PP(1);
	size_t		size_a = VARSIZE_ANY_EXHDR(a);
	size_t		size_b = VARSIZE_ANY_EXHDR(b);
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(size_a, size_b));

	if (result == 0)
		result = (size_a > size_b) - (size_a < size_b);
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

Datum
wrapped_key_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

Datum
wrapped_key_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

Datum
wrapped_key_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

Datum
wrapped_key_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

Datum
wrapped_key_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

Datum
wrapped_key_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

Datum
wrapped_key_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(fcinfo));
}

Datum
wrapped_key_hash(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	Datum		result = hash_any((unsigned char *) VARDATA_ANY(value),
								  VARSIZE_ANY_EXHDR(value));

	PG_FREE_IF_COPY(value, 0);
	return result;
}

Datum
wrapped_key_hash_extended(PG_FUNCTION_ARGS)
{
	struct varlena *value = PG_GETARG_VARLENA_PP(0);
	Datum		result = hash_any_extended((unsigned char *) VARDATA_ANY(value),
										   VARSIZE_ANY_EXHDR(value), PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(value, 0);
	return result;
}

Datum
wrapped_key_kek_id(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	pg_uuid_t  *kek_id = palloc(sizeof(pg_uuid_t));

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	*kek_id = *wrapped_key.kek_id;
	PG_RETURN_UUID_P(kek_id);
}

Datum
wrapped_key_kek_label(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	VaultKekName kek;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	if (!vault_kek_name(&wrapped_key, &kek))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(kek.label));
}

Datum
wrapped_key_kek_version(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	VaultKekName kek;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	if (!vault_kek_name(&wrapped_key, &kek))
		PG_RETURN_NULL();
	PG_RETURN_INT32(kek.version);
}

Datum
wrapped_key_algorithm(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	PG_RETURN_TEXT_P(cstring_to_text(wrap_algorithm_name(wrapped_key.algorithm)));
}

Datum
wrapped_key_bound_dev_addr(PG_FUNCTION_ARGS)
{
	WrappedKey	wrapped_key;
	bytea	   *dev_addr;
	VaultKey	key;

	wrapped_key_argument(fcinfo, 0, &wrapped_key);
	/* The algorithm already says that a key is not bound. */
	if (wrapped_key.algorithm != WRAP_AES_KW_BOUND)
		PG_RETURN_NULL();
	dev_addr = palloc(VARHDRSZ + LORAWAN_DEV_ADDR_SIZE);
	SET_VARSIZE(dev_addr, VARHDRSZ + LORAWAN_DEV_ADDR_SIZE);
	key = vault_borrow_key(&wrapped_key, KEK_OPENS_KEYS);
	memcpy(VARDATA(dev_addr), key.dev_addr, LORAWAN_DEV_ADDR_SIZE);
	vault_release();
	PG_RETURN_BYTEA_P(dev_addr);
}
