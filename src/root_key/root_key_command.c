/*
 * root_key_command.c
 *	  Root keys from a command's output, "command:...": one line of 64
 *	  hexadecimal digits, as ssl_passphrase_command prints a passphrase.
 *
 * The command is run by the shell as the server's user, once a backend and
 * again after the setting changed.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "../common/secret_command.h"
#include "../common/secret_source.h"
#include "root_key_provider.h"

/* Longer than any root key, in bytes. */
#define MAX_OUTPUT_SIZE 256

static bool
check(const char *location, DeferredError *error)
{
	if (location[strspn(location, " \t\r\n")] != '\0')
		return true;
	error->sqlstate = ERRCODE_ROOT_KEY_SETTING;
	error->message = pstrdup("root key command is empty");
	error->detail = NULL;
	error->hint = pstrdup("Write it as command:shell command.");
	return false;
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
