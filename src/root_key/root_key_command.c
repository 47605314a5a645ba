/*
 * root_key_command.c
 *	  Root keys from a command's output, "command:...": one line of 64
 *	  hexadecimal digits.
 *
 * The shell runs the command as the server's user, once in each backend that uses
 * KEKs, and again after the setting has changed.
 *
 * Invariant: the output is wiped once the key has been read from it.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "../common/secret_command.h"
#include "../common/secret_source.h"
#include "root_key_provider.h"

/* In bytes; longer than any root key, so that a line that is too long is noticed. */
#define MAX_OUTPUT_SIZE 256

static bool
check(const char *location, DeferredError *error)
{
	if (location[strspn(location, " \t\r\n")] != '\0')
		return true;
	return deferred_error_set(error, ERRCODE_ROOT_KEY_SETTING,
							  pstrdup("root key command is empty"),
							  NULL,
							  pstrdup("Write it as command:shell command."));
}

static bool
load(RootKey *key, const char *location, DeferredError *error)
{
	char		text[MAX_OUTPUT_SIZE];
	size_t		len;

	return secret_command_read("root key command", location, text, sizeof(text), &len, error) &&
		software_root_key_load(key, text, len, "the output of the root key command", error);
}

const RootKeyProvider root_key_command_provider = {
	.scheme = "command:",
	.check = check,
	.load = load,
	.seal = software_root_key_seal,
	.open = software_root_key_open,
	.forget = software_root_key_forget,
};
