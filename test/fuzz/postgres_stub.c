/*
 * postgres_stub.c
 *	  See postgres_stub.h.  Formatting and character functions are those of PostgreSQL's
 *	  libpgcommon and libpgport.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "must.h"
#include "postgres_stub.h"

/* Before each chunk; palloc's alignment is kept. */
typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk *previous;
} Chunk;

static Chunk chunks = {&chunks, &chunks};

sigjmp_buf *PG_exception_stack = NULL;
ErrorContextCallback *error_context_stack = NULL;
MemoryContext CurrentMemoryContext = NULL;

void *
palloc(Size size)
{
	Chunk	   *chunk = malloc(sizeof(Chunk) + size);

	MUST(chunk != NULL && size <= MaxAllocSize);
	chunk->next = chunks.next;
	chunk->previous = &chunks;
	chunk->next->previous = chunk;
	chunks.next = chunk;
	return chunk + 1;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void
pfree(void *pointer)
{
	Chunk	   *chunk = (Chunk *) pointer - 1;

	chunk->next->previous = chunk->previous;
	chunk->previous->next = chunk->next;
	free(chunk);
}

void *
repalloc(void *pointer, Size size)
{
	Chunk	   *chunk = realloc((Chunk *) pointer - 1, sizeof(Chunk) + size);

	MUST(chunk != NULL && size <= MaxAllocSize);
	chunk->next->previous = chunk;
	chunk->previous->next = chunk;
	return chunk + 1;
}

char *
pnstrdup(const char *in, Size len)
{
	char	   *copy;

	len = strnlen(in, len);
	copy = memcpy(palloc(len + 1), in, len);
	copy[len] = '\0';
	return copy;
}

char *
pstrdup(const char *in)
{
	return pnstrdup(in, strlen(in));
}

void
stub_free_all(void)
{
	while (chunks.next != &chunks)
		pfree(chunks.next + 1);
}

void
stub_missing(void)
{
	abort();
}
