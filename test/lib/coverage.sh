# Shell functions for a build of the extension that counts which lines and branches run, and
# for the report.  For test/run and test/lib/job.  Sourced, not run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this

# Suites that run what is built in the tree.  The others have no server, build copies of their own, or, as docs
# does, install another build.
coverage_suites="unit tap random oracle vectors isolation regress pgtap"

# What the suites unit, regress and pgtap reach at least, in mode on, in percent; so what all suites reach.
coverage_measured="unit regress pgtap"
coverage_lines=0
coverage_branches=0

# Builds a tree and installs it into a copy of PostgreSQL, as the servers' user.  The counts are
# written beside the objects, whose path the Makefile's own options would hide.
build_coverage() # TREE PG_CONFIG
{
	as_server make -C "$1" PG_CONFIG="$2" with_llvm=no -j "$(nproc)" \
		PG_CPPFLAGS="$(pkg-config --cflags p11-kit-1 2>/dev/null || echo -I/usr/include/p11-kit-1)" COPT="-Og -g --coverage" install
}

# For the unit tests, which are built by themselves.
coverage_flags="-O1 -g --coverage"

# Prints what was reached, file by file and in all.  Fails if the suites of the measurement have run, and it
# is less.  Not counted, since no test can reach them:
#   branches of ereport(), elog() and PG_TRY() in which an error is raised and then is not, or is not raised
#     since the compiler knows better
#   branches that the compiler made for code that cannot be reached
report_coverage() # TREE SUITE...
{
	local tree=$1 suite limits=(--fail-under-line "$coverage_lines" --fail-under-branch "$coverage_branches")
	shift
	for suite in $coverage_measured; do
		[[ " $* " == *" $suite "* ]] || limits=()
	done
	as_server gcovr --root "$tree" --filter "$tree/src/" --gcov-ignore-parse-errors --exclude-unreachable-branches \
		--exclude-branches-by-pattern '^\s*(ereport|elog|CHECK_FOR_INTERRUPTS|PG_TRY|PG_CATCH|PG_FINALLY|PG_END_TRY)\b' \
		--print-summary "${limits[@]}" "$tree"
}
