#!/usr/bin/python3
"""Writes vectors.h, the expected values of the unit tests, to standard output.

Published vectors stand here as published and are checked against
python3-cryptography before they are written; all others are made with it, so
that they come from an implementation other than the one under test.  The
output is kept in version control: running the tests needs no Python.

    ./vectors.py > vectors.h
"""

import base64
import hashlib
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import cmac, keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_LENGTHS = (16, 24, 32)


def made(label, length):
    """Bytes that are the same on every run."""
    return hashlib.shake_128(label.encode()).digest(length)


def aes_cmac(key, message):
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(message)
    return mac.finalize()


def lorawan_crypt(key, direction, dev_addr, f_cnt, payload):
    """FRMPayload encryption read as what it is, AES-CTR that starts at A_1."""
    first = struct.pack("<BIB4sIBB", 1, 0, direction, dev_addr[::-1], f_cnt, 0, 1)
    encryptor = Cipher(algorithms.AES(key), modes.CTR(first)).encryptor()
    return encryptor.update(payload) + encryptor.finalize()


def ecb(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def table(c_type, name, comment, fields, rows):
    """One array of structs; bytes become hexadecimal strings."""
    print(f"\n/* {comment} */")
    print("typedef struct\n{")
    for kind, field in fields:
        print(f"\t{kind}{'' if kind.endswith('*') else ' '}{field};")
    print(f"}} {c_type};\n")
    print(f"static const {c_type} {name}[] = {{")
    for row in rows:
        cells = []
        for cell in row:
            if isinstance(cell, bytes):
                cells.append(f'"{cell.hex()}"')
            elif isinstance(cell, str):
                cells.append(f'"{cell}"')
            else:
                cells.append(f"{cell}u")
        line = "\t{" + ", ".join(cells) + "},"
        if len(line) > 77:
            line = "\t{" + ",\n\t\t".join(cells) + "},"
        print(line)
    print("};")


def aes_vectors():
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    published = (
        ("FIPS 197 C.1", 16, "69c4e0d86a7b0430d8cdb78070b4c55a"),
        ("FIPS 197 C.2", 24, "dda97ca4864cdfe06eaf70a0ec0d7191"),
        ("FIPS 197 C.3", 32, "8ea2b7ca516745bfeafc49904b496089"),
    )
    rows = []
    for source, length, expected in published:
        key = bytes(range(length))
        assert ecb(key, block).hex() == expected, source
        rows.append((source, key, block, bytes.fromhex(expected)))
    return rows


def kw_vectors():
    data = bytes.fromhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f")
    published = (
        ("RFC 3394 4.1", 16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        ("RFC 3394 4.2", 24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
        ("RFC 3394 4.3", 32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
        ("RFC 3394 4.4", 24, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"),
        ("RFC 3394 4.5", 32, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"),
        ("RFC 3394 4.6", 32, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326"
                                 "cbc7f0e71a99f43bfb988b9b7a02dd21"),
    )
    rows = []
    for source, kek_len, key_len, expected in published:
        kek, key = bytes(range(kek_len)), data[:key_len]
        assert keywrap.aes_key_wrap(kek, key).hex() == expected, source
        rows.append((source, kek, key, bytes.fromhex(expected)))
    # Key envelopes as the two network stacks send them.
    kek = bytes(range(16))
    for source, key, expected in (
            ("LoRaWAN AppSKey", "ec925802ae430ca77fd3dd73cb2cc588",
             "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"),):
        wrapped = base64.b64decode(expected)
        assert keywrap.aes_key_wrap(kek, bytes.fromhex(key)) == wrapped, source
        rows.append((source, kek, bytes.fromhex(key), wrapped))
    for kek_len in KEY_LENGTHS:
        for key_len in range(16, 65, 8):
            kek = made(f"kw kek {kek_len} {key_len}", kek_len)
            key = made(f"kw key {kek_len} {key_len}", key_len)
            rows.append((f"KW {kek_len} {key_len}", kek, key,
                         keywrap.aes_key_wrap(kek, key)))
    return rows


def kwp_vectors():
    kek = bytes.fromhex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
    published = (
        ("RFC 5649 6, 20 bytes", "c37b7e6492584340bed12207808941155068f738",
         "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"),
        ("RFC 5649 6, 7 bytes", "466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
    )
    rows = []
    for source, key, expected in published:
        key = bytes.fromhex(key)
        assert keywrap.aes_key_wrap_with_padding(kek, key).hex() == expected, source
        rows.append((source, kek, key, bytes.fromhex(expected)))
    for kek_len in KEY_LENGTHS:
        for key_len in range(1, 65):
            kek = made(f"kwp kek {kek_len} {key_len}", kek_len)
            key = made(f"kwp key {kek_len} {key_len}", key_len)
            rows.append((f"KWP {kek_len} {key_len}", kek, key,
                         keywrap.aes_key_wrap_with_padding(kek, key)))
    return rows


def cmac_vectors():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                            "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
    published = (
        ("RFC 4493 4, example 1", 0, "bb1d6929e95937287fa37d129b756746"),
        ("RFC 4493 4, example 2", 16, "070a16b46b4d4144f79bdd9dd04a287c"),
        ("RFC 4493 4, example 3", 40, "dfa66747de9ae63030ca32611497c827"),
        ("RFC 4493 4, example 4", 64, "51f0bebf7e3b9d92fc49741779363cfe"),
    )
    rows = []
    for source, length, expected in published:
        assert aes_cmac(key, message[:length]).hex() == expected, source
        rows.append((source, key, message[:length], bytes.fromhex(expected)))
    for key_len in KEY_LENGTHS:
        for length in (0, 1, 15, 16, 17, 31, 32, 33, 60):
            key = made(f"cmac key {key_len} {length}", key_len)
            message = made(f"cmac message {key_len} {length}", length)
            rows.append((f"CMAC {key_len} {length}", key, message, aes_cmac(key, message)))
    return rows


def kcv_vectors():
    rows = []
    for key_len in KEY_LENGTHS:
        for number in range(3):
            key = made(f"kcv key {key_len} {number}", key_len)
            rows.append((key, aes_cmac(key, b"key_vault key check value")[:5]))
    return rows


def gcm_vectors():
    # NIST CAVP, gcmEncryptExtIV256.rsp: key, IV, plaintext, AAD, ciphertext, tag.
    published = (
        ("PT 0 AAD 0 count 0",
         "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
         "516c33929df5a3284ff463d7", "", "", "",
         "bdc1ac884d332457a1d2664f168c76f0"),
        ("PT 0 AAD 128 count 0",
         "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
         "d79cf22d504cc793c3fb6c8a", "", "b96baa8c1c75a671bfb2d08d06be5f36", "",
         "3e5d486aa2e30b22e040b85723a06e76"),
        ("PT 128 AAD 0 count 0",
         "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
         "0d18e06c7c725ac9e362e1ce", "2db5168e932556f8089a0622981d017d", "",
         "fa4362189661d163fcd6a56d8bf0405a", "d636ac1bbedd5cc3ee727dc2ab4a9489"),
        ("PT 128 AAD 128 count 0",
         "92e11dcdaa866f5ce790fd24501f92509aacf4cb8b1339d50c9c1240935dd08b",
         "ac93a1a6145299bde902f21a", "2d71bcfa914e4ac045b2aa60955fad24",
         "1e0889016f67601c8ebea4943bc23ad6",
         "8995ae2e6df3dbf96fac7b7137bae67f", "eca5aa77d51d4a0a14d9c51e1da474ab"),
    )
    rows = []
    for source, *fields in published:
        key, nonce, plaintext, aad, ciphertext, tag = map(bytes.fromhex, fields)
        try:
            opened = AESGCM(key).decrypt(nonce, ciphertext + tag, aad)
        except InvalidTag:
            opened = None
        assert opened == plaintext, source
        rows.append((f"gcmEncryptExtIV256 {source}", key, nonce, aad, plaintext, ciphertext, tag))
    for length in (0, 1, 15, 16, 17, 24, 32, 64):
        for aad_len in (0, 13, 61):
            label = f"{length} {aad_len}"
            key = made(f"gcm key {label}", 32)
            nonce = made(f"gcm nonce {label}", 12)
            plaintext = made(f"gcm plaintext {label}", length)
            aad = made(f"gcm aad {label}", aad_len)
            sealed = AESGCM(key).encrypt(nonce, plaintext, aad)
            rows.append((f"GCM {label}", key, nonce, aad, plaintext, sealed[:-16], sealed[-16:]))
    return rows


def lorawan_vectors():
    key = bytes.fromhex("ec925802ae430ca77fd3dd73cb2cc588")
    plaintext = bytes.fromhex("0167010e02684a")
    rows = []
    # Uplinks as The Things Stack and as ChirpStack deliver them.
    for source, dev_addr, f_cnt, data in (
            ("The Things Stack uplink", "260b1234", 65538, "LhFe2aRcmQ=="),
            ("ChirpStack uplink", "01fa8b2c", 1042, "BqiSEvuAbQ==")):
        dev_addr, data = bytes.fromhex(dev_addr), base64.b64decode(data)
        assert lorawan_crypt(key, 0, dev_addr, f_cnt, plaintext) == data, source
        rows.append((source, key, 0, dev_addr, f_cnt, plaintext, data))
    # The longest payload: the tests take every shorter one from it.
    for direction in (0, 1):
        for f_cnt in (0, 1, 65535, 65536, 65538, 0x01020304, 2**31, 2**32 - 1):
            label = f"{'down' if direction else 'up'}link {f_cnt}"
            key = made(f"lorawan key {label}", 16)
            dev_addr = made(f"lorawan dev_addr {label}", 4)
            plaintext = made(f"lorawan plaintext {label}", 255)
            rows.append((label, key, direction, dev_addr, f_cnt, plaintext,
                         lorawan_crypt(key, direction, dev_addr, f_cnt, plaintext)))
    return rows


def f_opts_crypt(key, direction, counter, dev_addr, f_cnt, f_opts):
    """FOpts encryption, in the words of the errata about FCntDwn (LoRaWAN 1.1)."""
    block = struct.pack("<B3xBB4sIBB", 1, counter, direction, dev_addr[::-1], f_cnt, 0, 1)
    return bytes(a ^ b for a, b in zip(f_opts, ecb(key, block)))


def f_opts_vectors():
    f_opts = bytes.fromhex("020701")
    rows = []
    published = (
        # github.com/brocaar/lorawan, phypayload_test.go: ExamplePHYPayload_lorawan11EncryptedFoptsEncode
        # and the downlink "using NFCntDown"
        ("brocaar/lorawan AFCntDown", "01010101010101010101010101010200", 1, 2, "01020304", 0, f_opts, "22ac0a"),
        ("brocaar/lorawan NFCntDown", "02020202020202020202020202020204", 1, 1, "01020304", 0, f_opts, "dfb4f1"),
    )
    for source, key, direction, counter, dev_addr, f_cnt, plaintext, expected in published:
        key, dev_addr = bytes.fromhex(key), bytes.fromhex(dev_addr)
        encrypted = f_opts_crypt(key, direction, counter, dev_addr, f_cnt, plaintext)
        assert encrypted.hex() == expected, source
        rows.append((source, key, direction, counter, dev_addr, f_cnt, plaintext, encrypted))
    for direction, counter in ((0, 1), (1, 1), (1, 2)):
        for f_cnt in (0, 1, 65535, 65536, 2**32 - 1):
            label = f"FOpts {direction} {counter} {f_cnt}"
            key, dev_addr, plaintext = made(f"{label} key", 16), made(f"{label} dev_addr", 4), made(label, 15)
            rows.append((label, key, direction, counter, dev_addr, f_cnt, plaintext,
                         f_opts_crypt(key, direction, counter, dev_addr, f_cnt, plaintext)))
    return rows


def data_mic(key, direction, dev_addr, f_cnt, conf_f_cnt, tx_dr, tx_ch, message):
    """CMAC over B0, or B1, and the message; the first 4 bytes."""
    block = struct.pack("<BHBBB4sIBB", 0x49, conf_f_cnt, tx_dr, tx_ch, direction, dev_addr[::-1],
                        f_cnt, 0, len(message))
    return aes_cmac(key, block + message)[:4]


def data_mic_vectors():
    rows = []

    def row(source, *arguments):
        mic = data_mic(*arguments)
        rows.append((source, *arguments, mic))
        return mic

    # lora-packet, __tests__/mic_test.ts; github.com/brocaar/lorawan, phypayload_test.go: the
    # first of its 1.0 frames.  FCnt fits 16 bits.
    for source, key, frame in (
            ("lora-packet uplink", "44024241ed4ce9a68c6a8bc055233fd3", "40f17dbe4900020001954378762b11ff0d"),
            ("lora-packet empty uplink", "44024241ed4ce9a68c6a8bc055233fd3", "40f17dbe49000300012a3518af"),
            ("lora-packet ACK", "44024241ed4ce9a68c6a8bc055233fd3", "60f17dbe4920020001f9d65d27"),
            ("brocaar/lorawan 1.0", "02" * 16, "40040302018001" "0001a69464" "2615d6c3b582")):
        key, frame = bytes.fromhex(key), bytes.fromhex(frame)
        message, direction = frame[:-4], frame[0] >> 5 & 1
        mic = row(source, key, direction, frame[4:0:-1], frame[6] + 256 * frame[7], 0, 0, 0, message)
        assert mic == frame[-4:], source
    # github.com/brocaar/lorawan, phypayload_test.go: TestPHYPayloadMACPayloadLoRaWAN11, with
    # ConfFCnt 1, TxDr 2 and TxCh 3; the first half of the MIC is by SNwkSIntKey over B1, the second by
    # FNwkSIntKey over B0.  ConfFCnt counts in the second, which acknowledges.
    s_nwk, f_nwk = bytes.fromhex("02" * 16), bytes.fromhex("02" * 15 + "03")
    dev_addr = bytes.fromhex("01020304")
    for source, frame, f_cnt, conf_f_cnt in (
            ("brocaar/lorawan 1.1 uplink", "400403020180010001a6946426157612366a", 1, 0),
            ("brocaar/lorawan 1.1 ACK", "4004030201a0010001a694642615f842c4b9", 1, 1),
            ("brocaar/lorawan 1.1 FPort 0", "4004030201000000" "0069369efa931bd7", 0, 0)):
        frame = bytes.fromhex(frame)
        mic_s = row(f"{source}, B1", s_nwk, 0, dev_addr, f_cnt, conf_f_cnt, 2, 3, frame[:-4])
        mic_f = row(f"{source}, B0", f_nwk, 0, dev_addr, f_cnt, 0, 0, 0, frame[:-4])
        assert mic_s[:2] + mic_f[:2] == frame[-4:], source
    # The same, downlinks
    for source, frame in (("brocaar/lorawan 1.1 NFCntDown", "6004030201030000dfb4f1e24f1f9f"),
                          ("brocaar/lorawan 1.1 AFCntDown", "60040302010300000207010177701ea3")):
        frame = bytes.fromhex(frame)
        mic = row(source, s_nwk, 1, dev_addr, 0, 0, 0, 0, frame[:-4])
        assert mic == frame[-4:], source
    # TheThingsNetwork/lorawan-stack, pkg/crypto/data_messages_test.go: the same message both ways
    key, message = bytes.fromhex("01" * 16), bytes.fromhex("40040302010001000101020304")
    for source, direction, expected in (("lorawan-stack up", 0, "3b073182"), ("lorawan-stack down", 1, "a5609fa9")):
        assert row(source, key, direction, dev_addr, 1, 0, 0, 0, message).hex() == expected, source
    for length in (8, 12, 15, 16, 17, 31, 32, 48, 100, 251):
        for f_cnt in (0, 65535, 65536, 2**32 - 1):
            label = f"MIC {length} {f_cnt}"
            key, message = made(f"{label} key", 16), made(label, length)
            dev_addr = made(f"{label} dev_addr", 4)
            row(label, key, length & 1, dev_addr, f_cnt, *struct.unpack("<HBB", made(f"{label} B1", 4)), message)
    return rows


def message_mic_vectors():
    rows = []
    for source, key, frame in (
            # lora-packet, __tests__/mic_test.ts; the join-accept decrypted
            ("lora-packet join-request", "98929b92c49edba9676d646d3b612456",
             "0039363463336913aa05693574323831330489c65b1304"),
            ("lora-packet join-accept", "98929b92c49edba9676d646d3b612456",
             "20386337ccbbaae7cd2c010000d9d0a6e7"),
            # TheThingsNetwork/lorawan-stack, pkg/crypto/join_messages_test.go
            ("lorawan-stack join-request", "01" * 16, "000807060504030201" "0807060504030201" "0201e6e10c55"),
            ("lorawan-stack rejoin-request 0", "01" * 16, "c000030201" "0807060504030201" "020111da47bd"),
            ("lorawan-stack rejoin-request 1", "01" * 16,
             "c001" "0807060504030201" "0807060504030201" "020167f9abe7"),
            ("lorawan-stack rejoin-request 2", "01" * 16, "c002030201" "0807060504030201" "02012b459cf0"),
            ("lorawan-stack join-accept", "01" * 16, "20030201" "030201" "04030201" "0001" "32f54ab3"),
            # github.com/brocaar/lorawan, phypayload_test.go
            ("brocaar/lorawan join-request", "01" * 16, "000403020104030201" "0504030205040302" "2d106a990e12"),
            ("brocaar/lorawan rejoin-request 2", "00" * 16, "c002030201" "0807060504030201" "db003c8642ae"),
            ("brocaar/lorawan rejoin-request 1", "00" * 16,
             "c001" "0807060504030201" "100f0e0d0c0b0a09" "db00eac31072")):
        key, frame = bytes.fromhex(key), bytes.fromhex(frame)
        mic = aes_cmac(key, frame[:-4])[:4]
        assert mic == frame[-4:], source
        rows.append((source, key, frame[:-4], mic))
    return rows


def join_accept_mic_vectors():
    def mic(key, kind, join_eui, dev_nonce, message):
        return aes_cmac(key, struct.pack("<B8sH", kind, join_eui[::-1], dev_nonce) + message)[:4]

    rows = []
    # github.com/brocaar/lorawan, phypayload_test.go: ExamplePHYPayload_lorawan11JoinAcceptSend;
    # the frame is encrypted with the same key.
    key = bytes(range(1, 17))
    wire = bytes.fromhex("207abeea06b0292" "0f11c02d0348fcf1815")
    frame = wire[:1] + ecb(key, wire[1:])
    published = (
        ("brocaar/lorawan", key, 0xff, "0807060504030201", 258, frame[:-4].hex(), frame[-4:].hex()),
        # TheThingsNetwork/lorawan-stack, pkg/crypto/join_messages_test.go
        ("lorawan-stack", bytes.fromhex("01" * 16), 0xff, "0807060504030201", 0x0201,
         "20030201" "030201" "04030201" "0001", "48e9be5f"),
    )
    for source, key, kind, join_eui, dev_nonce, message, expected in published:
        join_eui, message = bytes.fromhex(join_eui), bytes.fromhex(message)
        assert mic(key, kind, join_eui, dev_nonce, message).hex() == expected, source
        rows.append((source, key, kind, join_eui, dev_nonce, message, bytes.fromhex(expected)))
    for kind in (0xff, 0, 1, 2):
        for length in (13, 29):
            label = f"join-accept {kind} {length}"
            key, join_eui, message = made(f"{label} key", 16), made(f"{label} EUI", 8), made(label, length)
            dev_nonce = int.from_bytes(made(f"{label} nonce", 2), "little")
            rows.append((label, key, kind, join_eui, dev_nonce, message, mic(key, kind, join_eui, dev_nonce, message)))
    return rows


def derived(parent, first, data=b""):
    return ecb(parent, (bytes([first]) + data).ljust(16, b"\0"))


def derive_vectors():
    def displayed(parent, first, identifier=b""):
        return derived(parent, first, identifier[::-1])

    rows = []
    for source, parent, first, identifier, expected in (
            # lora-packet, __tests__/key_gen_test.ts
            ("lora-packet JSIntKey", "089234b089c2d8490edf8c9f9b8e8f9c", 6, "0123456789abcdef",
             "bd147194430d6fec1351a327ee40e264"),
            ("lora-packet JSEncKey", "089234b089c2d8490edf8c9f9b8e8f9c", 5, "0123456789abcdef",
             "8c61658dc01ee8add0c0becf90d2dc50"),
            ("lora-packet RootWorSKey", "987b94c9e254bee0546bb23403492d34", 1, "",
             "df6c096ba343b7a38a32bec967f03453"),
            # The Things Stack's, as cited by pamoja_lorawan
            ("lorawan-stack RootWorSKey", "ce07a009a3970ac0519a099ed53e550b", 1, "",
             "ee91dc1a6666c06e8277de6db4db945f"),
            ("lora-packet WorSIntKey", "4576856befa0832347560cb120a01f43", 1, "01234567",
             "c43c318072edabc1e06fe5e93e7d663d"),
            ("lora-packet WorSEncKey", "4576856befa0832347560cb120a01f43", 2, "01234567",
             "6bcb83f1ac19644c692b0276cff8ce9d"),
            # Lora-net/LoRaMac-node, src/apps/LoRaMac/fuota-test-01/readme.md
            ("LoRaMac-node McAppSKey", "0102030405060708090a0b0c0d0e0f10", 1, "01ffffff",
             "c3f6c39b6b6496c29629f7e7e9b0cd29"),
            ("LoRaMac-node McNwkSKey", "0102030405060708090a0b0c0d0e0f10", 2, "01ffffff",
             "bb75c362588f5d65fcc61c080b76dba3")):
        parent, identifier = bytes.fromhex(parent), bytes.fromhex(identifier)
        assert displayed(parent, first, identifier).hex() == expected, source
        rows.append((source, parent, first, identifier, bytes.fromhex(expected)))
    for first in (0, 1, 2, 5, 6, 0x20, 0x30):
        for length in (0, 4, 8):
            label = f"derivation {first} {length}"
            parent, identifier = made(f"{label} parent", 16), made(label, length)
            rows.append((label, parent, first, identifier, displayed(parent, first, identifier)))
    return rows


def join_vectors():
    def inverse(key, blocks):
        decryptor = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
        return decryptor.update(blocks) + decryptor.finalize()

    def session_keys(nwk_key, app_key, middle, join_nonce, dev_nonce):
        data = join_nonce[::-1] + middle[::-1] + dev_nonce[::-1]
        return [derived(app_key if first == 2 else nwk_key, first, data) for first in (1, 2, 3, 4)]

    # lora-packet, __tests__/key_gen_test.ts
    key = bytes.fromhex("98929b92c49edba9676d646d3b612456")
    keys = session_keys(key, key, *(bytes.fromhex(x) for x in ("aabbcc", "376338", "f18e")))
    assert keys[0].hex() == "4e3d6e6afbcc67af2ba3c8e8ec4acf4b"
    assert keys[1].hex() == "610897aa6f1460623443b527d3ac6a9d"
    keys = session_keys(*(bytes.fromhex(x) for x in (
        "00000000000000000000000000000001", "01000000000000000000000000000001",
        "0000000000000001", "000003", "e8c2")))
    assert [k.hex() for k in keys] == [
        "bbd966509be6435f4bcb63acc310466a", "eb45a0a167b6f1cccb9a678d761c0b03",
        "dea9e621c747af79a65f82dcaed92a99", "c8eefda7400395c94ab072e9c353b29d"]

    def row(source, kind, nwk_key, app_key, join_eui, dev_eui, dev_nonce, body):
        """kind: 10 for LoRaWAN 1.0, 0xff for a join of 1.1, 0 to 2 for a rejoin."""
        js_enc_key, js_int_key = (derived(nwk_key, n, dev_eui[::-1]) for n in (5, 6))
        if kind in (10, 0xff):
            request = b"\x00" + join_eui[::-1] + dev_eui[::-1] + dev_nonce[::-1]
        elif kind == 1:
            request = b"\xc0\x01" + join_eui[::-1] + dev_eui[::-1] + dev_nonce[::-1]
        else:
            request = bytes([0xc0, kind]) + body[3:6] + dev_eui[::-1] + dev_nonce[::-1]
        request_key = {10: nwk_key, 0xff: nwk_key, 1: js_int_key}.get(kind, made(source, 16))
        request += aes_cmac(request_key, request)[:4]
        accept = b"\x20" + body
        if kind == 10:
            mic = aes_cmac(nwk_key, accept)[:4]
            keys = session_keys(nwk_key, nwk_key, body[5:2:-1], body[2::-1], dev_nonce)[:2] + [b"", b""]
        else:
            mic = aes_cmac(js_int_key, bytes([kind]) + join_eui[::-1] + dev_nonce[::-1] + accept)[:4]
            keys = session_keys(nwk_key, app_key, join_eui, body[2::-1], dev_nonce)
        accept = b"\x20" + inverse(nwk_key if kind in (10, 0xff) else js_enc_key, body + mic)
        rows.append((source, kind, nwk_key, app_key, request, join_eui, accept, body, *keys))
        return accept

    rows = []
    # A join-accept from lora-packet's README, answering a join-request made here.
    body = bytes.fromhex("3a06e5130000432e01260301184f84e85684b85e84886684586e8400")
    assert row("lora-packet join-accept", 10, bytes.fromhex("b6b53f4a168a7a88bdf7ea135ce9cfca"), b"",
               made("lora-packet JoinEUI", 8), made("lora-packet DevEUI", 8), bytes.fromhex("85cc"), body).hex() == \
        "204dd85ae608b87fc4889970b7d2042c9e72959b0057aed6094b16003df12de145"
    # github.com/brocaar/lorawan, phypayload_test.go: ExamplePHYPayload_lorawan11JoinAcceptSend
    # has one key for all, JSIntKey too, so only its encryption is of use.
    key = bytes(range(1, 17))
    assert ecb(key, base64.b64decode("IHq+6gawKSDxHALQNI/PGBU=")[1:])[:12].hex() == "010101020202040302018000"
    for kind in (10, 0xff, 0, 1, 2):
        for length in (12, 28):
            label = f"join {kind} {length}"
            body = bytearray(made(label, length))
            body[10] = body[10] & 0x7f if kind == 10 else body[10] | 0x80
            row(label, kind, made(f"{label} NwkKey", 16), made(f"{label} AppKey", 16), made(f"{label} JoinEUI", 8),
                made(f"{label} DevEUI", 8), made(f"{label} DevNonce", 2), bytes(body))
    return rows


def main():
    text = "const char *"
    number = "uint32_t"
    print("/*\n * vectors.h\n *\t  Expected values of the unit tests: written by vectors.py, not by hand.\n */")
    print("#ifndef VECTORS_H\n#define VECTORS_H\n\n#include <stdint.h>")
    table("AesVector", "aes_vectors", "One block, encrypted.",
          ((text, "source"), (text, "key"), (text, "plain"), (text, "encrypted")),
          aes_vectors())
    fields = ((text, "source"), (text, "kek"), (text, "key"), (text, "wrapped"))
    table("KwVector", "kw_vectors", "AES-KW.", fields, kw_vectors())
    table("KwpVector", "kwp_vectors", "AES-KWP.", fields, kwp_vectors())
    table("CmacVector", "cmac_vectors", "AES-CMAC.",
          ((text, "source"), (text, "key"), (text, "message"), (text, "mac")),
          cmac_vectors())
    table("KcvVector", "kcv_vectors", "Key check values.",
          ((text, "key"), (text, "kcv")), kcv_vectors())
    table("GcmVector", "gcm_vectors", "AES-256-GCM.",
          ((text, "source"), (text, "key"), (text, "nonce"), (text, "aad"),
           (text, "plaintext"), (text, "ciphertext"), (text, "tag")), gcm_vectors())
    table("LorawanVector", "lorawan_vectors", "FRMPayload encryption.",
          ((text, "source"), (text, "key"), (number, "direction"), (text, "dev_addr"),
           (number, "f_cnt"), (text, "plaintext"), (text, "encrypted")), lorawan_vectors())
    table("FOptsVector", "f_opts_vectors", "FOpts encryption.",
          ((text, "source"), (text, "key"), (number, "direction"), (number, "counter"), (text, "dev_addr"),
           (number, "f_cnt"), (text, "plaintext"), (text, "encrypted")), f_opts_vectors())
    table("DataMicVector", "data_mic_vectors", "MICs over B0 or B1 and a message.",
          ((text, "source"), (text, "key"), (number, "direction"), (text, "dev_addr"), (number, "f_cnt"),
           (number, "conf_f_cnt"), (number, "tx_dr"), (number, "tx_ch"), (text, "message"),
           (text, "mic")), data_mic_vectors())
    table("MessageMicVector", "message_mic_vectors", "MICs over a message alone.",
          ((text, "source"), (text, "key"), (text, "message"), (text, "mic")), message_mic_vectors())
    table("JoinAcceptMicVector", "join_accept_mic_vectors", "MICs of join-accepts of 1.1.",
          ((text, "source"), (text, "key"), (number, "join_req_type"), (text, "join_eui"),
           (number, "dev_nonce"), (text, "message"), (text, "mic")), join_accept_mic_vectors())
    table("DeriveVector", "derive_vectors", "Derived keys; the identifier as displayed.",
          ((text, "source"), (text, "parent"), (number, "first"), (text, "identifier"),
           (text, "key")), derive_vectors())
    table("JoinVector", "join_vectors", "Joins; kind: 10 for LoRaWAN 1.0, 255, 0, 1 or 2 for 1.1.",
          ((text, "source"), (number, "kind"), (text, "nwk_key"), (text, "app_key"),
           (text, "request"), (text, "join_eui"), (text, "accept"), (text, "body"),
           (text, "f_nwk_s_int_key"), (text, "app_s_key"), (text, "s_nwk_s_int_key"),
           (text, "nwk_s_enc_key")), join_vectors())
    print("\n#endif\t\t\t\t\t\t\t/* VECTORS_H */")


main()
