/*
 * secure_memory.c
 *	  A slab allocator for keys, and what else keys need of memory: wiping,
 *	  constant-time comparison, random bytes.
 *
 * Whatever holds a plaintext key for longer than a call takes its memory here.
 *
 * Memory comes from the system in chunks of 64 kB, aligned to their size, so
 * that the header of the chunk a piece lies in is found by masking the piece's
 * address.  A chunk holds pieces of one size class; the classes are the
 * multiples of 16 bytes up to 512, then four to a doubling.  Each class lists its
 * chunks that are neither full nor empty, so alloc and free take the same few
 * steps however much is in use.
 *
 * OpenSSL's secure heap would not do: its size is fixed once per process, before
 * anyone knows how many keys a query will touch, and it rounds every piece up to a
 * power of two.
 *
 * Invariants:
 *	 - a chunk is locked, where the limits allow, and left out of core dumps
 *	   before a byte of it is handed out;
 *	 - a piece that is not in use is zero, but for the link of a free list in
 *	   its first bytes;
 *	 - a class keeps at most one empty chunk: more are unmapped, but the
 *	   one is kept so that alloc and free in turn do not map and unmap.
 *
 * Not for several threads, and not for a process forked off one that uses it:
 * locks on memory are not inherited, so the child would hold unlocked copies.
 */
#include "secure_memory.h"

#include <limits.h>
#include <stdint.h>
#include <sys/mman.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define CHUNK_SIZE ((size_t) 65536)

/* Classes: 32 steps of 16 bytes, then 4 for each of 5 doublings. */
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
 * Stands at the start of a chunk; aligned, since the pieces follow it: so a piece
 * of 64 bytes, as most keys take, lies in one line of the processor's caches
 * rather than in two.
 */
typedef struct Chunk
{
	struct Chunk *next;			/* in the class's list, when in it */
	struct Chunk *previous;
	FreePiece  *free_pieces;
	uint32_t	class;
	uint32_t	piece_size;
	uint32_t	pieces;			/* that the chunk has room for */
	uint32_t	used;			/* that are handed out */
	uint32_t	touched;		/* that were handed out ever: the rest is in
								 * no free list, and zero from the system */
}			__attribute__((aligned(SECURE_MEMORY_LINE)))
Chunk;

typedef struct SizeClass
{
	Chunk	   *partial;		/* chunks neither full nor empty */
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
	return (uint32_t) ((CHUNK_SIZE - sizeof(Chunk)) / size_of_class(class));
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

/* Maps a chunk, empty and in no list; NULL when the system has no memory. */
static Chunk *
map_chunk(uint32_t class)
{
	char	   *mapped;
	char	   *start;
	size_t		before;
	Chunk	   *chunk;

	/* Twice the size has an aligned chunk in it; the rest goes back. */
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
	 * Memory that cannot be protected is still better than no answer to the
	 * query; whoever cares asks secure_memory_is_locked() and warns.
	 */
	if (mlock(start, CHUNK_SIZE) != 0)
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

/* A piece's share of its chunk, so that it adds up for the large ones too. */
size_t
secure_footprint(size_t size)
{
	if (size > SECURE_MEMORY_MAX_SIZE)
		return 0;
	return CHUNK_SIZE / pieces_of_class(class_of_size(size > 0 ? size : 1));
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

/* From OpenSSL's private generator, the one it draws its own keys from. */
bool
secure_random(void *buffer, size_t size)
{
	if (size > INT_MAX)
		return false;
	return size == 0 || RAND_priv_bytes(buffer, (int) size) == 1;
}
