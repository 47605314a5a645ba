# For the scripts that test/packages runs in a chroot of a Debian release: TAP lines, and where things are.  Sourced
# from the top of the copy of the sources in there.
# shellcheck shell=bash disable=SC2034 # variables of who sources this

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

dir=/var/tmp/key_vault_packages
mkdir -p "$dir"
# The PostgreSQL of this release; build.sh finds it out.
version=$(cat "$dir/version" 2>/dev/null) || version=
bindir=/usr/lib/postgresql/$version/bin
package=postgresql-$version-key-vault
tools=postgresql-key-vault-tools
# The home of the user who builds; the packages are there when they are built.
builder=/home/builder
. test/lib/server.sh
. test/tap/lib/check.sh

install_debs() # FILE...
{
	apt-get -q -y --no-install-recommends --allow-downgrades install "$@"
}

# Ends a script that has nothing to go on with.
need() # NAME COMMAND...
{
	check "$@"
	[ "$failed" = 0 ] || { echo "1..$count"; exit 1; }
}
