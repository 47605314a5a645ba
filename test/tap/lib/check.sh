# For the tests in tap that are shell scripts: functions that print TAP lines, and the end of a test, which
# stops the server in $dir/server, if there is one.  The variable dir is the test's directory.  This file is
# sourced after test/lib/server.sh.
# shellcheck shell=bash disable=SC2154,SC2034 # variables of, and for, who sources this

server=$dir/server
count=0
failed=0
trap 'stop_server "$server"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

check() # NAME COMMAND...
{
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$dir/check.log" 2>&1; then
		echo "ok $count - $name"
	else
		echo "not ok $count - $name"
		tail -n 20 "$dir/check.log" | sed 's/^/# /'
		failed=1
	fi
}
