"""Prints uplinks whose keys and payloads are known, one line of JSON each, for tests in other languages.

    known_messages.py SESSIONS UPLINKS [SAME]

Each line has session_key and payload (16 random bytes), both in hexadecimal digits, dev_addr, f_cnt, frm_payload, the key
envelope under a KEK, which is in the first line, and the message of a network server.  With SAME,
all uplinks of a session have the same payload, like those of a sensor whose value does not change.
"""

import json
import os
import sys

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from traffic import base64_text, crypt

kek = os.urandom(32)
print(json.dumps({"kek": kek.hex()}))
sessions, uplinks = map(int, sys.argv[1:3])
for n in range(sessions):
    key, dev_addr, session_key_id = os.urandom(16), b"\x26\x01" + n.to_bytes(2, "big"), os.urandom(16)
    same = os.urandom(16)
    wrapped = aes_key_wrap(kek, key)
    for f_cnt in range(1, uplinks + 1):
        payload = same if "SAME" in sys.argv[3:] else os.urandom(16)
        data = crypt(key, dev_addr, f_cnt, payload)
        message = {"end_device_ids": {"device_id": f"dev{n}", "dev_eui": f"0004A30B{n:08X}", "dev_addr": dev_addr.hex().upper(),
                                      "application_ids": {"application_id": "app"}},
                   "uplink_message": {"session_key_id": base64_text(session_key_id), "f_port": 2, "f_cnt": f_cnt,
                                      "frm_payload": base64_text(data), "received_at": f"2024-05-01T12:00:{f_cnt % 60:02d}Z",
                                      "app_s_key": {"kek_label": "transport", "encrypted_key": base64_text(wrapped)}}}
        print(json.dumps({"session_key": key.hex(), "payload": payload.hex(), "dev_addr": dev_addr.hex(), "f_cnt": f_cnt,
                          "frm_payload": data.hex(), "encrypted_key": wrapped.hex(), "message": json.dumps(message)}))
