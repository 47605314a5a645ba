/*
 * check.h
 *	  What the unit tests share.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "crypto/aes.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Fails the running test, and goes on with it. */
#define CHECK(condition) \
	check((condition), #condition, __FILE__, __LINE__, NULL)

/* The same, naming the vector at hand. */
#define CHECK_FOR(what, condition) \
	check((condition), #condition, __FILE__, __LINE__, (what))

extern void check(bool condition, const char *text, const char *file, int line,
				  const char *what);

/* Longest byte string in the vectors. */
#define MAX_BYTES 512

typedef struct Bytes
{
	size_t		len;
	uint8_t		data[MAX_BYTES];
} Bytes;

extern Bytes from_hex(const char *text);
extern bool all_bytes_are(const void *buffer, uint8_t value, size_t len);

/* A keyed cipher, checked to be one. */
extern AesCipher *keyed_cipher(const uint8_t *key, size_t key_len,
							   AesDirection direction);

/* The next of a sequence of numbers that is the same in every run. */
extern uint32_t next_random(void);

/*
 * OpenSSL's heap.  Between watching and unwatching, memory that OpenSSL frees
 * is searched for the secret.
 */
extern bool heap_hooks_install(void);
extern size_t heap_allocations(void);
extern size_t heap_bytes(void);
extern void heap_watch(const void *secret, size_t len);
extern size_t heap_unwatch(void);

/*
 * Runs a function on a stack of its own, then tells whether the secret is
 * still to be found in what the function left there.  Without optimisation the
 * answer is no: then compilers leave copies that no code can wipe.
 */
extern bool stack_holds(void (*function) (void *), void *argument,
						const void *secret, size_t len);

/* The tests, one function per file, each running its own. */
#define RUN(test) run_test(test, #test)
extern void run_test(void (*test) (void), const char *name);

/* Not under valgrind, which knows no limits and minds a look at dead stacks. */
#define RUN_NATIVE(test) \
	do { \
		if (!under_valgrind) \
			RUN(test); \
	} while (0)
extern bool under_valgrind;

/* Whether aes.c cannot call the functions of OpenSSL's provider. */
extern bool by_evp;

extern void test_aes(void);
extern void test_key_wrap(void);
extern void test_cmac(void);
extern void test_aead(void);
extern void test_hex(void);
extern void test_lorawan_mic(void);
extern void test_lorawan_join(void);
extern void test_lorawan_payload(void);
extern void test_lorawan_frame(void);
extern void test_lorawan_mac_command(void);
extern void test_lorawan_counter(void);
extern void test_cayenne_lpp(void);
extern void test_secure_memory(void);

#endif							/* CHECK_H */
