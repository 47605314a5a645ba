#!/bin/bash
# Builds the extension: in the directory of the sources and in others, for each PostgreSQL that is installed,
# with gcc and with clang, and with DESTDIR.  A build that has nothing to build fails.  Files that were built
# for another PostgreSQL are built anew.  The same sources give the same library wherever they are.  The builds
# go without bitcode and optimization, which take most of the time.
set -uo pipefail

. test/lib/copy.sh
bindir=$("$PG_CONFIG" --bindir)
. test/lib/server.sh

quick=(with_llvm=no COPT=-O0)
dir=$TESTDIR
. test/tap/lib/check.sh

skip() # NAME REASON
{
	count=$((count + 1))
	echo "ok $count # SKIP $1: $2"
}

fails_with() # TEXT COMMAND...
{
	local text=$1 status=0
	shift
	"$@" >"$dir/fails.log" 2>&1 || status=$?
	cat "$dir/fails.log"
	[ "$status" != 0 ] && grep -qF -e "$text" "$dir/fails.log"
}

# A fresh copy of the sources, without the files that a build makes
sources() # DIR
{
	copy_checkout . "$1"
	rm -f "$1"/built_for "$1"/key_vault--*.sql
}

build() # DIR SOURCES ARGUMENT...
{
	mkdir -p "$1"
	make -C "$1" -f "$2/Makefile" -j 2 "${quick[@]}" "${@:3}"
}

# A library with nothing in it also links without an error, but a server that loads it does not start.
is_library() # FILE
{
	local symbol
	nm -D --defined-only "$1" >"$dir/symbols"
	for symbol in _PG_init Pg_magic_func key_vault_unwrap; do
		grep -qw "T $symbol" "$dir/symbols" || { echo "$1 has no $symbol"; return 1; }
	done
}

starts_with() # LIBRARY
{
	server_dir "$server" && make_server "$server" "shared_preload_libraries = '$1'" && start_server "$server"
}

# When the file was last written, to the nanosecond.
written()
{
	stat -c %y "$1"
}

is_made_anew() # FILE COMMAND...
{
	local before
	before=$(written "$1")
	"${@:2}" && [ "$(written "$1")" != "$before" ]
}

stays() # FILE COMMAND...
{
	! is_made_anew "$@"
}

src=$dir/src
sources "$src"

versions=0
for pg_config in /usr/lib/postgresql/*/bin/pg_config; do
	[ -e "$("$pg_config" --pgxs)" ] || continue
	version=$("$pg_config" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
	versions=$((versions + 1))
	check "PostgreSQL $version: builds in another directory" build "$dir/$version" "$src" VPATH="$src" PG_CONFIG="$pg_config"
	check "PostgreSQL $version: the library has its functions" is_library "$dir/$version/key_vault.so"
	check "PostgreSQL $version: the build says for which one it is" grep -F "PostgreSQL $("$pg_config" --version | sed 's/^PostgreSQL //; s/ .*//')," "$dir/$version/built_for"
done
check "at least one PostgreSQL" [ "$versions" -gt 0 ]
version=$("$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
built=$dir/$version

mkdir "$dir/root"
check "installs into DESTDIR" make -C "$built" -f "$src/Makefile" "${quick[@]}" VPATH="$src" PG_CONFIG="$PG_CONFIG" install DESTDIR="$dir/root"
cp "$dir/check.log" "$dir/install.log"
check "says which minor version it needs" grep -F "key_vault: this build needs PostgreSQL $("$PG_CONFIG" --version | sed 's/^PostgreSQL //; s/ .*//'), or a later $version.x" "$dir/install.log"
for file in key_vault_make_root_key key_vault_ingest; do
	check "installs $file" [ -x "$dir/root$("$PG_CONFIG" --bindir)/$file" ]
done
for file in key_vault.control key_vault--1.0.sql key_vault--1.0--1.1.sql key_vault--1.1.sql; do
	check "installs $file" [ -s "$dir/root$("$PG_CONFIG" --sharedir)/extension/$file" ]
done
library=$dir/root$("$PG_CONFIG" --pkglibdir)/key_vault.so
check "a server starts with the library preloaded" starts_with "$library"

check "the sources are as they were" [ -z "$(find "$src" -name '*.o' -o -name '*.so' -o -name built_for)" ]

# The same in a directory with another name, which would show if the library contained its path
sources "$dir/elsewhere/source"
check "builds among the sources" make -C "$dir/elsewhere/source" -j 2 "${quick[@]}" PG_CONFIG="$PG_CONFIG"
check "the same sources give the same library" cmp "$built/key_vault.so" "$dir/elsewhere/source/key_vault.so"
check "refuses another directory while there is a build among the sources" \
	fails_with 'run "make clean" there first' build "$dir/beside" "$dir/elsewhere/source" PG_CONFIG="$PG_CONFIG"
check "cleans" make -C "$dir/elsewhere/source" "${quick[@]}" PG_CONFIG="$PG_CONFIG" clean
check "and leaves nothing" [ -z "$(cd "$dir/elsewhere/source" && find . -name '*.o' -o -name '*.so' -o -name built_for -o -path './key_vault--*')" ]

object=src/common/uri_list.o
check "what is built stays" stays "$built/$object" build "$built" "$src" VPATH="$src" PG_CONFIG="$PG_CONFIG" "$object"
check "objects of another minor version are not taken" \
	is_made_anew "$built/$object" build "$built" "$src" VPATH="$src" PG_CONFIG="$PG_CONFIG" VERSION="$version.99" "$object"

clang=$(sed -n 's/^CLANG *= *//p' "$(dirname "$("$PG_CONFIG" --pgxs)")/../Makefile.global")
if [ -n "$clang" ] && [ -x "$clang" ]; then
	check "builds with clang" build "$dir/clang" "$src" PG_CONFIG="$PG_CONFIG" CC="$clang"
	check "clang: the library has its functions" is_library "$dir/clang/key_vault.so"
else
	skip "clang" "$clang is not installed"
fi

rm -r "$src"/src/*
check "without sources there is no library" fails_with 'no source of key_vault' build "$dir/empty" "$src" PG_CONFIG="$PG_CONFIG"
check "and none is left behind" [ ! -e "$dir/empty/key_vault.so" ]

echo "1..$count"
exit $failed
