# Checks of the MICs of uplinks, by the number of session keys.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

. bench/frames.sh

measure_table()
{
    start_sides
    sql_on_sides -v rows="$rows" -f bench/sql/frames.sql -f bench/sql/mic.sql

    for ((round = 0; round < rounds; round++)); do
        measure_keys mic 'floor: a function that returns true' 'floor_verify(key, f_cnt, phy_payload)' \
            'nullif(key_vault.lorawan_verify_uplink(key, f_cnt, phy_payload), false)'
    done

    print_table 'mic' "Nanoseconds a row of $rows_text rows, which are spread at random over so many session keys; each row is the check of the MIC of a frame with a payload of 20 bytes. The floor is a function that takes the same arguments." ns
}
