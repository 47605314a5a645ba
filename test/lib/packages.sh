# Shell functions for Debian's packages: finding out which are installed, installing
# them, and unpacking those that would start a service if they were installed.  For
# the scripts of test/, demo/ and bench/.  Sourced, not run.
# shellcheck shell=bash

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

apt_get() # ARGUMENT...
{
	as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y --no-install-recommends "$@"
}

# Prints what installing would take: "12 packages, 34.5 MB to fetch, 120 MB on disk".
# Without apt_get: its -y would win over --assume-no.
size_of_packages() # PACKAGE...
{
	as_root env LC_ALL=C.UTF-8 apt-get -q --assume-no --no-install-recommends install "$@" 2>/dev/null |
		sed -nE -e 's/^[0-9]+ upgraded, ([0-9]+) newly installed.*/\1 packages/p' \
			-e 's,^Need to get ([0-9.,]+ [kMG]?B)(/[^ ]* [kMG]?B)? of archives.*,\1 to fetch,p' \
			-e 's/^After this operation, ([0-9.,]+ [kMG]?B) of additional.*/\1 on disk/p' |
		paste -sd , - | sed 's/,\([0-9]*\)/, \1/g'
}

# A first installation of PostgreSQL would create a cluster and start it.  This
# prevents that while packages are installed.
no_cluster_conf=/etc/postgresql-common/createcluster.d/key_vault_test.conf

install_packages() # PACKAGE...
{
	local status=0
	if ! is_installed postgresql-common; then
		as_root mkdir -p "${no_cluster_conf%/*}"
		echo 'create_main_cluster = off' | as_root tee "$no_cluster_conf" >/dev/null
	fi
	apt_get install "$@" || status=$?
	end_install_packages
	return "$status"
}

# Scripts call it in their clean-up, too, since they may be stopped in the middle.
end_install_packages()
{
	if [ -e "$no_cluster_conf" ]; then
		as_root rm -f "$no_cluster_conf"
	fi
}

# Unpacks packages, and the packages that they need and that are not installed, into a
# directory: installing them would leave a service behind.  use_unpacked makes them usable.
unpack_packages() # DIR PACKAGE...
{
	local dir=$1 file
	shift
	mkdir -p "$dir"
	as_root mkdir -p "$dir/archives/partial"
	apt_get install --download-only -o "Dir::Cache::archives=$dir/archives" "$@"
	for file in "$dir"/archives/*.deb; do
		dpkg-deb -x "$file" "$dir"
	done
	as_root rm -rf "$dir/archives"
	# Links that installing would make.
	find "$dir" -name '*.so.*' -printf '%h\n' | sort -u | xargs -r /sbin/ldconfig -n
}

# Lets this process and its children find unpacked programs and their libraries.
use_unpacked() # DIR
{
	local dir libraries=
	# Packages of older releases have libraries in /lib, too.
	for dir in "$1"/lib/*-linux-* "$1"/usr/lib/*-linux-*; do
		[ ! -d "$dir" ] || libraries+=:$dir
	done
	export PATH=$1/usr/sbin:$1/usr/bin:$PATH
	export LD_LIBRARY_PATH=${libraries#:}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
	# For tests in which neither variable is what it is here.
	export KEY_VAULT_UNPACKED=$1
}

# The major version of PostgreSQL to use: what PGVERSION asks for, else the
# newest that is installed with what building takes, else the distribution's.
pg_version()
{
	local version=${PGVERSION:-} makefile
	if [ -z "$version" ]; then
		version=$(for makefile in /usr/lib/postgresql/*/lib/pgxs/src/makefiles/pgxs.mk; do
			makefile=${makefile#/usr/lib/postgresql/}
			if [ -x "/usr/lib/postgresql/${makefile%%/*}/bin/initdb" ]; then
				echo "${makefile%%/*}"
			fi
		done | sort -n | tail -n 1)
	fi
	if [ -z "$version" ]; then
		version=$(apt-cache show --no-all-versions postgresql 2>/dev/null |
			sed -n 's/^Depends:.*\bpostgresql-\([0-9][0-9]*\).*/\1/p')
	fi
	[ -n "$version" ] && echo "$version"
}

# What building and installing the extension takes.
build_packages() # VERSION
{
	echo "build-essential libssl-dev libp11-kit-dev postgresql-$1 postgresql-server-dev-$1"
}
