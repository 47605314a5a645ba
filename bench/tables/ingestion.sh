# How fast a storage takes in messages of 1.8 kB of both network servers, compared with the floor: an INSERT ... SELECT
# that reads the same JSON texts into tables with the same columns and indexes, and checks nothing.  Single calls have
# a transaction each, and their floor is an INSERT of a row that is read already.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

columns='dev_eui, session_key_id, f_cnt, f_port, encrypted, dev_addr, frm_payload, application_id, received_at'
values='dev_eui, session_key_id, f_cnt, f_port, true, dev_addr, frm_payload, application_id, received_at'

# The devices 1 to 1000 have sessions; others are new.  Each set of messages has counters of its own.
fill_lines() # STACK DEVICE-EXPRESSION
{
    first_counter=$((first_counter + messages))
    sql -c "TRUNCATE lines" -c "INSERT INTO lines SELECT n, line('$1', $2, n + $first_counter) FROM generate_series(1, $messages) n" \
        -c 'VACUUM ANALYZE lines' -c "\\copy (SELECT line FROM lines ORDER BY n) TO '$work/lines'" >/dev/null
}

# The statement of the floor: of a stack's messages, those of new devices add a device and a session, too.
floor_statement() # STACK
{
    echo "WITH m AS MATERIALIZED (SELECT * FROM $1)," \
        "d AS (INSERT INTO floor.device SELECT dev_eui, application_id, device_id, received_at FROM m WHERE dev_eui >= int8send(1001))," \
        "s AS (INSERT INTO floor.session (dev_eui, session_key_id, application_id, dev_addr, started_at)" \
        "SELECT dev_eui, session_key_id, application_id, dev_addr, received_at FROM m WHERE dev_eui >= int8send(1001))" \
        "INSERT INTO floor.uplink ($columns) SELECT $values FROM m"
}

copy="\\copy bench.inbox (message) FROM '$work/lines'"

# Adds the wall time of a call, from pgbench.
measure_calls() # SIDE ROW COLUMN STATEMENT
{
    printf '\\set n :n + 1\n%s\n' "$4" >"$work/pgbench"
    add_figure "$1" "$2" "$3" 1e-6 "$(pgbench -n -M prepared -D n=0 -t "$calls" -f "$work/pgbench" 2>/dev/null |
        sed -n 's/^latency average = \([0-9.]*\) ms.*/\1/p')"
}

measure_stack() # SIDE STACK
{
    local kind column device
    # Column, and the device of message n.
    for kind in 'known sessions|1 + n % 1000' "1 in 10 of a new session|CASE WHEN n % 10 = 0 THEN $new_device + n ELSE 1 + n % 1000 END" \
        "each of a new session|$new_device + n + $messages" 'duplicates|1 + n % 1000'; do
        IFS='|' read -r column device <<<"$kind"
        fill_lines "$2" "$device"
        [ "$column" != duplicates ] || sql -c "$copy" >/dev/null
        measure_on "$1" 'INSERT ... SELECT' "$column" "$messages" 0 "$(floor_statement "$2")"
        measure_on "$1" 'storage' "$column" "$messages" 0 "$copy"
    done

    fill_lines "$2" '1 + n % 1000'
    sql -c 'DROP TABLE IF EXISTS rows_read' -c "CREATE TABLE rows_read AS SELECT * FROM $2" -c 'ALTER TABLE rows_read ADD PRIMARY KEY (n)'
    measure_calls "$1" 'INSERT ... SELECT' 'single calls' "INSERT INTO floor.uplink ($columns) SELECT $values FROM rows_read WHERE n = :n;"
    measure_calls "$1" 'storage' 'single calls' 'SELECT bench.ingest(line) FROM lines WHERE n = :n;'
}

measure_table()
{
    local messages=$((rows >= 1000 ? rows / 100 : 10)) calls=$((rows >= 1000 ? rows / 500 : 2)) first_counter=0 new_device=1000 side stack
    start_sides 'shared_buffers = 1GB' 'fsync = on' 'autovacuum = on' "shared_preload_libraries = 'key_vault'"
    sql_on_sides -f bench/sql/ingestion.sql

    for stack in things_stack chirpstack; do
        for side in "${sides[@]}"; do
            on "$side"
            fill_lines "$stack" '1 + n % 1000'
            sql -c "$copy" -c "$(floor_statement "$stack")" >/dev/null
        done
        for ((round = 0; round < rounds; round++)); do
            for side in $(sides_of_round); do
                on "$side"
                measure_stack "$side" "$stack"
            done
            new_device=$((new_device + 2 * messages))
        done
        on now
        [ "$(sql -c 'SELECT count(*) FROM bench.rejected')" = 0 ] || { echo 'bench/run: messages were rejected' >&2; exit 1; }
        note "The last messages have $(sql -c 'SELECT round(avg(octet_length(line)), -1) FROM lines') bytes each."
        note "An uplink takes $(sql -c 'VACUUM bench.uplink' -c "SELECT pg_total_relation_size('bench.uplink') / count(*) FROM bench.uplink") bytes with its indexes."
        print_table "ingestion: $([ "$stack" = things_stack ] && echo 'The Things Stack' || echo ChirpStack)" \
            "Microseconds a message, by COPY of $(with_commas "$messages") messages of about 1.8 kB and by $(with_commas "$calls") single calls. 1,000,000 divided by it is messages a second." us
    done
}
