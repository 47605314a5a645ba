# How the benchmarks measure.  A figure is a line of the file $figures with tabs between: the row and the column of
# the table, the side, and the nanoseconds of wall time and of processor time.  Each round of a benchmark adds one
# line for each cell; bench/table prints the medians.  Sourced by bench/run, which has the variables.
# shellcheck shell=bash disable=SC2154

figures=$work/figures
notes=$work/notes

# The sides in the order of this round: the other one goes first in every second round.
sides_of_round()
{
    if [ $((round % 2)) = 0 ]; then
        printf '%s\n' "${sides[@]}"
    else
        printf '%s\n' "${sides[@]}" | tac
    fi
}

# Adds a figure: wall and processor time of UNITS rows, messages or calls, in nanoseconds.  The processor time may be
# missing.
add_figure() # SIDE ROW COLUMN UNITS WALL [PROCESSOR]
{
    awk -v OFS='\t' -v head="$2"$'\t'"$3"$'\t'"$1" -v units="$4" -v wall="$5" -v processor="${6:-}" \
        'BEGIN { print head, wall / units, processor == "" ? "" : processor / units }' >>"$figures"
}

# Measures a statement in a session of its own, since a session that had a large cache has its memory in other
# places.  Before, it is run WARMUPS times: that fills the cache, and shows it which keys are used most.  A statement
# that begins with a backslash is psql's \copy.
measure_on() # SIDE ROW COLUMN UNITS WARMUPS STATEMENT [SETTING...]
{
    local i statement="$6 \\g /dev/null" times
    [[ $6 != \\* ]] || statement=$6
    on "$1"
    times=$({
        echo "LOAD 'key_vault';"
        [ $# -le 6 ] || printf 'SET %s;\n' "${@:7}"
        for ((i = 0; i < $5; i++)); do
            echo "$statement"
        done
        echo 'SELECT wall_time() AS wall, processor_time() AS processor \gset'
        echo "$statement"
        echo "SELECT wall_time() - :wall, processor_time() - :processor;"
    } | sql -F ' ')
    # A statement may have printed something before.
    times=${times##*$'\n'}
    add_figure "$1" "$2" "$3" "$4" "${times% *}" "${times#* }"
}

# The same on each side.
measure() # ROW COLUMN UNITS WARMUPS STATEMENT [SETTING...]
{
    local side
    for side in $(sides_of_round); do
        measure_on "$side" "$@"
    done
}

# A note is printed below the table, once.
note() # TEXT
{
    grep -qxF -e "$1" "$notes" 2>/dev/null || printf '%s\n' "$1" >>"$notes"
}

# Prints what was measured since the last table, and its notes.  The rows are compared with the first one, the floor.
print_table() # HEADING TEXT UNIT
{
    printf '\n## %s\n\n%s\n\n' "$1" "$2"
    /usr/bin/python3 bench/table "$3" <"$figures"
    rm "$figures"
    if [ -e "$notes" ]; then
        echo
        sed 's/^/- /' "$notes"
        rm "$notes"
    fi
}
