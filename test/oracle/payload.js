// Payloads, by lora-packet.
"use strict";

const { decrypt, fromFields } = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");

// Encrypts or decrypts, which is the same operation.
exports.crypt = (key, uplink, devAddr, fCnt, payload) => {
  const packet = fromFields({
    MType: uplink ? "Unconfirmed Data Up" : "Unconfirmed Data Down",
    DevAddr: bytes(devAddr),
    FCnt: fCnt & 0xffff,
    FPort: 1,
    payload: bytes(payload),
  });
  const upper = Buffer.alloc(2);
  upper.writeUInt16LE(fCnt >>> 16);
  return decrypt(packet, bytes(key), null, upper).toString("hex");
};
