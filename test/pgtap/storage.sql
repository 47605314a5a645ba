--
-- A storage for the messages of The Things Stack and ChirpStack.
--
-- The two messages, their KEK and the plaintexts of their payloads are examples in the formats of the two network
-- servers (demo/messages).  Other payloads are made with pgcrypto's AES, from the block A_i of LoRaWAN L2 1.0.4,
-- section 4.3.3.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';

SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');

CREATE FUNCTION pg_temp.tts() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT '
{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","join_eui":"800000000000000C","dev_addr":"260B1234"},
 "correlation_ids":["as:up:01H"],"received_at":"2024-05-01T12:00:00.45Z",
 "uplink_message":{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==",
  "rx_metadata":[{"gateway_ids":{"gateway_id":"gtw1","eui":"9C5C8E00001A05C4"},"rssi":-35,"snr":5.2}],
  "settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":7}},"frequency":"868300000"},
  "received_at":"2024-05-01T12:00:00.24Z",
  "app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"},"last_a_f_cnt_down":7,
  "network_ids":{"net_id":"000013","tenant_id":"t1","cluster_id":"eu1"}}}'::jsonb$$;
CREATE FUNCTION pg_temp.cs() RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$SELECT '
{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T12:00:00Z",
 "deviceInfo":{"tenantId":"52f14cd4-c6f1-4fbd-8f87-4025e1d49242","applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","deviceName":"dev1","devEui":"0102030405060708"},
 "devAddr":"01fa8b2c","adr":true,"dr":5,"fCnt":1042,"fPort":2,"confirmed":false,"data":"BqiSEvuAbQ==","object":null,
 "joinServerContext":{"sessionKeyId":"","appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}},"regionConfigId":"eu868"}'::jsonb$$;
-- The Things Stack's message, with changes in its uplink_message
CREATE FUNCTION pg_temp.tts(changes jsonb, VARIADIC without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT jsonb_set(pg_temp.tts(), '{uplink_message}', ((pg_temp.tts() -> 'uplink_message') || changes) - without)$$;
CREATE FUNCTION pg_temp.tts_join(session_key_id text, app_s_key jsonb, at text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT pg_temp.tts() - 'uplink_message' || jsonb_build_object('received_at', at, 'join_accept',
    jsonb_strip_nulls(jsonb_build_object('session_key_id', session_key_id, 'app_s_key', app_s_key, 'received_at', at)))$$;
-- The time of that message, so many minutes later
CREATE FUNCTION pg_temp.at(minutes integer) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT jsonb_build_object('received_at', format('2024-05-01T%s:%s:00.24Z', 12 + minutes / 60, lpad((minutes % 60)::text, 2, '0')))$$;

CREATE FUNCTION pg_temp.reversed(bytes bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$SELECT string_agg(substr(bytes, i, 1), ''::bytea ORDER BY i DESC) FROM generate_series(1, length(bytes)) i$$;
-- Encrypts or decrypts an uplink's FRMPayload of up to 16 bytes.
CREATE FUNCTION pg_temp.crypt(key bytea, dev_addr bytea, f_cnt bigint, payload bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    stream bytea := encrypt('\x010000000000'::bytea || pg_temp.reversed(dev_addr) || pg_temp.reversed(substr(int8send(f_cnt), 5))
                            || '\x0001'::bytea, key, 'aes-ecb/pad:none');
BEGIN
    FOR i IN 0 .. length(payload) - 1 LOOP
        payload := set_byte(payload, i, get_byte(payload, i) # get_byte(stream, i));
    END LOOP;
    RETURN payload;
END
$$;
SELECT is(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc588', '\x260B1234', 65538, '\x0167010e02684a'), decode('LhFe2aRcmQ==', 'base64'), 'the oracle knows the example');

--
-- The examples, each stored by the function ingest() and by the table inbox
--
SELECT is(lorawan.ingest(pg_temp.tts()), 'uplink', 'The Things Stack''s uplink');
SELECT results_eq('SELECT received_at, application_id, device_id, dev_eui, dev_addr, session_key_id, f_cnt, f_port::integer, payload, status FROM lorawan.uplink_decrypted',
    $$VALUES ('2024-05-01 12:00:00.24Z'::timestamptz, 'app1', 'dev1', '\x0004A30B001C0530'::bytea, '\x260B1234'::bytea, '\x0187c2d1b6a0f3e4475869aabbccddee'::bytea, 65538::bigint, 2, '\x0167010e02684a'::bytea, 'decrypted')$$,
    'is decrypted, at the time of the network server');
INSERT INTO lorawan.inbox VALUES (pg_temp.cs()::text);
SELECT results_eq('SELECT received_at, application_id, device_id, dev_addr, f_cnt, f_port::integer, payload, status FROM lorawan.uplink_decrypted WHERE dev_eui = ''\x0102030405060708''',
    $$VALUES ('2024-05-01 12:00Z'::timestamptz, '17c82e96-be03-4f38-aef3-f83d48582d97', 'dev1', '\x01fa8b2c'::bytea, 1042::bigint, 2, '\x0167010e02684a'::bytea, 'decrypted')$$,
    'ChirpStack''s, by way of the inbox');
SELECT is_empty('SELECT * FROM lorawan.inbox', 'which stays empty');
SELECT results_eq('SELECT dev_addr, key_vault.kek_label(app_s_key), key_vault.bound_dev_addr(app_s_key), kek_label, encrypted_key FROM lorawan.session ORDER BY dev_addr',
    $$VALUES ('\x01fa8b2c'::bytea, 'lorawan', '\x01fa8b2c'::bytea, NULL, NULL::bytea), ('\x260b1234', 'lorawan', '\x260b1234', NULL, NULL)$$,
    'keys are under the KEK at rest, bound to their DevAddr; nothing is left of the envelopes');

-- Messages that are delivered again: unchanged, later, and in the form of another integration
SELECT is(lorawan.ingest(pg_temp.tts()), 'duplicate', 'a repeated delivery');
SELECT is(lorawan.ingest(jsonb_build_object('result', pg_temp.tts())), 'duplicate', 'the same from the Storage Integration API');
SELECT is(lorawan.ingest(pg_temp.tts() || '{"received_at": "2024-05-01T13:00:00Z", "correlation_ids": ["as:up:02"]}'), 'duplicate', 'the same, by the application server an hour later');
SELECT is(lorawan.ingest(pg_temp.cs()), 'duplicate', 'ChirpStack''s');
SELECT is(count(*), 2::bigint, 'each is stored once') FROM lorawan.uplink;
SELECT is(lorawan.ingest(pg_temp.tts('{"frm_payload": "AAAA"}')), 'rejected', 'another payload of that time and counter is not lost as a duplicate');
SELECT is(reason, 'another uplink of device 0004a30b001c0530 with f_cnt 65538 of that time is stored', 'but kept') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;

-- Whole messages are kept on request.
SELECT is(count(message), 0::bigint, 'messages are not kept whole') FROM lorawan.uplink;
CALL key_vault.create_storage('lorawan', keep_messages => true);
SELECT lorawan.ingest(pg_temp.tts(pg_temp.at(1) || '{"f_cnt": 65539}')) \g /dev/null
SELECT is(message, pg_temp.tts(pg_temp.at(1) || '{"f_cnt": 65539}'), 'unless it is asked for') FROM lorawan.uplink WHERE f_cnt = 65539;
CALL key_vault.create_storage('lorawan', keep_messages => false);

--
-- Fields
--
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(2) || jsonb_build_object('frm_payload', encode(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc588', '\x260B1234', 0, '\x00'), 'base64')), 'f_cnt')), 'uplink', 'no f_cnt');
SELECT results_eq('SELECT f_cnt, payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:02:00.24Z''', $$VALUES (0::bigint, '\x00'::bytea, 'decrypted')$$, 'means 0');
SELECT is(array_agg(lorawan.ingest(pg_temp.tts(pg_temp.at(10 + i::integer) || jsonb_build_object('f_cnt', f_cnt, 'frm_payload', encode(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc588', '\x260B1234', f_cnt, 'text'), 'base64'))))),
          '{uplink,uplink,uplink,uplink}', 'counters of 32 bits') FROM unnest('{65535,65536,65537,4294967295}'::bigint[]) WITH ORDINALITY u (f_cnt, i);
SELECT is(array_agg(convert_from(payload, 'UTF8') ORDER BY f_cnt), '{text,text,text,text}', 'decrypt past 65535') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 12:11Z' AND '2024-05-01 12:15Z';
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(20), 'frm_payload', 'f_port')), 'uplink', 'no payload and no port');
SELECT results_eq('SELECT f_port::integer, payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:20:00.24Z''', $$VALUES (0, ''::bytea, 'decrypted')$$, 'is an empty payload');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(21), 'f_port')), 'uplink', 'FPort 0 with a payload');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:21:00.24Z''', $$VALUES (NULL::bytea, 'network payload')$$, 'is not for the AppSKey');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(22) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABw=="}', 'app_s_key', 'last_a_f_cnt_down')), 'uplink', 'without app_s_key');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:22:00.24Z''', $$VALUES (decode('LhFe2aRcmQ==', 'base64'), 'plain')$$, 'the payload is plain');
SELECT is(lorawan.ingest(pg_temp.cs() || '{"time": "2024-05-01T12:22:00Z", "joinServerContext": null}'), 'uplink', 'ChirpStack without a context');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:22Z''', $$VALUES (decode('BqiSEvuAbQ==', 'base64'), 'plain')$$, 'likewise');
SELECT is(lorawan.ingest(pg_temp.cs() || '{"time": "2024-05-01T12:24:00Z", "joinServerContext": {"sessionKeyId": "", "appSKey": {"kekLabel": "", "aesKey": ""}}}'), 'uplink', 'or with an empty one');
SELECT is(status, 'plain', 'likewise') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 12:24Z';
SELECT is(lorawan.ingest(pg_temp.cs() || '{"time": "2024-05-01T12:23:00Z", "data": "", "fPort": 0, "fCnt": 0}'), 'uplink', 'ChirpStack''s empty payload');
SELECT results_eq('SELECT f_cnt, payload FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:23Z''', $$VALUES (0::bigint, ''::bytea)$$, 'and zeros');

-- ChirpStack 4.0 leaves out fields that are 0, false or empty.
SELECT is(lorawan.ingest(pg_temp.cs() - '{fCnt,confirmed,object}'::text[] || '{"rxInfo": [{"rssi": -52}], "txInfo": {"frequency": 868100000}}' || jsonb_build_object('time', '2024-05-01T12:25:00Z', 'data', encode(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc588', '\x01fa8b2c', 0, 'zero'), 'base64'))), 'uplink', 'ChirpStack without fCnt');
SELECT results_eq('SELECT f_cnt, payload FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:25Z''', $$VALUES (0::bigint, 'zero'::bytea)$$, 'means 0');
SELECT is(lorawan.ingest(pg_temp.cs() - '{fCnt,fPort,data,confirmed,object}'::text[] || '{"time": "2024-05-01T12:26:00Z", "rxInfo": [{"rssi": -52}], "txInfo": {"frequency": 868100000}}'), 'uplink', 'nor port and payload: what a gateway received is no join');
SELECT is(lorawan.ingest((pg_temp.cs() - '{data,fCnt,fPort,devAddr,joinServerContext}'::text[]) || '{"time": "2024-05-01T12:27:00Z", "queueItemId": "q0", "fCntDown": 3}'), 'downlink', 'an ack event without "acknowledged"');
SELECT results_eq('SELECT event, f_cnt FROM lorawan.downlink', $$VALUES ('nack', 3::bigint)$$, 'is a nack');
TRUNCATE lorawan.downlink;

--
-- Sessions: an uplink belongs to the session that it names.  The envelope of the second session is another device's,
-- so this payload decrypts to other bytes, which the example lists.
--
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(30) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')), 'uplink', 'an uplink of a later session of the device');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(31), 'nothing')), 'uplink', 'and one of the earlier, late');
SELECT results_eq('SELECT payload FROM lorawan.uplink_decrypted WHERE received_at IN (''2024-05-01 12:30:00.24Z'', ''2024-05-01 12:31:00.24Z'') ORDER BY received_at',
    $$VALUES ('\xd3acabad76d801'::bytea), ('\x0167010e02684a')$$, 'each with its own key');
SELECT is(count(*), 2::bigint, 'both sessions are there') FROM lorawan.session WHERE dev_eui = '\x0004A30B001C0530';
SELECT results_eq('SELECT received_at, payload, status FROM lorawan.device_latest WHERE dev_eui = ''\x0004A30B001C0530''',
    $$VALUES ('2024-05-01 12:31:00.24Z'::timestamptz, '\x0167010e02684a'::bytea, 'decrypted')$$, 'device_latest');
SELECT is(count(*), 2::bigint, 'has a row for each device') FROM lorawan.device_latest;
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(32) || '{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')), 'rejected', 'another key for a session that has one: the incident');
SELECT is(reason, 'session 0187c2d1b6a0f3e4475869aabbccddee of device 0004a30b001c0530 has another key', 'is not taken') FROM lorawan.rejected;
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(33)) || '{"end_device_ids": {"dev_eui": "0004A30B001C0530", "dev_addr": "260B9999", "device_id": "dev1", "application_ids": {"application_id": "app1"}}}'), 'rejected', 'another DevAddr for a session');
SELECT is(reason, 'session 0187c2d1b6a0f3e4475869aabbccddee of device 0004a30b001c0530 has DevAddr 260b1234, not 260b9999', 'neither') FROM lorawan.rejected ORDER BY id DESC LIMIT 1;
TRUNCATE lorawan.rejected CASCADE;

-- Joins that come in order, and joins that come late
SELECT is(lorawan.ingest(pg_temp.tts_join('AYfC0bag8+RHWGmqu8zd7g==', '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}', '2024-05-01T11:00:00Z')), 'join', 'a join after its uplinks');
SELECT is(started_at, '2024-05-01 11:00Z', 'the session began with it') FROM lorawan.session WHERE session_key_id = '\x0187c2d1b6a0f3e4475869aabbccddee';
SELECT is(lorawan.ingest(pg_temp.tts_join('AYfC0bag8+RHWGmqu8zd7g==', '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}', '2024-05-01T11:30:00Z')), 'join', 'the same again, with a later time');
SELECT is(started_at, '2024-05-01 11:00Z', 'does not change it') FROM lorawan.session WHERE session_key_id = '\x0187c2d1b6a0f3e4475869aabbccddee';
SELECT is(lorawan.ingest(pg_temp.cs() || '{"time": "2024-05-01T12:40:00Z", "joinServerContext": {"sessionKeyId": "0a0b0c0d"}}'), 'uplink', 'ChirpStack''s uplink with a session key id alone');
SELECT results_eq('SELECT payload, status, session_key_id FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:40Z''', $$VALUES (NULL::bytea, 'no session', '\x0a0b0c0d'::bytea)$$, 'has no session');
SELECT is(lorawan.ingest(pg_temp.cs() - '{data,fCnt,fPort,dr,confirmed,adr,object}'::text[] || '{"time": "2024-05-01T11:00:00Z", "joinServerContext": {"sessionKeyId": "0a0b0c0d"}}'), 'join', 'its join, without a key');
SELECT is(status, 'no key', 'gives it one that has no key') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 12:40Z';
SELECT is(lorawan.ingest(pg_temp.cs() - '{data,fCnt,fPort,dr,confirmed,adr,object}'::text[] || '{"time": "2024-05-01T11:00:00Z"}' || jsonb_build_object('joinServerContext', (pg_temp.cs() -> 'joinServerContext') || '{"sessionKeyId": "0a0b0c0d"}')), 'join', 'and again with it');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:40Z''', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted')$$, 'then the uplink is decrypted');
SELECT is(lorawan.ingest(pg_temp.cs() - '{data,fCnt,fPort,dr,confirmed,adr,object,joinServerContext}'::text[] || '{"time": "2024-05-01T11:00:00Z"}'), 'join', 'a join of ChirpStack''s own join server');

--
-- Downlinks
--
SELECT is(lorawan.ingest(pg_temp.tts() - 'uplink_message' || format('{"downlink_%s": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 3, "f_cnt": 9, "frm_payload": "AQI="}}', e)::jsonb), 'downlink', 'downlink_' || e)
  FROM unnest('{queued,sent,ack,nack}'::text[]) e;
SELECT is(lorawan.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_failed": {"downlink": {"f_port": 3, "frm_payload": "AQI="}, "error": {"name": "x"}}}'), 'downlink', 'downlink_failed');
SELECT is(lorawan.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queue_invalidated": {"downlinks": [{"f_port": 3, "f_cnt": 10, "frm_payload": "AQI="}, {"f_port": 3, "f_cnt": 11, "frm_payload": "Aw=="}], "last_f_cnt_down": 9, "session_key_id": "AYfC0bag8+RHWGmqu8zd7g=="}}'), 'downlink', 'downlink_queue_invalidated');
SELECT is(lorawan.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queue_invalidated": {"last_f_cnt_down": 9, "session_key_id": "AYfC0bag8+RHWGmqu8zd7g=="}}'), 'downlink', 'of an empty queue');
SELECT is(lorawan.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_sent": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 3, "f_cnt": 9, "frm_payload": "AQI="}}'), 'duplicate', 'again');
SELECT is(lorawan.ingest((pg_temp.cs() - '{data,fCnt,fPort,devAddr,joinServerContext}'::text[]) || '{"queueItemId": "q1", "acknowledged": true, "fCntDown": 4}'), 'downlink', 'ChirpStack''s ack');
SELECT is(lorawan.ingest((pg_temp.cs() - '{data,fCnt,fPort,devAddr,joinServerContext}'::text[]) || '{"queueItemId": "q1", "downlinkId": 1, "gatewayId": "0102030405060708", "txInfo": {}, "fCntDown": 4}'), 'downlink', 'and txack');
SELECT results_eq('SELECT event, f_port::integer, f_cnt, frm_payload, session_key_id IS NOT NULL, queue_item_id FROM lorawan.downlink ORDER BY event COLLATE "C", dev_eui, f_cnt, item',
    $$VALUES ('ack', 3, 9::bigint, '\x0102'::bytea, true, NULL), ('ack', NULL, 4, '', false, 'q1'), ('failed', 3, 0, '\x0102', false, NULL),
             ('invalidated', 0, 9, '', true, NULL), ('invalidated', 3, 10, '\x0102', true, NULL), ('invalidated', 3, 11, '\x03', true, NULL),
             ('nack', 3, 9, '\x0102', true, NULL), ('queued', 3, 9, '\x0102', true, NULL), ('sent', 3, 9, '\x0102', true, NULL), ('txack', NULL, 4, '', false, 'q1')$$, 'are in the table');
SELECT is_empty('SELECT * FROM lorawan.rejected', 'nothing of this was rejected');

--
-- Messages that cannot be used, and why
--
CREATE TEMP TABLE unusable (n serial, message jsonb, sqlstate text, reason text);
INSERT INTO unusable (message, sqlstate, reason) VALUES
    ('{}', '0A000', 'message has no known format'),
    ('{"uplink_message": {}}', '0A000', 'message has no known format'),
    ('{"app_id": "a", "dev_id": "d", "hardware_serial": "0102030405060708", "port": 1, "counter": 2, "payload_raw": "AQ=="}', '0A000', 'message has no known format: this looks like The Things Stack v2'),
    (pg_temp.tts() - 'uplink_message' || '{"location_solved": {}}', '0A000', 'no uplink, join or downlink event of The Things Stack'),
    (pg_temp.cs() - '{data,fCnt,devAddr}'::text[] || '{"margin": 7, "batteryLevel": 50}', '0A000', 'no uplink, join or downlink event of ChirpStack'),
    (jsonb_set(pg_temp.tts(), '{end_device_ids}', '"dev1"'), '22023', 'end_device_ids.dev_eui is missing'),
    (pg_temp.tts() #- '{end_device_ids,dev_eui}', '22023', 'end_device_ids.dev_eui is missing'),
    (pg_temp.tts() #- '{end_device_ids,dev_addr}', '22023', 'end_device_ids.dev_addr is missing'),
    (pg_temp.tts() #- '{end_device_ids,application_ids}', '22023', 'end_device_ids.application_ids.application_id is missing'),
    (pg_temp.tts('{"received_at": "infinity"}'), '22023', 'uplink_message.received_at is not a time as in RFC 3339'),
    (pg_temp.tts('{"received_at": "2024-05-01T12:00:00"}'), '22023', 'uplink_message.received_at is not a time as in RFC 3339'),
    (pg_temp.tts('{"received_at": "2024-13-01T12:00:00Z"}'), '22008', 'date/time field value out of range: "2024-13-01T12:00:00Z"'),
    (pg_temp.tts('{"received_at": "2023-02-29T12:00:00Z"}'), '22008', 'date/time field value out of range: "2023-02-29T12:00:00Z"'),
    (pg_temp.tts('{"received_at": "2024-05-01T12:00:00+24:00"}'), '22023', 'uplink_message.received_at is not a time as in RFC 3339'),
    (pg_temp.tts('{"received_at": "2024-05-01T12:00:00.Z"}'), '22023', 'uplink_message.received_at is not a time as in RFC 3339'),
    (pg_temp.tts('{"received_at": 1714564800}'), '22023', 'uplink_message.received_at is not a time as in RFC 3339'),
    (pg_temp.tts('{"f_cnt": -1}'), '22023', 'uplink_message.f_cnt is not an integer from 0 to 4294967295'),
    (pg_temp.tts('{"f_cnt": 4294967296}'), '22023', 'uplink_message.f_cnt is not an integer from 0 to 4294967295'),
    (pg_temp.tts('{"f_cnt": 1.5}'), '22023', 'uplink_message.f_cnt is not an integer from 0 to 4294967295'),
    (pg_temp.tts('{"f_cnt": true}'), '22023', 'uplink_message.f_cnt is not an integer from 0 to 4294967295'),
    (pg_temp.tts('{"f_cnt": [1]}'), '22023', 'uplink_message.f_cnt is not an integer from 0 to 4294967295'),
    (pg_temp.tts('{"f_port": 256}'), '22023', 'uplink_message.f_port is not an integer from 0 to 255'),
    (pg_temp.tts('{"frm_payload": "***"}'), '22023', 'uplink_message.frm_payload is not base64'),
    (pg_temp.tts('{"frm_payload": 7}'), '22023', 'uplink_message.frm_payload is not a string'),
    (pg_temp.tts(jsonb_build_object('frm_payload', replace(encode(repeat('x', 256)::bytea, 'base64'), E'\n', ''))), '22023', 'uplink_message.frm_payload has 256 bytes, more than 255'),
    (pg_temp.tts('{"session_key_id": "AYf"}'), '22023', 'uplink_message.session_key_id is not base64'),
    (jsonb_set(pg_temp.tts(), '{uplink_message}', '7'), '22023', 'uplink_message is not an object'),
    (pg_temp.tts() - 'uplink_message' || '{"join_accept": "AYfC0bag8+RHWGmqu8zd7g=="}', '22023', 'join_accept is not an object'),
    (pg_temp.tts() - 'uplink_message' || '{"downlink_sent": []}', '22023', 'downlink_sent is not an object'),
    (pg_temp.tts() - 'uplink_message' || '{"downlink_queue_invalidated": {"downlinks": ["x"]}}', '22023', 'downlink of downlink_queue_invalidated is not an object'),
    (pg_temp.tts() - 'uplink_message' || '{"downlink_queue_invalidated": {"downlinks": "x"}}', '22023', 'downlink_queue_invalidated.downlinks is not an array'),
    (pg_temp.cs() || '{"joinServerContext": "x"}', '22023', 'joinServerContext is not an object'),
    (pg_temp.cs() || '{"joinServerContext": {"appSKey": true}}', '22023', 'joinServerContext.appSKey is not an object'),
    (pg_temp.cs() || '{"joinServerContext": {"appSKey": {"kekLabel": "app1-kek", "aesKey": ""}}}', '22023', 'joinServerContext.appSKey.aesKey is missing'),
    (pg_temp.cs() || '{"joinServerContext": {"sessionKeyId": 7}}', '22023', 'joinServerContext.sessionKeyId is not a string'),
    (pg_temp.tts('{"app_s_key": true}'), '22023', 'uplink_message.app_s_key is not an object'),
    (pg_temp.tts('{"app_s_key": "text"}'), '22023', 'uplink_message.app_s_key holds no key of 16 bytes and no wrapped one'),
    (pg_temp.tts('{"app_s_key": {}}'), '22023', 'uplink_message.app_s_key.encrypted_key is missing'),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek"}}'), '22023', 'uplink_message.app_s_key.encrypted_key is missing'),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi"}}'), '22023', 'uplink_message.app_s_key holds no key of 16 bytes and no wrapped one'),
    (pg_temp.tts('{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvA"}}'), 'KV004', 'encrypted key does not open with any version of KEK label "app1-kek"'),
    (pg_temp.cs() #- '{deviceInfo,devEui}', '22023', 'deviceInfo.devEui is missing'),
    (jsonb_set(pg_temp.cs(), '{deviceInfo,devEui}', '"01020304050607"'), '22023', 'deviceInfo.devEui has 7 bytes, not 8'),
    (pg_temp.cs() - 'devAddr', '22023', 'devAddr is missing'),
    (pg_temp.cs() || '{"devAddr": "01fa8b2"}', '22023', 'devAddr is not hexadecimal'),
    (pg_temp.cs() || '{"devAddr": "01fa8b2c00"}', '22023', 'devAddr has 5 bytes, not 4'),
    (jsonb_set(pg_temp.tts(), '{uplink_message,app_s_key,kek_label}', to_jsonb(repeat('x', 256))), '22023', 'uplink_message.app_s_key.kek_label has 256 bytes, more than 255'),
    (pg_temp.cs() || '{"data": {"a": 1}}', '22023', 'data is not a string');
SELECT is(lorawan.ingest(message), 'rejected', 'unusable: ' || reason) FROM unusable ORDER BY n;
SELECT results_eq('SELECT r.sqlstate, r.reason FROM lorawan.rejected r ORDER BY id', 'SELECT sqlstate, reason FROM unusable ORDER BY n', 'each with its reason');
SELECT results_eq('SELECT message::text FROM lorawan.rejected WHERE id NOT IN (SELECT rejected_id FROM lorawan.rejected_key) ORDER BY id',
    'SELECT message::text FROM unusable WHERE reason NOT LIKE ''%holds no key%'' ORDER BY n', 'kept as it came');
SELECT is(count(*), 48::bigint, 'kept, all of them') FROM lorawan.rejected;
SELECT is(lorawan.ingest(message), 'rejected', 'delivered again') FROM unusable WHERE n = 1;
SELECT results_eq('SELECT count(*), max(tries) FROM lorawan.rejected', 'VALUES (48::bigint, 2)', 'is kept once');
CREATE TEMP TABLE places AS SELECT id, ctid::text AS place FROM lorawan.rejected;
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (0::bigint, 0::bigint, 48::bigint)', 'trying again does not help these');
SELECT results_eq('SELECT count(*), max(tries) FROM lorawan.rejected', 'VALUES (48::bigint, 2)', 'nor is it written down');
SELECT results_eq('SELECT id, ctid::text FROM lorawan.rejected ORDER BY id', 'SELECT id, place FROM places ORDER BY id', 'no row is written anew');
TRUNCATE lorawan.rejected CASCADE;

-- Lines that are not JSON are wrapped as a whole, since there may be a key in them.
INSERT INTO lorawan.inbox VALUES ('{"app_s_key": {"key": "000102030405060708090A0B0C0D0E0F"'), ('not JSON'), (''), (E'\t\r'), (NULL), ('"000102030405060708090A0B0C0D0E0F"'), ('["a"]'), ('null'),
    (repeat('[', 20000));
-- An array may go on in the next line: these are for another statement.
INSERT INTO lorawan.inbox VALUES (repeat('x', 4096)), (repeat('ä', 5000));
SELECT results_eq('SELECT sqlstate, reason, message IS NULL, count(*) FROM lorawan.rejected GROUP BY 1, 2, 3 ORDER BY 4 DESC', $$VALUES ('22P02', 'line is not a JSON object', true, 7::bigint), ('22P02', 'line is nested too deep', true, 1)$$, 'lines that are no JSON objects');
SELECT is(array_agg(line ORDER BY rejected_id),
    ARRAY['{"app_s_key": {"key": "000102030405060708090A0B0C0D0E0F"', 'not JSON', '"000102030405060708090A0B0C0D0E0F"', '"a"', 'null', repeat('[', 19999), repeat('x', 4096), repeat('ä', 5000)],
    'can be read by who may unwrap')
  FROM (SELECT rejected_id, convert_from(string_agg(key_vault.unwrap(k.key), '' ORDER BY n), 'UTF8') AS line FROM lorawan.rejected_key k GROUP BY 1) l;
SELECT is(lorawan.ingest('"000102030405060708090A0B0C0D0E0F"'), 'rejected', 'ingest() of a JSON string');
SELECT is(lorawan.ingest(NULL::jsonb), NULL, 'and of NULL');
SELECT is(lorawan.ingest('{"cut'), 'rejected', 'ingest() of what is no JSON');
SELECT is(lorawan.ingest(' 7 '::text), 'rejected', 'of a number');
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (0::bigint, 0::bigint, 0::bigint)', 'they are not tried again');
TRUNCATE lorawan.rejected CASCADE;

--
-- Plaintext keys, wherever they stand, are wrapped before anything is written.
--
\ir storage_places.psql
CALL key_vault.create_storage('lorawan', keep_messages => true);
TRUNCATE lorawan.uplink, lorawan.session, lorawan.rejected CASCADE;
-- ec92... is the key of the examples.
SELECT is(lorawan.ingest(pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'The Things Stack: a key in hex');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(1) || '{"app_s_key": {"encrypted_key": "7JJYAq5DDKd/091zyyzFiA=="}}')), 'uplink', 'and in base64, without a label');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(2) || '{"app_s_key": {"kek_label": "", "encrypted_key": "7JJYAq5DDKd/091zyyzFiA=="}}')), 'uplink', 'with an empty one');
SELECT is(lorawan.ingest(pg_temp.cs() || '{"joinServerContext": {"sessionKeyId": "0a0b0c0d", "appSKey": {"kekLabel": "", "aesKey": "7JJYAq5DDKd/091zyyzFiA=="}}}'), 'uplink', 'ChirpStack: with an empty label');
SELECT is(array_agg(payload), array_fill('\x0167010e02684a'::bytea, ARRAY[4]), 'are all decrypted') FROM lorawan.uplink_decrypted;
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(3))), 'uplink', 'the wrapped key of the same session');
SELECT is(array_agg(DISTINCT key_vault.algorithm(app_s_key)), '{aes-kw-bound}', 'keys are bound') FROM lorawan.session;
SELECT is(lorawan.ingest(pg_temp.tts_join('AAAAAAAAAAAAAAAAAAAABA==', '{"key": "EC925802AE430CA77FD3DD73CB2CC588"}', '2024-05-01T11:00:00Z')), 'join', 'in a join');
SELECT is(lorawan.ingest(pg_temp.cs() || '{"time": "2024-05-01T14:00:00Z", "joinServerContext": {"sessionKeyId": "", "appSKey": {"kekLabel": "", "aesKey": "7JJYAq5DDKd/091zyyzFiA=="}}}'), 'uplink', 'a key of ChirpStack''s that it has decrypted with itself');
SELECT is(status, 'plain', 'its payload is plain') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 14:00Z';
SELECT is_empty($$SELECT pg_temp.places('\xec925802ae430ca77fd3dd73cb2cc588')$$, 'the key is nowhere, not in the messages that were kept either');
SELECT is(message #> '{uplink_message,app_s_key}', '{"wrapped_key": 1}', 'where a number is in its place') FROM lorawan.uplink WHERE received_at = '2024-05-01 12:01:00.24Z';
-- Keys in messages that are rejected, in places and forms that no network server uses
CREATE TEMP TABLE secret (n serial, message jsonb);
INSERT INTO secret (message) VALUES
    (pg_temp.tts('{"f_cnt": -1, "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')),
    (pg_temp.tts('{"f_cnt": -1, "app_s_key": {"key": "ec925802ae430ca77fd3dd73cb2cc588"}}')),
    (pg_temp.tts('{"f_cnt": -1, "app_s_key": {"encrypted_key": "7JJYAq5DDKd/091zyyzFiA=="}}')),
    (pg_temp.tts('{"app_s_key": "EC925802AE430CA77FD3DD73CB2CC588"}')),
    (pg_temp.tts('{"app_s_key": ["EC925802AE430CA77FD3DD73CB2CC588"]}')),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek", "key": "EC925802AE430CA77FD3DD73CB2CC588", "encrypted_key": "AAAA"}, "f_cnt": -1}')),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7JJYAq5DDKd/091zyyzFiA=="}}')),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "EC925802AE430CA77FD3DD73CB2CC588"}, "session_key_id": "AAAAAAAAAAAAAAAAAAAABQ=="}')),
    (pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC58800"}}')),
    (pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}, "f_cnt": -1}')),
    (pg_temp.tts('{"f_cnt": -1}') || '{"session": {"keys": {"nwk_s_enc_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}}}'),
    (pg_temp.tts('{"f_cnt": -1}') || '{"devices": [{"rootKeys": [{"appKey": "ec925802ae430ca77fd3dd73cb2cc588"}]}]}'),
    ('{"appSKey": "7JJYAq5DDKd/091zyyzFiA=="}'),
    ('{"KEY": "ec925802ae430ca77fd3dd73cb2cc588"}'),
    (pg_temp.tts(jsonb_build_object('f_cnt', -1, 'my_key', repeat('EC925802AE430CA77FD3DD73CB2CC588', 1000)))),
    (pg_temp.cs() || '{"fCnt": -1, "joinServerContext": {"sessionKeyId": "0a", "appSKey": {"kekLabel": "", "aesKey": "7JJYAq5DDKd/091zyyzFiA=="}}}');
SELECT is(lorawan.ingest(message), 'rejected', 'rejected, with a plaintext key in it: ' || n) FROM secret ORDER BY n;
SELECT is_empty($$SELECT pg_temp.places('\xec925802ae430ca77fd3dd73cb2cc588')$$, 'which is nowhere');
SELECT is(count(DISTINCT rejected_id), (SELECT count(*) FROM secret), 'but wrapped') FROM lorawan.rejected_key;
SELECT is(sum(keys), (SELECT count(*) FROM lorawan.rejected_key)::numeric, 'and counted as hanging on the KEK') FROM key_vault.kek_usage('lorawan') WHERE relation = 'lorawan.rejected_key'::regclass;
SELECT is(bool_and(key_vault.unwrap(key) = '\xec925802ae430ca77fd3dd73cb2cc588' OR upper(encode(key_vault.unwrap(key), 'escape')) ~ 'EC925802|7JJYAQ5D' OR key_vault.unwrap(key) IN ('"AAAA"', '"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"')), true, 'the keys themselves') FROM lorawan.rejected_key;
-- A message that claims that its keys were wrapped here
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(7) || '{"app_s_key": {"wrapped_key": 1}}')), 'rejected', 'a number of a key that is none');
SELECT is(reason, 'uplink_message.app_s_key holds no key of 16 bytes and no wrapped one', 'is not taken for one') FROM lorawan.rejected;
-- If a plaintext key cannot be wrapped, the statement fails and nothing is written.
TRUNCATE lorawan.rejected CASCADE;
SELECT key_vault.kek_suspend('lorawan', 1) \g /dev/null
SELECT throws_ok(format('SELECT lorawan.ingest(%L)', pg_temp.tts(pg_temp.at(8) || '{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'KV007', 'KEK label "lorawan" has no active version', 'a plaintext key that cannot be wrapped');
SELECT throws_ok($$INSERT INTO lorawan.inbox VALUES ('{"broken')$$, 'KV007', NULL, 'a line that is no JSON, likewise');
SELECT is_empty('SELECT * FROM lorawan.rejected', 'is not written');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(8) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABg=="}')), 'rejected', 'an envelope is kept as it is');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(9))), 'uplink', 'an uplink of a session that is known is stored');
SELECT is(status, 'KEK suspended', 'and says so') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 12:09:00.24Z';
SELECT key_vault.kek_resume('lorawan', 1) \g /dev/null
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (0::bigint, 1::bigint, 0::bigint)', 'tried again after that');
SELECT is(status, 'decrypted', 'it is decrypted') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 12:08:00.24Z';
SELECT is_empty('SELECT * FROM lorawan.rejected', 'and nothing is left');
CALL key_vault.create_storage('lorawan', keep_messages => false);

-- A rejected message with a plaintext key is stored once the cause of the rejection is mended.
SELECT lorawan.ingest(jsonb_set(pg_temp.tts(pg_temp.at(40) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABw==", "app_s_key": {"kek_label": "lost", "key": "EC925802AE430CA77FD3DD73CB2CC588"}}'), '{end_device_ids,dev_eui}', '""')) \g /dev/null
UPDATE lorawan.rejected SET message = jsonb_set(message, '{end_device_ids,dev_eui}', '"0004A30B001C0530"');
SELECT key_vault.kek_rotate('lorawan') \g /dev/null
UPDATE lorawan.rejected_key SET key = key_vault.rewrap(key);
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (0::bigint, 1::bigint, 0::bigint)', 'a message with a plaintext key, mended, and rewrapped meanwhile');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at = ''2024-05-01 12:40:00.24Z'' AND application_id = ''app1''', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted')$$, 'is decrypted');
-- After a rotation, the keys of known sessions that come again are wrapped under the new version.
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(41))), 'uplink', 'the same envelope');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(42) || '{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'the same key in another way');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(43) || '{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC589"}}')), 'rejected', 'another key');
SELECT is(count(*), 2::bigint, 'after a rotation') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 12:41Z' AND '2024-05-01 12:44Z' AND payload = '\x0167010e02684a';
TRUNCATE lorawan.rejected CASCADE;

--
-- An unknown KEK label: the uplink is stored encrypted, with the envelope, and can be read once the KEK is there.
--
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(50) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACA==", "app_s_key": {"kek_label": "new-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'uplink', 'an unknown KEK label');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(51) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACA==", "app_s_key": {"kek_label": "new-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'uplink', 'and again');
SELECT results_eq('SELECT kek_label, encrypted_key, app_s_key IS NULL FROM lorawan.session WHERE session_key_id = ''\x00000000000000000000000000000008''',
    $$VALUES ('new-kek', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), true)$$, 'the session has the envelope');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at BETWEEN ''2024-05-01 12:50Z'' AND ''2024-05-01 12:52Z''', $$VALUES (NULL::bytea, 'KEK unknown'), (NULL, 'KEK unknown')$$, 'the uplinks say so');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(52) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACA==", "app_s_key": {"kek_label": "new-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')), 'rejected', 'another envelope of the session, meanwhile');
SELECT is(lorawan.ingest(pg_temp.tts(pg_temp.at(53) || '{"app_s_key": {"kek_label": "new-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'rejected', 'an unknown label for a session that has a key');
SELECT is(lorawan.ingest(pg_temp.tts_join('AAAAAAAAAAAAAAAAAAAACQ==', '{"kek_label": "new-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}', '2024-05-01T11:00:00Z')), 'join', 'a join with it');
-- This KEK has the same key check value as the KEK of another label.  The label decides which KEK is used.
SELECT key_vault.kek_import('new-kek', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
PREPARE waiting AS SELECT payload, status FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 12:50Z' AND '2024-05-01 12:52Z';
SELECT results_eq('waiting', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted'), ('\x0167010e02684a', 'decrypted')$$, 'the KEK is imported, and they are read');
SELECT key_vault.kek_suspend('new-kek', 1) \g /dev/null
SELECT results_eq('waiting', $$VALUES (NULL::bytea, 'envelope not opened'), (NULL, 'envelope not opened')$$, 'the KEK is suspended');
SELECT key_vault.kek_resume('new-kek', 1), key_vault.kek_rotate('new-kek') \g /dev/null
SELECT results_eq('waiting', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted'), ('\x0167010e02684a', 'decrypted')$$, 'and rotated: with the version that fits');
-- Only roles that may decrypt under the label of the envelope can read the uplinks meanwhile.
CREATE ROLE waiting_reader;
GRANT USAGE ON SCHEMA lorawan TO waiting_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA lorawan TO waiting_reader;
SELECT key_vault.kek_grant('lorawan', 'waiting_reader', 'decrypt') \g /dev/null
SET ROLE waiting_reader;
SELECT results_eq('waiting', $$VALUES (NULL::bytea, 'envelope not opened'), (NULL, 'envelope not opened')$$, 'a reader without decrypt on the label of the envelope');
RESET ROLE;
SELECT key_vault.kek_grant('new-kek', 'waiting_reader', 'decrypt') \g /dev/null
SET ROLE waiting_reader;
SELECT results_eq('waiting', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted'), ('\x0167010e02684a', 'decrypted')$$, 'a reader with it');
RESET ROLE;
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (2::bigint, 1::bigint, 1::bigint)', 'replay_rejected() opens the envelopes');
SELECT is(array_agg(payload), array_fill('\x0167010e02684a'::bytea, ARRAY[3]), 'and the uplinks are decrypted') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 12:50Z' AND '2024-05-01 12:54Z';
SELECT is(reason, 'session 00000000000000000000000000000008 of device 0004a30b001c0530 has another key', 'what had another key stays rejected') FROM lorawan.rejected;
-- The next message of the session also opens its envelope.
SELECT lorawan.ingest(pg_temp.tts(pg_temp.at(55) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACg==", "app_s_key": {"kek_label": "newer-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
SELECT key_vault.kek_import('newer-kek', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
SELECT lorawan.ingest(pg_temp.tts(pg_temp.at(56) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACg==", "app_s_key": {"kek_label": "newer-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
SELECT is(array_agg(payload), array_fill('\x0167010e02684a'::bytea, ARRAY[2]), 'the next uplink of a session brings its key') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 12:55Z' AND '2024-05-01 12:57Z';
SELECT is(key_vault.kek_label(app_s_key), 'lorawan', 'under the KEK at rest') FROM lorawan.session WHERE session_key_id = '\x0000000000000000000000000000000a';
-- An envelope that the imported KEK does not open
SELECT lorawan.ingest(pg_temp.tts(pg_temp.at(58) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACw==", "app_s_key": {"kek_label": "wrong-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
SELECT key_vault.kek_import('wrong-kek', '\x000102030405060708090a0b0c0d0e00') \g /dev/null
SELECT is(opened, 0::bigint, 'an envelope that does not open') FROM lorawan.replay_rejected();
SELECT is(status, 'envelope not opened', 'stays') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 12:58:00.24Z';
TRUNCATE lorawan.rejected CASCADE;

-- One bad key does not fail a report.
UPDATE lorawan.session SET app_s_key = regexp_replace(app_s_key::text, ':[-0-9a-f]{36}:', ':00112233-4455-6677-8899-aabbccddeeff:')::key_vault.wrapped_key WHERE session_key_id = '\x00000000000000000000000000000008';
UPDATE lorawan.session SET app_s_key = key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'lorawan'), '\x00000001') WHERE session_key_id = '\x0000000000000000000000000000000a';
SELECT results_eq('SELECT status, count(*), count(payload) FROM lorawan.uplink_decrypted WHERE received_at > ''2024-05-01 12:40:00.5Z'' GROUP BY 1 ORDER BY status COLLATE "C"',
    $$VALUES ('KEK unknown', 2::bigint, 0::bigint), ('decrypted', 3, 3), ('envelope not opened', 1, 0), ('other DevAddr', 2, 0), ('plain', 1, 1)$$, 'bad keys have a status, the others are decrypted');
SELECT key_vault.kek_destroy('lorawan', 1, true), key_vault.kek_destroy('lorawan', 2, true) \g /dev/null
SELECT is(array_agg(DISTINCT status COLLATE "C"), '{"KEK destroyed","KEK unknown","envelope not opened",plain}', 'a destroyed KEK') FROM lorawan.uplink_decrypted;

--
-- Another storage, for messages that could be lost or mixed up without an error
--
SELECT key_vault.kek_create('edges'), key_vault.kek_create('edges app1'), key_vault.kek_create('edges cs') \g /dev/null
CALL key_vault.create_storage('edges');
CREATE FUNCTION pg_temp.base64(bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT replace(encode(bytes, 'base64'), E'\n', '')$$;

-- ChirpStack's counters have 32 bits, too.
SELECT is(array_agg(edges.ingest(pg_temp.cs() || jsonb_build_object('fCnt', f_cnt, 'data', pg_temp.base64(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc588', '\x01fa8b2c', f_cnt, 'text'))))),
          '{uplink,uplink,uplink}', 'ChirpStack''s counters of 32 bits') FROM unnest('{65535,65536,4294967295}'::bigint[]) f_cnt;
SELECT results_eq('SELECT f_cnt, payload FROM edges.uplink_decrypted ORDER BY 1', $$VALUES (65535::bigint, 'text'::bytea), (65536, 'text'), (4294967295, 'text')$$, 'decrypt past 65535');
TRUNCATE edges.uplink;

-- Times with a zone: RFC 3339, section 5.6; 12:00 UTC is 14:00 at +02:00 and 08:30 at -03:30.
SELECT is(array_agg(edges.ingest(pg_temp.cs() || jsonb_build_object('time', t, 'fCnt', n))), '{uplink,uplink,uplink}', 'times with a zone')
  FROM unnest('{2024-05-01T14:00:00.25+02:00,2024-05-01T08:30:00.25-03:30,2024-05-01T12:00:00.25+00:00}'::text[]) WITH ORDINALITY u (t, n);
SELECT results_eq('SELECT DISTINCT received_at FROM edges.uplink', $$VALUES ('2024-05-01 12:00:00.25Z'::timestamptz)$$, 'are the same time');
TRUNCATE edges.uplink;

-- The times are read as PostgreSQL itself reads them: edges of the calendar, of the clock and of rounding.
CREATE TEMP TABLE edge_time (t text);
INSERT INTO edge_time VALUES ('0001-01-01T00:00:00Z'), ('1980-01-06T00:00:18.5Z'), ('2024-02-29T23:59:59.9999995Z'), ('2020-02-29T00:00:00.0000005Z'), ('2014-12-31T23:59:59Z'), ('2015-01-01T00:00:00+14:00'), ('2024-12-31T23:59:60Z'),
    ('9999-12-31T23:59:59.999999Z'), ('2024-05-01T00:00:00.123456789+15:59'), ('2024-05-01T00:00:00.1-15:59'), ('2019-12-31T23:59:59.000001Z');
SELECT results_eq('SELECT e.received_at FROM edge_time, key_vault.storage_events(pg_temp.cs() || jsonb_build_object(''time'', t)) e', 'SELECT CASE WHEN t >= ''2015'' THEN t::timestamptz END FROM edge_time', 'edges of times');

-- An uplink without a session key id is stored once, too.  An uplink that differs in anything that says how to read
-- it is another uplink.
SELECT is(edges.ingest(pg_temp.cs() - 'joinServerContext'), 'uplink', 'an uplink without a session key id');
SELECT is(edges.ingest(pg_temp.cs() - 'joinServerContext'), 'duplicate', 'again');
SELECT is(edges.ingest(pg_temp.tts()), 'uplink', 'an uplink');
SELECT is(edges.ingest(message), 'rejected', 'at the same time and counter, but ' || what)
  FROM (VALUES (1, 'of another port', pg_temp.tts('{"f_port": 3}')), (2, 'in the clear', pg_temp.tts('{"decoded_payload": {}}', 'app_s_key', 'last_a_f_cnt_down')),
               (3, 'of another DevAddr', jsonb_set(pg_temp.cs() - 'joinServerContext', '{devAddr}', '"01fa8b2d"'))) v (n, what, message) ORDER BY n;
SELECT is(count(*), 2::bigint, 'nothing is stored twice') FROM edges.uplink;
SELECT results_eq('SELECT reason, count(*) FROM edges.rejected GROUP BY 1 ORDER BY reason COLLATE "C"',
    $$VALUES ('another uplink of device 0004a30b001c0530 with f_cnt 65538 of that time is stored', 2::bigint), ('another uplink of device 0102030405060708 with f_cnt 1042 of that time is stored', 1)$$, 'nor dropped');
TRUNCATE edges.uplink, edges.rejected CASCADE;
SELECT is(edges.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queue_invalidated": {"downlinks": [{"f_port": 3, "frm_payload": "AQI="}, {"f_port": 3, "frm_payload": "AQI="}]}}'), 'downlink', 'two downlinks without counters, the same');
SELECT is(array_agg(item ORDER BY item), '{1,2}', 'are two') FROM edges.downlink;
SELECT is(edges.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queued": {"f_port": 3, "frm_payload": "AQI="}}'), 'downlink', 'a downlink');
SELECT is(edges.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queued": {"f_port": 3, "frm_payload": "AQM="}}'), 'rejected', 'another of that time');
SELECT is(edges.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queued": {"f_port": 4, "frm_payload": "AQI="}}'), 'rejected', 'on another port');
SELECT is(edges.ingest(pg_temp.tts() - 'uplink_message' || '{"downlink_queued": {"f_port": 3, "frm_payload": "AQI="}}'), 'duplicate', 'the same');
SELECT results_eq('SELECT reason, count(*) FROM edges.rejected GROUP BY 1', $$VALUES ('another downlink of device 0004a30b001c0530 with f_cnt 0 of that time is stored', 2::bigint)$$, 'they are not dropped');
TRUNCATE edges.session, edges.rejected CASCADE;

-- Where ChirpStack gives no session key id, each envelope means a session of its own, the same one for the join and
-- its uplinks.  The second key is another device's, as above.
CREATE FUNCTION pg_temp.cs_of(encrypted_key text, at text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$SELECT jsonb_set(pg_temp.cs(), '{joinServerContext,appSKey,aesKey}', to_jsonb(encrypted_key)) || jsonb_build_object('time', at)$$;
SELECT is(array_agg(edges.ingest(pg_temp.cs_of(k, format('2024-05-01T12:0%s:00Z', n)))), '{uplink,uplink,uplink}', 'uplinks of two sessions without an id')
  FROM unnest('{7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo,CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA,7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo}'::text[]) WITH ORDINALITY u (k, n);
SELECT is(edges.ingest(pg_temp.cs_of('CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA', '2024-05-01T12:01:30Z') - '{data,fCnt,fPort}'::text[]), 'join', 'the join of the second, late');
SELECT results_eq('SELECT key_vault.unwrap(s.app_s_key), s.started_at, count(*) FROM edges.uplink u JOIN edges.session s USING (dev_eui, session_key_id) GROUP BY s.dev_eui, s.session_key_id ORDER BY 2',
    $$VALUES ('\xec925802ae430ca77fd3dd73cb2cc588'::bytea, '2024-05-01 12:01Z'::timestamptz, 2::bigint), ('\xec925802ae430ca77fd3dd73cb2cc580', '2024-05-01 12:01:30Z', 1)$$, 'each in its own');
TRUNCATE edges.uplink, edges.session;

-- Two devices, of two join servers, with the same session key id
SELECT is(edges.ingest(pg_temp.tts()), 'uplink', 'a session');
SELECT is(edges.ingest(pg_temp.tts(jsonb_build_object('app_s_key', '{"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}'::jsonb, 'frm_payload', pg_temp.base64(pg_temp.crypt('\xec925802ae430ca77fd3dd73cb2cc580', '\x260B1235', 65538, 'other'))))
    || '{"end_device_ids": {"dev_eui": "0004A30B001C0531", "dev_addr": "260B1235", "device_id": "dev2", "application_ids": {"application_id": "app1"}}}'), 'uplink', 'another device''s of the same id');
SELECT results_eq('SELECT device_id, payload, status FROM edges.uplink_decrypted ORDER BY dev_eui', $$VALUES ('dev1', '\x0167010e02684a'::bytea, 'decrypted'), ('dev2', 'other', 'decrypted')$$, 'each is read with its own key');
SELECT results_eq('SELECT device_id, payload, status FROM edges.device_latest ORDER BY dev_eui', $$VALUES ('dev1', '\x0167010e02684a'::bytea, 'decrypted'), ('dev2', 'other', 'decrypted')$$, 'as the latest, too');
SELECT is(edges.ingest(pg_temp.tts('{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')), 'uplink', 'another session of the first, the same bytes at the same time and counter');
SELECT results_eq('SELECT payload FROM edges.uplink_decrypted WHERE device_id = ''dev1'' ORDER BY session_key_id', $$VALUES ('\xd3acabad76d801'::bytea), ('\x0167010e02684a')$$, 'is no duplicate');
TRUNCATE edges.uplink, edges.session;

-- Another DevAddr for a session, in a message that is earlier than the first one of the session
SELECT edges.ingest(pg_temp.tts()) \g /dev/null
SELECT is(edges.ingest(jsonb_set(pg_temp.tts('{"received_at": "2024-05-01T11:00:00Z"}'), '{end_device_ids,dev_addr}', '"260B9999"')), 'rejected', 'an earlier message with another DevAddr');
SELECT results_eq('SELECT dev_addr, started_at FROM edges.session WHERE dev_eui = ''\x0004A30B001C0530''', $$VALUES ('\x260B1234'::bytea, '2024-05-01 12:00:00.24Z'::timestamptz)$$, 'does not change the session');
SELECT is(status, 'decrypted', 'nor its uplinks') FROM edges.uplink_decrypted;
TRUNCATE edges.uplink, edges.session, edges.rejected CASCADE;

-- Several plaintext keys in a message, of which the session's is not the first: each is kept in its place.
CREATE FUNCTION pg_temp.with_keys(changes jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
SELECT pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}' || changes)
       || '{"a": {"f_nwk_s_int_key": {"key": "00000000000000000000000000000001"}}, "z": {"s_nwk_s_int_key": {"key": "00000000000000000000000000000002"}}}'$$;
SELECT is(edges.ingest(pg_temp.with_keys('{}')), 'uplink', 'a message with three keys');
SELECT is(edges.ingest(jsonb_set(pg_temp.with_keys(pg_temp.at(1) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAADA=="}'), '{end_device_ids,dev_eui}', '""')), 'rejected', 'another, rejected');
SELECT is(edges.ingest(jsonb_build_object('result', pg_temp.with_keys(pg_temp.at(2) || '{"f_cnt": -1}'))), 'rejected', 'and another, from the Storage Integration API');
SELECT is(array_agg(key_vault.unwrap(key) ORDER BY rejected_id, n), ARRAY['\x00000000000000000000000000000001', '\x00000000000000000000000000000002', '\xec925802ae430ca77fd3dd73cb2cc588', '\x00000000000000000000000000000001', '\x00000000000000000000000000000002', '\xec925802ae430ca77fd3dd73cb2cc588']::bytea[], 'their keys') FROM edges.rejected_key;
SELECT results_eq('SELECT * FROM edges.replay_rejected()', 'VALUES (0::bigint, 0::bigint, 2::bigint)', 'tried again in vain');
SELECT is(edges.ingest(jsonb_build_object('result', pg_temp.with_keys(pg_temp.at(2) || '{"f_cnt": -1}'))), 'rejected', 'and delivered again');
SELECT results_eq('SELECT count(DISTINCT r.id), count(DISTINCT r.tries), count(*) FROM edges.rejected r JOIN edges.rejected_key ON rejected_id = id', 'VALUES (2::bigint, 2::bigint, 6::bigint)', 'they are kept once, with their keys');
UPDATE edges.rejected SET message = jsonb_set(message, '{end_device_ids,dev_eui}', '"0004A30B001C0530"');
SELECT is(stored, 1::bigint, 'one is mended') FROM edges.replay_rejected();
SELECT results_eq('SELECT payload, status FROM edges.uplink_decrypted', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted'), ('\x0167010e02684a', 'decrypted')$$, 'and both are decrypted');
TRUNCATE edges.uplink, edges.session, edges.rejected CASCADE;

-- An application with a KEK label of its own: its keys come under that label, also the keys of earlier sessions that
-- come late.  They are bound to their DevAddr in each case.
SELECT is(edges.ingest(pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'a session under the common label');
SELECT is(edges.ingest(pg_temp.tts(pg_temp.at(1) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAADQ==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'uplink', 'one whose KEK is not there yet');
SELECT is(edges.ingest(jsonb_set(pg_temp.tts(pg_temp.at(2) || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAADg==", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}'), '{end_device_ids,dev_eui}', '""')), 'rejected', 'one that is rejected');
INSERT INTO edges.application VALUES ('app1', 'edges app1'), ('17c82e96-be03-4f38-aef3-f83d48582d97', 'edges cs');
SELECT is(edges.ingest(pg_temp.tts(pg_temp.at(3) || '{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'the first again, now that its application has a label');
SELECT is(edges.ingest(pg_temp.cs()), 'uplink', 'ChirpStack''s');
SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
UPDATE edges.rejected SET message = jsonb_set(message, '{end_device_ids,dev_eui}', '"0004A30B001C0530"');
SELECT results_eq('SELECT * FROM edges.replay_rejected()', 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'the KEK is there, and the message mended');
SELECT results_eq('SELECT right(encode(session_key_id, ''hex''), 2), key_vault.kek_label(app_s_key), key_vault.bound_dev_addr(app_s_key) = dev_addr FROM edges.session WHERE dev_eui = ''\x0004A30B001C0530'' ORDER BY 1',
    $$VALUES ('0d', 'edges app1', true), ('0e', 'edges app1', true), ('ee', 'edges', true)$$, 'each under the label of its time, and bound');
SELECT results_eq('SELECT key_vault.kek_label(app_s_key), key_vault.bound_dev_addr(app_s_key) FROM edges.session WHERE dev_eui = ''\x0102030405060708''', $$VALUES ('edges cs', '\x01fa8b2c'::bytea)$$, 'ChirpStack''s too');
SELECT is(array_agg(payload), array_fill('\x0167010e02684a'::bytea, ARRAY[5]), 'and all are decrypted') FROM edges.uplink_decrypted;
TRUNCATE edges.uplink, edges.session, edges.application;

-- Lines that are not JSON, with lengths around those of the pieces in which they are wrapped
INSERT INTO edges.inbox SELECT repeat('x', size - 1) || 'y' FROM unnest('{1,4095,4096,4097,8192,8193}'::integer[]) size;
SELECT results_eq('SELECT r.digest = sha256(l.line), get_byte(l.line, octet_length(l.line) - 1) = ascii(''y''), octet_length(l.line) FROM edges.rejected r, LATERAL (SELECT string_agg(key_vault.unwrap(k.key), '''' ORDER BY k.n) AS line FROM edges.rejected_key k WHERE k.rejected_id = r.id) l ORDER BY r.id',
    'SELECT true, true, size FROM unnest(''{1,4095,4096,4097,8192,8193}''::integer[]) size', 'lines of any length are kept to the last byte');
TRUNCATE edges.rejected CASCADE;

SELECT * FROM finish();
ROLLBACK;
