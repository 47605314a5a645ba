// Reads rows "key, dev_addr, f_cnt, frm_payload" (hexadecimal, with tabs between) from standard input, and decrypts them
// with lora-packet.  Prints the nanoseconds that reading and decrypting took together, by the wall's clock and of the
// processor, and the sum of the payloads' first bytes, by which a wrong decryption shows.
"use strict";

const readline = require("readline");
const { decrypt, fromFields } = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");
const began = process.hrtime.bigint();
const used = process.cpuUsage();
let sum = 0;

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const [key, devAddr, fCnt, payload] = line.split("\t");
    const upper = Buffer.alloc(2);
    upper.writeUInt16LE(fCnt >>> 16);
    const packet = fromFields({
      MType: "Unconfirmed Data Up",
      DevAddr: bytes(devAddr),
      FCnt: fCnt & 0xffff,
      FPort: 1,
      payload: bytes(payload),
    });
    sum += decrypt(packet, bytes(key), null, upper)[0];
  })
  .on("close", () => {
    const wall = process.hrtime.bigint() - began;
    const { user, system } = process.cpuUsage(used);
    console.log(`${wall} ${(user + system) * 1000} ${sum}`);
  });
