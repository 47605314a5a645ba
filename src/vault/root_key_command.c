/*
 * root_key_command.c
 *	  Root keys from a command's output, "command:...": one line of 64
 *	  hexadecimal digits, as ssl_passphrase_command prints a passphrase.
 *
 * The command is run by the shell as the server's user, once a backend and
 * again after the setting changed.  Called by root_key.c.
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#include "errors.h"
#include "root_key_provider.h"

/* Longer than any root key, so that a longer line shows as such. */
#define MAX_OUTPUT_SIZE 256

static bool
load(RootKey *key, const char *location, RootKeyProblem *problem)
{
	char		text[MAX_OUTPUT_SIZE];
	size_t		len = 0;
	int			result;
	FILE	   *pipe = OpenPipeStream(location, "r");

	if (pipe == NULL)
	{
		problem->sqlstate = ERRCODE_ROOT_KEY_UNREADABLE;
		problem->message = pstrdup("could not run the root key command");
		problem->detail = psprintf("%s.", strerror(errno));
		problem->hint = NULL;
		return false;
	}

	/* Past stdio, whose buffer would keep a copy of the key. */
	while (len < sizeof(text))
	{
		ssize_t		got = read(fileno(pipe), text + len, sizeof(text) - len);

		if (got < 0 && errno == EINTR)
		{
			CHECK_FOR_INTERRUPTS();
			continue;
		}
		if (got <= 0)
			break;
		len += got;
	}

	result = ClosePipeStream(pipe);
	if (result != 0)
	{
		explicit_bzero(text, sizeof(text));
		problem->sqlstate = ERRCODE_ROOT_KEY_UNREADABLE;
		problem->message = pstrdup("root key command failed");
		problem->detail = wait_result_to_str(result);
		problem->hint = pstrdup("What the command wrote to its standard error is in the server log.");
		return false;
	}
	return software_root_key_load(key, text, len, "the output of the root key command",
								  problem);
}

const RootKeyProvider root_key_command_provider = {
	.scheme = "command:",
	.load = load,
	.seal = software_root_key_seal,
	.open = software_root_key_open,
	.forget = software_root_key_forget,
};
