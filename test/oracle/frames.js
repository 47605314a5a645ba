// Frames, by lora-packet.
"use strict";

const { fromWire, fromFields } = require("lora-packet");

const bytes = (hex) => Buffer.from(hex, "hex");
const hex = (buffer) => buffer.toString("hex");

// The fields of a frame, with the names of key_vault's columns.  Fields that the
// frame does not have are left out.
exports.parse = (frame) => {
  const packet = fromWire(bytes(frame));
  const answer = { mtype: packet.getMType() };
  if (packet.isDataMessage()) {
    answer.uplink = packet.getDir() === "up";
    answer.confirmed = packet.isConfirmed();
    answer.dev_addr = hex(packet.DevAddr);
    answer.adr = packet.getFCtrlADR();
    answer.ack = packet.getFCtrlACK();
    if (answer.uplink) answer.adr_ack_req = packet.getFCtrlADRACKReq();
    else answer.f_pending = packet.getFCtrlFPending();
    answer.f_cnt16 = packet.getFCnt();
    answer.f_opts = hex(packet.FOpts);
    if (packet.getFPort() !== null) {
      answer.f_port = packet.getFPort();
      answer.frm_payload = hex(packet.FRMPayload);
    }
    answer.mic = hex(packet.MIC);
  } else if (answer.mtype === "Join Request") {
    answer.join_eui = hex(packet.AppEUI);
    answer.dev_eui = hex(packet.DevEUI);
    answer.dev_nonce = packet.DevNonce.readUInt16BE(0);
    answer.mic = hex(packet.MIC);
  } else if (answer.mtype === "Rejoin Request") {
    answer.rejoin_type = packet.RejoinType[0];
    answer.dev_eui = hex(packet.DevEUI);
    if (answer.rejoin_type === 1) answer.join_eui = hex(packet.JoinEUI);
    else {
      answer.net_id = hex(packet.NetID);
      answer.rj_count = packet.RJCount0.readUInt16BE(0);
    }
    answer.mic = hex(packet.MIC);
  }
  return answer;
};

// Builds frames, without their MIC.
exports.data = (mtype, devAddr, fCnt, fPort, payload, fOpts, adr, ack, adrAckReq, fPending) => {
  const fields = {
    MType: mtype,
    DevAddr: bytes(devAddr),
    FCnt: fCnt,
    FOpts: bytes(fOpts),
    FCtrl: { ADR: adr, ACK: ack, ADRACKReq: adrAckReq, FPending: fPending },
    payload: bytes(payload === null ? "" : payload),
  };
  if (fPort !== null) fields.FPort = fPort;
  return hex(fromFields(fields).getPHYPayload().slice(0, -4));
};

exports.joinRequest = (joinEui, devEui, devNonce) => {
  const nonce = Buffer.alloc(2);
  nonce.writeUInt16BE(devNonce);
  return hex(fromFields({ AppEUI: bytes(joinEui), DevEUI: bytes(devEui), DevNonce: nonce }).getPHYPayload().slice(0, -4));
};

exports.joinAccept = (joinNonce, netId, devAddr, dlSettings, rxDelay, cfList, joinEui) =>
  hex(
    fromFields({
      MType: "Join Accept",
      AppNonce: bytes(joinNonce),
      NetID: bytes(netId),
      DevAddr: bytes(devAddr),
      DLSettings: bytes(dlSettings),
      RxDelay: bytes(rxDelay),
      CFList: bytes(cfList),
      AppEUI: bytes(joinEui),
      DevNonce: Buffer.alloc(2),
    })
      .getPHYPayload()
      .slice(0, -4)
  );
