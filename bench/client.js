// Reads rows "key, dev_addr, f_cnt, frm_payload" (hexadecimal, with tabs between) and
// decrypts them with lora-packet; prints how many milliseconds that took, together with
// the reading.
"use strict";

const readline = require("readline");
const { decrypt, fromFields } = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");
const begin = process.hrtime.bigint();
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
  .on("close", () => console.log(Number(process.hrtime.bigint() - begin) / 1e6));
