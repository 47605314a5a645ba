// Joins and derived keys, by lora-packet.
"use strict";

const lora = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");
const reversed = (buffer) => Buffer.from(buffer).reverse();
const hex = (object) => Object.fromEntries(Object.entries(object).map(([k, v]) => [k, v.toString("hex")]));

// The fields of an opened join-accept
const content = (accept) => ({
  join_nonce: accept.AppNonce.readUIntBE(0, 3),
  net_id: accept.NetID.toString("hex"),
  dev_addr: accept.DevAddr.toString("hex"),
  rx1_dr_offset: accept.getDLSettingsRxOneDRoffset(),
  rx2_data_rate: accept.getDLSettingsRxTwoDataRate(),
  rx_delay: accept.getRxDelayDel(),
  cf_list: accept.CFList.length ? accept.CFList.toString("hex") : null,
});

const open = (accept, key) => lora.fromWire(lora.decryptJoinAccept(lora.fromWire(bytes(accept)), key));

// Returns null if a MIC does not fit.
exports.join_1_0 = (appKey, request, accept) => {
  const key = bytes(appKey);
  const asked = lora.fromWire(bytes(request));
  const opened = open(accept, key);
  // In LoRaWAN 1.0 this bit is not OptNeg; lora-packet would take the frame for one of 1.1.
  opened.getDLSettingsOptNeg = () => false;
  if (!lora.verifyMIC(asked, null, key) || !lora.verifyMIC(opened, null, key)) return null;
  const keys = lora.generateSessionKeys10(key, opened.NetID, opened.AppNonce, asked.DevNonce);
  return { ...content(opened), keys: [keys.NwkSKey, keys.AppSKey].map((k) => k.toString("hex")) };
};

// kind: 255 for a join, or the type of the rejoin-request.  lora-packet finds no
// RJcount1, so DevEUI and counters are taken from the end of the frame.
exports.join_1_1 = (kind, nwkKey, appKey, joinEui, request, accept) => {
  const nwk = bytes(nwkKey);
  const frame = bytes(request);
  const devNonce = reversed(frame.subarray(-6, -4));
  const devEui = reversed(frame.subarray(-14, -6));
  const { JSIntKey, JSEncKey } = lora.generateJSKeys(nwk, devEui);
  const opened = open(accept, kind === 255 ? nwk : JSEncKey);
  if (!opened.getDLSettingsOptNeg()) return null;
  opened.JoinReqType = Buffer.from([kind]);
  opened.JoinEUI = bytes(joinEui);
  opened.DevNonce = devNonce;
  if (!lora.verifyMIC(opened, JSIntKey, nwk)) return null;
  if (kind === 255 && !lora.verifyMIC(lora.fromWire(frame), null, nwk)) return null;
  if (kind === 1 && !lora.verifyMIC(lora.fromWire(frame), null, JSIntKey)) return null;
  const keys = lora.generateSessionKeys11(bytes(appKey), nwk, bytes(joinEui), opened.AppNonce, devNonce);
  return {
    ...content(opened),
    keys: [keys.FNwkSIntKey, keys.SNwkSIntKey, keys.NwkSEncKey, keys.AppSKey].map((k) => k.toString("hex")),
  };
};

exports.js_keys = (nwkKey, devEui) => hex(lora.generateJSKeys(bytes(nwkKey), bytes(devEui)));

exports.wor_keys = (nwkSEncKey, devAddr) => {
  const { RootWorSKey } = lora.generateWORKey(bytes(nwkSEncKey));
  return hex({ RootWorSKey, ...lora.generateWORSessionKeys(RootWorSKey, bytes(devAddr)) });
};
