# The throwaway server of the benchmarks.  A benchmark sources this file after it has read
# its arguments; when the benchmark ends, the server is stopped and removed.
# shellcheck shell=bash

. test/lib/packages.sh
. test/lib/server.sh
. test/lib/copy.sh

# Builds and installs the extension, and starts a server that psql finds without arguments.
# Its directory is $server; a benchmark writes its files to $work.
start_bench_server() # ["NAME = VALUE"...]
{
    version=$(pg_version)
    bindir=/usr/lib/postgresql/$version/bin
    work=$(mktemp -d "${TMPDIR:-/tmp}/key_vault_bench.XXXXXX")
    server=$work/server
    trap 'stop_bench_server' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 711 "$work"
    copy_checkout . "$work/build"
    make -s -C "$work/build" -j "$(nproc)" PG_CONFIG="$bindir/pg_config" >/dev/null
    as_root make -s -C "$work/build" PG_CONFIG="$bindir/pg_config" install >/dev/null
    server_dir "$server"
    make_server "$server" 'unix_socket_permissions = 0777' 'jit = off' 'max_parallel_workers_per_gather = 0' "$@"
    # The user who runs the benchmark must be able to connect.
    chmod 711 "$server"
    start_server "$server"
    use_server "$server"
    PATH=$bindir:$PATH
}

stop_bench_server()
{
    # Jobs in the background end when they find this file.
    touch "$work/stop"
    wait
    stop_server "$server"
    as_root rm -rf "$work"
}
