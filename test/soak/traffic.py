"""The messages that devices send, and what the test knows of them.

Every session key and every payload follows from the seed, the session and the
counter: a row that is read can be checked without a record of what was sent.
Encryption is python3-cryptography's, the blocks are made here: nothing in this
file asks key_vault.  Messages are those of The Things Stack and of ChirpStack.
"""

import base64
import datetime
import hashlib
import json
import random
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

# KEK label at rest of each application; the last one has none of its own.
LABELS = {"app0": "kek0", "app1": "kek1", "app2": "kek2", "app3": "rest"}
TRANSPORT = "transport"


class Truth:
    """Keys and payloads, which follow from the seed"""

    def __init__(self, seed):
        self.seed = str(seed).encode()

    def _bytes(self, *what):
        return hashlib.sha256(b"|".join([self.seed, *what])).digest()

    def kek(self, label, n=0):
        return self._bytes(b"kek", label.encode(), str(n).encode())

    def session_key(self, session_key_id):
        return self._bytes(b"session", session_key_id)[:16]

    def stored_key(self, number):
        """A key for a user's own table, of 16, 24 or 32 bytes"""
        return self._bytes(b"stored", str(number).encode())[:16 + 8 * (number % 3)]

    def payload(self, sender, f_cnt):
        """The argument sender is the session key id, or the DevEUI if the network server has decrypted the payload."""
        digest = self._bytes(b"payload", sender, str(f_cnt).encode())
        return (digest + digest[::-1])[:1 + digest[0] % 51]


def crypt(key, dev_addr, f_cnt, data):
    """Encrypts or decrypts the FRMPayload of an uplink: LoRaWAN L2 1.0.4, section 4.3.3.
    dev_addr is big-endian, as displayed; in the blocks it is little-endian."""
    blocks = b"".join(struct.pack("<B4xB4sIxB", 1, 0, dev_addr[::-1], f_cnt, i + 1)
                      for i in range((len(data) + 15) // 16))
    stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)
    return bytes(a ^ b for a, b in zip(data, stream))


def base64_text(data):
    return base64.b64encode(data).decode()


class Message:
    """A message: its text is JSON, and its payload is found by sender and f_cnt."""

    def __init__(self, text, dev_eui, session_key_id, f_cnt):
        self.text = text
        self.id = (dev_eui, session_key_id, f_cnt)


class Device:
    """A device of one of the two network servers; next() makes its next uplink.  Now and then the device
    joins anew, with new keys and a new DevAddr."""

    def __init__(self, truth, number, stack):
        self.truth = truth
        self.rng = random.Random(f"{truth.seed}{number}")
        self.stack = stack
        self.eui = struct.pack(">Q", 0x0004A30B00000000 + number)
        self.application = f"app{number % len(LABELS)}"
        # For messages that have no session key id, by which they could be told apart
        self.plain_f_cnt = 0
        self.join()

    def join(self):
        rng = self.rng
        self.session_key_id = rng.randbytes(16)
        self.dev_addr = b"\x26" + rng.randbytes(3)
        self.f_cnt = rng.choice([0, 1, 65530, 4294967200])
        self.left = rng.randrange(5, 60)
        self.key = self.truth.session_key(self.session_key_id)
        kind = rng.random()
        # The KEK of some envelopes is imported late.  A key in the clear, which has no
        # label, is wrapped when its message is stored.
        if kind < 0.15:
            self.envelope = (None, None)
        else:
            label = f"late{rng.randrange(3)}" if kind < 0.22 else TRANSPORT
            self.envelope = (label, aes_key_wrap(self.truth.kek(label), self.key))

    def next(self, plain=False):
        """If plain is true, the network server has decrypted the payload, and sends no key."""
        if self.left == 0:
            self.join()
        self.left -= 1
        self.f_cnt += 1
        self.plain_f_cnt += plain
        f_cnt = self.plain_f_cnt if plain else self.f_cnt
        # Some messages come late, from days that have no partition yet.
        age = self.rng.randrange(3600, 4 * 86400) if self.rng.random() < 0.05 else 0
        time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
        time = time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        session_key_id = None if plain else self.session_key_id
        payload = self.truth.payload(session_key_id or self.eui, f_cnt)
        data = payload if plain else crypt(self.key, self.dev_addr, f_cnt, payload)
        body = self.tts(time, f_cnt, data, plain) if self.stack == "tts" else self.chirpstack(time, f_cnt, data, plain)
        return Message(json.dumps(body), self.eui, session_key_id, f_cnt)

    def tts(self, time, f_cnt, data, plain):
        label, wrapped = self.envelope
        uplink = {"f_port": 2, "f_cnt": f_cnt, "frm_payload": base64_text(data), "received_at": time}
        if not plain:
            uplink["session_key_id"] = base64_text(self.session_key_id)
            uplink["app_s_key"] = ({"kek_label": label, "encrypted_key": base64_text(wrapped)} if label
                                   else {"key": self.key.hex().upper()})
        return {"end_device_ids": {"device_id": f"dev-{self.eui.hex()}", "dev_eui": self.eui.hex().upper(),
                                   "dev_addr": self.dev_addr.hex().upper(),
                                   "application_ids": {"application_id": self.application}},
                "received_at": time, "uplink_message": uplink}

    def chirpstack(self, time, f_cnt, data, plain):
        label, wrapped = self.envelope
        body = {"deduplicationId": str(self.rng.getrandbits(64)), "time": time,
                "deviceInfo": {"applicationId": self.application, "deviceName": f"dev-{self.eui.hex()}",
                               "devEui": self.eui.hex()},
                "devAddr": self.dev_addr.hex(), "fCnt": f_cnt, "fPort": 2, "data": base64_text(data)}
        if not plain:
            body["joinServerContext"] = {
                "sessionKeyId": self.session_key_id.hex(),
                "appSKey": {"kekLabel": label or "", "aesKey": base64_text(wrapped or self.key)}}
        return body
