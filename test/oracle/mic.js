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

// A message is a frame without its MIC; lora-packet's frames have one.
const withMIC = (message) => fromWire(bytes(message + "00000000"));

exports.data = (key, fCnt, message) =>
  calculateMIC(withMIC(message), bytes(key), null, upperHalf(fCnt)).toString("hex");

// It takes ConfFCnt with its bytes swapped.
exports.uplink11 = (fNwkSIntKey, sNwkSIntKey, fCnt, confFCnt, txDr, txCh, message) =>
  calculateMIC(withMIC(message), bytes(fNwkSIntKey), bytes(sNwkSIntKey), upperHalf(fCnt),
    Buffer.concat([uint16(confFCnt & 0xffff).reverse(), Buffer.from([txDr, txCh])])).toString("hex");

// It uses ConfFCnt whether the frame has ACK or not.
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

// Of LoRaWAN 1.1 if OptNeg is set in the message, and then with the JSIntKey
exports.joinAccept = (key, joinReqType, joinEui, devNonce, message) =>
  calculateMIC(joinAccept(joinReqType, joinEui, devNonce, message), bytes(key), bytes(key)).toString("hex");

// As it goes on the air, which is AES decryption, and as it is received
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
