# Shell functions that test/run, test/matrix, test/indent and the shell tests
# share.  Sourced, not run.
# shellcheck shell=bash disable=SC2034 # variables are the sourcing script's

# The cache modes that every server test runs in.  A mode is what goes into the
# server's configuration; "on" is what a user gets, so it sets nothing.
cache_modes=(on off one_entry verify)

mode_settings() # MODE: options for pg_virtualenv
{
	case $1 in
		on) ;;
		off) echo "-o key_vault.cache=off" ;;
		one_entry) echo "-o key_vault.cache_size=0" ;;
		verify) echo "-o key_vault.cache=verify" ;;
		*) return 1 ;;
	esac
}

# Runs a command as root.
as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		echo "${0##*/}: not root, and no sudo to run as root: $*" >&2
		return 1
	fi
}

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

# Makes a root key file.  Its content goes through no argument and no variable.
make_root_key() # FILE
{
	# shellcheck disable=SC2016 # $1 is the inner shell's
	as_server sh -c 'umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d " \n" >"$1" && echo >>"$1"' sh "$1"
}

is_installed() # PACKAGE
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

can_be_installed() # PACKAGE
{
	apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null
}

# Prints those of the packages that are not installed.
missing_packages() # PACKAGE...
{
	local package
	for package in "$@"; do
		is_installed "$package" || echo "$package"
	done
}

apt_update()
{
	as_root apt-get update -q
}

# A first installation of PostgreSQL would create a cluster and start it, which
# is none of the tests' business: they hold that back while they install.
no_cluster_conf=/etc/postgresql-common/createcluster.d/key_vault_test.conf

install_packages() # PACKAGE...
{
	if ! is_installed postgresql-common; then
		as_root mkdir -p "${no_cluster_conf%/*}"
		echo 'create_main_cluster = off' | as_root tee "$no_cluster_conf"
	fi
	apt_update &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
}

end_install_packages()
{
	if [ -e "$no_cluster_conf" ]; then
		as_root rm -f "$no_cluster_conf"
	fi
}

# The major version of PostgreSQL that the distribution brings, or that
# PGVERSION asks for.
pg_version()
{
	local version=${PGVERSION:-}
	if [ -z "$version" ]; then
		version=$(apt-cache show --no-all-versions postgresql 2>/dev/null |
			sed -n 's/^Depends:.*\bpostgresql-\([0-9][0-9]*\).*/\1/p')
	fi
	[ -n "$version" ] && echo "$version"
}

# Counts the tests in a suite's output, and prints: passed failed skipped.
# Three kinds of lines are known: TAP, what pg_regress writes before PostgreSQL
# 16, and a closing line "N passed, N failed".
count_results() # LOG
{
	awk '
		/^ok [0-9].*# *[Ss][Kk][Ii][Pp]/ || /^1\.\.0 *# *[Ss][Kk][Ii][Pp]/ { skipped++; next }
		/^ok [0-9]/ || /^not ok .*# *TODO/ { passed++; next }
		/^not ok / { failed++; next }
		/^(test| ) .* \.\.\. ok / { passed++; next }
		/^(test| ) .* \.\.\. FAILED/ { failed++; next }
		/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; if ($6 ~ /^skipped/) skipped += $5 }
		END { print passed + 0, failed + 0, skipped + 0 }
	' "$1"
}

# Runs a function with its output in a file, and sets group_status.  It is in a
# process group of its own, so that on Ctrl-C the group can be told to end, and
# waited for, with all that the function started.
group=
in_group() # LOG FUNCTION [ARGUMENT...]
{
	group_status=0
	set -m
	(set +m; "${@:2}") >"$1" 2>&1 </dev/null &
	group=$!
	set +m
	wait "$group" || group_status=$?
	end_group
}

# Ends what is left of the group and waits until the last process is gone.
end_group()
{
	local tenths
	if [ -n "$group" ] && kill -TERM -- "-$group" 2>/dev/null; then
		for ((tenths = 0; tenths < 300; tenths++)); do
			kill -0 -- "-$group" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-$group" 2>/dev/null || true
	fi
	group=
}
