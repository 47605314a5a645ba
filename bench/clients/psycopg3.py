#!/usr/bin/python3
"""Fetches rows "key, dev_addr, f_cnt, frm_payload" with psycopg, and decrypts them with cryptography.

usage: psycopg3.py QUERY

Prints the nanoseconds that fetching and decrypting took together, by the wall's clock and of the processor, and the sum
of the payloads' first bytes, by which a wrong decryption shows.
"""
import struct
import sys
import time

import psycopg
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR


def decrypt(key, dev_addr, f_cnt, frm_payload):
    """LoRaWAN's blocks A count up in their last byte, from 1 on, so its encryption is CTR."""
    first = struct.pack("<BIB4sIBB", 1, 0, 0, dev_addr[::-1], f_cnt, 0, 1)
    return Cipher(AES(key), CTR(first)).decryptor().update(frm_payload)


with psycopg.connect() as connection:
    wall, processor, total = time.monotonic_ns(), time.process_time_ns(), 0
    with connection.cursor(binary=True) as cursor:
        for row in cursor.execute(sys.argv[1]):
            total += decrypt(*row)[0]
    print(time.monotonic_ns() - wall, time.process_time_ns() - processor, total)
