/*
 * fuzz_root_key.c
 *	  What a root key file or command gives: 64 hexadecimal digits, with one end of line or
 *	  none, are a root key; all else is refused, and is not in the error.  The text is
 *	  wiped in both cases.
 */
#include "postgres.h"

#include "../../src/root_key/root_key_provider.h"

#include "must.h"
#include "postgres_stub.h"

static bool
is_root_key(const uint8_t *data, size_t size)
{
	if (size > 0 && data[size - 1] == '\n')
		size--;
	if (size > 0 && data[size - 1] == '\r')
		size--;
	if (size != 64)
		return false;
	for (size_t i = 0; i < size; i++)
		if (data[i] == '\0' || strchr("0123456789abcdefABCDEF", data[i]) == NULL)
			return false;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	RootKey		key;
	DeferredError error = {0};
	char	   *text = memcpy(palloc(size), data, size);
	bool		loaded;

	memset(&key, 0, sizeof(key));
	loaded = software_root_key_load(&key, text, size, "file", &error);
	MUST(loaded == is_root_key(data, size));
	for (size_t i = 0; i < size; i++)
		MUST(text[i] == 0);
	if (loaded)
	{
		for (size_t i = 0; i < 32; i++)
		{
			unsigned int byte;

			MUST(sscanf((char[]) {(char) data[2 * i], (char) data[2 * i + 1], '\0'}, "%2x", &byte) == 1);
			MUST(((const uint8_t *) key.handle)[i] == byte);
		}
		software_root_key_forget(&key);
		MUST(key.handle == NULL);
	}
	else
	{
		char	   *shown = pnstrdup((const char *) data, size);

		MUST(error.message != NULL && error.detail != NULL && error.hint != NULL);
		MUST(strlen(shown) < 12 || strstr(error.detail, shown) == NULL);
	}
	stub_free_all();
	return 0;
}
