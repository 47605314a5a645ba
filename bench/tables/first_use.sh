# What a new connection costs that loads a KEK and decrypts one payload, beside one that calls a function of another
# library, which does nothing.  The root key is in a file.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

# Prints the processor time of the server's processes that have ended, in nanoseconds.  The kernel counts it in
# ticks, hundredths of a second on most machines.
ended_processes()
{
    local pid fields
    pid=$(as_server head -n 1 "$PGHOST/data/postmaster.pid")
    # After the program's name, which is in parentheses, the 14th and 15th field are those of waited-for children.
    read -r -a fields < <(sed 's/.*) //' "/proc/$pid/stat")
    echo $(((fields[13] + fields[14]) * 1000000000 / $(getconf CLK_TCK)))
}

# Adds the time of some connections, one after another, each of which runs a statement.
measure_connections() # SIDE ROW COLUMN STATEMENT
{
    local processor tps
    echo "$4" >"$work/pgbench"
    # Fills the caches of the system and the catalogue.
    pgbench -n -C -t 10 -f "$work/pgbench" >/dev/null 2>&1
    processor=$(ended_processes)
    tps=$(pgbench -n -C -t "$connections" -f "$work/pgbench" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\) (including.*/\1/p')
    add_figure "$1" "$2" "$3" 1 "$(awk -v tps="$tps" 'BEGIN { print 1e9 / tps }')" \
        "$((($(ended_processes) - processor) / connections))"
}

measure_table()
{
    local connections=$((rows >= 10000 ? rows / 1000 : 10)) preload column side
    start_sides
    sql_on_sides -f bench/sql/first_use.sql

    for ((round = 0; round < rounds; round++)); do
        for preload in '' "'key_vault', '$floor'"; do
            column=$([ -z "$preload" ] && echo 'libraries loaded by the session' || echo 'libraries preloaded')
            for side in $(sides_of_round); do
                on "$side"
                sql -c "ALTER SYSTEM SET shared_preload_libraries = ${preload:-DEFAULT}"
                restart_side "$side"
                measure_connections "$side" 'floor: a function that copies' "$column" 'SELECT floor_copy(key, dev_addr, f_cnt, frm_payload) FROM uplink'
                measure_connections "$side" 'decryption of one payload' "$column" 'SELECT key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload) FROM uplink'
            done
        done
    done

    print_table first_use "Microseconds of a new connection that runs one statement, from the program that connects; $(with_commas "$connections") connections in each round. The decryption reads the root key's file, opens a KEK and unwraps a key." us
}
