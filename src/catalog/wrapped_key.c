/*
 * wrapped_key.c
 *	  The bytes of a wrapped_key value: parsing and making them.
 *
 * Invariants: if wrapped_key_parse() accepts a value, its lengths are right for its
 * algorithm, so that later steps need not check them.  Nothing here opens a key.
 */
#include "postgres.h"

#include "wrapped_key.h"

static const struct
{
	const char *name;
	size_t		min_wrapped_size;
}			algorithms[] =

{
	[WRAP_AES_KW] = {"aes-kw", 16 + KEY_WRAP_OVERHEAD},
	[WRAP_AES_KWP] = {"aes-kwp", 8 + KEY_WRAP_OVERHEAD},
	[WRAP_AES_KW_BOUND] = {"aes-kw-bound", KEY_CONTEXT_SIZE + 16 + KEY_WRAP_OVERHEAD},
};

static const uint8 context_prefix[KEY_CONTEXT_SIZE - LORAWAN_DEV_ADDR_SIZE] = {1, 0, 0, 0};

const char *
wrapped_key_parse(const uint8 *bytes, size_t size, WrappedKey *wrapped_key)
{
	size_t		wrapped_size;

	if (size < WRAPPED_KEY_HEADER_SIZE)
		return "The value ends within its header.";
	if (bytes[0] != WRAPPED_KEY_FORMAT)
		return "The format version is unknown.";

	if (bytes[1] < WRAP_AES_KW || bytes[1] > WRAP_AES_KW_BOUND)
		return "The algorithm is unknown.";

	wrapped_size = size - WRAPPED_KEY_HEADER_SIZE;
	if (wrapped_size < algorithms[bytes[1]].min_wrapped_size)
		return "The wrapped bytes are too short for the algorithm.";
	if (wrapped_size > KEY_WRAP_MAX_KEY + KEY_WRAP_OVERHEAD)
		return "The wrapped bytes are too long.";
	if (wrapped_size % 8 != 0)
		return "The length of the wrapped bytes is not a multiple of 8.";

	wrapped_key->bytes = bytes;
	wrapped_key->size = size;
	wrapped_key->algorithm = (WrapAlgorithm) bytes[1];
	wrapped_key->kek_id = (const pg_uuid_t *) (bytes + 2);
	wrapped_key->wrapped = bytes + WRAPPED_KEY_HEADER_SIZE;
	wrapped_key->wrapped_size = wrapped_size;
	return NULL;
}

void
wrapped_key_from_varlena(const struct varlena *value, WrappedKey *wrapped_key)
{
	const char *fault = wrapped_key_parse((const uint8 *) VARDATA_ANY(value),
										  VARSIZE_ANY_EXHDR(value), wrapped_key);

	if (unlikely(fault != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored wrapped_key is damaged"),
				 errdetail_internal("%s", fault)));
}

struct varlena *
wrapped_key_make(WrapAlgorithm algorithm, const pg_uuid_t *kek_id,
				 size_t wrapped_size, uint8 **wrapped)
{
	struct varlena *value = palloc0(VARHDRSZ + WRAPPED_KEY_HEADER_SIZE + wrapped_size);
	uint8	   *bytes = (uint8 *) VARDATA(value);

	SET_VARSIZE(value, VARHDRSZ + WRAPPED_KEY_HEADER_SIZE + wrapped_size);
	bytes[0] = WRAPPED_KEY_FORMAT;
	bytes[1] = algorithm;
	memcpy(bytes + 2, kek_id, UUID_LEN);
	*wrapped = bytes + WRAPPED_KEY_HEADER_SIZE;
	return value;
}

const char *
wrap_algorithm_name(WrapAlgorithm algorithm)
{
	return algorithms[algorithm].name;
}

bool
wrap_algorithm_from_name(const char *name, size_t name_len, WrapAlgorithm *algorithm)
{
	for (int i = WRAP_AES_KW; i <= WRAP_AES_KW_BOUND; i++)
		if (strlen(algorithms[i].name) == name_len &&
			pg_strncasecmp(algorithms[i].name, name, name_len) == 0)
		{
			*algorithm = (WrapAlgorithm) i;
			return true;
		}
	return false;
}

void
key_context_from_dev_addr(const uint8 dev_addr[LORAWAN_DEV_ADDR_SIZE],
						  uint8 context[KEY_CONTEXT_SIZE])
{
	memcpy(context, context_prefix, sizeof(context_prefix));
	memcpy(context + sizeof(context_prefix), dev_addr, LORAWAN_DEV_ADDR_SIZE);
}

bool
key_context_is_valid(const uint8 context[KEY_CONTEXT_SIZE])
{
	return memcmp(context, context_prefix, sizeof(context_prefix)) == 0;
}
