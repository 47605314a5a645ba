/*
 * secure_memory.c
 *	  Memory for keys, from an allocator of its own; wiping, comparing in
 *	  constant time, and random bytes.
 *
 * Whatever holds a plaintext key for longer than one call takes its memory here.
 *
 * Memory comes from the system in chunks of 64 kB.  A chunk is aligned to its
 * size, so the lower 16 bits of the address of a piece are its offset from the
 * chunk's header.  All pieces of a chunk are of one size class.  The classes are
 * the multiples of 16 bytes up to 512, and then four between each power of two
 * and the next.  Each class has a list of its chunks that are neither full nor
 * empty, so allocating and freeing take the same few steps however much memory
 * is in use.
 *
 * OpenSSL has a secure heap, but its size is set once in a process, before anyone
 * knows how many keys a query will need, and it rounds every size up to a power of
 * two.
 *
 * Invariants:
 *	 - A chunk is locked, as far as the limits allow, and left out of core dumps
 *	   before a byte of it is handed out.  Its pages are in memory, and locked there,
 *	   from their first use on.
 *	 - A piece that is not in use is zero, but for the link to the next free piece
 *	   in its first bytes.
 *	 - A class keeps one empty chunk at most, so that freeing and allocating in
 *	   turn does not unmap and map a chunk each time; other empty chunks are
 *	   given back.
 *
 * It must not be used by several threads, nor by a process and its forked child:
 * a child does not inherit the locks, so its copies would not be locked.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* for mlock2() */
#endif
#include "secure_memory.h"

#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

/* In bytes; a power of two. */
#define CHUNK_SIZE ((size_t) 65536)

/*
 * Size classes: 32 in steps of 16 bytes, up to 512 bytes (2^9), then 4 for each of
 * the 5 doublings up to 16 kB.
 */
#define SMALL_STEP 16
#define SMALL_MAX 512
#define SMALL_CLASSES (SMALL_MAX / SMALL_STEP)
#define SMALL_MAX_LOG2 9
#define STEPS_LOG2 2
#define CLASSES (SMALL_CLASSES + (5 << STEPS_LOG2))

typedef struct FreePiece
{
	struct FreePiece *next;
} FreePiece;

/*
 * The header at the start of a chunk.  The pieces follow it.  It is aligned so that
 * a piece of 64 bytes, which is what most keys take, is in one line of the
 * processor's caches and not in two.
 */
typedef struct Chunk
{
	struct Chunk *next;			/* in the list of the class */
	struct Chunk *previous;
	FreePiece  *free_pieces;
	uint32_t	class;
	uint32_t	piece_size;
	uint32_t	pieces;			/* how many the chunk has room for */
	uint32_t	used;			/* how many are in use */
	uint32_t	touched;		/* how many were ever in use; the pieces after
								 * them are zero, and not in free_pieces */
}			__attribute__((aligned(SECURE_MEMORY_LINE)))
Chunk;

typedef struct SizeClass
{
	Chunk	   *partial;		/* chunks that are neither full nor empty */
	Chunk	   *empty;			/* the one empty chunk kept, or NULL */
} SizeClass;

static SizeClass classes[CLASSES];
static bool all_locked = true;

/* The size class for a size from 1 to SECURE_MEMORY_MAX_SIZE. */
static uint32_t
class_of_size(size_t size)
{
	uint32_t	last = (uint32_t) size - 1;
	uint32_t	log2;
	uint32_t	step;

	if (size <= SMALL_MAX)
		return last / SMALL_STEP;

	log2 = 31 - (uint32_t) __builtin_clz(last);
	step = (last >> (log2 - STEPS_LOG2)) & ((1 << STEPS_LOG2) - 1);
	return SMALL_CLASSES + ((log2 - SMALL_MAX_LOG2) << STEPS_LOG2) + step;
}

static uint32_t
size_of_class(uint32_t class)
{
	uint32_t	log2;
	uint32_t	step;

	if (class < SMALL_CLASSES)
		return (class + 1) * SMALL_STEP;

	class -= SMALL_CLASSES;
	log2 = SMALL_MAX_LOG2 + (class >> STEPS_LOG2);
	step = class & ((1 << STEPS_LOG2) - 1);
	return (1U << log2) + ((step + 1) << (log2 - STEPS_LOG2));
}

static uint32_t
pieces_of_class(uint32_t class)
{
	return (uint32_t) (CHUNK_SIZE - sizeof(Chunk)) / size_of_class(class);
}

static void
push_partial(Chunk *chunk)
{
	SizeClass  *class = &classes[chunk->class];

	chunk->previous = NULL;
	chunk->next = class->partial;
	if (chunk->next != NULL)
		chunk->next->previous = chunk;
	class->partial = chunk;
}

static void
remove_partial(Chunk *chunk)
{
	if (chunk->previous != NULL)
		chunk->previous->next = chunk->next;
	else
		classes[chunk->class].partial = chunk->next;
	if (chunk->next != NULL)
		chunk->next->previous = chunk->previous;
}

/*
 * Locks a chunk; false if the limits do not allow it.  With MLOCK_ONFAULT a page is
 * locked when it is first used, and is no memory before: a session that uses one key
 * needs one page of a chunk's sixteen, and clearing all of them takes longer than
 * everything else here.
 */
static bool
lock_chunk(void *start)
{
#ifdef MLOCK_ONFAULT
	if (mlock2(start, CHUNK_SIZE, MLOCK_ONFAULT) == 0)
		return true;
	/* An old kernel or a filter of system calls may know mlock() only. */
#endif
	return mlock(start, CHUNK_SIZE) == 0;
}

/* Maps a chunk, empty and in no list; NULL if the system has no memory. */
static Chunk *
map_chunk(uint32_t class)
{
	char	   *mapped;
	char	   *start;
	size_t		before;
	Chunk	   *chunk;

	/* Twice the size contains an aligned chunk; the rest is given back. */
	mapped = mmap(NULL, 2 * CHUNK_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	before = (size_t) (-(uintptr_t) mapped & (CHUNK_SIZE - 1));
	start = mapped + before;
	if (before > 0)
		munmap(mapped, before);
	munmap(start + CHUNK_SIZE, CHUNK_SIZE - before);

	/*
	 * If the memory cannot be protected it is used all the same, since this
	 * is no reason for a query to fail.  secure_memory_is_locked() tells
	 * callers, which warn.
	 */
	if (!lock_chunk(start))
		all_locked = false;
	if (madvise(start, CHUNK_SIZE, MADV_DONTDUMP) != 0)
		all_locked = false;

	chunk = (Chunk *) start;
	chunk->class = class;
	chunk->piece_size = size_of_class(class);
	chunk->pieces = pieces_of_class(class);
	return chunk;
}

void *
secure_alloc(size_t size)
{
	uint32_t	class;
	Chunk	   *chunk;
	FreePiece  *piece;

	if (size > SECURE_MEMORY_MAX_SIZE)
		return NULL;
	class = class_of_size(size > 0 ? size : 1);

	chunk = classes[class].partial;
	if (chunk == NULL)
	{
		chunk = classes[class].empty;
		if (chunk != NULL)
			classes[class].empty = NULL;
		else
		{
			chunk = map_chunk(class);
			if (chunk == NULL)
				return NULL;
		}
		push_partial(chunk);
	}

	piece = chunk->free_pieces;
	if (piece != NULL)
	{
		chunk->free_pieces = piece->next;
		piece->next = NULL;
	}
	else
	{
		piece = (FreePiece *) ((char *) (chunk + 1) +
							   (size_t) chunk->touched * chunk->piece_size);
		chunk->touched++;
	}

	chunk->used++;
	if (chunk->used == chunk->pieces)
		remove_partial(chunk);
	return piece;
}

void
secure_free(void *piece)
{
	Chunk	   *chunk;
	FreePiece  *free_piece = piece;

	if (piece == NULL)
		return;

	chunk = (Chunk *) ((char *) piece - ((uintptr_t) piece & (CHUNK_SIZE - 1)));
	OPENSSL_cleanse(piece, chunk->piece_size);
	free_piece->next = chunk->free_pieces;
	chunk->free_pieces = free_piece;

	if (chunk->used == chunk->pieces)
		push_partial(chunk);
	chunk->used--;

	if (chunk->used == 0)
	{
		SizeClass  *class = &classes[chunk->class];

		remove_partial(chunk);
		if (class->empty == NULL)
			class->empty = chunk;
		else
			munmap(chunk, CHUNK_SIZE);
	}
}

/* A piece's share of its chunk, including the memory that is left over in a chunk. */
size_t
secure_footprint(size_t size)
{
	if (size > SECURE_MEMORY_MAX_SIZE)
		return 0;
	return (uint32_t) CHUNK_SIZE / pieces_of_class(class_of_size(size > 0 ? size : 1));
}

bool
secure_memory_is_locked(void)
{
	return all_locked;
}

void
secure_wipe(void *buffer, size_t size)
{
	OPENSSL_cleanse(buffer, size);
}

bool
secure_equal(const void *a, const void *b, size_t size)
{
	return CRYPTO_memcmp(a, b, size) == 0;
}

/* The bytes come from OpenSSL's private generator, which also makes OpenSSL's own keys. */
bool
secure_random(void *buffer, size_t size)
{
	if (size > INT_MAX)
		return false;
	return size == 0 || RAND_priv_bytes(buffer, (int) size) == 1;
}
