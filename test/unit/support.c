/*
 * support.c
 *	  What the unit tests share: byte strings, random numbers, a look at
 *	  memory that was given back.
 */
#define _GNU_SOURCE

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "check.h"

Bytes
from_hex(const char *text)
{
	Bytes		bytes;

	memset(&bytes, 0, sizeof(bytes));
	for (; text[0] != '\0' && bytes.len < MAX_BYTES; text += 2)
	{
		unsigned int value = 0;

		CHECK(sscanf(text, "%2x", &value) == 1);
		bytes.data[bytes.len++] = (uint8_t) value;
	}
	return bytes;
}

bool
all_bytes_are(const void *buffer, uint8_t value, size_t len)
{
	const uint8_t *bytes = buffer;

	for (size_t i = 0; i < len; i++)
	{
		if (bytes[i] != value)
			return false;
	}
	return true;
}

AesCipher *
keyed_cipher(const uint8_t *key, size_t key_len, AesDirection direction)
{
	AesCipher  *cipher = aes_cipher_new();

	CHECK(cipher != NULL);
	CHECK(aes_cipher_set_key(cipher, key, key_len, direction) == CRYPTO_OK);
	return cipher;
}

/* xorshift32 */
uint32_t
next_random(void)
{
	static uint32_t state = 20230210;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* What a hooked allocation starts with; as long as malloc's alignment. */
typedef union HookHeader
{
	size_t		size;
	long double align;
} HookHeader;

static size_t allocations;
static size_t allocated_bytes;
static const void *watched;
static size_t watched_len;
static size_t found;

static void *
hook_malloc(size_t size, const char *file, int line)
{
	HookHeader *header = malloc(sizeof(HookHeader) + size);

	(void) file;
	(void) line;
	if (header == NULL)
		return NULL;
	header->size = size;
	allocations++;
	allocated_bytes += size;
	return header + 1;
}

static void
hook_free(void *piece, const char *file, int line)
{
	HookHeader *header = piece;

	(void) file;
	(void) line;
	if (piece == NULL)
		return;
	header--;
	if (watched != NULL &&
		memmem(piece, header->size, watched, watched_len) != NULL)
		found++;
	free(header);
}

static void *
hook_realloc(void *piece, size_t size, const char *file, int line)
{
	void	   *moved = hook_malloc(size, file, line);

	if (moved != NULL && piece != NULL)
	{
		HookHeader *header = (HookHeader *) piece - 1;

		memcpy(moved, piece, header->size < size ? header->size : size);
		hook_free(piece, file, line);
	}
	return moved;
}

bool
heap_hooks_install(void)
{
	return CRYPTO_set_mem_functions(hook_malloc, hook_realloc, hook_free) == 1;
}

size_t
heap_allocations(void)
{
	return allocations;
}

size_t
heap_bytes(void)
{
	return allocated_bytes;
}

void
heap_watch(const void *secret, size_t len)
{
	watched = secret;
	watched_len = len;
	found = 0;
}

size_t
heap_unwatch(void)
{
	watched = NULL;
	return found;
}

typedef struct StackCall
{
	void		(*function) (void *);
	void	   *argument;
} StackCall;

static void *
stack_call(void *argument)
{
	StackCall  *call = argument;
	volatile char distance[65536];

	/* Deep enough for what runs at the thread's end not to write over it. */
	distance[0] = 0;
	call->function(call->argument);
	(void) distance[0];
	return NULL;
}

bool
stack_holds(void (*function) (void *), void *argument, const void *secret,
			size_t len)
{
	const size_t stack_size = 1 << 20;
	StackCall	call = {function, argument};
	pthread_attr_t attributes;
	pthread_t	thread;
	void	   *stack;
	bool		holds;

	stack = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(stack != MAP_FAILED);
	pthread_attr_init(&attributes);
	CHECK(pthread_attr_setstack(&attributes, stack, stack_size) == 0);
	CHECK(pthread_create(&thread, &attributes, stack_call, &call) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	pthread_attr_destroy(&attributes);

#ifdef __OPTIMIZE__
	holds = memmem(stack, stack_size, secret, len) != NULL;
#else
	(void) secret;
	(void) len;
	holds = false;
#endif
	munmap(stack, stack_size);
	return holds;
}
