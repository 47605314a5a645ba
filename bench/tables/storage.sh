# A report over the uplinks of a storage, compared with other ways to get the same one: N uplinks with payloads of
# 20 bytes, spread at random over N/10 sessions.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

. bench/clients.sh

# A report by hour.  The ways differ in what they do with a payload.
report() # EXPRESSION [KEY-TABLE]
{
    echo "SELECT date_trunc('hour', u.received_at), count(*), sum(get_byte($1, 0))" \
        "FROM bench.uplink u JOIN ${2:-bench.session} s USING (dev_eui, session_key_id)" \
        "WHERE u.application_id = 'bench' GROUP BY 1"
}

measure_table()
{
    local sessions=$((rows >= 10 ? rows / 10 : 1)) column cache="key_vault.cache_size = '256MB'" workers='max_parallel_workers_per_gather = 2'
    local plain decrypted view pgcrypto fetched sum
    plain=$(report u.frm_payload)
    decrypted=$(report 'key_vault.lorawan_decrypt_uplink(s.app_s_key, u.dev_addr, u.f_cnt, u.frm_payload)')
    view="SELECT date_trunc('hour', received_at), count(*), sum(get_byte(payload, 0)) FROM bench.uplink_decrypted WHERE application_id = 'bench' GROUP BY 1"
    # Only the first block of the keystream, and no XOR.
    pgcrypto=$(report "encrypt('\\x010000000000'::bytea || substr(u.dev_addr, 4, 1) || substr(u.dev_addr, 3, 1) || substr(u.dev_addr, 2, 1) \
        || substr(u.dev_addr, 1, 1) || substr(int8send(u.f_cnt), 8, 1) || substr(int8send(u.f_cnt), 7, 1) || substr(int8send(u.f_cnt), 6, 1) \
        || substr(int8send(u.f_cnt), 5, 1) || '\\x0001'::bytea, s.key, 'aes-ecb/pad:none')" clear_key)
    fetched="SELECT s.key, u.dev_addr, u.f_cnt, u.frm_payload FROM (SELECT * FROM bench.uplink WHERE f_cnt <= $client_rows) u JOIN clear_key s USING (dev_eui, session_key_id)"
    column="$(with_commas "$sessions") sessions"
    start_sides
    sql_on_sides -v rows="$rows" -v sessions="$sessions" -f bench/sql/storage.sql
    prepare_clients
    on now
    sum=$(sql -c "SELECT sum(get_byte(payload, 0)) FROM bench.uplink_decrypted WHERE f_cnt <= $client_rows")

    for ((round = 0; round < rounds; round++)); do
        measure 'without decryption' "$column" "$rows" 1 "$plain"
        measure 'decrypting' "$column" "$rows" 1 "$decrypted" "$cache"
        measure 'decrypting, by the view uplink_decrypted' "$column" "$rows" 1 "$view" "$cache"
        measure 'decrypting, cache off' "$column" "$rows" 1 "$decrypted" 'key_vault.cache = off'
        measure 'without decryption, 3 processes' "$column" "$rows" 1 "$plain" "$workers"
        measure 'decrypting, 3 processes' "$column" "$rows" 1 "$decrypted" "$cache" "$workers"
        measure 'pgcrypto, keys in the clear, first 16 bytes' "$column" "$rows" 1 "$pgcrypto"
        measure_clients "$column" "$fetched" "$sum"
    done

    on now
    note 'With 3 processes, CPU is that of the first one alone.'
    note "An uplink takes $(sql -c "SELECT sum(pg_total_relation_size(inhrelid)) / (SELECT count(*) FROM bench.uplink) FROM pg_inherits WHERE inhparent = 'bench.uplink'::regclass" | cut -d. -f1) bytes with its indexes, a session $(sql -c "SELECT pg_total_relation_size('bench.session') / (SELECT count(*) FROM bench.session)")."
    note "The cache of the reporting session has $(with_commas "$(sql -c "LOAD 'key_vault'" -c "SET $cache" -c "$decrypted" -c 'SELECT bytes FROM key_vault.cache_stats()' | tail -n 1)") bytes then."
    print_table 'storage' "Nanoseconds a row of a report by hour over $rows_text uplinks, joined to the sessions. Without \`cache off\`, the cache has 256 MB." ns
}
