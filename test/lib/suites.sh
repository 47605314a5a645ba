# The suites of tests: which there are, what they need, and how their files are
# run.  For test/run and test/mutants/run, by way of test/lib/job.  Sourced, not run.
#
# A new suite is a line in the first table and a function suite_NAME; test/README.md
# says more.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of, and for, who sources this

# How a suite is run:
#   modes   in a server, once in each cache mode, and in the other modes that name it
#   server  in a server
#   files   each file by itself; it starts its own servers
#   alone   without a server
#   root    without a server, as root
# Files can be run singly, as SUITE/FILE without prefix and suffix; - means that there
# are none.  The seconds are those of all jobs of the suite together, for the estimate.
suites="
# name     run      seconds  files
indent     alone    2        -
layers     alone    1        -
unit       alone    24       test/unit/test_*.c
constant_time alone 10       -
fips       alone    10       -
mutants    alone    6        -
static     alone    110      -
model      alone    43       -
fuzz       alone    35       -
tap        files    1077     test/tap/*.pl test/tap/*.sh
docs       root     240      -
random     server   14       -
plpgsql_check server 5       -
oracle     server   21       test/oracle/test_*.py
vectors    server   15       -
isolation  modes    211      test/isolation/specs/*.spec
regress    modes    75       sql/*.sql
pgtap      modes    290      test/pgtap/*.sql
"

# Debian's packages that a suite, or one file of it, needs besides those that build
# the extension.  If a package with ? cannot be installed, the run goes on, and the tests
# that need it skip themselves.  VERSION is PostgreSQL's version, CLANG that of the clang
# that PostgreSQL was built with.  Packages with ?? are like those with ?, but large: they are installed in the long
# form only.
packages="
indent                pg-bsd-indent?
constant_time         valgrind
fips                  openssl openssl-provider-fips?
model                 spin
static                cppcheck? shellcheck? clang-tidy-CLANG?
fuzz                  clang-CLANG? libclang-rt-CLANG-dev?
plpgsql_check         postgresql-VERSION-plpgsql-check
docs                  mosquitto mosquitto-clients sudo softhsm2 opensc p11-kit-modules libipc-run-perl python3-cryptography openssl postgresql-VERSION-cron? postgresql-VERSION-plproxy?
random                python3-psycopg2 python3-cryptography
oracle                python3-psycopg2 python3-cryptography nodejs? npm?
vectors               python3-psycopg2 python3-cryptography-vectors?
pgtap                 postgresql-VERSION-pgtap libtap-parser-sourcehandler-pgtap-perl openssl
tap                   libipc-run-perl openssl
tap/bench             python3
tap/clients           python3-psycopg? python3-psycopg2? python3-asyncpg? python3-sqlalchemy? libdbd-pg-perl? php-cli? php-pgsql? ruby? ruby-pg? nodejs? npm? libpostgresql-jdbc-java? default-jdk-headless?? golang-go?? golang-github-lib-pq-dev??
tap/monitoring        prometheus-postgres-exporter? prometheus?
tap/failures          python3-psycopg2 python3-cryptography
tap/failover          postgresql-VERSION-repmgr?
tap/mqtt              mosquitto mosquitto-clients
tap/pg_cron           postgresql-VERSION-cron?
tap/pg_partman        postgresql-VERSION-partman?
tap/pg_repack         postgresql-VERSION-repack?
tap/pglogical         postgresql-VERSION-pglogical?
tap/pgaudit           postgresql-VERSION-pgaudit?
tap/pgbackrest        pgbackrest?
tap/pgbouncer         pgbouncer
tap/pkcs11            softhsm2 opensc p11-kit-modules python3-cryptography
tap/root_key_rotate   python3-cryptography
tap/shards            postgresql-VERSION-plproxy?
tap/soak              python3-psycopg2 python3-cryptography
tap/crash_loop        python3-psycopg2 python3-cryptography
tap/secrets_catalogue python3-cryptography
tap/storage           python3-cryptography
tap/storage_outage    postgresql-plperl-VERSION? postgresql-plpython3-VERSION? postgresql-pltcl-VERSION?
"

# Those of them that start a service when they are installed.  If they are not
# installed, they are only unpacked.
service_packages="mosquitto pgbouncer prometheus-postgres-exporter prometheus"

# Files of suites with modes in which no statement unwraps a key, so that the cache
# makes no difference: they run in the first mode only.  Creating and rotating KEKs, and
# granting privileges on them, unwraps no key.
cache_independent="
regress/type      input, output, comparison and accessors of wrapped keys of no KEK
regress/catalog   reads the catalogue
regress/guard     writes to the extension's tables; makes and rotates a KEK
regress/audit     makes and rotates KEKs, and reads the audit log
pgtap/input       input of wrapped keys of no KEK
pgtap/cayenne_lpp decodes payloads; takes no key
isolation/destroy_carriers    makes keys, destroys KEKs, and opens no key
isolation/destroy_envelope    likewise, with key envelopes
isolation/destroy_steps_back  likewise
"

# The settings of a mode, for the server's configuration.  "on" is what a user gets, so
# it sets nothing.
cache_modes="on off one_entry verify"

# Servers with other settings or another encoding, and the suites that run in them once.
other_modes="
odd        regress pgtap
jit        regress
latin1     regress pgtap
sql_ascii  regress pgtap
"

# Files that do not run in one of these modes: MODE SUITE/FILE and the reason.
not_in_mode="
sql_ascii  regress/keks  has labels with Unicode escapes, which PostgreSQL does not read in such a database
"

mode_settings() # MODE
{
	case $1 in
		on) ;;
		off) echo "key_vault.cache = off" ;;
		one_entry) echo "key_vault.cache_size = 0" ;;
		verify) echo "key_vault.cache = verify" ;;
		# Settings on which functions and conversions may depend by mistake.
		# standard_conforming_strings is not among them, since it would change the tests' own
		# literals; pgtap/settings tests it.
		odd)
			cat <<-END
				bytea_output = escape
				DateStyle = German
				default_transaction_deferrable = on
				default_transaction_isolation = serializable
				extra_float_digits = -15
				IntervalStyle = sql_standard
				plan_cache_mode = force_custom_plan
				plpgsql.variable_conflict = use_column
				row_security = off
				search_path = 'public, pg_temp, pg_catalog'
				TimeZone = 'Pacific/Chatham'
			END
			;;
		# Each statement is compiled, so it takes its time.
		jit) echo "jit_above_cost = 0" ;;
		latin1) echo "client_encoding = UTF8" ;;
		sql_ascii) ;;
		*) return 1 ;;
	esac
}

mode_encoding() # MODE
{
	case $1 in
		latin1) echo LATIN1 ;;
		sql_ascii) echo SQL_ASCII ;;
		*) echo UTF8 ;;
	esac
}

# What pg_settings has in a server of that mode, and in none of another: NAME=SETTING.
mode_mark() # MODE
{
	case $1 in
		one_entry) echo "key_vault.cache_size=0" ;;
		odd) echo "extra_float_digits=-15" ;;
		jit) echo "jit_above_cost=0" ;;
		latin1 | sql_ascii) echo "server_encoding=$(mode_encoding "$1")" ;;
		*) echo "key_vault.cache=$1" ;;
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

all_modes()
{
	echo "$cache_modes $(awk 'NF { print $1 }' <<<"$other_modes" | xargs)"
}

# Whether a file runs in a mode: in the cache modes all of a suite with modes do.
runs_in_mode() # MODE SUITE/FILE
{
	[[ " $cache_modes " != *" $1 "* ]] || return 0
	awk -v mode="$1" -v suite="${2%%/*}" '$1 == mode { for (i = 2; i <= NF; i++) if ($i == suite) found = 1 } END { exit !found }' <<<"$other_modes" &&
		awk -v mode="$1" -v file="$2" '$1 == mode && $2 == file { found = 1 } END { exit found }' <<<"$not_in_mode"
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
	make -s -C test/unit ${KEY_VAULT_COVERAGE:+CFLAGS="$coverage_flags"} build/plain build/evp
	test/unit/build/plain "$@"
	test/unit/build/evp "$@"
	[ -z "${KEY_VAULT_COVERAGE:-}" ] || return 0
	make -s -C test/unit build/big_endian
	test/unit/build/big_endian "$@"
	if [ -z "${KEY_VAULT_MUTANT:-}" ]; then
		make -s -C test/unit build/sanitized
		test/unit/build/sanitized "$@"
	fi
}

suite_constant_time()
{
	make -s -C test/unit ct
}

suite_fips()
{
	test/unit/fips/run
}

suite_mutants()
{
	test/mutants/run --check
}

suite_static()
{
	test/static/run
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
	# In seconds: by default PostgreSQL's library ends a statement after three minutes, which a long form may take.
	if [ -n "${KEY_VAULT_LONG:-}" ]; then
		export PG_TEST_TIMEOUT_DEFAULT=3600
	fi
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

suite_vectors()
{
	test/vectors/run
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

# If a file makes the server crash, only that file fails: the next one waits for the server.
patiently() # COMMAND...
{
	local tries
	for ((tries = 0; tries < 60; tries++)); do
		"$@" && return
		sleep 0.5
	done
	return 1
}
