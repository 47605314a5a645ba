/*
 * fuzz_wrapped_key.c
 *	  Wrapped keys in their text and their binary form: any bytes are a wrapped key in one
 *	  of its lengths, or are refused with a reason.  What is read is what was written.
 */
#include "../../src/functions/wrapped_key.c"

#include "must.h"
#include "postgres_stub.h"

/* The lengths that RFC 3394 and RFC 5649 give keys of 16 to 4096 bits. */
static void
check(const WrappedKey *key)
{
	MUST(key->size == 18 + key->wrapped_size);
	MUST(key->wrapped_size % 8 == 0 && key->wrapped_size >= 16 && key->wrapped_size <= 4096);
	MUST(key->wrapped == key->bytes + 18);
	touch(key->bytes, key->size);
}

/* The text form, written without the extension's code. */
static char *
write_text(const WrappedKey *key)
{
	char	   *text = palloc(100 + 2 * key->wrapped_size);
	char	   *end = text;
	const uint8 *id = key->bytes + 2;

	end += sprintf(end, "kv1:%s:", key->bytes[1] == 1 ? "aes-kw" : key->bytes[1] == 2 ? "aes-kwp" : "aes-kw-bound");
	for (int i = 0; i < 16; i++)
		end += sprintf(end, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
	*end++ = ':';
	for (size_t i = 0; i < key->wrapped_size; i++)
		end += sprintf(end, "%02x", key->wrapped[i]);
	return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	WrappedKey	key;
	struct varlena *value = NULL;
	char	   *text = pnstrdup((const char *) data, size);

	if (read_text(text, &value) == NULL)
	{
		wrapped_key_from_varlena(value, &key);
		check(&key);
		MUST(pg_strcasecmp(write_text(&key), text) == 0);
	}
	if (wrapped_key_parse(data, size, &key) == NULL)
	{
		WrappedKey	again;

		MUST(key.bytes == data && key.size == size);
		check(&key);
		MUST(read_text(write_text(&key), &value) == NULL);
		wrapped_key_from_varlena(value, &again);
		MUST(again.size == size && memcmp(again.bytes, data, size) == 0);
	}
	stub_free_all();
	return 0;
}
