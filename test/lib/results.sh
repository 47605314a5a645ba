# Shell functions for running things with their output in a file, and for
# counting what the output says.  For the scripts of test/.  Sourced, not run.
# shellcheck shell=bash disable=SC2034 # variables are the sourcing script's

# Counts the tests in an output, and prints: passed failed skipped.
# Four kinds of lines are known: TAP, what prove writes of a file that skips itself, what pg_regress writes before
# PostgreSQL 16, and a closing line "N passed, N failed".
count_results() # LOG
{
	awk '
		/^ok [0-9].*# *[Ss][Kk][Ii][Pp]/ || /^1\.\.0 *# *[Ss][Kk][Ii][Pp]/ || /^[^ ]+ \.\.+ skipped: / { skipped++; next }
		/^ok [0-9]/ || /^not ok .*# *TODO/ { passed++; next }
		/^not ok / { failed++; next }
		/^(test| ) .* \.\.\. ok / { passed++; next }
		/^(test| ) .* \.\.\. FAILED/ { failed++; next }
		/^[0-9]+ passed, [0-9]+ failed/ { passed += $1; failed += $3; if ($6 ~ /^skipped/) skipped += $5 }
		END { print passed + 0, failed + 0, skipped + 0 }
	' "$1"
}

# The test files that an output says have failed.
failed_files() # LOG
{
	sed -nE -e 's/^(test| ) +([a-z_0-9]+) .*FAILED.*/\2/p' \
		-e 's/^not ok [0-9]+ +[-+] ([a-z_0-9]+) .* ms$/\1/p' \
		-e 's/^(.*\/)?([a-z_0-9]+)\.(sql|pl|sh) +\(Wstat.*/\2/p' "$1" | sort -u | paste -sd , - | sed 's/,/, /g'
}

# The closing line of a script.
closing_line() # PASSED FAILED [SKIPPED]
{
	echo "$1 passed, $2 failed$([ "${3:-0}" = 0 ] || echo ", $3 skipped")"
}

# Runs a function in the background with its output in a file.  It has a process group
# of its own, so that on Ctrl-C all that the function has started can be ended and
# waited for.
group=
start_group() # LOG FUNCTION [ARGUMENT...]
{
	set -m
	(set +m; "${@:2}") >"$1" 2>&1 </dev/null &
	group=$!
	set +m
}

# Waits for it, and sets group_status.
wait_for_group()
{
	group_status=0
	wait "$group" || group_status=$?
	end_group
}

in_group() # LOG FUNCTION [ARGUMENT...]
{
	start_group "$@"
	wait_for_group
}

# Ends what is left of the group and waits until the last process is gone.
end_group()
{
	local tenths
	if [ -n "$group" ] && kill -TERM -- "-$group" 2>/dev/null; then
		for ((tenths = 0; tenths < 300; tenths++)); do
			kill -0 -- "-$group" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-$group" 2>/dev/null || true
	fi
	group=
}
