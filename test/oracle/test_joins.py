"""Joins and derived keys, against lora-packet and python3-cryptography.

Frames are made with python3-cryptography.  In every third one a bit is changed, or the
key of another device is used; then both key_vault and lora-packet must refuse it.
"""

import psycopg2
from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import oracle

rng, random_bytes = oracle.rng, oracle.random_bytes


def aes(key, blocks):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()


def aes_inverse(key, blocks):
    decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    return decryptor.update(blocks) + decryptor.finalize()


def mic(key, message):
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()[:4]


def derived(key, first, data=b""):
    return aes(key, (bytes([first]) + data).ljust(16, b"\0"))


def join(kind):
    """A random join: kind 10 for LoRaWAN 1.0, 255 for 1.1, 0 to 2 for a rejoin.
    Returns NwkKey (or AppKey), AppKey, JoinEUI, request, join-accept."""
    nwk_key, app_key = random_bytes(16), random_bytes(16)
    join_eui, dev_eui, dev_nonce = random_bytes(8), random_bytes(8), random_bytes(2)
    js_enc_key, js_int_key = derived(nwk_key, 5, dev_eui[::-1]), derived(nwk_key, 6, dev_eui[::-1])
    body = bytearray(random_bytes(rng.choice((12, 28))))
    body[10] = body[10] & 0x7f if kind == 10 else body[10] | 0x80

    request = {10: b"\0", 255: b"\0", 1: b"\xc0\1"}.get(kind)
    request = request + join_eui[::-1] if request else bytes([0xc0, kind]) + body[3:6]
    request += dev_eui[::-1] + dev_nonce[::-1]
    request += mic(js_int_key if kind == 1 else nwk_key, request)

    accept = b"\x20" + bytes(body)
    if kind == 10:
        accept += mic(nwk_key, accept)
    else:
        accept += mic(js_int_key, bytes([kind]) + join_eui[::-1] + dev_nonce[::-1] + accept)
    accept = accept[:1] + aes_inverse(nwk_key if kind in (10, 255) else js_enc_key, accept[1:])
    return [nwk_key, app_key, join_eui, bytes(request), accept]


def changed(kind, case):
    """The same frame with one bit changed, but not in MHDR or the type of a rejoin-request."""
    case = list(case)
    place = rng.choice((0, 2, 3, 4) if kind <= 2 else (0, 3, 4))
    value = bytearray(case[place])
    bit = rng.randrange(8 * {3: 2 if kind <= 2 else 1, 4: 1}.get(place, 0), 8 * len(value))
    value[bit // 8] ^= 1 << bit % 8
    case[place] = bytes(value)
    return case


COLUMNS = ("join_nonce", "net_id", "dev_addr", "rx1_dr_offset", "rx2_data_rate", "rx_delay", "cf_list")


def joined(db, function, keys, arguments):
    """The result of a join function, with the keys in the clear; None if it refuses."""
    places = ", ".join("key_vault.wrap(%s, 'oracle')" if i < keys else "%s" for i in range(len(arguments)))
    try:
        row = db.run(f"SELECT {', '.join(COLUMNS)}, " + ", ".join(
            f"key_vault.unwrap({k})" for k in SESSION_KEYS[function]) + f", " + " AND ".join(
            f"key_vault.bound_dev_addr({k}) = dev_addr" for k in SESSION_KEYS[function])
            + f" FROM key_vault.{function}({places}, 'oracle')", arguments)[0]
    except psycopg2.Error as error:
        assert error.pgcode == "KV009", error
        return None
    row = [v.hex() if isinstance(v, bytes) else v for v in row]
    assert row.pop() is True, "keys are bound"
    return {**dict(zip(COLUMNS, row)), "keys": row[len(COLUMNS):]}


SESSION_KEYS = {
    "lorawan_join_1_0": ("nwk_s_key", "app_s_key"),
    "lorawan_join_1_1": ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key"),
    "lorawan_rejoin_1_1": ("f_nwk_s_int_key", "s_nwk_s_int_key", "nwk_s_enc_key", "app_s_key"),
}


def derive(db, name, key, *arguments):
    places = "".join(", %s" for _ in arguments)
    return db.run(f"SELECT key_vault.unwrap(key_vault.lorawan_derive_{name}(key_vault.wrap(%s, 'oracle'){places}, 'oracle'))",
                  (key, *arguments))[0][0].hex()


def check_joins(db, lora_packet):
    for kind in (10, 255, 0, 1, 2):
        cases = [join(kind) for _ in range(oracle.cases(1000))]
        cases = [changed(kind, c) if i % 3 == 0 else c for i, c in enumerate(cases)]
        if kind == 10:
            cases = [[nwk, request, accept] for nwk, _, _, request, accept in cases]
            theirs = lora_packet.call("join_1_0", cases)
            ours = [joined(db, "lorawan_join_1_0", 1, c) for c in cases]
        elif kind == 255:
            theirs = lora_packet.call("join_1_1", [[kind, c[0], c[1], c[3][8:0:-1], c[3], c[4]] for c in cases])
            ours = [joined(db, "lorawan_join_1_1", 2, [c[0], c[1], c[3], c[4]]) for c in cases]
        else:
            theirs = lora_packet.call("join_1_1", [[kind, *c] for c in cases])
            # A rejoin-request of type 1 must have the JoinEUI that is given.
            if kind == 1:
                theirs = [t if c[3][9:1:-1] == c[2] else None for c, t in zip(cases, theirs)]
            ours = [joined(db, "lorawan_rejoin_1_1", 2, c) for c in cases]
        oracle.same({10: "joins of 1.0", 255: "joins of 1.1"}.get(kind, f"rejoins of type {kind}"), cases, ours, theirs)
        refused = sum(o is None for o in ours)
        oracle.ok(len(cases) // 4 < refused < len(cases) // 2, f"of them, {refused} refused")


def check_other_keys(db, lora_packet):
    cases = [(random_bytes(16), random_bytes(8), random_bytes(4)) for _ in range(oracle.cases(1000))]
    oracle.same("join server keys, by lora-packet", cases,
                [{"JSIntKey": derive(db, "js_int_key", key, eui), "JSEncKey": derive(db, "js_enc_key", key, eui)}
                 for key, eui, _ in cases],
                lora_packet.call("js_keys", [c[:2] for c in cases]))
    theirs = lora_packet.call("wor_keys", [(key, address) for key, _, address in cases])
    oracle.same("relay keys, by lora-packet", cases,
                [{"RootWorSKey": derive(db, "root_wor_s_key", c[0]),
                  "WorSIntKey": derive(db, "wor_s_int_key", bytes.fromhex(t["RootWorSKey"]), c[2]),
                  "WorSEncKey": derive(db, "wor_s_enc_key", bytes.fromhex(t["RootWorSKey"]), c[2])}
                 for c, t in zip(cases, theirs)], theirs)


def check_derivation(db):
    cases = [(random_bytes(16), random_bytes(8), random_bytes(4), random_bytes(16)) for _ in range(oracle.cases(300))]
    for name, arguments, block in (
            ("js_int_key", lambda c: (c[1],), lambda c: b"\6" + c[1][::-1]),
            ("js_enc_key", lambda c: (c[1],), lambda c: b"\5" + c[1][::-1]),
            ("mc_root_key_1_0", lambda c: (), lambda c: b"\0"),
            ("mc_root_key_1_1", lambda c: (), lambda c: b"\x20"),
            ("mc_ke_key", lambda c: (), lambda c: b"\0"),
            ("mc_key", lambda c: (c[3],), lambda c: c[3]),
            ("mc_app_s_key", lambda c: (c[2],), lambda c: b"\1" + c[2][::-1]),
            ("mc_nwk_s_key", lambda c: (c[2],), lambda c: b"\2" + c[2][::-1]),
            ("data_block_int_key", lambda c: (), lambda c: b"\x30"),
            ("root_wor_s_key", lambda c: (), lambda c: b"\1"),
            ("wor_s_int_key", lambda c: (c[2],), lambda c: b"\1" + c[2][::-1]),
            ("wor_s_enc_key", lambda c: (c[2],), lambda c: b"\2" + c[2][::-1])):
        oracle.same(f"{name}, by python3-cryptography", cases,
                    [derive(db, name, c[0], *arguments(c)) for c in cases],
                    [aes(c[0], block(c).ljust(16, b"\0")).hex() for c in cases])


with oracle.Database("joins") as database:
    database.run("SELECT key_vault.kek_create('oracle')")
    check_derivation(database)
    lora = oracle.lora_packet("joins")
    check_joins(database, lora)
    check_other_keys(database, lora)
oracle.end()
