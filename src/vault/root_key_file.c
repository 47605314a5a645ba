/*
 * root_key_file.c
 *	  Root keys from files, "file:/path": one line of 64 hexadecimal digits.
 *
 * The file must be as PostgreSQL wants its server's private key: owned by the
 * server's user and open to nobody else, or owned by root and at most readable
 * to a group.  It must not lie where each base backup would take it along with
 * the KEKs that it seals: in the data directory or a tablespace.  Called by
 * root_key.c.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/relpath.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "../crypto/secure_memory.h"
#include "errors.h"
#include "root_key_provider.h"

/* Longer than any root key, so that a longer line shows as such. */
#define MAX_FILE_SIZE 256

/* Whether a resolved path lies somewhere below a directory. */
static bool
is_below(const char *real_path, const char *directory)
{
	char		real_directory[PATH_MAX];
	size_t		len;

	if (realpath(directory, real_directory) == NULL)
		return false;
	len = strlen(real_directory);
	return strncmp(real_path, real_directory, len) == 0 && real_path[len] == '/';
}

/* Whether a base backup takes the file along. */
static bool
is_in_base_backup(const char *path)
{
	char		real_path[PATH_MAX];
	bool		found;
	DIR		   *tablespaces;
	struct dirent *tablespace;

	/* A relative path is taken from the data directory. */
	if (realpath(path, real_path) == NULL)
		return !is_absolute_path(path);
	if (is_below(real_path, DataDir))
		return true;

	found = false;
	tablespaces = AllocateDir("pg_tblspc");
	while (!found && (tablespace = ReadDir(tablespaces, "pg_tblspc")) != NULL)
	{
		char	   *directory = psprintf("pg_tblspc/%s/%s", tablespace->d_name,
										 TABLESPACE_VERSION_DIRECTORY);

		found = is_below(real_path, directory);
		pfree(directory);
	}
	FreeDir(tablespaces);
	return found;
}

static bool
check_file(const char *path, int fd, RootKeyProblem *problem)
{
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
	{
		int			error = fd < 0 ? errno : 0;

		problem->sqlstate = ERRCODE_ROOT_KEY_UNREADABLE;
		problem->message = psprintf("could not read root key file \"%s\"", path);
		problem->detail = error != 0 ? psprintf("%s.", strerror(error)) :
			pstrdup("It is not a regular file.");
		problem->hint = pstrdup("The server's operating system user must be able to read the file.");
		return false;
	}
	if (is_in_base_backup(path))
	{
		problem->sqlstate = ERRCODE_ROOT_KEY_IN_DATA;
		problem->message = psprintf("root key file \"%s\" is inside the data directory or a tablespace", path);
		problem->detail = pstrdup("A base backup would contain the KEKs and the key that opens them.");
		problem->hint = pstrdup("Move the file elsewhere and name it by its absolute path.");
		return false;
	}
	if (status.st_uid != geteuid() && status.st_uid != 0)
	{
		problem->sqlstate = ERRCODE_ROOT_KEY_TOO_OPEN;
		problem->message = psprintf("root key file \"%s\" must be owned by the database user or root", path);
		problem->detail = NULL;
		problem->hint = psprintf("Run chown on \"%s\".", path);
		return false;
	}
	if ((status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) ||
		(status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0))
	{
		problem->sqlstate = ERRCODE_ROOT_KEY_TOO_OPEN;
		problem->message = psprintf("root key file \"%s\" has group or world access", path);
		problem->detail = psprintf("Its mode is %04o.", (unsigned int) (status.st_mode & 07777));
		problem->hint = pstrdup("Permissions must be u=rw (0600) or less if owned by the database user, or u=rw,g=r (0640) or less if owned by root.");
		return false;
	}
	return true;
}

static bool
load(RootKey *key, const char *location, RootKeyProblem *problem)
{
	char		text[MAX_FILE_SIZE];
	ssize_t		len;
	int			fd = OpenTransientFile(location, O_RDONLY | O_NONBLOCK | PG_BINARY);

	if (!check_file(location, fd, problem))
	{
		if (fd >= 0)
			CloseTransientFile(fd);
		return false;
	}

	len = read(fd, text, sizeof(text));
	if (len < 0)
	{
		problem->sqlstate = ERRCODE_ROOT_KEY_UNREADABLE;
		problem->message = psprintf("could not read root key file \"%s\"", location);
		problem->detail = psprintf("%s.", strerror(errno));
		problem->hint = NULL;
		CloseTransientFile(fd);
		return false;
	}
	CloseTransientFile(fd);
	return software_root_key_load(key, text, len,
								  psprintf("root key file \"%s\"", location),
								  problem);
}

const RootKeyProvider root_key_file_provider = {
	.scheme = "file:",
	.load = load,
	.seal = software_root_key_seal,
	.open = software_root_key_open,
	.forget = software_root_key_forget,
};
