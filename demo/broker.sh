# The MQTT broker of demo/run, which sources this file: mosquitto, and what
# integration/mqtt takes from it into the storage.  Uses demo/run's variables
# and functions.
# shellcheck shell=bash disable=SC2154,SC2016 # demo/run has the variables; quoted $ are an inner shell's

topics=(
    'v3/app1@t1/devices/dev1/up'
    'application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0102030405060708/event/up'
)

# A package that is missing is only unpacked here: an installed mosquitto would stay
# as a service.
install_broker() {
    if ! is_installed mosquitto || ! is_installed mosquitto-clients; then
        quietly 'fetching mosquitto' unpack_packages "$dir/broker" mosquitto mosquitto-clients
        use_unpacked "$dir/broker"
    fi
    as_root install -m 755 "$root/integration/mqtt/key_vault_ingest" "$server"
    # Each change is saved, so that the broker still knows its subscribers after it was killed.
    as_server tee "$server/mosquitto.conf" >/dev/null <<END
listener 0 $server/broker
allow_anonymous true
persistence true
persistence_location $server/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
END
}

with_broker() {
    as_server env -C "$server" "PATH=$bindir:$PATH:/usr/sbin" "$@"
}

# Runs a command in the background; its process id goes to NAME.pid.
start_process() { # NAME COMMAND...
    with_broker PGHOST="$server" PGUSER=postgres PGDATABASE="$database" sh -c 'echo $$ >"$0.pid"; exec "$@"' "$@" >>"$dir/broker.log" 2>&1 &
}

# Ends such a process, and waits until it is gone.
stop_process() { # NAME SIGNAL
    # The shell's own kill: a minimal system has no other.
    as_root sh -c '
        pid=$(cat "$0" 2>/dev/null) || exit 0
        kill "-$1" "$pid" 2>/dev/null
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        rm -f "$0"' "$server/$1.pid" "$2"
}

start_broker() {
    as_server rm -f "$server/broker"
    start_process broker mosquitto -c mosquitto.conf
    wait_until 'the broker does not answer' broker_answers
}

# Sends a message on a topic that has no subscriber.  The socket may be there before the broker listens.
broker_answers() { with_broker mosquitto_pub --unix broker -t started -n >>"$dir/broker.log" 2>&1; }

start_ingest() {
    start_process ingest ./key_vault_ingest spool lorawan --unix broker -i key_vault_ingest -c -q 1 \
        -t 'v3/+/devices/+/up' -t 'application/+/device/+/event/up'
    wait_until 'key_vault_ingest does not subscribe' subscribed
}

subscribed() { as_root grep -aq 'event/up' "$server/mosquitto.db" 2>/dev/null; }

wait_until() { # MESSAGE COMMAND...
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        "${@:2}" && return
        sleep 0.1
    done
    tail -n 20 "$dir/broker.log" >&2
    die "$1"
}

# The messages of the table "stream", from number FIRST to LAST, in the form of the network server.
publish() { # FIRST LAST
    local topic
    for topic in "${topics[@]}"; do
        as_server sed -n "$1,$2p" "$server/${topic%%/*}.lines" |
            with_broker mosquitto_pub --unix broker -q 1 -t "$topic" -l >>"$dir/broker.log" 2>&1 ||
            die "the broker did not take the messages"
    done
}

stored() { # COUNT
    [[ $(as_server "$bindir/psql" -XAtqh "$server" -U postgres -d "$database" \
        -c 'SELECT count(*) FROM stream JOIN lorawan.uplink USING (dev_eui, received_at)' 2>/dev/null) == "$1" ]]
}
