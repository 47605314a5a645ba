/*
 * test_secure_memory.c
 *	  Tests of secure_memory.c.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "crypto/secure_memory.h"

#define CHUNK ((size_t) 65536)

/* Address sanitizer replaces mlock() by a function that does nothing. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define MLOCK_IS_REAL false
#else
#define MLOCK_IS_REAL true
#endif

static char *
chunk_of(void *piece)
{
	return (char *) piece - ((uintptr_t) piece & (CHUNK - 1));
}

static bool
is_mapped(void *chunk)
{
	unsigned char pages[CHUNK / 4096];

	return mincore(chunk, CHUNK, pages) == 0;
}

/* Whether /proc/self/smaps has the flag for the mapping that the address is in. */
static bool
has_vm_flag(const void *address, const char *flag)
{
	FILE	   *smaps = fopen("/proc/self/smaps", "r");
	char		line[4096];
	bool		inside = false;
	bool		found = false;

	CHECK(smaps != NULL);
	if (smaps == NULL)
		return false;
	while (fgets(line, sizeof(line), smaps) != NULL)
	{
		unsigned long start;
		unsigned long end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start <= (unsigned long) address && (unsigned long) address < end;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return found;
}

/* Each size, two pieces side by side: aligned, zero, apart from each other. */
static void
all_sizes(void)
{
	size_t		last_footprint = 0;

	for (size_t size = 0; size <= SECURE_MEMORY_MAX_SIZE; size++)
	{
		uint8_t    *one = secure_alloc(size);
		uint8_t    *other = secure_alloc(size);
		size_t		footprint = secure_footprint(size);

		CHECK(one != NULL && other != NULL && one != other);
		if (one == NULL || other == NULL)
			return;
		CHECK((uintptr_t) one % 16 == 0 && (uintptr_t) other % 16 == 0);
		CHECK(all_bytes_are(one, 0, size) && all_bytes_are(other, 0, size));
		memset(one, 0x11, size);
		memset(other, 0x22, size);
		CHECK(all_bytes_are(one, 0x11, size) && all_bytes_are(other, 0x22, size));

		/* More than the size, by no more than the classes explain. */
		CHECK(footprint >= size && footprint >= last_footprint);
		CHECK(footprint <= size + (size < 512 ? 32 : size * 6 / 10));
		last_footprint = footprint;
		secure_free(one);
		secure_free(other);
	}
	CHECK(secure_alloc(SECURE_MEMORY_MAX_SIZE + 1) == NULL);
	CHECK(secure_alloc(SIZE_MAX) == NULL);
	CHECK(secure_footprint(SECURE_MEMORY_MAX_SIZE + 1) == 0);
	secure_free(NULL);
}

/* Sizes of the most common keys waste nothing. */
static void
exact_sizes(void)
{
	CHECK(secure_footprint(16) == 16);
	CHECK(secure_footprint(32) == 32);
	CHECK(secure_footprint(100) == 112);
	CHECK(secure_footprint(SECURE_MEMORY_MAX_SIZE) == CHUNK / 3);
}

/* A piece that is given back is wiped at once and whole, but for a link in it. */
static void
wiped_when_freed(void)
{
	const size_t sizes[] = {16, 24, 32, 240, 512, 513, 1000, 4096, 16384};

	for (size_t i = 0; i < LENGTH(sizes); i++)
	{
		size_t		size = sizes[i];
		uint8_t    *piece = secure_alloc(size);
		uint8_t    *neighbour = secure_alloc(size);
		uint8_t    *again;

		memset(piece, 0x5a, size);
		memset(neighbour, 0x5b, size);
		secure_free(piece);
		CHECK(all_bytes_are(piece + sizeof(void *), 0, size - sizeof(void *)));
		CHECK(memchr(piece, 0x5a, sizeof(void *)) == NULL);
		CHECK(all_bytes_are(neighbour, 0x5b, size));
		again = secure_alloc(size);
		CHECK(again == piece);
		CHECK(all_bytes_are(again, 0, size));
		secure_free(again);
		secure_free(neighbour);
	}
}

/* What is written past the size asked for, up to the class's, is wiped as well. */
static void
wiped_whole_class(void)
{
	uint8_t    *piece = secure_alloc(520);

	memset(piece, 0x5a, 640);
	secure_free(piece);
	CHECK(all_bytes_are(piece + sizeof(void *), 0, 640 - sizeof(void *)));
}

static void
empty_chunk_is_clean(void)
{
	const size_t size = 2048;
	uint8_t    *pieces[200];
	char	   *kept = NULL;

	for (size_t i = 0; i < LENGTH(pieces); i++)
	{
		pieces[i] = secure_alloc(size);
		memset(pieces[i], 0xe7, size);
	}
	for (size_t i = 0; i < LENGTH(pieces); i++)
		secure_free(pieces[i]);
	for (size_t i = 0; i < LENGTH(pieces); i++)
	{
		if (is_mapped(chunk_of(pieces[i])))
			kept = chunk_of(pieces[i]);
	}
	CHECK(kept != NULL);
	/* No two bytes of the pattern; one may be part of an address. */
	CHECK(kept != NULL && memmem(kept, CHUNK, "\xe7\xe7", 2) == NULL);
}

/* Chunks go back to the system when empty, all but one of their class. */
static void
chunks_given_back(void)
{
	const size_t size = 16384;
	void	   *pieces[30];
	int			mapped = 0;
	void	   *piece;
	char	   *chunk;

	for (size_t i = 0; i < LENGTH(pieces); i++)
		pieces[i] = secure_alloc(size);
	for (size_t i = 0; i < LENGTH(pieces); i++)
		CHECK(is_mapped(chunk_of(pieces[i])));
	/* Every other piece first, so that all chunks are used in part. */
	for (size_t i = 0; i < LENGTH(pieces); i += 2)
		secure_free(pieces[i]);
	for (size_t i = 1; i < LENGTH(pieces); i += 2)
		CHECK(is_mapped(chunk_of(pieces[i])));
	for (size_t i = 1; i < LENGTH(pieces); i += 2)
		secure_free(pieces[i]);
	for (size_t i = 0; i < LENGTH(pieces); i++)
	{
		/* Of each chunk, count the piece that came from it first. */
		bool		first = true;

		for (size_t j = 0; j < i; j++)
			first = first && chunk_of(pieces[j]) != chunk_of(pieces[i]);
		mapped += first && is_mapped(chunk_of(pieces[i]));
	}
	CHECK(mapped == 1);

	/* Alloc and free in turn keep to the one chunk, and it stays. */
	piece = secure_alloc(size);
	chunk = chunk_of(piece);
	for (int i = 0; i < 10; i++)
	{
		secure_free(piece);
		CHECK(is_mapped(chunk));
		piece = secure_alloc(size);
		CHECK(chunk_of(piece) == chunk);
	}
	secure_free(piece);
}

/* Against a model: whoever holds a piece finds in it what he wrote. */
static void
random_model(void)
{
	enum
	{
		SLOTS = 1000
	};
	static uint8_t *pieces[SLOTS];
	static size_t sizes[SLOTS];
	static uint8_t marks[SLOTS];

	for (int i = 0; i < 100000; i++)
	{
		uint32_t	slot = next_random() % SLOTS;

		if (pieces[slot] == NULL)
		{
			/* Mostly keys, now and then something large. */
			sizes[slot] = next_random() % (next_random() % 16 ? 300 : 16385);
			marks[slot] = (uint8_t) (1 + next_random() % 255);
			pieces[slot] = secure_alloc(sizes[slot]);
			CHECK(pieces[slot] != NULL);
			if (pieces[slot] == NULL)
				return;
			CHECK(all_bytes_are(pieces[slot], 0, sizes[slot]));
			memset(pieces[slot], marks[slot], sizes[slot]);
		}
		else
		{
			CHECK(all_bytes_are(pieces[slot], marks[slot], sizes[slot]));
			secure_free(pieces[slot]);
			pieces[slot] = NULL;
		}
	}
	for (int slot = 0; slot < SLOTS; slot++)
	{
		if (pieces[slot] != NULL)
		{
			CHECK(all_bytes_are(pieces[slot], marks[slot], sizes[slot]));
			secure_free(pieces[slot]);
		}
	}
}

/* Says "locked" when, and only when, the kernel does. */
static void
locked_and_not_dumped(void)
{
	void	   *piece = secure_alloc(9000);

	CHECK(has_vm_flag(piece, " dd"));
	CHECK(has_vm_flag(piece, " lo") == secure_memory_is_locked() || !MLOCK_IS_REAL);
	secure_free(piece);
}

/* Of a new chunk, only the pages that are used take memory. */
static void
pages_as_used(void)
{
	void	   *pieces[4];
	char	   *chunk;
	unsigned char pages[CHUNK / 4096];
	int			used = 0;

	/* Three fit into a chunk, and one empty chunk may be left from before. */
	for (size_t i = 0; i < LENGTH(pieces); i++)
		pieces[i] = secure_alloc(16384);
	chunk = chunk_of(pieces[3]);
	CHECK(mincore(chunk, CHUNK, pages) == 0);
	for (size_t i = 0; i < LENGTH(pages); i++)
		used += pages[i] & 1;
	CHECK(used == 1 || !secure_memory_is_locked() || !MLOCK_IS_REAL);
	for (size_t i = 0; i < LENGTH(pieces); i++)
		secure_free(pieces[i]);
}

/* In a process that may lock nothing: false where something is not as it should be. */
static bool
works_without_locks(void)
{
	struct rlimit none = {0, 0};
	uint8_t    *piece = NULL;

	/* Root may lock whatever the limit; and /proc/self is its owner's. */
	if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
		(geteuid() == 0 && setuid(65534) != 0) ||
		prctl(PR_SET_DUMPABLE, 1) != 0)
		return false;

	/* More than any chunk kept from before, and its locks, can hold. */
	for (int i = 0; i < 10; i++)
	{
		piece = secure_alloc(11000);
		if (piece == NULL)
			return false;
	}
	if (secure_memory_is_locked() && MLOCK_IS_REAL)
		return false;
	memset(piece, 0x77, 11000);
	if (!all_bytes_are(piece, 0x77, 11000) || has_vm_flag(piece, " lo") ||
		!has_vm_flag(piece, " dd"))
		return false;
	secure_free(piece);
	return all_bytes_are(piece + sizeof(void *), 0, 11000 - sizeof(void *));
}

static void
without_locks(void)
{
	pid_t		child;
	int			status = 0;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(works_without_locks() ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* When the system has no memory either, the answer is NULL, and no crash. */
static bool
survives_no_memory(void)
{
	struct rlimit none = {0, 0};
	void	   *first = secure_alloc(13000);

	if (first == NULL || setrlimit(RLIMIT_AS, &none) != 0)
		return false;
	for (int i = 0; i < 10; i++)
	{
		if (secure_alloc(13000) == NULL)
		{
			/* Freed memory can be allocated again. */
			secure_free(first);
			return secure_alloc(13000) == first;
		}
	}
	return false;
}

static void
without_memory(void)
{
	pid_t		child;
	int			status = 0;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(survives_no_memory() ? 0 : 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
equal_and_wipe(void)
{
	uint8_t		a[40];
	uint8_t		b[40];

	memset(a, 0x31, sizeof(a));
	memset(b, 0x31, sizeof(b));
	CHECK(secure_equal(a, b, sizeof(a)));
	CHECK(secure_equal(a, b, 0));
	for (size_t bit = 0; bit < sizeof(a) * 8; bit++)
	{
		b[bit / 8] ^= (uint8_t) (1 << bit % 8);
		CHECK(!secure_equal(a, b, sizeof(a)));
		CHECK(secure_equal(a, b, bit / 8));
		b[bit / 8] ^= (uint8_t) (1 << bit % 8);
	}
	secure_wipe(a + 1, sizeof(a) - 2);
	CHECK(a[0] == 0x31 && a[39] == 0x31 && all_bytes_are(a + 1, 0, sizeof(a) - 2));
}

static void
random_bytes(void)
{
	uint8_t		bytes[2][48];
	uint8_t		seen[2][48] = {{0}, {0}};

	memset(bytes, 0xaa, sizeof(bytes));
	CHECK(secure_random(bytes[0] + 1, 46) && secure_random(bytes[1] + 1, 46));
	CHECK(memcmp(bytes[0], bytes[1], sizeof(bytes[0])) != 0);
	CHECK(bytes[0][0] == 0xaa && bytes[0][47] == 0xaa);
	CHECK(secure_random(bytes[0], 0));
	CHECK(bytes[0][0] == 0xaa);
	CHECK(!secure_random(bytes[0], (size_t) 1 << 31));

	/* Every byte of the buffer takes part. */
	for (int i = 0; i < 20; i++)
	{
		CHECK(secure_random(bytes[0], sizeof(bytes[0])));
		CHECK(secure_random(bytes[1], sizeof(bytes[1])));
		for (size_t j = 0; j < sizeof(bytes[0]); j++)
			seen[0][j] |= bytes[0][j] ^ bytes[1][j];
	}
	CHECK(memchr(seen[0], 0, sizeof(seen[0])) == NULL);
}

void
test_secure_memory(void)
{
	RUN(all_sizes);
	RUN(exact_sizes);
	RUN(wiped_when_freed);
	RUN(wiped_whole_class);
	RUN(empty_chunk_is_clean);
	RUN(chunks_given_back);
	RUN(random_model);
	RUN(locked_and_not_dumped);
	RUN(pages_as_used);
	RUN_NATIVE(without_locks);
	RUN_NATIVE(without_memory);
	RUN(equal_and_wipe);
	RUN(random_bytes);
}
