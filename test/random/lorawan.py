"""The results of the extension's functions, computed by other means."""

from cryptography.hazmat.primitives import cmac, keywrap
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

UPLINK, DOWNLINK = 0, 1
CHECK_VALUE_TEXT = b"key_vault key check value"


def crypt(key, direction, dev_addr, f_cnt, payload):
    """FRMPayload encryption, LoRaWAN L2 1.0.4, section 4.3.3; it is its own inverse."""
    blocks = b"".join(
        bytes([1, 0, 0, 0, 0, direction]) + dev_addr[::-1] + f_cnt.to_bytes(4, "little") + bytes([0, i + 1])
        for i in range((len(payload) + 15) // 16))
    keystream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(blocks)
    return bytes(a ^ b for a, b in zip(payload, keystream))


def key_check_value(key):
    mac = cmac.CMAC(algorithms.AES(key))
    mac.update(CHECK_VALUE_TEXT)
    return mac.finalize()[:5]


def fits_aes_kw(key):
    return len(key) >= 16 and len(key) % 8 == 0


def context(dev_addr):
    return b"\x01\x00\x00\x00" + dev_addr


def wrap(kek, key, dev_addr):
    """The wrapped bytes, by AES-KW or AES-KWP as the extension chooses."""
    if dev_addr is not None:
        return keywrap.aes_key_wrap(kek, context(dev_addr) + key)
    if fits_aes_kw(key):
        return keywrap.aes_key_wrap(kek, key)
    return keywrap.aes_key_wrap_with_padding(kek, key)
