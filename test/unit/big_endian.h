/*
 * big_endian.h
 *	  Compiles a source as a big-endian machine's compiler would do it, on a little-endian one.
 *
 * The Makefile includes this file before the three sources that see bytes as words.  What the
 * hardware would do differently is done here: memcpy() between bytes and words reverses each
 * word, and the words in structs are stored in the other order, for which gcc has a pragma.
 * The results must be the same bytes.  All other sources make bytes of numbers by shifting
 * them, or not at all.
 *
 * On a big-endian machine, and by another compiler, the sources are compiled as always.
 */
#if defined(__GNUC__) && !defined(__clang__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

/* These do not look at words, or belong to the system. */
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#undef __BYTE_ORDER__
#define __BYTE_ORDER__ __ORDER_BIG_ENDIAN__

static inline void
copy(void *to, const void *from, size_t size, bool of_words)
{
	uint8_t    *bytes = to;

	memcpy(bytes, from, size);
	for (size_t i = 0; of_words && i < size; i += 8)
		for (size_t j = 0; j < 4; j++)
		{
			uint8_t		byte = bytes[i + j];

			bytes[i + j] = bytes[i + 7 - j];
			bytes[i + 7 - j] = byte;
		}
}

typedef uint64_t TwoWords __attribute__((vector_size(16)));

#define IS_OF_WORDS(pointer) \
	(__builtin_types_compatible_p(__typeof__(*(pointer)), uint64_t) || \
	 __builtin_types_compatible_p(__typeof__(*(pointer)), TwoWords))
#define memcpy(to, from, size) copy(to, from, size, IS_OF_WORDS(to) || IS_OF_WORDS(from))

#pragma GCC diagnostic ignored "-Wscalar-storage-order"
#pragma scalar_storage_order big-endian

#endif
