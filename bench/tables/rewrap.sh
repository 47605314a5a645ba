# rewrap_all(), compared with a plain UPDATE that changes one bytea column of the same table in the same batches, for
# N rows, and for N/10 to see whether the time is linear.  Also the memory that its session takes, and whether readers that
# decrypt at the same time get right payloads.  Everything runs on one core.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

fill() # ROWS
{
    sql -c "CALL fill($1)" -c 'VACUUM ANALYZE session' -c 'CHECKPOINT' -c "SELECT key_vault.kek_rotate('bench')" >/dev/null
}

# Background jobs end when there is this file, or when the benchmark's directory is gone.
stop=$work/rewrap.stop
goes_on()
{
    [ -d "$work" ] && [ ! -e "$stop" ]
}

# Prints the largest VmData of the session that rewraps, in kB.
watch_memory()
{
    local pid kb max=0
    while goes_on; do
        pid=$(sql -c "SELECT pid FROM key_vault.rewrap_progress WHERE state = 'running'")
        if [ -n "$pid" ]; then
            kb=$(sed -n 's/^VmData:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null || true)
            [ "${kb:-0}" -le "$max" ] || max=$kb
        fi
        sleep 0.2
    done
    echo "$max"
}

# Decrypts parts of the table, and prints how many payloads it read and how many were wrong.
read_on()
{
    local from
    while goes_on; do
        from=$(((RANDOM * 32768 + RANDOM) % rows))
        sql -F ' ' -c "
            SELECT count(*), count(*) FILTER (WHERE key_vault.lorawan_decrypt_uplink(key, dev_addr, id, payload) IS DISTINCT FROM '\x0167010e02684a')
              FROM session WHERE id BETWEEN $from AND $from + 1000" || echo '0 0 error'
    done
}

# rewrap_all(), with jobs beside it that write to files; prints milliseconds.
rewrap_beside() # COMMAND...
{
    local i=0 command
    rm -f "$stop" "$work"/beside.*
    for command in "$@"; do
        i=$((i + 1))
        "$command" >"$work/beside.$i" 2>/dev/null &
    done
    sql -c '\timing on' -c "CALL key_vault.rewrap_all('bench')" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p'
    touch "$stop"
    wait
}

measure_table()
{
    local size side column memory ms left queries payloads wrong sizes=("$rows")
    [ "$rows" -lt 10 ] || sizes=($((rows / 10)) "$rows")
    trap 'touch "$stop"; wait' EXIT
    # The last of the cores that this process may use.
    taskset -cp "$(taskset -cp "$BASHPID" | sed 's/.*[ ,-]//')" "$BASHPID" >/dev/null
    start_sides
    sql_on_sides -f bench/sql/rewrap.sql

    for ((round = 0; round < rounds; round++)); do
        for size in "${sizes[@]}"; do
            column="$(with_commas "$size") rows"
            for side in $(sides_of_round); do
                on "$side"
                fill "$size"
                measure_on "$side" 'UPDATE of a bytea column' "$column" "$size" 0 'CALL plain_update(10000)'
                fill "$size"
                measure_on "$side" 'rewrap_all()' "$column" "$size" 0 "CALL key_vault.rewrap_all('bench')"
            done
        done
    done

    # Memory has a run of its own, since watching it takes time of the same core.
    on now
    for size in "${sizes[@]}"; do
        fill "$size"
        rewrap_beside watch_memory >/dev/null
        memory=$(cat "$work/beside.1")
        # A short run may end before it was seen.
        [ "$memory" = 0 ] || note "$(with_commas "$size") rows: the data segment of the session that rewraps (VmData) had up to $(with_commas "$memory") kB."
    done

    fill "$rows"
    ms=$(rewrap_beside read_on read_on)
    left=$(sql -c "SELECT count(*) FROM session WHERE key_vault.kek_id(key) <> (SELECT kek_id FROM key_vault.keks WHERE label = 'bench' AND state = 'active')")
    read -r queries payloads wrong < <(awk '{ payloads += $1; wrong += $2 + ($3 == "error") } END { print NR, payloads + 0, wrong + 0 }' "$work"/beside.*)
    note "Beside two readers, $(with_commas "$(awk -v rows="$rows" -v ms="$ms" 'BEGIN { printf "%.0f", ms * 1e6 / rows }')") ns a row. They decrypted $(with_commas "$payloads") payloads in $queries queries; $wrong were wrong or errors. $left keys are left under the old KEK."

    print_table 'rewrap' 'Nanoseconds a row, on one core. The floor is an UPDATE that changes a column of the same size in the same batches.' ns
    [ $((wrong + left)) = 0 ]
}
