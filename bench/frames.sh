# What the tables of decryption and of MIC checks share: rows that are spread over numbers of session keys.
# Sourced by their files.
# shellcheck shell=bash disable=SC2154

# The names of the tables of bench/sql/frames.sql, and the columns in which their figures are.
frames=(10 10000 100000 1000000 in_order)
declare -A frames_column=(
    [10]='10 keys' [10000]='10,000 keys' [100000]='100,000 keys' [1000000]='1,000,000 keys' [in_order]='1,000,000, rows in order'
)

# Measures an expression over all rows of a table.  A result that is NULL makes it an error.
measure_frames() # ROW KIND NAME EXPRESSION [SETTING...]
{
    measure "$1" "${frames_column[$3]}" "$rows" 2 "SELECT 1 / (count($4) = count(*))::int FROM $2_$3" "${@:5}"
}

# One round of a function and of its floor.
measure_keys() # KIND FLOOR-NAME FLOOR FUNCTION
{
    local name
    for name in "${frames[@]}"; do
        measure_frames "$2" "$1" "$name" "$3"
        measure_frames 'cache on (default, 16 MB)' "$1" "$name" "$4"
        measure_frames 'cache on, 512 MB' "$1" "$name" "$4" "key_vault.cache_size = '512MB'"
        measure_frames 'cache off' "$1" "$name" "$4" 'key_vault.cache = off'
    done
}
