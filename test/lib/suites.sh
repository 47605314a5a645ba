# The suites of tests: which there are, what they need, and how their files are
# run.  For test/run and test/mutants/run, by way of test/lib/job.  Sourced, not run.
#
# A new suite is a line in the first table and a function suite_NAME; test/README.md
# says more.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this

# How a suite is run:
#   modes   in a server, once in each cache mode
#   server  in a server
#   files   each file by itself; it starts its own servers
#   alone   without a server
#   root    without a server, as root
# Files are what can be run singly, as SUITE/FILE without prefix and suffix; - is
# none.  The seconds are those of all its jobs together, for the estimate.
suites="
# name     run      seconds  files
indent     alone    2        -
layers     alone    1        -
unit       alone    24       test/unit/test_*.c
mutants    alone    6        -
model      alone    43       -
fuzz       alone    14       -
tap        files    520      test/tap/*.pl test/tap/*.sh
docs       root     240      -
random     server   14       -
plpgsql_check server 5       -
oracle     server   21       test/oracle/test_*.py
isolation  modes    211      test/isolation/specs/*.spec
regress    modes    33       sql/*.sql
pgtap      modes    160      test/pgtap/*.sql
"

# Debian's packages that a suite, or one file of it, needs besides those that build
# the extension.  Those with ? are not in every release, or no reason to fail where
# they cannot be had: tests of what is missing skip themselves.  VERSION is
# PostgreSQL's, CLANG that of the clang that PostgreSQL was built with.
packages="
indent                pg-bsd-indent?
model                 spin
fuzz                  clang-CLANG? libclang-rt-CLANG-dev?
plpgsql_check         postgresql-VERSION-plpgsql-check
docs                  sudo softhsm2 opensc p11-kit-modules libipc-run-perl python3-cryptography openssl postgresql-VERSION-cron? postgresql-VERSION-plproxy?
random                python3-psycopg2 python3-cryptography
oracle                python3-psycopg2 python3-cryptography nodejs? npm?
pgtap                 postgresql-VERSION-pgtap libtap-parser-sourcehandler-pgtap-perl openssl
tap                   libipc-run-perl openssl
tap/monitoring        prometheus-postgres-exporter?
tap/mqtt              mosquitto mosquitto-clients
tap/pg_cron           postgresql-VERSION-cron?
tap/pgaudit           postgresql-VERSION-pgaudit?
tap/pgbouncer         pgbouncer
tap/pkcs11            softhsm2 opensc p11-kit-modules python3-cryptography
tap/root_key_rotate   python3-cryptography
tap/shards            postgresql-VERSION-plproxy?
tap/soak              python3-psycopg2 python3-cryptography
tap/crash_loop        python3-psycopg2 python3-cryptography
tap/secrets_catalogue python3-cryptography
tap/storage           python3-cryptography
"

# Those of them that start a service when they are installed: unless they are
# there, they are only unpacked.
service_packages="mosquitto mosquitto-clients pgbouncer prometheus-postgres-exporter"

# Files of suites with modes that the cache cannot touch, since no statement in
# them unwraps a key: they run in the first mode only.  Making, rotating and
# granting KEKs opens no wrapped key.
cache_independent="
regress/type      input, output, comparison and accessors of wrapped keys of no KEK
regress/catalog   reads the catalogue
regress/guard     writes to the extension's tables; makes and rotates a KEK
regress/audit     makes and rotates KEKs, and reads the audit log
pgtap/input       input of wrapped keys of no KEK
"

# A mode is what goes into the server's configuration; "on" is what a user gets,
# so it sets nothing.
cache_modes="on off one_entry verify"

mode_setting() # MODE
{
	case $1 in
		on) ;;
		off) echo "key_vault.cache = off" ;;
		one_entry) echo "key_vault.cache_size = 0" ;;
		verify) echo "key_vault.cache = verify" ;;
		*) return 1 ;;
	esac
}

# What the tables say

suite_names()
{
	awk 'NF && $1 !~ /^#/ { print $1 }' <<<"$suites"
}

suite_field() # SUITE COLUMN
{
	awk -v suite="$1" -v column="$2" '$1 == suite { print $column }' <<<"$suites"
}

# The names of a suite's files, in order; from the top of a tree.
suite_files() # SUITE
{
	local patterns file
	read -r _ _ _ patterns <<<"$(awk -v suite="$1" '$1 == suite' <<<"$suites")"
	# Not quoted: patterns are expanded.
	for file in $patterns; do
		if [ -e "$file" ]; then
			file=${file##*/}
			file=${file%.*}
			echo "${file#test_}"
		fi
	done | sed -e '/^setup$/d' -e '/^teardown$/d'
}

# Whether there is such a suite or file of a suite; from the top of a tree.
is_suite() # SUITE[/FILE]
{
	[ -n "$(suite_field "${1%%/*}" 1)" ] || return
	[[ $1 != */* ]] || suite_files "${1%%/*}" | grep -qxF -e "${1#*/}"
}

# The packages of a suite, or of one file of it; of all its files if none is named.
suite_packages() # SUITE[/FILE]
{
	awk -v wanted="$1" '
		BEGIN { suite = wanted; sub(/\/.*/, "", suite) }
		$1 == wanted || $1 == suite || (wanted == suite && index($1, suite "/") == 1) {
			for (i = 2; i <= NF; i++) print $i
		}' <<<"$packages" | sort -u
}

is_cache_independent() # SUITE/FILE
{
	awk -v file="$1" '$1 == file { found = 1 } END { exit !found }' <<<"$cache_independent"
}

# How suites are run: in the top of a tree in which the extension was built and
# from which it was installed, as the servers' user, who may write there and in
# $output, a directory of this run.  Each takes the files to run; those without
# files take none.  Its output is what count_results counts.

suite_indent()
{
	test/indent --check --no-install
}

suite_layers()
{
	test/layers
}

# The plain build is what mutants run: sanitizers find other faults.
suite_unit()
{
	make -s -C test/unit build/plain
	test/unit/build/plain "$@"
	if [ -z "${KEY_VAULT_MUTANT:-}" ]; then
		make -s -C test/unit build/sanitized
		test/unit/build/sanitized "$@"
	fi
}

suite_mutants()
{
	test/mutants/run --check
}

suite_model()
{
	test/model/run
}

suite_fuzz()
{
	test/fuzz/run
}

suite_tap()
{
	local file files=()
	for file in "$@"; do
		files+=("test/tap/$file".[ps][lh])
	done
	prove --verbose "${files[@]}"
}

suite_random()
{
	if [ -n "${KEY_VAULT_MUTANT:-}" ]; then
		test/random/run --steps 40000 --seed 1 --shrink 0
	else
		test/random/run --steps "$([ -n "${KEY_VAULT_LONG:-}" ] && echo 200000 || echo 10000)"
	fi
}

suite_docs()
{
	PGVERSION=$("$PG_CONFIG" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/') test/docs/run
}

suite_plpgsql_check()
{
	test/plpgsql_check/run
}

suite_oracle()
{
	test/oracle/run "$@"
}

suite_isolation()
{
	"$pgxs/src/test/isolation/pg_isolation_regress" --inputdir=test/isolation --outputdir="$output" \
		--bindir="$bindir" --dbname=isolation_regression "$@"
}

# The scripts write files to results/, wherever that is.
suite_regress()
{
	local tree=$PWD
	cd "$output" || return
	"$pgxs/src/test/regress/pg_regress" --inputdir="$tree" --outputdir=. \
		--bindir="$bindir" --dbname=contrib_regression setup "$@" teardown
}

# Every file has a database of its own, so that none sees what another one
# committed.
suite_pgtap()
{
	local file status=0
	createdb kv_template
	psql -Xqd kv_template -c 'CREATE EXTENSION pgtap' -c 'CREATE EXTENSION key_vault'
	for file in "$@"; do
		patiently createdb -T kv_template kv_test
		pg_prove --verbose --dbname kv_test "test/pgtap/$file.sql" || status=1
		patiently dropdb --force --if-exists kv_test
		if [ "$status" = 1 ] && [ -n "${KEY_VAULT_MUTANT:-}" ]; then
			break
		fi
	done
	return "$status"
}

# A crash is one file's failure: the next one finds the server up again.
patiently() # COMMAND...
{
	local tries
	for ((tries = 0; tries < 60; tries++)); do
		"$@" && return
		sleep 0.5
	done
	return 1
}
