/*
 * main.c
 *	  Runs the unit tests of src/crypto and src/lorawan, and counts them.
 */
#include <stdlib.h>

#include "check.h"

bool		under_valgrind;

/* evp/unpublished.c has another one. */
bool		by_evp __attribute__((weak)) = false;

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

static const struct
{
	const char *name;
	void		(*run) (void);
}			files[] = {
	{"aes", test_aes},
	{"key_wrap", test_key_wrap},
	{"cmac", test_cmac},
	{"aead", test_aead},
	{"hex", test_hex},
	{"lorawan_payload", test_lorawan_payload},
	{"lorawan_mic", test_lorawan_mic},
	{"lorawan_join", test_lorawan_join},
	{"lorawan_frame", test_lorawan_frame},
	{"lorawan_mac_command", test_lorawan_mac_command},
	{"lorawan_counter", test_lorawan_counter},
	{"cayenne_lpp", test_cayenne_lpp},
	{"secure_memory", test_secure_memory},
};

/* Whether a file is among those that the command names; if it names none, it is. */
static bool
is_wanted(const char *name, int argc, char **argv)
{
	int			first = under_valgrind ? 2 : 1;
	int			i;

	for (i = first; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == first;
}

/* Usage: [memcheck] [FILE...], where FILE is aes for test_aes.c. */
int
main(int argc, char **argv)
{
	size_t		i;

	under_valgrind = argc > 1 && strcmp(argv[1], "memcheck") == 0;
	if (!heap_hooks_install())
	{
		printf("OpenSSL has allocated memory before the tests began\n");
		return EXIT_FAILURE;
	}

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (is_wanted(files[i].name, argc, argv))
			files[i].run();

	printf("%d passed, %d failed\n", passed, failed);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
