# Decryption of payloads of 20 bytes, by the number of session keys, beside other ways to decrypt, which have
# keys in the clear and need not unwrap them.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2034,SC2154

. bench/frames.sh
. bench/clients.sh

# The other ways are slower, so they get fewer rows.
sample=$((rows / 10 > client_rows ? rows / 10 : client_rows))

measure_others() # PGSODIUM SUMS
{
    local name sides=(now)
    for name in "${frames[@]}"; do
        measure 'pgcrypto, keys in the clear' "${frames_column[$name]}" "$sample" 1 "SELECT 1 / (count(decrypted) = count(*))::int FROM pgcrypto_$name"
        [ "$pgsodium" = 0 ] || measure 'pgsodium, keys in the clear' "${frames_column[$name]}" "$sample" 1 \
            "SELECT 1 / (count(pgsodium.crypto_secretbox_open(sealed, nonce, key)) = count(*))::int FROM sodium_$name"
        measure_clients "${frames_column[$name]}" "SELECT key, dev_addr, f_cnt, frm_payload FROM clear_$name LIMIT $client_rows" "${sums[$name]}"
    done
}

measure_table()
{
    local name pgsodium
    local -A sums
    start_sides
    sql_on_sides -v rows="$rows" -f bench/sql/frames.sql
    on now
    sql -v sample="$sample" -f bench/sql/clear_keys.sql >/dev/null
    for name in "${frames[@]}"; do
        sums[$name]=$(sql -c "SELECT sum(get_byte(payload, 0)) FROM (SELECT payload FROM clear_$name LIMIT $client_rows) c")
    done
    prepare_clients
    pgsodium=$(sql -c "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgsodium'")
    if [ "$pgsodium" = 0 ]; then
        note 'pgsodium is not installed here, and was left out.'
    else
        sql -f bench/sql/pgsodium.sql >/dev/null
        note "pgsodium has none of LoRaWAN's ciphers: it opens the same payloads, sealed by its crypto_secretbox()."
    fi

    for ((round = 0; round < rounds; round++)); do
        measure_keys frames 'floor: a function that copies' 'floor_copy(key, dev_addr, f_cnt, frm_payload)' \
            'key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload)'
        measure_others
    done

    note "pgcrypto and pgsodium decrypt $(with_commas "$sample") of the rows."
    [ -z "$chart" ] || draw_chart
    print_table decrypt "Nanoseconds a row of $rows_text rows, which are spread at random over so many session keys; each row is the decryption of a payload of 20 bytes. The floor is a function that takes the same arguments and copies the payload." ns
}

# Draws all but the clients, beside which nothing else would be seen, and the rows in order.
draw_chart()
{
    grep -v -e '^client' -e "${frames_column[in_order]}" "$figures" | /usr/bin/python3 bench/chart "PostgreSQL ${pg_minor}, $rows_text rows, medians of $rounds rounds" >"$work/chart"
    cp "$work/chart" "$chart"
}
