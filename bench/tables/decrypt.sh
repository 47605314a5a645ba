# Decryption of payloads of 20 bytes, by the number of session keys.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

. bench/frames.sh

measure_table()
{
    start_sides
    sql_on_sides -v rows="$rows" -f bench/sql/frames.sql

    for ((round = 0; round < rounds; round++)); do
        measure_keys frames 'floor: a function that copies' 'floor_copy(key, dev_addr, f_cnt, frm_payload)' \
            'key_vault.lorawan_decrypt_uplink(key, dev_addr, f_cnt, frm_payload)'
    done

    print_table 'decrypt' "Nanoseconds a row of $rows_text rows, each the decryption of a payload of 20 bytes. The floor is a function that takes the same arguments and copies the payload." ns
}
