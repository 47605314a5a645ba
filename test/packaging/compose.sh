#!/bin/bash
# In a chroot, after dockerfile.sh: runs the commands of contrib/docker/compose.yaml, with Debian's mosquitto and
# exporter, in a network of their own.  A message that is published is stored, and the exporter has metrics of it.
set -uo pipefail
. test/packaging/common.sh

if [ "${1:-}" != --own-network ]; then
	# Debian's packages would start services of their own.
	printf '%s\n' '#!/bin/sh' 'exit 101' >/usr/sbin/policy-rc.d
	chmod 755 /usr/sbin/policy-rc.d
	{ apt-get -q update && install_debs curl iproute2 mosquitto prometheus-postgres-exporter python3-yaml; } >"$dir/install.log" 2>&1 ||
		{ tail -n 20 "$dir/install.log"; need "what the other images have" false; }
	rm /usr/sbin/policy-rc.d
	exec unshare --net "$0" --own-network
fi
ip link set lo up
grep -q mosquitto /etc/hosts || echo '127.0.0.1 mosquitto' >>/etc/hosts
export PATH=$bindir:$PATH

# Reads a part of a service, a line each.
service() # NAME PART
{
	python3 - "$@" <<'END'
import sys, yaml
part = yaml.safe_load(open("contrib/docker/compose.yaml"))["services"][sys.argv[1]].get(sys.argv[2], [])
for line in [f"{name}={value}" for name, value in part.items()] if isinstance(part, dict) else part:
    print(line)
END
}

# Files of contrib/docker are mounted; volumes begin with the owner of the directory.
mount_files() # NAME
{
	local from to
	while IFS=: read -r from to _; do
		[[ $from != .* ]] || { mkdir -p "${to%/*}" && cp "contrib/docker/$from" "$to"; } || return
	done < <(service "$1" volumes)
}

# Runs a service in the background, as a user.
start() # NAME USER [PROGRAM]
{
	local environment command
	mapfile -t environment < <(service "$1" environment)
	mapfile -t command < <(service "$1" command)
	mount_files "$1" && [ ${#command[@]} != 0 ] || return
	runuser -u "$2" -- env "${environment[@]}" PGDATA="$data" "${@:3}" "${command[@]}" >"$dir/$1.log" 2>&1 &
}

until_true() # COMMAND...
{
	local tenths
	for ((tenths = 0; tenths < 600; tenths++)); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.1
	done
	tail -n 20 "$dir"/*.log
	return 1
}

sql() # STATEMENT
{
	psql -XqAt -v ON_ERROR_STOP=1 -U postgres -h /var/run/postgresql -d lorawan -c "$1"
}

# A message with a plaintext key.  It is published again until it is stored: ingest may not have subscribed yet.
# Stored twice it is a duplicate.
is_stored()
{
	sed 's/"f_port"/"app_s_key": {"key": "000102030405060708090A0B0C0D0E0F"}, &/' test/clients/uplink.json |
		mosquitto_pub -h mosquitto -q 1 -t v3/app1@t1/devices/1/up -s
	[ "$(sql 'SELECT count(*) FROM lorawan.uplink')" = 1 ]
}

has_metrics() # PATTERN...
{
	local pattern
	curl -s http://127.0.0.1:9187/metrics >"$dir/metrics"
	for pattern in "$@"; do
		grep -E "$pattern" "$dir/metrics" || return
	done
}

data=/var/lib/postgresql/docker
rm -rf "$data" /etc/key_vault/* /var/lib/key_vault_ingest/* /mosquitto
install -d -o postgres -g postgres "$data" /var/run/postgresql
install -d -o mosquitto -g mosquitto /mosquitto/data

check "root key" key_vault_make_root_key /etc/key_vault/root.key
# What the image's own script does at its first start
check "data directory" runuser -u postgres -- initdb -D "$data" -U postgres --auth=trust
check "database" start database postgres
check "answers" until_true pg_isready -h localhost -U postgres
check "database lorawan" createdb -U postgres -h localhost lorawan
check "init.sql" psql -X -U postgres -h localhost -d lorawan -v ON_ERROR_STOP=1 -f /docker-entrypoint-initdb.d/init.sql
check "mosquitto" start mosquitto mosquitto
check "takes messages" until_true mosquitto_pub -h mosquitto -q 1 -t nobody/takes/this/topic -m ""
check "ingest" start ingest "$(python3 -c 'import yaml; print(yaml.safe_load(open("contrib/docker/compose.yaml"))["services"]["ingest"]["user"])')"
check "a message is stored" until_true is_stored
check "exporter" start exporter nobody prometheus-postgres-exporter
check "metrics" until_true has_metrics '^key_vault_kek_age_seconds\{label="lorawan"' '^key_vault_storage_uplinks_inserted\{.* 1$' '^key_vault_wrapped_keys\{.*label="lorawan".* 1$'

mapfile -t services < <(jobs -p)
kill "${services[@]}"
wait
echo "1..$count"
exit $failed
