// MICs, FOpts and join-accepts, by lora-packet.
"use strict";

const { calculateMIC, decryptJoin, decryptJoinAccept, fromWire } = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");

const uint16 = (value) => {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
};

const upperHalf = (fCnt) => uint16(fCnt >>> 16);

// A message is a frame without its MIC, but lora-packet needs frames with one.
const withMIC = (message) => fromWire(bytes(message + "00000000"));

exports.data = (key, fCnt, message) =>
  calculateMIC(withMIC(message), bytes(key), null, upperHalf(fCnt)).toString("hex");

// lora-packet takes ConfFCnt with its bytes swapped.
exports.uplink11 = (fNwkSIntKey, sNwkSIntKey, fCnt, confFCnt, txDr, txCh, message) =>
  calculateMIC(withMIC(message), bytes(fNwkSIntKey), bytes(sNwkSIntKey), upperHalf(fCnt),
    Buffer.concat([uint16(confFCnt & 0xffff).reverse(), Buffer.from([txDr, txCh])])).toString("hex");

// lora-packet uses ConfFCnt even if the frame has no ACK.
exports.downlink11 = (sNwkSIntKey, fCnt, confFCnt, message) => {
  const packet = withMIC(message);
  return calculateMIC(packet, bytes(sNwkSIntKey), bytes(sNwkSIntKey), upperHalf(fCnt),
    uint16(packet.getFCtrlACK() ? confFCnt & 0xffff : 0)).toString("hex");
};

// Join-requests, and rejoin-requests of any type
exports.message = (key, message) =>
  calculateMIC(withMIC(message), bytes(key), bytes(key)).toString("hex");

const joinAccept = (joinReqType, joinEui, devNonce, message) => {
  const packet = withMIC(message);
  packet.JoinReqType = Buffer.from([joinReqType]);
  packet.JoinEUI = bytes(joinEui);
  packet.DevNonce = uint16(devNonce).reverse();
  return packet;
};

// If OptNeg is set in the message, the join-accept is one of LoRaWAN 1.1, and the key is the JSIntKey.
exports.joinAccept = (key, joinReqType, joinEui, devNonce, message) =>
  calculateMIC(joinAccept(joinReqType, joinEui, devNonce, message), bytes(key), bytes(key)).toString("hex");

// A join-accept as it is sent, which takes AES decryption, and as it is opened
exports.encryptJoinAccept = (key, message, mic) =>
  message.slice(0, 2) + decryptJoin(fromWire(bytes(message + mic)), bytes(key)).toString("hex");
exports.decryptJoinAccept = (key, frame) =>
  decryptJoinAccept(fromWire(bytes(frame)), bytes(key)).toString("hex");

// The FOpts of a whole frame
exports.fOpts = (key, fCnt, message) => {
  const packet = withMIC(message);
  packet.decryptFOpts(bytes(key), null, upperHalf(fCnt));
  return packet.FOpts.toString("hex");
};
