// Makes the events of storage_protobuf.sql, with the package that ChirpStack publishes (MIT):
//   npm install @chirpstack/chirpstack-api@4.19.0 && node protobuf_events.js
const i = require('@chirpstack/chirpstack-api/integration/integration_pb');
const gw = require('@chirpstack/chirpstack-api/gw/gw_pb');
const common = require('@chirpstack/chirpstack-api/common/common_pb');
const ts = require('google-protobuf/google/protobuf/timestamp_pb');
const du = require('google-protobuf/google/protobuf/duration_pb');
const st = require('google-protobuf/google/protobuf/struct_pb');
const t = (s, n) => { const x = new ts.Timestamp(); x.setSeconds(s); x.setNanos(n); return x; };
const at = Date.parse('2024-05-01T12:00:00Z') / 1000;
function info() {
  const d = new i.DeviceInfo();
  d.setTenantId('52f14cd4-c6f1-4fbd-8f87-4025e1d49242'); d.setTenantName('ChirpStack'); d.setApplicationId('17c82e96-be03-4f38-aef3-f83d48582d97');
  d.setApplicationName('Test application'); d.setDeviceProfileId('14855bf7-d10d-4aee-b618-ebfcb64dc7ad'); d.setDeviceProfileName('Test "profile"\\');
  d.setDeviceName('Gerät 1'); d.setDevEui('0101010101010101'); d.setDeviceClassEnabled(2); d.getTagsMap().set('key', 'value').set('café', 'a\tb');
  return d;
}
function uplink(f) {
  const u = new i.UplinkEvent();
  u.setDeduplicationId('3ac7e3c4-4401-4b8d-9386-a5c902f9202d'); u.setTime(t(at, 500000)); u.setDeviceInfo(info()); u.setDevAddr('01fa8b2c');
  u.setAdr(true); u.setDr(5); u.setFCnt(1042); u.setFPort(2); u.setConfirmed(false); u.setData(Buffer.from('BqiSEvuAbQ==', 'base64'));
  const r = new gw.UplinkRxInfo(); r.setGatewayId('0016c001f153a14c'); r.setUplinkId(4217106255); r.setNsTime(t(at + 1, 250000000)); r.setRssi(-36); r.setSnr(10.5);
  r.setContext(Buffer.from('E3OWOQ==', 'base64')); r.getMetadataMap().set('region_common_name', 'EU868'); r.setCrcStatus(2);
  const l = new common.Location(); l.setLatitude(52.3740364); l.setLongitude(-4.9144401); l.setAltitude(10.5); r.setLocation(l);
  const dd = new du.Duration(); dd.setSeconds(1398600018); dd.setNanos(5000000); r.setTimeSinceGpsEpoch(dd);
  u.addRxInfo(r); const r2 = new gw.UplinkRxInfo(); r2.setGatewayId('0016c001f153a14d'); r2.setRssi(-100); u.addRxInfo(r2);
  const x = new gw.UplinkTxInfo(); x.setFrequency(867100000); const m = new gw.Modulation(), lo = new gw.LoraModulationInfo(); lo.setBandwidth(125000); lo.setSpreadingFactor(7); lo.setCodeRate(1); m.setLora(lo); x.setModulation(m); u.setTxInfo(x);
  u.setObject(st.Struct.fromJavaScript({ t: 27.5, list: [1, 'x', null, true, { a: [] }], s: 'q"\u0001' }));
  u.setRegionConfigId('eu868');
  if (f) f(u); return u;
}
function context(label, key, id) { const c = new common.JoinServerContext(), k = new common.KeyEnvelope(); if (label) k.setKekLabel(label); if (key) k.setAesKey(key); if (id) c.setSessionKeyId(id); if (label || key) c.setAppSKey(k); return c; }
const wrapped = Buffer.from('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64');
const out = {};
out.uplink = uplink(u => u.setJoinServerContext(context('app1-kek', wrapped)));
out.uplink_plain = uplink(u => { u.setDeduplicationId('3ac7e3c4-4401-4b8d-9386-a5c902f9202e'); u.setData(Buffer.from('AWcBDgJoSg==', 'base64')); u.setTime(t(at + 60, 0)); u.getRxInfoList()[0].setNsTime(t(at + 60, 0)); });
out.uplink_zeros = uplink(u => { u.setFCnt(0); u.setFPort(0); u.setData(''); u.setAdr(false); u.setDr(0); u.clearObject(); u.setTime(t(at + 120, 0)); u.getRxInfoList()[0].clearNsTime(); });
out.uplink_key = uplink(u => { u.setFCnt(65538); u.getDeviceInfo().setDevEui('0101010101010102'); u.setDevAddr('260b1234'); u.setData(Buffer.from('LhFe2aRcmQ==', 'base64')); u.setJoinServerContext(context('', Buffer.from('EC925802AE430CA77FD3DD73CB2CC588', 'hex'), '0a0b')); });
out.uplink_max = uplink(u => { u.setFCnt(4294967295); u.setFPort(255); u.setData(Buffer.alloc(255, 7)); u.setTime(t(at + 180, 0)); u.getRxInfoList()[0].setNsTime(t(at + 180, 999999000)); u.getDeviceInfo().getTagsMap().clear(); });
const j = new i.JoinEvent(); j.setDeduplicationId('c9dbe358-2578-4fb7-b295-66b44edc45a6'); j.setTime(t(at - 60, 0)); j.setDeviceInfo(info()); j.setDevAddr('00189440'); j.setJoinServerContext(context('app1-kek', wrapped, '0c')); out.join = j;
const j2 = new i.JoinEvent(); j2.setDeduplicationId('c9dbe358-2578-4fb7-b295-66b44edc45a7'); j2.setTime(t(at - 30, 0)); j2.setDeviceInfo(info()); j2.setDevAddr('00189441'); const rr = new i.UplinkRelayRxInfo(); rr.setDevEui('0807060504030201'); rr.setSnr(-3); j2.setRelayRxInfo(rr); j2.setRegionConfigId('eu868'); out.join_relay = j2;
const a = new i.AckEvent(); a.setDeduplicationId('9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4ac'); a.setTime(t(at + 5, 0)); a.setDeviceInfo(info()); a.setQueueItemId('cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0b9'); a.setAcknowledged(true); a.setFCntDown(70000); out.ack = a;
const n = new i.AckEvent(); n.setDeduplicationId('9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4ad'); n.setTime(t(at + 6, 0)); n.setDeviceInfo(info()); n.setQueueItemId('cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0ba'); out.nack = n;
function txack(id) { const x = new i.TxAckEvent(); x.setDownlinkId(id); x.setTime(t(at + 7, 0)); x.setDeviceInfo(info()); x.setQueueItemId('cf1f7a9b-36b1-4b9e-b2ed-1f0d62f3c0bb'); x.setFCntDown(5); x.setGatewayId('0016c001f153a14c'); const y = new gw.DownlinkTxInfo(); y.setFrequency(868300000); y.setPower(-2); x.setTxInfo(y); return x; }
out.txack = txack(894104280); out.txack_zero = (() => { const x = txack(0); x.clearTxInfo(); x.setTime(t(at + 8, 0)); return x; })();
const s = new i.StatusEvent(); s.setDeduplicationId('9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4ae'); s.setTime(t(at, 0)); s.setDeviceInfo(info()); s.setMargin(7); s.setBatteryLevel(87.4); out.status = s;
const lo = new i.LocationEvent(); lo.setDeduplicationId('9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4af'); lo.setTime(t(at, 0)); lo.setDeviceInfo(info()); const ll = new common.Location(); ll.setLatitude(1.5); lo.setLocation(ll); out.location = lo;
const lg = new i.LogEvent(); lg.setTime(t(at, 0)); lg.setDeviceInfo(info()); lg.setLevel(2); lg.setCode(6); lg.setDescription('MIC'); lg.getContextMap().set('deduplication_id', 'x'); out.log = lg;
const w = new (require('google-protobuf').BinaryWriter)(); w.writeString(1, '9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4b0'); w.writeMessage(3, info(), i.DeviceInfo.serializeBinaryToWriter); w.writeString(4, '9dafd3a6-1e6e-44bc-af8c-5cd0a6d5a4b1'); w.writeString(5, 'test'); out.integration = { serializeBinary: () => w.getResultBuffer() };
let deep = 1; for (let k = 0; k < 30; k++) deep = { d: deep };
out.deep = uplink(u => { u.setObject(st.Struct.fromJavaScript(deep)); u.setTime(t(at + 240, 0)); u.getRxInfoList()[0].setNsTime(t(at + 240, 0)); });
for (let k = 0; k < 100; k++) deep = { d: deep };
out.too_deep = uplink(u => u.setObject(st.Struct.fromJavaScript(deep)));
for (const [name, m] of Object.entries(out)) console.log(`    ('${name}', '${Buffer.from(m.serializeBinary()).toString('base64')}'),`);
