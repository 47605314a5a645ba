# Shell functions for throwaway servers: each has a directory of its own, can be reached
# only by a Unix socket there, and has a root key file of its own.  For the scripts of
# test/, demo/ and bench/.  Sourced, not run.
#
# The variable bindir is the directory of PostgreSQL's programs.
# shellcheck shell=bash

# Runs a command as the user that servers run as: PostgreSQL refuses root.
as_server()
{
	if [ "$(id -u)" = 0 ]; then
		runuser -u postgres -- "$@"
	else
		"$@"
	fi
}

# Makes a directory that only the servers' user may enter.
server_dir() # DIR
{
	mkdir -m 700 "$1"
	if [ "$(id -u)" = 0 ]; then
		chown postgres: "$1"
	fi
}

# Makes a root key file.  The key is never in an argument or a variable.
make_root_key() # FILE
{
	# shellcheck disable=SC2016 # $1 is the inner shell's
	as_server sh -c 'umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d " \n" >"$1" && echo >>"$1"' sh "$1"
}

# Makes a server's data and root key in a directory that server_dir made:
# DIR/data, DIR/root.key.  The settings are added to the common ones.  The variable
# server_encoding is its databases' encoding, UTF8 unless it is set.
make_server() # DIR ["NAME = VALUE"...]
{
	local dir=$1 encoding=${server_encoding:-UTF8} locale=C
	shift
	[ "$encoding" != UTF8 ] || locale=C.UTF-8
	make_root_key "$dir/root.key"
	as_server "$bindir/initdb" -D "$dir/data" -U postgres --auth=trust --locale="$locale" --encoding="$encoding" --no-sync >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log"; return 1; }
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir'" 'unix_socket_permissions = 0700' 'port = 5432' \
		'fsync = off' "key_vault.root_key = 'file:$dir/root.key'" "$@" |
		as_server tee -a "$dir/data/postgresql.conf" >/dev/null
}

# Starts it, and shows its log if it does not start.  The variable server_preload is what
# is loaded before anything else.
start_server() # DIR
{
	as_server env ${server_preload:+"LD_PRELOAD=$server_preload"} "$bindir/pg_ctl" start -s -w -D "$1/data" -l "$1/server.log" >/dev/null ||
		{ as_server tail -n 20 "$1/server.log"; return 1; }
}

# Stops it at once, if it runs.
stop_server() # DIR
{
	if [ -n "${bindir:-}" ] && as_server test -e "$1/data/postmaster.pid"; then
		as_server "$bindir/pg_ctl" stop -s -w -m immediate -D "$1/data" || true
	fi
}

# Stops every server below a directory.
stop_servers() # DIR
{
	local file
	while IFS= read -r file; do
		as_server "$bindir/pg_ctl" stop -s -w -m immediate -D "${file%/*}" || true
	done < <(find "$1" -name postmaster.pid 2>/dev/null)
}

# Lets PostgreSQL's programs find a server.
use_server() # DIR
{
	unset "${!PG@}"
	export PGHOST=$1 PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
}
