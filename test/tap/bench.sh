#!/bin/bash
# The scripts of bench/ that make tables and charts of figures: medians, ratios, lengths of bars.  And that bench/run
# refuses what it does not know, before it builds anything.
set -uo pipefail

bindir=$("$PG_CONFIG" --bindir)
. test/lib/server.sh
dir=$TESTDIR
. test/tap/lib/check.sh

# Three rounds of two rows and two columns; the medians of the row "cache on" are 300 and 90 (wall), 200 and 50
# (processor), of the floor 150 and 100, 100 and 80.  The other side's are half of these.
figures()
{
	local round side half row=$1
	for round in 1 2 3; do
		for side in now before; do
			half=$([ "$side" = now ] && echo 1 || echo 0.5)
			awk -v OFS='\t' -v s="$side" -v h="$half" -v r="$round" -v row="$row" 'BEGIN {
				split("0 10 -20", noise, " ")
				print "floor: a <copy> & more", "10 keys", s, (150 + noise[r]) * h, (100 + noise[r]) * h
				print row, "10 keys", s, (300 + noise[r]) * h, (200 + noise[r]) * h
				print "floor: a <copy> & more", "20 keys", s, (100 + noise[r]) * h, (80 + noise[r]) * h
				print row, "20 keys", s, (90 + noise[r]) * h, r == 3 ? "" : (r == 1 ? 40 : 60) * h
			}'
		done
	done
}
figures 'cache on' >"$dir/figures"

prints() # FILE COMMAND...
{
	"${@:2}" <"$dir/figures" | diff "$1" -
}

cat >"$dir/table" <<'END'
| | 10 keys | CPU | 20 keys | CPU |
|---|---:|---:|---:|---:|
| floor: a <copy> & more | 150 (1.00) | 100 (1.00) | 100 (1.00) | 80 (1.00) |
| floor: a <copy> & more, before | 75 (1.00) | 50 (1.00) | 50 (1.00) | 40 (1.00) |
| now / before | 2.00 | 2.00 | 2.00 | 2.00 |
| cache on | 300 (2.00) | 200 (2.00) | 90 (0.90) | 50 (0.62) |
| cache on, before | 150 (2.00) | 100 (2.00) | 45 (0.90) | 25 (0.62) |
| now / before | 2.00 | 2.00 | 2.00 | 2.00 |
END
check "a table has medians, ratios to the floor, and both sides" prints "$dir/table" bench/table ns

chart()
{
	bench/chart 'a note with < and &' <"$dir/figures" >"$dir/chart.svg"
}

# Prints the lengths of the bars, read by an XML parser.
bars()
{
	/usr/bin/python3 - "$dir/chart.svg" <<'END'
import sys
import xml.etree.ElementTree

svg = "{http://www.w3.org/2000/svg}"
root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
texts = ["".join(text.itertext()) for text in root.iter(svg + "text")]
for text in ("floor: a <copy> & more", "cache on", "10 keys", "20 keys", "100", "200", "80", "50", "a note with < and &"):
    assert text in texts, text
bars = [rect for rect in root.iter(svg + "rect") if rect.get("class").startswith("bar")]
print(*(float(bar.get("width")) for bar in bars))
END
}

# The medians of the processor times, 100, 200, 80 and 50, where the longest is 560 pixels.
has_bars()
{
	[ "$(bars)" = '280.0 560.0 224.0 140.0' ]
}
check "a chart is drawn" chart
check "it is XML, says everything in words, and its bars are as long as the figures are large" has_bars

refuses() # TEXT COMMAND...
{
	local status=0
	"${@:2}" >"$dir/out" 2>"$dir/err" </dev/null || status=$?
	cat "$dir/err"
	[ "$status" != 0 ] && [ ! -s "$dir/out" ] && grep -qF -e "$1" "$dir/err"
}
check "a chart of nothing is an error" refuses 'no figures' bench/chart note
check "bench/table says how it is used" refuses 'usage: bench/table' bench/table miles
check "bench/chart says how it is used" refuses 'usage: bench/chart' bench/chart
check "bench/run: a table that does not exist" refuses 'there is no table decript' bench/run --only mic,decript
check "bench/run: no number" refuses 'not a number from 1 on: many' bench/run --rows many
check "bench/run: an option without its value" refuses '--rounds needs a value' bench/run --rounds
check "bench/run: an option that does not exist" refuses 'there is no option --fast' bench/run --fast
check "bench/run: a chart without its figures" refuses '--chart draws the figures of decrypt' bench/run --only mic --chart chart.svg
check "bench/run: a revision that does not exist" refuses 'there is no revision nowhere' bench/run --before nowhere

echo "1..$count"
exit $failed
