--
-- A storage and messages that nobody sends on purpose: keys in odd places, very deep and very large JSON, text that
-- PostgreSQL cannot store, more members of The Things Stack's and ChirpStack's messages.
--
-- The uplinks are the example in demo/messages, whose payload under its key is 0167010e02684a, and frames with other
-- counters under the same key, made with python3-cryptography's AES in ECB mode over the block A_1 of LoRaWAN L2
-- 1.0.4, section 4.3.3.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';

-- Before there is any KEK: a join without a key, and an uplink of its session.
CALL key_vault.create_storage('early');
SELECT early.ingest('{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T11:00:00Z","deviceInfo":{"applicationId":"app1","devEui":"0102030405060708"},"devAddr":"01fa8b2c","joinServerContext":{"sessionKeyId":"01"}}'::jsonb),
       early.ingest('{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T12:00:00Z","deviceInfo":{"applicationId":"app1","devEui":"0102030405060708"},"devAddr":"01fa8b2c","fCnt":1042,"fPort":2,"data":"BqiSEvuAbQ==","joinServerContext":{"sessionKeyId":"01"}}'::jsonb) \g /dev/null
SELECT results_eq('SELECT payload, status FROM early.uplink_decrypted', $$VALUES (NULL::bytea, 'no key')$$, 'a session without a key, in a database without KEKs');

SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan', keep_messages => true);

CREATE FUNCTION pg_temp.tts(minute integer, uplink jsonb DEFAULT '{}', top jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","join_eui":"800000000000000C","dev_addr":"260B1234"}'::jsonb,
    'correlation_ids', '["as:up:01H"]'::jsonb, 'received_at', '2024-05-01T23:59:59Z',
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-01T%s:%s:00.123456789Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || uplink) || top $$;
CREATE FUNCTION pg_temp.cs(minute integer, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
 "deviceInfo":{"tenantId":"52f14cd4-c6f1-4fbd-8f87-4025e1d49242","tenantName":"t","applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","applicationName":"a","deviceProfileId":"14855bf7-d10d-4aee-b618-ebfcb64dc7ad","deviceProfileName":"p","deviceName":"dev1","devEui":"0102030405060708","deviceClassEnabled":"CLASS_A","tags":{"a":"b"}},
 "devAddr":"01fa8b2c","adr":true,"dr":5,"fCnt":1042,"fPort":2,"confirmed":false,"data":"BqiSEvuAbQ==","object":null,
 "rxInfo":[{"gatewayId":"0016c001f153a14c","uplinkId":7895,"rssi":-52,"snr":13.75,"context":"xwx0GQ==","metadata":{"region_common_name":"EU868"},"crcStatus":"CRC_OK"}],
 "txInfo":{"frequency":867300000,"modulation":{"lora":{"bandwidth":125000,"spreadingFactor":7,"codeRate":"CR_4_5"}}},
 "joinServerContext":{"sessionKeyId":"","appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}},"regionConfigId":"eu868"}'::jsonb
 || jsonb_build_object('time', format('2024-05-01T%s:%s:00Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes $$;
\ir storage_places.psql

--
-- Members that the network servers add to an uplink, as their documentation shows them
--
SELECT is(lorawan.ingest(pg_temp.tts(0, '{"confirmed": true, "consumed_airtime": "0.056576s", "packet_error_rate": 0.1, "last_battery_percentage": {"f_cnt": 2, "value": 93.5}, "version_ids": {"brand_id": "the-things-products", "model_id": "the-things-uno"},
    "locations": {"user": {"latitude": 37.97, "longitude": 23.72, "altitude": 10, "source": "SOURCE_REGISTRY"}}, "network_ids": {"net_id": "000013", "ns_id": "EC656E0000000181", "tenant_id": "t", "cluster_id": "eu1"},
    "settings": {"data_rate": {"lora": {"bandwidth": 125000, "spreading_factor": 7, "coding_rate": "4/5"}}, "frequency": "868300000", "timestamp": 2463457000}, "attributes": {"key1": "value1"}}', '{"simulated": true}')), 'uplink', 'an uplink of The Things Stack with all that it may have');
SELECT is(lorawan.ingest(pg_temp.tts(0)), 'duplicate', 'is the same without');
SELECT is(lorawan.ingest(pg_temp.tts(1, '{"app_s_key": null, "frm_payload": "AWcBDgJoSg==", "decoded_payload": {"temperature": 27.0}, "normalized_payload": [{"air": {"temperature": 27.0}}], "decoded_payload_warnings": []}')), 'uplink', 'a decrypted one with what formatters add');
SELECT is(lorawan.ingest(pg_temp.cs(0, '{"relayRxInfo": {"devEui": "0807060504030201", "frequency": 868100000, "dr": 5, "snr": 10, "rssi": -60, "worChannel": 0}}')), 'uplink', 'ChirpStack''s, by a relay');
SELECT is(lorawan.ingest(m), 'rejected', 'not stored: ' || name) FROM (VALUES
    ('uplink_normalized', pg_temp.tts(2) - 'uplink_message' || '{"uplink_normalized": {"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 2, "frm_payload": "AWcBDgJoSg==", "normalized_payload": {"air": {"temperature": 27.0}}}}'),
    ('location_solved', pg_temp.tts(2) - 'uplink_message' || '{"location_solved": {"service": "geo", "location": {"latitude": 1, "longitude": 2}}}'),
    ('service_data', pg_temp.tts(2) - 'uplink_message' || '{"service_data": {"service": "das", "data": {"a": 1}}}'),
    ('location', pg_temp.cs(2) - '{devAddr,adr,dr,fCnt,fPort,confirmed,data,object,joinServerContext,rxInfo,txInfo}'::text[] || '{"location": {"latitude": 1, "longitude": 2, "altitude": 0, "source": "GEO_RESOLVER_TDOA"}}'),
    ('log', pg_temp.cs(2) - '{devAddr,adr,dr,fCnt,fPort,confirmed,data,object,joinServerContext,rxInfo,txInfo}'::text[] || '{"level": "ERROR", "code": "UPLINK_CODEC", "description": "x", "context": {"deduplication_id": "x"}}'),
    ('integration', pg_temp.cs(2) - '{devAddr,adr,dr,fCnt,fPort,confirmed,data,joinServerContext,rxInfo,txInfo}'::text[] || '{"integrationName": "x", "eventType": "y", "object": {"data": 1, "fCnt": 1}}')) v (name, m);
SELECT is(array_agg(DISTINCT sqlstate), '{0A000}', 'since it is none of the events that are stored') FROM lorawan.rejected;
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted ORDER BY dev_eui, received_at',
    $$VALUES ('\x0167010e02684a'::bytea, 'decrypted'), ('\x0167010e02684a', 'plain'), ('\x0167010e02684a', 'decrypted')$$, 'the uplinks are read');
TRUNCATE lorawan.rejected CASCADE;

-- A join message also lists the downlinks that waited for the session before it.
CREATE FUNCTION pg_temp.tts_join(changes jsonb) RETURNS jsonb LANGUAGE sql AS $$
SELECT pg_temp.tts(2) - 'uplink_message' || jsonb_build_object('join_accept', '{"session_key_id": "AAAAAAAAAAAAAAAAAAAACQ==", "received_at": "2024-05-01T00:02:00Z", "pending_session": true, "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb || changes) $$;
SELECT is(lorawan.ingest(pg_temp.tts_join('{"invalidated_downlinks": null}')), 'join', 'a join');
SELECT is(lorawan.ingest(pg_temp.tts_join('{"invalidated_downlinks": [{"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 5, "f_cnt": 4, "frm_payload": "AQI=", "priority": "NORMAL"}, {"f_port": 5, "f_cnt": 5, "frm_payload": "AwQ="}]}')), 'join', 'with downlinks that waited');
SELECT is(lorawan.ingest(pg_temp.tts_join('{"invalidated_downlinks": [{"session_key_id": "AYfC0bag8+RHWGmqu8zd7g==", "f_port": 5, "f_cnt": 4, "frm_payload": "AQI=", "priority": "NORMAL"}]}')), 'join', 'again');
SELECT results_eq('SELECT event, received_at, session_key_id, f_port::integer, f_cnt, frm_payload, item, dev_addr FROM lorawan.downlink ORDER BY item',
    $$VALUES ('invalidated', '2024-05-01 00:02Z'::timestamptz, '\x0187c2d1b6a0f3e4475869aabbccddee'::bytea, 5, 4::bigint, '\x0102'::bytea, 1, NULL::bytea), ('invalidated', '2024-05-01 00:02Z', NULL, 5, 5, '\x0304', 2, NULL)$$, 'keeps them, each once, and not as the new session''s');
SELECT is(count(app_s_key), 1::bigint, 'and the session with its key') FROM lorawan.session WHERE session_key_id = '\x00000000000000000000000000000009';
SELECT is(lorawan.ingest(pg_temp.tts_join('{"session_key_id": "AAAAAAAAAAAAAAAAAAAACA==", "invalidated_downlinks": [7]}')), 'rejected', 'one that is none');
SELECT is(reason, 'downlink of join_accept.invalidated_downlinks is not an object', 'is no join either') FROM lorawan.rejected;
SELECT is(lorawan.ingest(pg_temp.tts(2) - 'uplink_message' || '{"downlink_queue_invalidated": {"downlinks": null, "last_f_cnt_down": 9}}'), 'downlink', 'null for an empty queue');
TRUNCATE lorawan.rejected CASCADE;

-- The Storage Integration API wraps the message in an object of its own.
SELECT is(lorawan.ingest(pg_temp.tts(3, '{}', '{"result": {"ok": true}}')), 'uplink', 'an uplink that has a member "result"');
SELECT is(message -> 'result', '{"ok": true}', 'is not taken for it') FROM lorawan.uplink WHERE received_at = '2024-05-01 00:03:00.123457Z';
SELECT is(lorawan.ingest(jsonb_build_object('result', pg_temp.tts(4), 'more', 1)), 'rejected', 'an object "result" and something else');
SELECT is(message, jsonb_build_object('result', pg_temp.tts(4), 'more', 1), 'is kept whole') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;

-- A counter that is not a number is no counter: it is not taken for 0.
SELECT is(lorawan.ingest(pg_temp.tts(5, '{"f_cnt": ""}')), 'rejected', 'an empty string as counter');
SELECT is(lorawan.ingest(pg_temp.cs(5, '{"fCnt": ""}')), 'rejected', 'of ChirpStack');
SELECT is(array_agg(reason ORDER BY id), '{uplink_message.f_cnt is not an integer from 0 to 4294967295,fCnt is not an integer from 0 to 4294967295}', 'is not 0') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;
SELECT is(array_agg(lorawan.ingest(pg_temp.tts(5 + n::integer, jsonb_build_object('f_cnt', f_cnt, 'frm_payload', frm_payload))) ORDER BY n), '{uplink,uplink,uplink}', 'a string, an exponent, null')
  FROM (VALUES (1, '"65537"'::jsonb, 'Vzf60Q=='), (2, '6.5538e4', 'WxMnow=='), (3, 'null', 'euO0kw==')) v (n, f_cnt, frm_payload);
SELECT results_eq($$SELECT f_cnt, payload FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 00:06Z' AND '2024-05-01 00:09Z' ORDER BY received_at$$,
    $$VALUES (65537::bigint, 'text'::bytea), (65538, 'text'), (0, 'text')$$, 'are counters');

--
-- Keys in odd places: every value whose name ends in "key" may be one
--
SELECT is(lorawan.ingest(pg_temp.tts(20, '{"app_s_key": {"value": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}}')), 'rejected', 'a key in a member of an envelope');
SELECT is(reason, 'uplink_message.app_s_key holds no key of 16 bytes and no wrapped one', 'that none knows') FROM lorawan.rejected;
SELECT is(lorawan.ingest(pg_temp.tts(21, '{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo", "value": "A1B2C3D4E5F60718293A4B5C6D7E8F90", "version": 7}}')), 'uplink', 'beside the wrapped key');
SELECT is(lorawan.ingest(pg_temp.tts(22, '{}', '{"nwkSKey": {"deep": {"list": ["A1B2C3D4E5F60718293A4B5C6D7E8F90"], "hex": "a1b2c3d4e5f60718293a4b5c6d7e8f90"}}, "x": [[{"AppKey": {"v": "obLD1OX2BxgpOktcbX6PkA=="}}]]}')), 'uplink', 'in objects within');
SELECT is(lorawan.ingest(pg_temp.tts(23, '{}', '{"NWK_S_KEY": {"uplink_message": {"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}, "value": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}}')), 'uplink', 'beside what looks like the message');
SELECT is(lorawan.ingest(pg_temp.cs(24, '{"joinServerContext": {"sessionKeyId": "0a0b", "appSKey": {"kekLabel": "", "AESKey": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}}}')), 'rejected', 'under the name of the Backend Interfaces');
SELECT is(lorawan.ingest('{"app_s_key": {"key": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}, ' || substr(pg_temp.tts(25)::text, 2)), 'uplink', 'a name twice');
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'is written nowhere');
SELECT is(count(*), 4::bigint, 'and the uplinks are decrypted') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 00:20Z' AND '2024-05-01 00:26Z' AND payload = '\x0167010e02684a';
SELECT is((message #> '{uplink_message,app_s_key}') - '{value,version}'::text[], '{"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}', 'labels and wrapped keys stay') FROM lorawan.uplink WHERE received_at = '2024-05-01 00:21:00.123457Z';
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(pg_temp.tts(26, '{"app_s_key": {"kekLabel": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'rejected', 'an envelope with one name of each stack');
SELECT is(reason, 'uplink_message.app_s_key.kek_label is missing', 'and its reason') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;

-- The inbox stays empty whatever session_replication_role is.
SET session_replication_role = replica;
INSERT INTO lorawan.inbox VALUES (pg_temp.tts(27, '{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')::text);
RESET session_replication_role;
SELECT is_empty('SELECT * FROM lorawan.inbox', 'nothing is written to the inbox');
SELECT is(payload, '\x0167010e02684a', 'but to the storage') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 00:27:00.123457Z';

--
-- Deep and large
--
SELECT is(lorawan.ingest(regexp_replace(pg_temp.tts(30)::text, '}$', ',"x":' || repeat('[', 2000) || repeat(']', 2000) || '}')), 'uplink', 'very deep JSON');
SELECT is(lorawan.ingest(regexp_replace(pg_temp.tts(30, '{"f_cnt": 65537, "frm_payload": "Vzf60Q=="}')::text, '}$', ',"x":' || repeat('{"a":', 2000) || '{"app_key":"A1B2C3D4E5F60718293A4B5C6D7E8F90"}' || repeat('}', 2000) || '}')), 'uplink', 'with a key at its depth');
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'which is wrapped');
SELECT is(lorawan.ingest(regexp_replace(pg_temp.tts(31)::text, '}$', ',"x":' || repeat('{"a":', 5000) || '{"app_key":"A1B2C3D4E5F60718293A4B5C6D7E8F90"}' || repeat('}', 5000) || '}')), 'rejected', 'too deep to look for keys in it');
SELECT is(reason, 'line is nested too deep', 'is not an error each time that it comes') FROM lorawan.rejected;
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'but wrapped whole');
SELECT is(convert_from(string_agg(key_vault.unwrap(key), '' ORDER BY n), 'UTF8')::jsonb #>> '{uplink_message,frm_payload}', 'LhFe2aRcmQ==', 'for who may unwrap') FROM lorawan.rejected_key;
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(pg_temp.tts(32, '{}', (SELECT jsonb_object_agg(i || '_key', 'A1B2C3D4E5F60718293A4B5C6D7E8F90') FROM generate_series(1, 999) i))), 'rejected', 'more than 1000 keys');
SELECT is(reason, 'message is not looked through for keys: message has more than 1000 keys', 'likewise') FROM lorawan.rejected;
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'wrapped whole');
TRUNCATE lorawan.rejected CASCADE;
-- One key in a megabyte of JSON.  The limit shows a time that grows with the square of the length: 4 MB would take a
-- minute.
SET statement_timeout = '30s';
SELECT is(lorawan.ingest(pg_temp.tts(33, '{}', jsonb_build_object('list', (SELECT jsonb_agg(jsonb_build_object('a', i)) FROM generate_series(1, 60000) i) || '[{"app_key": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}]'))), 'uplink', 'a megabyte of objects in a list, one with a key');
SELECT is(lorawan.ingest(pg_temp.tts(34, '{}', (SELECT jsonb_object_agg('member ' || i, i) FROM generate_series(1, 60000) i) || '{"app_key": "A1B2C3D4E5F60718293A4B5C6D7E8F90"}')), 'uplink', 'a megabyte of members');
RESET statement_timeout;
SELECT is_empty($$SELECT pg_temp.places('\xA1B2C3D4E5F60718293A4B5C6D7E8F90')$$, 'the key is found');
SELECT is(jsonb_array_length(message -> 'list'), 60001, 'and all else is kept') FROM lorawan.uplink WHERE received_at = '2024-05-01 00:33:00.123457Z';

--
-- Text that PostgreSQL cannot store
--
-- Such characters become U+FFFD, or a question mark in an encoding that does not have U+FFFD.
SELECT getdatabaseencoding() AS encoding, CASE getdatabaseencoding() WHEN 'UTF8' THEN '\ufffd' ELSE '?' END AS nul \gset
SELECT is(lorawan.ingest(replace(pg_temp.tts(40, '{"decoded_payload": {"text": "a\\u0000", "nul": "NULNUL\\NUL"}}')::text, 'NUL', '\u0000')), 'uplink', '\u0000, as a payload formatter may write it');
SELECT is(message #> '{uplink_message,decoded_payload}', replace('{"nul": "NULNUL\\NUL", "text": "a\\u0000"}', 'NUL', :'nul')::jsonb, 'is U+FFFD, and what only looks like it stays') FROM lorawan.uplink WHERE received_at = '2024-05-01 00:40:00.123457Z';
SELECT is(lorawan.ingest(replace(pg_temp.tts(42, '{"decoded_payload": {"text": "CJK"}}')::text, 'CJK', '\u4e2d')), CASE :'encoding' WHEN 'UTF8' THEN 'uplink' ELSE 'rejected' END, 'a character that not every encoding has');
SELECT is((SELECT max(reason) FROM lorawan.rejected WHERE reason LIKE '%encoding%'), CASE WHEN :'encoding' <> 'UTF8' THEN format('line has characters that a database of encoding %s cannot have', :'encoding') END, 'is rejected in one of those that have not');
DELETE FROM lorawan.rejected WHERE reason LIKE '%encoding%';
-- Bytes that are not UTF-8, which a database with the encoding SQL_ASCII accepts
SELECT CASE :'encoding' WHEN 'SQL_ASCII' THEN chr(233) ELSE 'e' END AS high \gset
SELECT is(lorawan.ingest(replace(pg_temp.tts(43, '{"decoded_payload": {"text": "HIGH"}}')::text, 'HIGH', :'high')), 'uplink', 'a byte that is no UTF-8');
SELECT is(lorawan.ingest('no JSON ' || :'high'), 'rejected', 'in a line that is no JSON');
DELETE FROM lorawan.rejected WHERE message IS NULL AND id = (SELECT max(id) FROM lorawan.rejected);
SELECT is(payload, '\x0167010e02684a', 'the uplink is decrypted') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 00:40:00.123457Z';
SELECT is(lorawan.ingest('{"a": "\u0000", "b": "\ud800"}'), 'rejected', 'half of a surrogate pair beside it');
SELECT is(reason, 'line is not a JSON object', 'is no JSON') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;

--
-- Names
--
CALL key_vault.create_storage('a$body$; SELECT 1 / 0; $body$', kek_label => 'lorawan');
SELECT is("a$body$; SELECT 1 / 0; $body$".ingest(pg_temp.tts(0)), 'uplink', 'a schema whose name would end the quotes of a function''s body');
SELECT throws_ok($$CALL key_vault.create_storage('$user')$$, '42602', 'schema of a storage must not be "$user"', 'a name that means another schema for each role');

--
-- replay_rejected() where one envelope's KEK cannot be used
--
SELECT lorawan.ingest(pg_temp.tts(50, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"kek_label": "forbidden", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')),
       lorawan.ingest(pg_temp.tts(51, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"kek_label": "allowed", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')),
       lorawan.ingest(jsonb_set(pg_temp.tts(52), '{end_device_ids,dev_eui}', '""')) \g /dev/null
UPDATE lorawan.rejected SET message = jsonb_set(message, '{end_device_ids,dev_eui}', '"0004A30B001C0530"');
CREATE ROLE ingester;
GRANT USAGE ON SCHEMA lorawan TO ingester;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan TO ingester;
GRANT DELETE ON lorawan.rejected TO ingester;
SELECT key_vault.kek_import('forbidden', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_import('allowed', '\x000102030405060708090a0b0c0d0e0f'),
       key_vault.kek_grant('app1-kek', 'ingester', 'unwrap'), key_vault.kek_grant('allowed', 'ingester', 'unwrap'), key_vault.kek_grant('lorawan', 'ingester', 'wrap') \g /dev/null
SET ROLE ingester;
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (1::bigint, 1::bigint, 0::bigint)', 'an envelope that is not the role''s to open holds up nothing else');
RESET ROLE;
SELECT lorawan.ingest(pg_temp.tts(53, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABA==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f') \g /dev/null
INSERT INTO lorawan.application VALUES ('app1', 'nowhere');
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (0::bigint, 0::bigint, 0::bigint)', 'nor does a KEK at rest that is not there');
DELETE FROM lorawan.application;
SELECT results_eq('SELECT * FROM lorawan.replay_rejected()', 'VALUES (2::bigint, 0::bigint, 0::bigint)', 'until that is mended');
SELECT is(array_agg(payload), array_fill('\x0167010e02684a'::bytea, ARRAY[4]), 'then all are decrypted') FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-01 00:50Z' AND '2024-05-01 00:54Z';

SELECT lorawan.ingest(jsonb_set(pg_temp.tts(54, jsonb_build_object('f_cnt', n)), '{end_device_ids,dev_eui}', '""')) FROM generate_series(1, 2) n \g /dev/null
UPDATE lorawan.rejected SET message = jsonb_set(message, '{end_device_ids,dev_eui}', '"0004A30B001C0530"');
SELECT results_eq('SELECT stored, rejected FROM lorawan.replay_rejected(ARRAY[(SELECT max(id) FROM lorawan.rejected)])', 'VALUES (1::bigint, 0::bigint)', 'one message by its id');
SELECT results_eq('SELECT stored, rejected FROM lorawan.replay_rejected(NULL::bigint[])', 'VALUES (0::bigint, 0::bigint)', 'no id is no message');
SELECT is(count(*), 1::bigint, 'the other stays') FROM lorawan.rejected;
DELETE FROM lorawan.rejected;
DELETE FROM lorawan.uplink WHERE received_at = '2024-05-01 00:54:00.123457Z';

--
-- A partition that was detached but not dropped does not end maintenance for ever.
--
UPDATE lorawan.uplink SET stored_at = received_at;
CALL key_vault.maintain_storage('lorawan');
ALTER TABLE lorawan.uplink DETACH PARTITION lorawan.uplink_20240501;
SELECT lorawan.ingest(pg_temp.tts(60)), lorawan.ingest(pg_temp.tts(61, '{"received_at": "2023-05-01T12:00:00Z"}')) \g /dev/null
UPDATE lorawan.uplink SET stored_at = received_at;
SELECT lives_ok($$CALL key_vault.maintain_storage('lorawan')$$, 'rows in the default partition of the time of one that was detached');
SELECT results_eq('SELECT tableoid::regclass::text, received_at FROM lorawan.uplink ORDER BY received_at',
    $$VALUES ('lorawan.uplink_20230501', '2023-05-01 12:00Z'::timestamptz), ('lorawan.uplink_default', '2024-05-01 01:00:00.123457Z')$$, 'stays in the default partition, and the rest is maintained');

-- Many objects side by side do not count as depth.
SELECT is(lorawan.ingest((pg_temp.cs(62, jsonb_build_object('object', (SELECT jsonb_agg('{}'::jsonb) FROM generate_series(1, 10000)))))::text), 'uplink', 'an uplink with a list of 10,000 objects');

-- A message that fails each time with an error of the server: its sender can have it put into rejected.
CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    IF NEW.f_cnt = 70000 THEN
        SET LOCAL transaction_read_only = on;
        DELETE FROM lorawan.device WHERE false;
    END IF;
    RETURN NEW;
END$$;
CREATE TRIGGER fail BEFORE INSERT ON lorawan.uplink FOR EACH ROW EXECUTE FUNCTION pg_temp.fail();
DELETE FROM lorawan.rejected;
SELECT throws_ok($$SELECT lorawan.ingest(pg_temp.tts(63, '{"f_cnt": 70000}'))$$, '25006', NULL, 'a message that fails for ever is an error');
SET LOCAL key_vault.reject_reason = 'it fails';
SELECT is(lorawan.ingest(pg_temp.tts(63, '{"f_cnt": 70000}')), 'rejected', 'its sender gives a reason to reject it');
INSERT INTO lorawan.inbox VALUES (pg_temp.tts(63, '{"f_cnt": 70001}')::text), ('no JSON');
SELECT lorawan.ingest(pg_temp.tts(63, '{"f_cnt": 70002, "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')) \g /dev/null
RESET key_vault.reject_reason;
SELECT results_eq('SELECT sqlstate, reason, message IS NULL, (SELECT count(*) FROM lorawan.rejected_key WHERE rejected_id = id) FROM lorawan.rejected ORDER BY id',
    $$VALUES ('P0001', 'it fails', false, 0::bigint), ('P0001', 'it fails', false, 0), ('22P02', 'line is not a JSON object', true, 1), ('P0001', 'it fails', false, 1)$$,
    'whatever it is, it is kept, with its keys wrapped');
SELECT is_empty('SELECT FROM lorawan.uplink WHERE f_cnt >= 70000', 'and not stored');
DROP TRIGGER fail ON lorawan.uplink;
SELECT results_eq('SELECT stored, rejected FROM lorawan.replay_rejected()', 'VALUES (3::bigint, 0::bigint)', 'once the cause is mended, all are stored');
SELECT results_eq('SELECT f_cnt FROM lorawan.uplink WHERE f_cnt >= 70000 ORDER BY 1', 'VALUES (70000::bigint), (70001), (70002)', 'each once');

SELECT * FROM finish();
ROLLBACK;
