"""MICs, FOpts, join-accepts and sealed values: random cases against lora-packet, and
against the text of the specifications, programmed with python3-cryptography."""

import os
import struct

from cryptography.hazmat.primitives import cmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import oracle
from oracle import random_bytes, rng

UP, DOWN = (0x40, 0x80), (0x60, 0xa0)


def aes(key, blocks, decrypt=False):
    cipher = Cipher(algorithms.AES(key), modes.ECB())
    step = cipher.decryptor() if decrypt else cipher.encryptor()
    return step.update(blocks) + step.finalize()


def mac(key, message):
    c = cmac.CMAC(algorithms.AES(key))
    c.update(message)
    return c.finalize()


def data_mic(key, f_cnt, message, conf_f_cnt=0, tx_dr=0, tx_ch=0):
    """CMAC(key, B | message), where B is B1 if a TxDr and a TxCh are given, and else B0."""
    direction = message[0] >> 5 & 1
    block = struct.pack("<BHBBB4sIBB", 0x49, conf_f_cnt, tx_dr, tx_ch, direction,
                        message[1:5], f_cnt, 0, len(message))
    return mac(key, block + message)[:4]


def conf(message, conf_f_cnt):
    return conf_f_cnt % 65536 if message[5] & 0x20 else 0


def f_opts_crypt(key, f_cnt, message):
    size = message[5] & 15
    down = message[0] >> 5 & 1
    f_port = message[8 + size] if len(message) > 8 + size else 0
    block = struct.pack("<B3xBB4sIBB", 1, 2 if down and f_port else 1, down, message[1:5], f_cnt, 0, 1)
    return bytes(a ^ b for a, b in zip(message[8:8 + size], aes(key, block)))


def random_f_cnt():
    return rng.choice((rng.getrandbits(16), rng.getrandbits(17), rng.getrandbits(32), 0, 65535, 65536, 2**32 - 1))


def random_data(m_hdrs, f_port_0=True):
    """A message and its full counter, with or without FOpts, FPort, payload, ACK.  MAC
    commands are either in FOpts or in the payload, not in both."""
    f_cnt = random_f_cnt()
    f_opts = random_bytes(rng.choice((0, 0, rng.randrange(16))))
    f_ctrl = rng.getrandbits(4) << 4 | len(f_opts)
    rest = b""
    if rng.random() < 0.8:
        f_port = rng.randrange(256) if f_port_0 and not f_opts else rng.randrange(1, 256)
        rest = bytes([f_port]) + random_bytes(rng.choice((0, rng.randrange(223), rng.randrange(24))))
    return f_cnt, (bytes([rng.choice(m_hdrs)]) + random_bytes(4) + bytes([f_ctrl])
                   + struct.pack("<H", f_cnt % 65536) + f_opts + rest)


def random_join_accept(opt_neg):
    settings = rng.getrandbits(7) | (0x80 if opt_neg else 0)
    return (b"\x20" + random_bytes(10) + bytes([settings]) + random_bytes(1)
            + random_bytes(rng.choice((0, 16))))


def random_rejoin_request(kind):
    return bytes([0xc0, kind]) + random_bytes(18 if kind == 1 else 13)


def hexed(values):
    return [v.hex() for v in values]


def check(name, inputs, ours, theirs_name, theirs):
    oracle.same(f"{name} against {theirs_name}", inputs, ours, theirs)


lora_packet = oracle.lora_packet("mic")

with oracle.Database("mic") as db:
    db.run("SELECT key_vault.kek_create('oracle')")

    def ours(function, inputs, keys):
        """Calls a function once with each list of arguments; the first arguments are keys."""
        places = ", ".join(["key_vault.wrap(%s, 'oracle')"] * keys
                           + ["%s"] * (len(inputs[0]) - keys))
        return [db.run(f"SELECT key_vault.{function}({places})", i)[0][0] for i in inputs]

    def verified(function, inputs, keys, mics):
        """Whether every MIC fits its message, which is the last argument, and does not fit
        the message with one random bit changed."""
        good = [(*i[:-1], i[-1] + mic) for i, mic in zip(inputs, mics)]
        bad = []
        for i, mic in zip(inputs, mics):
            bit = rng.randrange(32)
            bad.append((*i[:-1], i[-1] + (int.from_bytes(mic, "big") ^ 1 << bit).to_bytes(4, "big")))
        oracle.same(f"{function}: fits", inputs, ours(function, good, keys), [True] * len(inputs))
        oracle.same(f"{function}: does not fit", inputs, ours(function, bad, keys), [False] * len(inputs))

    # Data frames of LoRaWAN 1.0
    for function, m_hdrs in (("uplink", UP), ("downlink", DOWN)):
        inputs = [(random_bytes(16), *random_data(m_hdrs)) for _ in range(oracle.cases(1000))]
        mics = ours(f"lorawan_{function}_mic", inputs, 1)
        check(f"lorawan_{function}_mic, 1.0", inputs, hexed(mics), "lora-packet", lora_packet.call("data", inputs))
        check(f"lorawan_{function}_mic, 1.0", inputs, mics, "cryptography", [data_mic(*i) for i in inputs])
        verified(f"lorawan_verify_{function}", inputs, 1, mics)

    # Data frames of LoRaWAN 1.1.  lora-packet uses ConfFCnt also with FPort 0; the specification does not.
    def random_uplink_1_1(f_port_0):
        f_cnt, message = random_data(UP, f_port_0)
        return (random_bytes(16), random_bytes(16), f_cnt, random_f_cnt(), rng.randrange(256),
                rng.randrange(256), message)

    def uplink_mic_1_1(f_key, s_key, f_cnt, conf_f_cnt, tx_dr, tx_ch, message):
        return (data_mic(s_key, f_cnt, message, conf(message, conf_f_cnt), tx_dr, tx_ch)[:2]
                + data_mic(f_key, f_cnt, message)[:2])

    inputs = [random_uplink_1_1(False) for _ in range(oracle.cases(1000))]
    mics = ours("lorawan_uplink_mic", inputs, 2)
    check("lorawan_uplink_mic, 1.1", inputs, hexed(mics), "lora-packet", lora_packet.call("uplink11", inputs))
    check("lorawan_uplink_mic, 1.1", inputs, mics, "cryptography", [uplink_mic_1_1(*i) for i in inputs])
    verified("lorawan_verify_uplink", inputs, 2, mics)
    inputs = [random_uplink_1_1(True) for _ in range(oracle.cases(1000))]
    check("lorawan_uplink_mic, 1.1, any FPort", inputs, ours("lorawan_uplink_mic", inputs, 2),
          "cryptography", [uplink_mic_1_1(*i) for i in inputs])

    inputs = []
    for _ in range(oracle.cases(1000)):
        f_cnt, message = random_data(DOWN)
        inputs.append((random_bytes(16), f_cnt, random_f_cnt(), message))
    mics = ours("lorawan_downlink_mic", inputs, 1)
    check("lorawan_downlink_mic, 1.1", inputs, hexed(mics), "lora-packet", lora_packet.call("downlink11", inputs))
    check("lorawan_downlink_mic, 1.1", inputs, mics, "cryptography",
          [data_mic(key, f_cnt, m, conf(m, conf_f_cnt)) for key, f_cnt, conf_f_cnt, m in inputs])
    verified("lorawan_verify_downlink", inputs, 1, mics)

    # Joins and rejoins
    for function, made in (("join_request", lambda: b"\0" + random_bytes(18)),
                           ("rejoin_request", lambda: random_rejoin_request(rng.randrange(3)))):
        inputs = [(random_bytes(16), made()) for _ in range(oracle.cases(500))]
        mics = ours(f"lorawan_{function}_mic", inputs, 1)
        check(f"lorawan_{function}_mic", inputs, hexed(mics), "lora-packet", lora_packet.call("message", inputs))
        check(f"lorawan_{function}_mic", inputs, mics, "cryptography", [mac(*i)[:4] for i in inputs])
        verified(f"lorawan_verify_{function}", inputs, 1, mics)

    def on_the_air(key, message, mic):
        return message[:1] + aes(key, message[1:] + mic, decrypt=True)

    inputs = [(random_bytes(16), random_join_accept(False)) for _ in range(oracle.cases(500))]
    mics = ours("lorawan_join_accept_mic", inputs, 1)
    check("lorawan_join_accept_mic, 1.0", inputs, hexed(mics), "lora-packet",
          lora_packet.call("joinAccept", [(key, 255, b"\0" * 8, 0, m) for key, m in inputs]))
    check("lorawan_join_accept_mic, 1.0", inputs, mics, "cryptography", [mac(*i)[:4] for i in inputs])
    frames = ours("lorawan_encrypt_join_accept", inputs, 1)
    check("lorawan_encrypt_join_accept, 1.0", inputs, hexed(frames), "lora-packet",
          lora_packet.call("encryptJoinAccept", [(*i, mic) for i, mic in zip(inputs, mics)]))
    check("lorawan_encrypt_join_accept, 1.0", inputs, frames, "cryptography",
          [on_the_air(*i, mic) for i, mic in zip(inputs, mics)])
    check("lorawan_encrypt_join_accept, 1.0, received", inputs,
          [(m + mic).hex() for (_, m), mic in zip(inputs, mics)], "lora-packet",
          lora_packet.call("decryptJoinAccept", [(key, frame) for (key, _), frame in zip(inputs, frames)]))
    oracle.same("lorawan_verify_join_accept, 1.0", inputs,
                ours("lorawan_verify_join_accept", [(key, f) for (key, _), f in zip(inputs, frames)], 1),
                [True] * len(inputs))

    inputs = [(random_bytes(16), random_bytes(16), rng.choice((255, 0, 1, 2)), random_bytes(8),
               rng.getrandbits(16), random_join_accept(True)) for _ in range(oracle.cases(500))]
    mics = ours("lorawan_join_accept_mic", [i[1:] for i in inputs], 1)
    check("lorawan_join_accept_mic, 1.1", inputs, hexed(mics), "lora-packet",
          lora_packet.call("joinAccept", [i[1:] for i in inputs]))
    check("lorawan_join_accept_mic, 1.1", inputs, mics, "cryptography",
          [mac(key, struct.pack("<B8sH", kind, eui[::-1], nonce) + m)[:4] for _, key, kind, eui, nonce, m in inputs])
    frames = ours("lorawan_encrypt_join_accept", inputs, 2)
    check("lorawan_encrypt_join_accept, 1.1", inputs, frames, "cryptography",
          [on_the_air(i[0], i[-1], mic) for i, mic in zip(inputs, mics)])
    oracle.same("lorawan_verify_join_accept, 1.1", inputs,
                ours("lorawan_verify_join_accept", [(*i[:-1], f) for i, f in zip(inputs, frames)], 2),
                [True] * len(inputs))
    oracle.same("lorawan_verify_join_accept, 1.1, another DevNonce", inputs,
                ours("lorawan_verify_join_accept", [(*i[:4], i[4] ^ 1, f) for i, f in zip(inputs, frames)], 2),
                [False] * len(inputs))

    # FOpts, in whole frames, since lora-packet takes FOpts from a frame.
    for direction, m_hdrs in (("uplink", UP), ("downlink", DOWN)):
        inputs = []
        while len(inputs) < oracle.cases(1000):
            f_cnt, message = random_data(m_hdrs)
            if message[5] & 15:
                inputs.append((random_bytes(16), f_cnt, message))

        def arguments(key, f_cnt, message):
            size = message[5] & 15
            f_port = message[8 + size] if len(message) > 8 + size else None
            known = (key, message[4:0:-1], f_cnt, message[8:8 + size])
            return known if direction == "uplink" else (*known, f_port)

        for name in ("encrypt", "decrypt"):
            results = ours(f"lorawan_{name}_{direction}_f_opts", [arguments(*i) for i in inputs], 1)
            check(f"lorawan_{name}_{direction}_f_opts", inputs, hexed(results), "lora-packet",
                  lora_packet.call("fOpts", inputs))
            check(f"lorawan_{name}_{direction}_f_opts", inputs, results, "cryptography",
                  [f_opts_crypt(*i) for i in inputs])

    # Sealed values: python3-cryptography opens those of key_vault, and key_vault opens those of python3-cryptography.
    inputs = [(random_bytes(32), random_bytes(i % 300)) for i in range(oracle.cases(600))]
    sealed = ours("seal", inputs, 1)
    oracle.same("seal, opened by cryptography", inputs, [plaintext for _, plaintext in inputs],
                [AESGCM(key).decrypt(s[1:13], s[13:], s[:1]) for (key, _), s in zip(inputs, sealed)])
    nonces = [os.urandom(12) for _ in inputs]
    theirs = [b"\1" + n + AESGCM(key).encrypt(n, plaintext, b"\1") for (key, plaintext), n in zip(inputs, nonces)]
    oracle.same("open, sealed by cryptography", inputs,
                ours("open", [(key, s) for (key, _), s in zip(inputs, theirs)], 1),
                [plaintext for _, plaintext in inputs])
oracle.end()
