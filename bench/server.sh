# The throwaway servers of the benchmarks.  There is one for each side: "now" is this checkout, and "before"
# the revision that it is compared with, if there is one.  Each side has a private copy of PostgreSQL into which its
# extension is installed, so nothing is installed on this machine.  Sourced by bench/run; the variable work is its directory.
# shellcheck shell=bash disable=SC2154

. test/lib/packages.sh
. test/lib/server.sh
. test/lib/copy.sh
. test/lib/private_postgres.sh

sides=(now)
floor=$work/floor/floor

# Builds a side's extension and installs it into a copy of PostgreSQL.  bench/floor is built from this checkout only.
prepare_side() # SIDE [REVISION]
{
    local build=$work/$1.build
    if [ -n "${2:-}" ]; then
        mkdir "$build"
        git archive "$2" | tar -C "$build" -x
    else
        copy_checkout . "$build"
    fi
    private_postgres "$work/$1" "$system_bindir/pg_config"
    make -s -C "$build" -j "$(nproc)" with_llvm=no PG_CONFIG="$bindir/pg_config" install >"$work/make.log" 2>&1 ||
        { tail -n 20 "$work/make.log" >&2; return 1; }
    if [ "$1" = now ]; then
        cp -r bench/floor "$work/floor"
        make -s -C "$work/floor" with_llvm=no PG_CONFIG="$bindir/pg_config" >"$work/make.log" 2>&1 ||
            { tail -n 20 "$work/make.log" >&2; return 1; }
    fi
    rm -rf "$build"
}

# Lets PostgreSQL's programs find a side's server; bindir is where the side's programs are.
on() # SIDE
{
    use_server "$work/$1.server"
    export PGOPTIONS='-c client_min_messages=error'
    bindir=$work/$1$system_bindir
}

# Starts a new server on each side.  The settings are added to those that all benchmarks have.
start_sides() # ["NAME = VALUE"...]
{
    local side
    for side in "${sides[@]}"; do
        on "$side"
        server_dir "$work/$side.server"
        make_server "$work/$side.server" 'unix_socket_permissions = 0777' 'jit = off' 'max_parallel_workers_per_gather = 0' \
            'autovacuum = off' 'shared_buffers = 2GB' 'max_wal_size = 8GB' 'work_mem = 64MB' "$@"
        # The user who runs the benchmark must be able to connect.
        chmod 711 "$work/$side.server"
        start_server "$work/$side.server"
        sql -v floor="$floor" -f bench/sql/floor.sql
    done
}

# With the settings that take effect only when a server starts.
restart_side() # SIDE
{
    on "$1"
    as_server "$bindir/pg_ctl" restart -s -w -m fast -D "$work/$1.server/data" -l "$work/$1.server/server.log" >/dev/null
}

stop_sides()
{
    local side
    for side in "${sides[@]}"; do
        on "$side"
        stop_server "$work/$side.server"
        as_root rm -rf "$work/$side.server"
    done
}

sql() # ARGUMENT OF PSQL...
{
    psql -qXAt -v ON_ERROR_STOP=1 "$@"
}

# The same on each side.
sql_on_sides() # ARGUMENT OF PSQL...
{
    local side
    for side in "${sides[@]}"; do
        on "$side"
        sql "$@" >/dev/null
    done
}
