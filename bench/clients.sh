# Clients that fetch rows and decrypt them, beside the decryption in the server: Node.js with lora-packet, and Python
# with psycopg and cryptography.  They are slow, so they get few rows.  Sourced by the tables that have them.
# shellcheck shell=bash disable=SC2154

client_rows=$((rows < 20000 ? rows : 20000))
clients=()

# Installs what the clients need, and notes which of them cannot be had.
prepare_clients()
{
    local package wanted=(python3-psycopg python3-cryptography)
    # Not from Debian's packages, if they are here from elsewhere.
    command -v node >/dev/null || wanted+=(nodejs)
    command -v npm >/dev/null || wanted+=(npm)
    for package in $(missing_packages "${wanted[@]}"); do
        progress "installing $package"
        can_be_installed "$package" || continue
        install_packages "$package" >"$work/install.log" 2>&1 || true
    done
    mkdir -p "$work/npm"
    if command -v node >/dev/null && command -v npm >/dev/null &&
        test/lib/install_from_npm test/oracle "$work/npm" >/dev/null 2>&1; then
        clients+=(lora_packet)
    else
        note 'The client with lora-packet was left out: no Node.js, no npm or no access to its registry.'
    fi
    if /usr/bin/python3 -c 'import psycopg, cryptography' 2>/dev/null; then
        clients+=(psycopg)
    else
        note 'The client with psycopg was left out: the packages python3-psycopg and python3-cryptography cannot be installed.'
    fi
}

# Measures the clients with the rows of a query: keys in the clear, dev_addr, f_cnt, frm_payload.  SUM is the sum of the
# first bytes of the right payloads.
measure_clients() # COLUMN QUERY SUM
{
    local client name wall processor sum
    on now
    for client in "${clients[@]}"; do
        case $client in
            lora_packet)
                name='client: Node.js with lora-packet'
                read -r wall processor sum < <(sql -c "COPY (SELECT encode(key, 'hex'), encode(dev_addr, 'hex'), f_cnt, encode(frm_payload, 'hex') FROM ($2) q) TO STDOUT" |
                    NODE_PATH=$work/npm/node_modules node bench/clients/lora_packet.js)
                ;;
            psycopg)
                name='client: psycopg and cryptography'
                read -r wall processor sum < <(/usr/bin/python3 bench/clients/psycopg3.py "$2")
                ;;
        esac
        [ "$sum" = "$3" ] || { echo "bench/run: $name has decrypted wrong payloads" >&2; return 1; }
        add_figure now "$name" "$1" "$client_rows" "$wall" "$processor"
    done
    note "The clients fetch $(with_commas "$client_rows") rows; they get keys in the clear, and their CPU is that of their own process."
}
