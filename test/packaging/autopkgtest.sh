#!/bin/bash
# In a chroot: Debian's own tests of the packages (debian/tests), by Debian's runner.
set -uo pipefail
. test/packaging/common.sh

need "autopkgtest" install_debs autopkgtest
status=0
autopkgtest --no-built-binaries "$builder"/*.deb "$builder"/*.dsc -- null >"$dir/autopkgtest.log" 2>&1 || status=$?
grep -E '^[a-z]+ +(PASS|FAIL|SKIP)' "$dir/autopkgtest.log" | sed 's/^/# /'
for name in installcheck tour; do
	check "$name" grep -E "^$name +PASS" "$dir/autopkgtest.log"
done
check "nothing else" [ "$status" = 0 ]
[ "$failed" = 0 ] || tail -n 200 "$dir/autopkgtest.log" | sed 's/^/# /'

echo "1..$count"
exit $failed
