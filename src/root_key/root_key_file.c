/*
 * root_key_file.c
 *	  Root keys from files, "file:/path": one line of 64 hexadecimal digits.
 *
 * src/common/secret_source.c says which owner and mode the file must have.
 *
 * Invariant: the text of the file is wiped once the key has been read from it.
 */
#include "postgres.h"

#include "../common/errors.h"
#include "../common/secret_source.h"
#include "root_key_provider.h"

/* In bytes; longer than any root key, so that a line that is too long is noticed. */
#define MAX_FILE_SIZE 256

static bool
check(const char *location, DeferredError *error)
{
	if (is_absolute_path(location))
		return true;
	return deferred_error_set(error, ERRCODE_ROOT_KEY_SETTING,
							  pstrdup("root key file must be named by its absolute path"),
							  NULL,
							  pstrdup("Write it as file:/path."));
}

static bool
load(RootKey *key, const char *location, DeferredError *error)
{
	char		text[MAX_FILE_SIZE];
	size_t		len;
	char	   *name = psprintf("root key file \"%s\"", location);

	return secret_file_read("root key file", location, text, sizeof(text), &len, error) &&
		software_root_key_load(key, text, len, name, error);
}

const RootKeyProvider root_key_file_provider = {
	.scheme = "file:",
	.check = check,
	.load = load,
	.seal = software_root_key_seal,
	.open = software_root_key_open,
	.forget = software_root_key_forget,
};
