# What many KEKs cost a session that has them open: the first look-up after one KEK has changed, the first after many
# have, and wrapping a key.  Sourced by bench/run.
# shellcheck shell=bash disable=SC2154

measure_table()
{
    local labels=$((rows >= 20000 ? rows / 100 : 200)) open side wall processor what
    start_sides
    sql_on_sides -v labels="$labels" -f bench/sql/labels.sql

    for ((round = 0; round < rounds; round++)); do
        # Each number of open KEKs has a session of its own, since a KEK stays open.
        for open in 2 $((labels / 50)) $((labels / 2)) "$labels"; do
            for side in $(sides_of_round); do
                on "$side"
                sql <<END
TRUNCATE figure;
CALL look_up($open, 1, 'look-up after 1 change');
CALL wrap($open, 'wrapping a key');
END
                [ "$open" -lt 100 ] || sql -c "CALL look_up($open, $((open * 3 / 10)), 'look-up after changes of 3 in 10')"
                while IFS='|' read -r what wall processor; do
                    add_figure "$side" "$(with_commas "$open") KEKs open" "$what" 1 "$wall" "$processor"
                done < <(sql -c 'SELECT what, wall, processor FROM figure')
            done
        done
    done

    print_table 'labels' "Microseconds, of $(with_commas "$labels") KEKs. The ratios are to a session that has two KEKs open." us
}
