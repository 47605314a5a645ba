--
-- Messages of other network servers: ChirpStack v3, AWS IoT Core for LoRaWAN, Actility ThingPark, Loriot.
--
-- The samples are shortened, their ids and values as they are found in:
--   [1] chirpstack.io/application-server/integrations/events (the documentation of ChirpStack v3: JSON)
--   [2] chirpstack.io/application-server/integrate/sending-receiving (the same, JSON v3)
--   [3] a message of a user of ChirpStack v3, with publishedAt: the test of a connector, github.com/connctd/lora-connector
--   [4] docs.aws.amazon.com/iot-wireless, "View format of uplink messages": its DevEui has 15 digits, a mistake in the documentation
--   [5] docs.thingpark.com/thingpark-x, "Uplink Message" (all values are strings)
--   [6] a message of a device with a Semtech join server, in the guide to pyThingPark (values are numbers)
--   [7] docs.loriot.io, "Uplink Data Message" and "Gateway Information"
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');
\ir storage_places.psql

CREATE FUNCTION pg_temp.v3(changes jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"applicationID": "123", "applicationName": "temperature-sensor", "deviceName": "garden-sensor", "devEUI": "AgICAgICAgI=",
 "rxInfo": [{"gatewayID": "AwMDAwMDAwM=", "time": "2019-11-08T13:59:25.048445Z", "timeSinceGPSEpoch": null, "rssi": -48, "loRaSNR": 9, "channel": 5, "rfChain": 0, "location": {"latitude": 52.3740364, "longitude": 4.9144401, "altitude": 10.5}, "fineTimestampType": "NONE", "context": "9u/uvA==", "uplinkID": "jhMh8Gq6RAOChSKbi83RHQ=="}],
 "txInfo": {"frequency": 868100000, "modulation": "LORA", "loRaModulationInfo": {"bandwidth": 125, "spreadingFactor": 11, "codeRate": "4/5", "polarizationInversion": false}},
 "adr": true, "dr": 1, "fCnt": 10, "fPort": 5, "data": "AWcBDgJoSg==", "objectJSON": "{\"temperatureSensor\":25,\"humiditySensor\":32}", "tags": {"key": "value"}, "confirmedUplink": true, "devAddr": "AFE5Qg=="}'::jsonb - without || changes $$;
CREATE FUNCTION pg_temp.aws(changes jsonb DEFAULT '{}', top jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"WirelessDeviceId": "5b58245e-146c-4c30-9703-0ca942e3ff35", "PayloadData": "Cc48AAAAAAAAAAA="}'::jsonb || jsonb_build_object('WirelessMetadata', jsonb_build_object('LoRaWAN',
 '{"ADR": false, "Bandwidth": 125, "ClassB": false, "CodeRate": "4/5", "DataRate": "0", "DevAddr": "00b96cd4", "DevEui": "58a0cb000202c990", "FOptLen": 2, "FCnt": 1, "Fport": 136, "Frequency": "868100000",
   "Gateways": [{"GatewayEui": "80029cfffe5cf1cc", "Snr": -29, "Rssi": 9.75}], "MIC": "7255cb07", "MType": "UnconfirmedDataUp", "Major": "LoRaWANR1", "Modulation": "LORA", "PolarizationInversion": false, "SpreadingFactor": 12, "Timestamp": "2021-05-03T03:24:29Z"}'::jsonb - without || changes)) || top $$;
CREATE FUNCTION pg_temp.thingpark(changes jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('DevEUI_uplink', '{"Time": "2018-10-03T15:38:46.882+02:00", "DevEUI": "0018B20000000B20", "FPort": "1", "FCntUp": "1174", "ADRbit": "1", "MType": "4", "FCntDn": "1229", "payload_hex": "9e1c4852512000220020e3831071", "mic_hex": "cfffc70f",
 "Lrcid": "00000206", "LrrRSSI": "-80.000000", "LrrSNR": "7.000000", "SpFact": "7", "SubBand": "G2", "Channel": "LC6", "DevLrrCnt": "1", "Lrrid": "004A18E3", "Late": "0", "Lrrs": {"Lrr": [{"Lrrid": "004A18E3", "Chain": "0", "LrrRSSI": "-80.000000"}]},
 "CustomerID": "1100000077", "CustomerData": {"alr": {"pro": "ADRF/DEMO", "ver": "2"}, "tags": ["site=Paris"], "name": "My Demo Device"}, "InstantPER": 0.0, "DevAddr": "04D2848E", "AckRequested": 1, "Frequency": 868.1}'::jsonb - without || changes) $$;
CREATE FUNCTION pg_temp.loriot(changes jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"cmd": "rx", "EUI": "0102030405060708", "ts": 1470850675433, "ack": false, "bat": 254, "fcnt": 1, "port": 1, "data": "0102AABB"}'::jsonb - without || changes $$;

--
-- Right ones
--
SELECT is(lorawan.ingest(pg_temp.v3()), 'uplink', 'ChirpStack v3, JSON [1]');
SELECT is(lorawan.ingest(pg_temp.v3('{"devEUI": "0202020202020202", "devAddr": "00513942", "rxInfo": [{"gatewayID": "0303030303030303", "time": "2019-11-08T13:59:25.048445Z", "loRaSNR": 10}]}', '{confirmedUplink}')), 'duplicate', 'JSON v3 [2] is the same');
SELECT is(lorawan.ingest('{"applicationID":"1","applicationName":"AdvantechNode","deviceName":"4610PNode","devEUI":"dP5I//9Edu8=","rxInfo":[],"txInfo":{"frequency":868500000,"modulation":"LORA"},"adr":false,"dr":3,"fCnt":1316,"fPort":1,"data":"AQwAAKkAgwQBAExh","objectJSON":"","tags":{},"confirmedUplink":false,"devAddr":"/0R27w==","publishedAt":"2021-09-15T12:43:37.823217391Z"}'::text), 'uplink', 'of a user [3]');
SELECT is(lorawan.ingest(pg_temp.v3('{"rxInfo": [{"time": null}, {"time": "2019-11-08T14:00:00Z"}], "fCnt": 65538, "data": ""}')), 'uplink', 'the second gateway''s time');
SELECT is(lorawan.ingest(pg_temp.v3('{"publishedAt": "2019-11-09T14:00:00Z", "fCnt": 4294967295, "applicationID": 124}', '{data,tags,objectJSON,devAddr}')), 'uplink', 'the greatest counter, an application that is a number, no payload');
SELECT results_eq($$SELECT application_id, device_id, dev_eui, dev_addr, session_key_id, f_cnt, f_port::integer, payload, status, received_at FROM lorawan.uplink_decrypted ORDER BY received_at, f_cnt$$,
    $$VALUES ('123', 'garden-sensor', '\x0202020202020202'::bytea, '\x00513942'::bytea, NULL::bytea, 10::bigint, 5, '\x0167010e02684a'::bytea, 'plain', '2019-11-08 13:59:25.048445Z'::timestamptz),
             ('123', 'garden-sensor', '\x0202020202020202', '\x00513942', NULL, 65538, 5, '', 'plain', '2019-11-08 14:00Z'),
             ('124', 'garden-sensor', '\x0202020202020202', NULL, NULL, 4294967295, 5, '', 'plain', '2019-11-09 14:00Z'),
             ('1', '4610PNode', '\x74fe48ffff4476ef', '\xff4476ef', NULL, 1316, 1, '\x010c0000a900830401004c61', 'plain', '2021-09-15 12:43:37.823217Z')$$, 'all is where it belongs');
SELECT is(lorawan.ingest(m), o, 'ChirpStack v3: ' || n) FROM (VALUES
    (1, 'a join', 'join', pg_temp.v3('{}', '{fCnt,fPort,data,objectJSON,confirmedUplink,adr}')),
    (2, 'the join again', 'join', pg_temp.v3('{"devEUI": "0202020202020202"}', '{fCnt,fPort,data,objectJSON,confirmedUplink,adr}')),
    (3, 'ack', 'downlink', '{"applicationID": "123", "applicationName": "temperature-sensor", "deviceName": "garden-sensor", "devEUI": "AgICAgICAgI=", "acknowledged": true, "fCnt": 65551, "tags": {"key": "value"}, "publishedAt": "2019-11-10T00:00:00Z"}'),
    (4, 'nack', 'downlink', '{"applicationID": "123", "deviceName": "garden-sensor", "devEUI": "AgICAgICAgI=", "acknowledged": false, "fCnt": 15, "publishedAt": "2019-11-10T00:01:00Z"}'),
    (5, 'txack', 'downlink', '{"applicationID": "123", "deviceName": "garden-sensor", "devEUI": "AgICAgICAgI=", "fCnt": 16, "tags": {}, "publishedAt": "2019-11-10T00:02:00Z"}'),
    (6, 'txack with the gateway', 'downlink', '{"applicationID": "123", "deviceName": "garden-sensor", "devEUI": "AgICAgICAgI=", "fCnt": 17, "gatewayID": "AwMDAwMDAwM=", "txInfo": {"frequency": 868100000}, "publishedAt": "2019-11-10T00:03:00Z"}')) v (i, n, o, m) ORDER BY i;
SELECT results_eq('SELECT event, f_cnt, dev_eui FROM lorawan.downlink ORDER BY received_at', $$VALUES ('ack', 65551::bigint, '\x0202020202020202'::bytea), ('nack', 15, '\x0202020202020202'), ('txack', 16, '\x0202020202020202'), ('txack', 17, '\x0202020202020202')$$, 'are downlinks');
SELECT results_eq('SELECT dev_eui, dev_addr, app_s_key IS NULL FROM lorawan.session', $$VALUES ('\x0202020202020202'::bytea, '\x00513942'::bytea, true)$$, 'the joins are one session, without a key');
SELECT is(lorawan.ingest(pg_temp.v3('{"devAddr": "AFE5Qw=="}', '{fCnt,fPort,data,objectJSON,confirmedUplink,adr}')), 'join', 'the next join, with another DevAddr, is another session');

SELECT is(lorawan.ingest(pg_temp.aws()), 'uplink', 'AWS IoT Core for LoRaWAN [4]');
SELECT is(lorawan.ingest(pg_temp.aws()), 'duplicate', 'again');
SELECT is(lorawan.ingest(pg_temp.aws('{"FPort": 2, "FCnt": 65538, "DataRate": 0, "Timestamp": "2021-05-03T03:25:29Z"}', '{"application_id": "app7", "MessageId": "a0"}', '{Fport}')), 'uplink', 'FPort, and an application that a rule adds');
SELECT is(lorawan.ingest(pg_temp.aws('{"FPort": 2, "Timestamp": "2021-05-03T03:26:29Z"}', '{"PayloadData": ""}', '{Fport,FCnt,DevAddr}')), 'uplink', 'without a counter and a DevAddr');
SELECT results_eq($$SELECT application_id, device_id, dev_addr, f_cnt, f_port::integer, payload, status, received_at FROM lorawan.uplink_decrypted WHERE dev_eui = '\x58a0cb000202c990' ORDER BY received_at$$,
    $$VALUES ('aws', '5b58245e-146c-4c30-9703-0ca942e3ff35', '\x00b96cd4'::bytea, 1::bigint, 136, '\x09ce3c0000000000000000'::bytea, 'plain', '2021-05-03 03:24:29Z'::timestamptz),
             ('app7', '5b58245e-146c-4c30-9703-0ca942e3ff35', '\x00b96cd4', 65538, 2, '\x09ce3c0000000000000000', 'plain', '2021-05-03 03:25:29Z'), ('aws', '5b58245e-146c-4c30-9703-0ca942e3ff35', NULL, NULL, 2, '', 'plain', '2021-05-03 03:26:29Z')$$, 'in their columns');

SELECT is(lorawan.ingest(pg_temp.thingpark()), 'uplink', 'Actility ThingPark [5]');
SELECT is(lorawan.ingest(pg_temp.thingpark('{"FPort": 1, "FCntUp": 1174, "PayloadEncryption": 0}')), 'duplicate', 'with numbers, and what release 8.0 adds');
SELECT is(lorawan.ingest('{"DevEUI_uplink": {"Time": "2019-10-22T17:55:21.281+02:00","DevEUI": "0016C001FF0000A7","FPort": 102,"FCntUp": 3,"ADRbit": 1,"MType": 2,"FCntDn": 0,"payload_hex": "6b349c7db3","mic_hex": "88319eb6","Lrcid": "00000127","CustomerID": "100118249","CustomerData": {"alr":{"pro":"LORA/Generic","ver":"1"}},"ModelCfg": "0","AppSKey": "6196ceaf3eb5f44921e47717f68f8d66","DevAddr": "042910AB","AckRequested": 0,"rawMacCommands": "","NbTrans": 1}}'::text), 'uplink', 'with an AppSKey [6]');
SELECT is(lorawan.ingest(pg_temp.thingpark('{"PayloadEncryption": "1", "Time": "2018-10-03T15:39:46.882+02:00", "FCntUp": 65538}')), 'uplink', 'encrypted');
SELECT is(lorawan.ingest(pg_temp.thingpark('{"PayloadEncryption": "0", "AppSKey": "6196ceaf3eb5f44921e47717f68f8d66", "Time": "2018-10-03T15:40:46.882+02:00"}')), 'uplink', 'not encrypted, whatever else there is');
SELECT is(lorawan.ingest(pg_temp.thingpark('{"Time": "2018-10-03T15:41:46.882+02:00", "payload_hex": ""}', '{FPort}')), 'uplink', 'without a payload and a port');
SELECT results_eq($$SELECT application_id, device_id, dev_eui, dev_addr, f_cnt, f_port::integer, payload, status, received_at FROM lorawan.uplink_decrypted WHERE application_id LIKE '1_0%' ORDER BY received_at$$,
    $$VALUES ('1100000077', 'My Demo Device', '\x0018b20000000b20'::bytea, '\x04d2848e'::bytea, 1174::bigint, 1, '\x9e1c4852512000220020e3831071'::bytea, 'plain', '2018-10-03 13:38:46.882Z'::timestamptz),
             ('1100000077', 'My Demo Device', '\x0018b20000000b20', '\x04d2848e', 65538, 1, NULL, 'no session', '2018-10-03 13:39:46.882Z'),
             ('1100000077', 'My Demo Device', '\x0018b20000000b20', '\x04d2848e', 1174, 1, '\x9e1c4852512000220020e3831071', 'plain', '2018-10-03 13:40:46.882Z'),
             ('1100000077', 'My Demo Device', '\x0018b20000000b20', '\x04d2848e', 1174, 0, '', 'plain', '2018-10-03 13:41:46.882Z'),
             ('100118249', NULL, '\x0016c001ff0000a7', '\x042910ab', 3, 102, NULL, 'no session', '2019-10-22 15:55:21.281Z')$$, 'what is encrypted is not shown');
SELECT is_empty($$SELECT pg_temp.places('\x6196ceaf3eb5f44921e47717f68f8d66')$$, 'and the key that may be plaintext is written nowhere');
SELECT is(lorawan.ingest('{"DevEUI_downlink_Sent": {"Time": "2018-10-03T16:09:43.043+02:00", "DevEUI": "0018B20000000B20", "FPort": "1", "FCntDn": "65537", "FCntUp": "2", "Lrcid": "00000201", "SpFact": "12", "SubBand": "G1", "Channel": "LC2", "Lrrid": "08040059", "DeliveryStatus": "1", "CustomerID": "1100000077"}}'::jsonb), 'downlink', 'a downlink that was sent');
SELECT is(lorawan.ingest('{"DevEUI_downlink_Sent": {"Time": "2018-10-03T16:10:43.043+02:00", "DevEUI": "0018B20000000B20", "FPort": 1, "FCntDn": 65538, "DeliveryStatus": 0, "DeliveryFailedCause1": "A0", "CorrelationID": "00FE", "CustomerID": "1100000077"}}'::jsonb), 'downlink', 'and one that was not');
SELECT results_eq($$SELECT event, f_port::integer, f_cnt, queue_item_id, received_at FROM lorawan.downlink WHERE application_id = '1100000077' ORDER BY received_at$$, $$VALUES ('sent', 1, 65537::bigint, NULL, '2018-10-03 14:09:43.043Z'::timestamptz), ('failed', 1, 65538, '00FE', '2018-10-03 14:10:43.043Z')$$, 'are in the table');

SELECT is(lorawan.ingest(pg_temp.loriot()), 'uplink', 'Loriot [7]');
SELECT is(lorawan.ingest(pg_temp.loriot('{"cmd": "gw", "freq": 868500000, "dr": "SF12 BW125 4/5", "gws": [{"rssi": -130, "snr": 1.2, "ts": 1470850675433}]}')), 'duplicate', 'what the gateways say is the same uplink');
SELECT is(lorawan.ingest(pg_temp.loriot('{"encdata": "0102aabb", "fcnt": 65538, "ts": 1470850675434}', '{data}')), 'uplink', 'encrypted');
SELECT is(lorawan.ingest(pg_temp.loriot('{"application_id": "app8", "ts": "1470850675435", "data": ""}', '{encdata,port}')), 'uplink', 'empty, and with an application that was added');
SELECT results_eq($$SELECT application_id, device_id, dev_addr, f_cnt, f_port::integer, payload, status, received_at FROM lorawan.uplink_decrypted WHERE dev_eui = '\x0102030405060708' ORDER BY received_at$$,
    $$VALUES ('loriot', NULL, NULL::bytea, 1::bigint, 1, '\x0102aabb'::bytea, 'plain', '2016-08-10 17:37:55.433Z'::timestamptz), ('loriot', NULL, NULL, 65538, 1, NULL, 'no session', '2016-08-10 17:37:55.434Z'), ('app8', NULL, NULL, 1, 0, '', 'plain', '2016-08-10 17:37:55.435Z')$$, 'what is encrypted is not shown');
SELECT is(lorawan.ingest(pg_temp.loriot('{"ts": 0, "fcnt": 9}')), 'uplink', 'a clock that shows 1970');
SELECT is(received_at, stored_at, 'counts as no time') FROM lorawan.uplink WHERE f_cnt = 9;
SELECT is_empty('SELECT reason FROM lorawan.rejected', 'nothing was rejected');

-- The same, many at once: sets and single messages give the same rows.
CALL key_vault.create_storage('many', kek_label => 'lorawan');
SELECT results_eq($$SELECT * FROM many.ingest(ARRAY[pg_temp.v3(), pg_temp.aws(), pg_temp.thingpark(), pg_temp.thingpark('{"PayloadEncryption": "1", "Time": "2018-10-03T15:39:46.882+02:00", "FCntUp": 65538}'), pg_temp.loriot(), pg_temp.loriot('{"encdata": "0102aabb", "fcnt": 65538, "ts": 1470850675434}', '{data}'), pg_temp.aws()])$$, 'VALUES (6::bigint, 1::bigint, 0::bigint)', 'in sets');
SELECT is_empty('SELECT dev_eui, session_key_id, f_cnt, f_port, encrypted IS TRUE, dev_addr, frm_payload, application_id, received_at FROM many.uplink EXCEPT
    SELECT dev_eui, session_key_id, f_cnt, f_port, encrypted IS TRUE, dev_addr, frm_payload, application_id, received_at FROM lorawan.uplink', 'gives the same rows');

--
-- Wrong ones
--
CREATE TEMP TABLE wrong (n integer GENERATED ALWAYS AS IDENTITY, message jsonb, reason text, field text, found text);
INSERT INTO wrong (message, reason, field, found) VALUES
    (pg_temp.v3('{"devEUI": "AgICAgICAg=="}'), 'devEUI has 7 bytes, not 8', 'devEUI', '"AgICAgICAg=="'),
    (pg_temp.v3('{"devEUI": "02020202020202"}'), 'devEUI is not base64', 'devEUI', '"02020202020202"'),
    (pg_temp.v3('{"devEUI": 7}'), 'devEUI is not a string', 'devEUI', '7'),
    (pg_temp.v3('{"devEUI": null}'), 'devEUI is missing', 'devEUI', 'nothing'),
    (pg_temp.v3('{"devAddr": "AFE5"}'), 'devAddr has 3 bytes, not 4', 'devAddr', '"AFE5"'),
    (pg_temp.v3('{"applicationID": ""}'), 'applicationID is missing', 'applicationID', 'nothing'),
    (pg_temp.v3('{"fCnt": 4294967296}'), 'fCnt is not an integer from 0 to 4294967295', 'fCnt', '4294967296'),
    (pg_temp.v3('{"fPort": 256}'), 'fPort is not an integer from 0 to 255', 'fPort', '256'),
    (pg_temp.v3('{}', '{fPort}'), 'fPort is missing', 'fPort', 'nothing'),
    (pg_temp.v3('{"data": [1]}'), 'data is not a string', 'data', 'an array of 1 element'),
    (pg_temp.v3('{"publishedAt": "now"}'), 'publishedAt is not a time as in RFC 3339', 'publishedAt', '"now"'),
    (pg_temp.v3('{"rxInfo": [{"time": 5}]}'), 'rxInfo.time is not a time as in RFC 3339', 'rxInfo.time', '5'),
    (pg_temp.v3('{"type": "UPLINK_CODEC", "error": "x"}', '{data,fPort,rxInfo,txInfo}'), 'no uplink, join or downlink event of ChirpStack v3', NULL, NULL),
    (pg_temp.v3('{"margin": 7, "batteryLevel": 50}', '{data,fPort,fCnt,devAddr}'), 'no uplink, join or downlink event of ChirpStack v3', NULL, NULL),
    (pg_temp.v3('{"location": {"latitude": 1}}', '{data,fPort,rxInfo,devAddr}'), 'no uplink, join or downlink event of ChirpStack v3', NULL, NULL),
    (pg_temp.v3('{"integrationName": "x"}', '{data,fPort,fCnt,rxInfo,devAddr}'), 'no uplink, join or downlink event of ChirpStack v3', NULL, NULL),
    (pg_temp.v3('{}', '{data,fPort,devAddr}'), 'no uplink, join or downlink event of ChirpStack v3', NULL, NULL),
    (pg_temp.aws('{"DevEui": "58a0cb000202c99"}'), 'WirelessMetadata.LoRaWAN.DevEui is not hexadecimal', 'WirelessMetadata.LoRaWAN.DevEui', '"58a0cb000202c99"'),
    (pg_temp.aws('{}', '{}', '{DevEui}'), 'WirelessMetadata.LoRaWAN.DevEui is missing', 'WirelessMetadata.LoRaWAN.DevEui', 'nothing'),
    (pg_temp.aws('{"DevAddr": "b96cd4"}'), 'WirelessMetadata.LoRaWAN.DevAddr has 3 bytes, not 4', 'WirelessMetadata.LoRaWAN.DevAddr', '"b96cd4"'),
    (pg_temp.aws('{"FCnt": -1}'), 'WirelessMetadata.LoRaWAN.FCnt is not an integer from 0 to 4294967295', 'WirelessMetadata.LoRaWAN.FCnt', '-1'),
    (pg_temp.aws('{}', '{}', '{Fport}'), 'WirelessMetadata.LoRaWAN.FPort is missing', 'WirelessMetadata.LoRaWAN.FPort', 'nothing'),
    (pg_temp.aws('{"Timestamp": 1620012269}'), 'WirelessMetadata.LoRaWAN.Timestamp is not a time as in RFC 3339', 'WirelessMetadata.LoRaWAN.Timestamp', '1620012269'),
    (pg_temp.aws('{}', '{"PayloadData": "09ce3"}'), 'PayloadData is not base64', 'PayloadData', '"09ce3"'),
    (pg_temp.aws('{}', '{"WirelessMetadata": {"Sidewalk": {"CmdExStatus": "x"}}}'), 'WirelessMetadata.LoRaWAN.FPort is missing', 'WirelessMetadata.LoRaWAN.FPort', 'nothing'),
    (pg_temp.aws('{}', '{"WirelessMetadata": [1]}'), 'WirelessMetadata is not an object', 'WirelessMetadata', 'an array of 1 element'),
    (pg_temp.aws('{}', '{"WirelessMetadata": {"LoRaWAN": "x"}}'), 'WirelessMetadata.LoRaWAN is not an object', 'WirelessMetadata.LoRaWAN', '"x"'),
    (pg_temp.thingpark('{}', '{DevEUI}'), 'DevEUI_uplink.DevEUI is missing', 'DevEUI_uplink.DevEUI', 'nothing'),
    (pg_temp.thingpark('{}', '{CustomerID}'), 'DevEUI_uplink.CustomerID is missing', 'DevEUI_uplink.CustomerID', 'nothing'),
    (pg_temp.thingpark('{}', '{FPort}'), 'DevEUI_uplink.FPort is missing', 'DevEUI_uplink.FPort', 'nothing'),
    (pg_temp.thingpark('{"payload_hex": "9e1c4"}'), 'DevEUI_uplink.payload_hex is not hexadecimal', 'DevEUI_uplink.payload_hex', '"9e1c4"'),
    (pg_temp.thingpark(jsonb_build_object('payload_hex', repeat('00', 256))), 'DevEUI_uplink.payload_hex has 256 bytes, more than 255', 'DevEUI_uplink.payload_hex', 'a string of 512 characters'),
    (pg_temp.thingpark('{"FCntUp": "many"}'), 'DevEUI_uplink.FCntUp is not an integer from 0 to 4294967295', 'DevEUI_uplink.FCntUp', '"many"'),
    (pg_temp.thingpark('{"PayloadEncryption": 2}'), 'DevEUI_uplink.PayloadEncryption is not an integer from 0 to 1', 'DevEUI_uplink.PayloadEncryption', '2'),
    (pg_temp.thingpark('{"Time": "2018-10-03T15:38:46.882"}'), 'DevEUI_uplink.Time is not a time as in RFC 3339', 'DevEUI_uplink.Time', 'a string of 23 characters'),
    ('{"DevEUI_uplink": 5}', 'DevEUI_uplink is not an object', 'DevEUI_uplink', '5'),
    ('{"DevEUI_downlink_Sent": {"DevEUI": "0018B20000000B20", "CustomerID": "1", "DeliveryStatus": "x"}}', 'DevEUI_downlink_Sent.DeliveryStatus is not an integer from 0 to 1', 'DevEUI_downlink_Sent.DeliveryStatus', '"x"'),
    ('{"DevEUI_notification": {"DevEUI": "20635F0106000BA2", "Type": "join"}}', 'no uplink or downlink event of Actility ThingPark', NULL, 'the members DevEUI_notification'),
    ('{"DevEUI_location": {"DevEUI": "20635F0106000BA2"}}', 'no uplink or downlink event of Actility ThingPark', NULL, 'the members DevEUI_location'),
    (pg_temp.loriot('{"EUI": "01-02-03-04-05-06-07-08"}'), 'EUI is not hexadecimal', 'EUI', 'a string of 23 characters'),
    (pg_temp.loriot('{"EUI": null}'), 'EUI is missing', 'EUI', 'nothing'),
    (pg_temp.loriot('{}', '{port}'), 'port is missing', 'port', 'nothing'),
    (pg_temp.loriot('{"fcnt": 1.5}'), 'fcnt is not an integer from 0 to 4294967295', 'fcnt', '1.5'),
    (pg_temp.loriot('{"ts": "2016-08-10T17:37:55Z"}'), 'ts is not an integer from 0 to 253402300800000', 'ts', 'a string of 20 characters'),
    (pg_temp.loriot('{"ts": 999999999999999}'), 'ts is not an integer from 0 to 253402300800000', 'ts', '999999999999999'),
    (pg_temp.loriot('{"data": "AQKquw=="}'), 'data is not hexadecimal', 'data', '"AQKquw=="'),
    (pg_temp.loriot('{"encdata": 5}', '{data}'), 'encdata is not a string', 'encdata', '5'),
    (pg_temp.loriot('{"cmd": "txd"}'), 'no uplink of Loriot', NULL, 'the members ts, EUI, ack, bat, cmd, data and 2 others'),
    (pg_temp.loriot('{"cmd": {"a": 1}}'), 'no uplink of Loriot', NULL, 'the members ts, EUI, ack, bat, cmd, data and 2 others');
SELECT is(lorawan.ingest(message), 'rejected', format('%s. %s', n, reason)) FROM wrong ORDER BY n;
SELECT is(count(*), (SELECT count(*) FROM wrong), 'each has a row') FROM lorawan.rejected;
SELECT is_empty($$SELECT w.n, r.reason, r.field, r.found FROM wrong w JOIN lorawan.rejected r ON r.message = w.message
    WHERE (r.reason, r.field, r.found) IS DISTINCT FROM (w.reason, w.field, coalesce(w.found, r.found))$$, 'with its reason, its field and what was found');
SELECT is(stored, 0::bigint, 'and they stay') FROM lorawan.replay_rejected();
SELECT * FROM finish();
ROLLBACK;
