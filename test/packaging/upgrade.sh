#!/bin/bash
# In a chroot: two servers with 1.0 installed from a package, one that preloads the library and one that does not,
# get the packages of 1.1 while they run, with sessions open.  No answer changes; after ALTER EXTENSION UPDATE it is
# 1.1.  Then the package is removed: root keys stay, and the message says so.
set -uo pipefail
. test/packaging/common.sh

if [ ! -e /root/key_vault_1.0 ]; then
	echo "1..0 # SKIP no sources of 1.0: this is no checkout with history"
	exit
fi
root_keys=/etc/key_vault
clusters=(preloaded on_demand)

# 1.0 as a package: built outside of pg_buildext, whose VPATH builds it does not know.
make_old_package()
{
	local old=$dir/old
	rm -rf "$old" "$dir/$package.deb"
	mkdir -p "$old/DEBIAN" && make -C /root/key_vault_1.0 -j"$(nproc)" with_llvm=no PG_CONFIG="$bindir/pg_config" install DESTDIR="$old" || return
	printf '%s\n' "Package: $package" 'Version: 1.0.0-1' "Architecture: $(dpkg --print-architecture)" "Depends: postgresql-$version" \
		'Maintainer: the key_vault authors <key_vault@example.org>' 'Description: key_vault 1.0' >"$old/DEBIAN/control"
	dpkg-deb --root-owner-group --build "$old" "$dir/$package.deb"
}

sql() # CLUSTER STATEMENT
{
	runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 --cluster "$version/$1" -c "$2" postgres
}

# Nobody reaches the servers by a network.
make_cluster() # CLUSTER
{
	make_root_key "$root_keys/$1.key" && pg_createcluster "$version" "$1" -- --locale=C.UTF-8 --auth=trust &&
		pg_conftool "$version" "$1" set listen_addresses '' && pg_conftool "$version" "$1" set key_vault.root_key "file:$root_keys/$1.key,file:$root_keys/old.key" || return
	[ "$1" != preloaded ] || pg_conftool "$version" "$1" set shared_preload_libraries key_vault || return
	pg_ctlcluster "$version" "$1" start
}

# What version 1.0 stores: the key 00 01 ... 0f, from which aes_key() is read again, and a payload.
fill()
{
	sql "$1" "CREATE EXTENSION key_vault; SELECT key_vault.kek_create('net');
		CREATE TABLE device AS SELECT n, key_vault.wrap('\\x000102030405060708090a0b0c0d0e0f', 'net') AS key FROM generate_series(1, 100) n"
}
read_keys="SELECT count(*), string_agg(DISTINCT encode(key_vault.unwrap(key), 'hex'), ' ') FROM device"
keys='100|000102030405060708090a0b0c0d0e0f'

# A session that goes on over the upgrade: its statements come by a named pipe.
declare -A talk
open_session() # CLUSTER
{
	local fd
	rm -f "$dir/$1.in" "$dir/$1.out"
	mkfifo "$dir/$1.in"
	runuser -u postgres -- stdbuf -oL psql -X -q -A -t --cluster "$version/$1" postgres <"$dir/$1.in" >"$dir/$1.out" 2>&1 &
	exec {fd}>"$dir/$1.in"
	talk[$1]=$fd
	in_session "$1" "$read_keys;" "$keys"
}

# What the session prints for a statement; it may take a minute.
in_session() # CLUSTER STATEMENT PATTERN
{
	local tenths
	printf '%s\n' "$2" '\echo end' >&"${talk[$1]}"
	for ((tenths = 0; tenths < 600; tenths++)); do
		if [ "$(tail -n 1 "$dir/$1.out")" = end ]; then
			cat "$dir/$1.out"
			grep -F -e "$3" "$dir/$1.out" >/dev/null
			tenths=$?
			: >"$dir/$1.out"
			return "$tenths"
		fi
		sleep 0.1
	done
	return 1
}

reads() # CLUSTER
{
	[ "$(sql "$1" "$read_keys")" = "$keys" ]
}

extension_version() # CLUSTER VERSION
{
	[ "$(sql "$1" "SELECT extversion FROM pg_extension WHERE extname = 'key_vault'")" = "$2" ]
}

says() # TEXT COMMAND...
{
	"${@:2}" >"$dir/says.log" 2>&1
	cat "$dir/says.log"
	grep -F -e "$1" "$dir/says.log" >/dev/null
}

refused() # TEXT COMMAND...
{
	! "${@:2}" >"$dir/says.log" 2>&1 || return 1
	cat "$dir/says.log"
	grep -F -e "$1" "$dir/says.log" >/dev/null
}

postmaster() # CLUSTER
{
	head -n 1 "/var/lib/postgresql/$version/$1/postmaster.pid"
}

stop_clusters()
{
	local cluster
	for cluster in "${clusters[@]}"; do
		pg_dropcluster --stop "$version" "$cluster" >/dev/null 2>&1
	done
	rm -rf "$root_keys"
}
stop_clusters
trap stop_clusters EXIT
apt-get -q -y purge "$package" "$tools" >/dev/null 2>&1

need "a package of 1.0" make_old_package
need "1.0 installed" install_debs "$dir/$package.deb"
mkdir -m 700 "$root_keys"
chown postgres: "$root_keys"
need "a second root key, as after a rotation" make_root_key "$root_keys/old.key"
for cluster in "${clusters[@]}"; do
	need "$cluster: a server" make_cluster "$cluster"
	need "$cluster: keys of 1.0" fill "$cluster"
	need "$cluster: an open session" open_session "$cluster"
done
postmasters="$(postmaster preloaded) $(postmaster on_demand)"

need "the packages of this version, and what to do" says "ALTER EXTENSION key_vault UPDATE" install_debs "$builder"/"$package"_*.deb "$builder/$tools"_*.deb
for program in key_vault_ingest key_vault_make_root_key; do
	check "$program is in the path" command -v "$program"
done
check "no server was restarted" [ "$postmasters" = "$(postmaster preloaded) $(postmaster on_demand)" ]
for cluster in "${clusters[@]}"; do
	check "$cluster: the open session reads as before" in_session "$cluster" "$read_keys;" "$keys"
	check "$cluster: a new session reads as before" reads "$cluster"
done

# The preloaded library is that of 1.0 until the server is restarted.
check "preloaded: no update before the restart" refused "could not find function" sql preloaded 'ALTER EXTENSION key_vault UPDATE'
check "preloaded: it is 1.0 as before" extension_version preloaded 1.0
check "preloaded: a new session reads" reads preloaded
check "preloaded: restart" pg_ctlcluster "$version" preloaded restart
check "preloaded: a session reads with the new library" reads preloaded
for cluster in "${clusters[@]}"; do
	check "$cluster: update" sql "$cluster" 'ALTER EXTENSION key_vault UPDATE'
	check "$cluster: it is 1.1" extension_version "$cluster" 1.1
	check "$cluster: reads" reads "$cluster"
	check "$cluster: every key opens" sql "$cluster" 'SELECT * FROM key_vault.check_keys()'
done
check "on_demand: the session from before reads as before" in_session on_demand "$read_keys;" "$keys"

sums=$(sha256sum "$root_keys"/*.key)
check "removal: says which root keys are left" says "left: $root_keys/preloaded.key" apt-get -q -y remove "$package"
check "removal: and all of a list" grep -F "left: $root_keys/old.key" "$dir/says.log"
check "removal: says which servers preload it" grep -F "/etc/postgresql/$version/preloaded/postgresql.conf" "$dir/says.log"
check "removal: names no server that does not" [ "$(grep -cF "/etc/postgresql/$version/on_demand/postgresql.conf" "$dir/says.log")" = 0 ]
check "removal: root keys are as before" [ "$sums" = "$(sha256sum "$root_keys"/*.key)" ]
check "removal: a new session says what is missing" refused "could not access file" sql on_demand "$read_keys"
check "purge" apt-get -q -y purge "$package" "$tools"
check "purge: root keys are as before" [ "$sums" = "$(sha256sum "$root_keys"/*.key)" ]
check "installed again" install_debs "$builder"/"$package"_*.deb "$builder/$tools"_*.deb
check "installed again: reads" reads on_demand

echo "1..$count"
exit $failed
