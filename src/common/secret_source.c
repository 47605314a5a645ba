/*
 * secret_source.c
 *	  Reading a root key or a PIN from a file.
 *
 * The rules are those of PostgreSQL for the server's private key: the file is owned by
 * the server's user and nobody else has any access, or it is owned by root and at most
 * a group may read it.  It must not be in the data directory or a tablespace, since
 * each base backup would contain it, beside the KEKs that it opens.
 *
 * Invariant: nothing is read through stdio, whose buffers would keep a copy.
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/relpath.h"
#include "miscadmin.h"
#include "storage/fd.h"

#include "errors.h"
#include "secret_source.h"

/* Whether a path is below a directory; real_path is without symbolic links. */
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

/* Whether a base backup would contain the file. */
static bool
is_in_base_backup(const char *path)
{
	char		real_path[PATH_MAX];
	bool		found;
	DIR		   *tablespaces;
	struct dirent *tablespace;

	/* A relative path begins at the data directory. */
	if (realpath(path, real_path) == NULL)
		return !is_absolute_path(path);
	if (is_below(real_path, DataDir))
		return true;

	found = false;
	tablespaces = AllocateDir("pg_tblspc");
	while (!found && (tablespace = ReadDir(tablespaces, "pg_tblspc")) != NULL)
	{
		char	   *directory;

		if (tablespace->d_name[0] == '.')
			continue;
		directory = psprintf("pg_tblspc/%s/%s", tablespace->d_name,
							 TABLESPACE_VERSION_DIRECTORY);
		found = is_below(real_path, directory);
		pfree(directory);
	}
	FreeDir(tablespaces);
	return found;
}

static bool
check_file(const char *what, const char *path, int fd, DeferredError *error)
{
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
	{
		int			open_error = fd < 0 ? errno : 0;

		return deferred_error_set(error, ERRCODE_ROOT_KEY_UNREADABLE,
								  psprintf("could not read %s \"%s\"", what, path),
								  open_error != 0 ? psprintf("%s.", strerror(open_error)) :
								  pstrdup("It is not a regular file."),
								  pstrdup("The server's operating system user must be able to read the file."));
	}
	if (is_in_base_backup(path))
		return deferred_error_set(error, ERRCODE_ROOT_KEY_IN_DATA,
								  psprintf("%s \"%s\" is inside the data directory or a tablespace", what, path),
								  pstrdup("A base backup would contain the KEKs and the key that opens them."),
								  pstrdup("Move the file elsewhere and name it by its absolute path."));
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return deferred_error_set(error, ERRCODE_ROOT_KEY_TOO_OPEN,
								  psprintf("%s \"%s\" must be owned by the database user or root", what, path),
								  NULL,
								  psprintf("Run chown on \"%s\".", path));
	if ((status.st_uid == geteuid() && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) ||
		(status.st_uid == 0 && (status.st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0))
		return deferred_error_set(error, ERRCODE_ROOT_KEY_TOO_OPEN,
								  psprintf("%s \"%s\" has group or world access", what, path),
								  psprintf("Its mode is %04o.", (unsigned int) (status.st_mode & 07777)),
								  pstrdup("Permissions must be u=rw (0600) or less if owned by the database user, or u=rw,g=r (0640) or less if owned by root."));
	return true;
}

bool
secret_file_read(const char *what, const char *path, char *text, size_t size,
				 size_t *len, DeferredError *error)
{
	ssize_t		got;
	int			read_error;
	int			fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);

	if (!check_file(what, path, fd, error))
	{
		if (fd >= 0)
			CloseTransientFile(fd);
		return false;
	}

	got = read(fd, text, size);
	read_error = errno;
	CloseTransientFile(fd);
	if (got < 0)
		return deferred_error_set(error, ERRCODE_ROOT_KEY_UNREADABLE,
								  psprintf("could not read %s \"%s\"", what, path),
								  psprintf("%s.", strerror(read_error)),
								  NULL);
	*len = got;
	return true;
}
