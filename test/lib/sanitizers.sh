# Shell functions for a build of the extension with gcc's sanitizers, of addresses and of
# undefined behaviour, and for servers that run it.  For test/run and test/lib/job.
# Sourced, not run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this

# Suites whose servers test/lib/server.sh starts, with what a sanitized library needs.
sanitized_suites="unit regress pgtap isolation"

# Builds a tree and installs it into a copy of PostgreSQL, as the servers' user.
build_sanitized() # TREE PG_CONFIG
{
	as_server make -C "$1" PG_CONFIG="$2" with_llvm=no -j "$(nproc)" \
		COPT="-Werror -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" install &&
		as_server gcc -Wall -Werror -shared -fPIC -o "$1/test/lib/bindtextdomain.so" "$1/test/lib/bindtextdomain.c"
}

# For the server that a job starts.
use_sanitizers()
{
	# What PostgreSQL has in memory at its end is no leak, and it looks at the depth of its stack.
	export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0 UBSAN_OPTIONS=print_stacktrace=1
	server_preload=$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so):$PWD/test/lib/bindtextdomain.so
}

# Prints what sanitizers wrote to the log of a job's server, and whether it was nothing, as TAP.  They write
# there since their libraries share the setting for files of their own, and only one of them gets it.
count_reports()
{
	local reports=
	[ ! -e "$dir/server.log" ] || reports=$(as_server grep -E -A 30 'runtime error: |ERROR: AddressSanitizer' "$dir/server.log") || true
	[ -z "$reports" ] || printf '%s\n' "$reports" | sed 's/^/# /'
	echo "$([ -z "$reports" ] || echo 'not ')ok 1 - sanitizers have nothing to report"
	[ -z "$reports" ]
}
