# Joins of LoRaWAN 1.0 and a derivation, beside the AES calls that each of them cannot do without.  Sourced by bench/run.
#
# A join-accept of 17 bytes is opened by one block of AES, and its MIC takes two: CMAC encrypts a block of zeros, and the
# message of 13 bytes is one block.  The MIC of the join-request (19 bytes) takes two more, and each session key one.  Wrapping a
# key that is bound to a DevAddr (24 bytes) takes 18.  The device's key is set once a row, and the KEK once for all rows.
# shellcheck shell=bash disable=SC2154

measure_table()
{
    local count=$((rows >= 20 ? rows / 20 : 1)) function
    start_sides
    sql_on_sides -v joins="$count" -f bench/sql/joins.sql

    for ((round = 0; round < rounds; round++)); do
        while IFS='|' read -r name function; do
            measure "$name" '1,000 devices' "$count" 2 "SELECT 1 / (count($function) = count(*))::int FROM joins"
        done <<'END'
floor: a function that copies|floor_copy(app_key, dev_addr, 1, join_accept)
join-accept: MIC check|nullif(key_vault.lorawan_verify_join_accept(app_key, join_accept), false)
its AES calls: a key, 3 blocks|nullif(floor_aes(1, 3, join_accept), false)
join-accept: both session keys|key_vault.lorawan_join_1_0(app_key, join_request, join_accept, 'bench')
its AES calls: a key, 43 blocks|nullif(floor_aes(1, 43, join_accept), false)
derivation of one key|key_vault.lorawan_derive_mc_app_s_key(app_key, dev_addr, 'bench')
its AES calls: a key, 19 blocks|nullif(floor_aes(1, 19, join_accept), false)
END
    done

    print_table 'joins' "Nanoseconds a join of $(with_commas "$count"). The AES calls are those that the function cannot do without, in a function that does nothing else." ns
}
