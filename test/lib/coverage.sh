# Shell functions for a build of the extension that counts which lines and branches run, and
# for the report.  For test/run and test/lib/job.  Sourced, not run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this

# Suites that run what is built in the tree.  The others have no server, build copies of their own, or, as docs
# does, install another build.
coverage_suites="unit tap random oracle vectors isolation regress pgtap"

# What must be reached at least, in percent of lines and of branches: by all of these suites, and by those that take
# a few minutes only (quick).
coverage_all="95 85"
coverage_quick_suites="unit regress pgtap isolation random oracle"
coverage_quick="88 74"

# Builds a tree and installs it into a copy of PostgreSQL, as the servers' user.  The counts are
# written beside the objects, whose path the Makefile's own options would hide.
build_coverage() # TREE PG_CONFIG
{
	as_server make -C "$1" PG_CONFIG="$2" with_llvm=no -j "$(nproc)" \
		PG_CPPFLAGS="$(pkg-config --cflags p11-kit-1 2>/dev/null || echo -I/usr/include/p11-kit-1)" COPT="-Og -g --coverage" install
}

# For the unit tests, which are built by themselves.
coverage_flags="-O1 -g --coverage"

# What must be reached by the suites that have run; nothing if it is only a part of them.
coverage_limits() # SUITE...
{
	local suite limits=$coverage_all
	for suite in $coverage_suites; do
		[[ " $* " == *" $suite "* ]] || limits=$coverage_quick
	done
	for suite in $coverage_quick_suites; do
		[[ " $* " == *" $suite "* ]] || limits="0 0"
	done
	echo "$limits"
}

# Prints what was reached, file by file and in all, and fails if it is less than it must be.  No line is left out.
# Of branches, these are not counted, since the compiler made them and no test can take them:
#   those of lines with ereport(), elog() and PG_TRY(): whether a message of a level that is always raised is
#     raised, what comes after an error, and the return of sigsetjmp()
#   those of CHECK_FOR_INTERRUPTS(), of which one needs a signal between two instructions
#   those in code that cannot be reached, as gcov says
# gcovr 5.2 takes some lines of gcov for errors, whose counts are right.
report_coverage() # TREE SUITE...
{
	local lines branches
	read -r lines branches <<<"$(coverage_limits "${@:2}")"
	as_server gcovr --root "$1" --filter "$1/src/" --gcov-ignore-parse-errors --exclude-unreachable-branches \
		--exclude-branches-by-pattern '^\s*(ereport|elog|CHECK_FOR_INTERRUPTS|PG_TRY|PG_CATCH|PG_FINALLY|PG_END_TRY)\b' \
		--print-summary --fail-under-line "$lines" --fail-under-branch "$branches" "$1"
}
