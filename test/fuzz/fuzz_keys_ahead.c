/*
 * fuzz_keys_ahead.c
 *	  The search for the keys of the next rows: it reads within the page that the key is in, whatever
 *	  another backend has written there meanwhile, and what it finds is in this page, too.
 */
#include "../../src/vault/keys_ahead.h"

#include "must.h"
#include "postgres_stub.h"

char	   *BufferBlocks;
int			NBuffers = 1;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	WrappedKey	key = {.size = WRAPPED_KEY_HEADER_SIZE + 24};
	AheadPlace	place = {.page = NULL};
	KeysAhead	ahead;
	uint16		in_page;
	uint16		tuple;
	uint8	   *page;

	if (size < 4 || size - 4 > BLCKSZ)
		return 0;
	memcpy(&in_page, data, 2);
	memcpy(&tuple, data + 2, 2);
	in_page %= BLCKSZ - key.size + 1;

	/* A chunk of its own, so that the sanitizer sees each byte outside of the page. */
	page = malloc(BLCKSZ);
	MUST(page != NULL);
	memset(page, 1, BLCKSZ);
	memcpy(page, data + 4, size - 4);
	BufferBlocks = (char *) page;
	key.bytes = page + in_page;
	/* 0: no key of this page came before. */
	if (tuple != 0)
		place = (AheadPlace) {.page = BufferBlocks,.tuple = tuple};

	ahead = keys_ahead(&key, &place);
	for (int i = 0; i < 2; i++)
	{
		const uint8 *wrapped = i == 0 ? ahead.next : ahead.second;

		if (wrapped == NULL)
			continue;
		MUST(wrapped >= page + WRAPPED_KEY_HEADER_SIZE && wrapped + sizeof(uint64) <= page + BLCKSZ);
		touch(wrapped, sizeof(uint64));
	}

	/* The same page, if it is before the shared buffers. */
	BufferBlocks = (char *) page + BLCKSZ;
	ahead = keys_ahead(&key, &place);
	MUST(ahead.next == NULL && ahead.second == NULL);
	free(page);
	return 0;
}
