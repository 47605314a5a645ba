# A shell function for private copies of PostgreSQL, into which the extension can be
# installed without touching the system's.  For test/run, test/mutants/run and
# bench/run.  Sourced, not run.
# shellcheck shell=bash

# Copies PostgreSQL into a directory, without key_vault, and sets bindir to the copy's
# programs: they find the rest by where they are themselves.
private_postgres() # DIR PG_CONFIG
{
	local dir=$1 pg_config=$2 what from
	for what in bindir pkglibdir sharedir; do
		from=$("$pg_config" --$what)
		mkdir -p "$dir${from%/*}"
		cp -a "$from" "$dir${from%/*}/"
	done
	for what in includedir includedir-server; do
		from=$("$pg_config" --$what)
		mkdir -p "$dir${from%/*}"
		[ -e "$dir$from" ] || ln -s "$from" "$dir$from"
	done
	bindir=$dir$("$pg_config" --bindir)
	from=$bindir/pg_config
	[[ $("$from" --pkglibdir) == "$dir"/* && $("$from" --sharedir) == "$dir"/* ]] ||
		{ echo "this PostgreSQL cannot be moved"; return 1; }
	rm -f "$("$from" --pkglibdir)/key_vault.so" "$("$from" --sharedir)/extension/key_vault"*
	[ "$(id -u)" != 0 ] || chown -R postgres: "$dir"
}
