/*
 * must.h
 *	  What the fuzzed programs share: the check that stops the fuzzer, and reading of bytes so
 *	  that the sanitizer sees where they are.
 */
#ifndef MUST_H
#define MUST_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) \
	do { \
		if (!(condition)) \
			abort(); \
	} while (0)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static inline void
touch(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sink ^= ((const uint8_t *) bytes)[i];
}

#endif							/* MUST_H */
