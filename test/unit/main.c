/*
 * main.c
 *	  Runs the unit tests of src/crypto and src/lorawan, and counts them.
 */
#include <stdlib.h>

#include "check.h"

bool		under_valgrind;

static int	passed;
static int	failed;
static const char *running;
static int	running_failures;

void
check(bool condition, const char *text, const char *file, int line,
	  const char *what)
{
	/* A broken loop fails the same check many times: three lines will do. */
	if (!condition && running_failures++ < 3)
		printf("%s:%d: %s: not true: %s%s%s\n", file, line, running, text,
			   what ? ", for " : "", what ? what : "");
}

void
run_test(void (*test) (void), const char *name)
{
	running = name;
	running_failures = 0;
	test();
	if (running_failures == 0)
		passed++;
	else
		failed++;
}

int
main(int argc, char **argv)
{
	under_valgrind = argc > 1 && strcmp(argv[1], "memcheck") == 0;
	if (!heap_hooks_install())
	{
		printf("OpenSSL has allocated memory before the tests began\n");
		return EXIT_FAILURE;
	}

	test_aes();
	test_key_wrap();
	test_cmac();
	test_aead();
	test_lorawan_payload();
	test_lorawan_mic();
	test_lorawan_join();
	test_lorawan_frame();
	test_lorawan_mac_command();
	test_lorawan_counter();
	test_secure_memory();

	printf("%d passed, %d failed\n", passed, failed);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
