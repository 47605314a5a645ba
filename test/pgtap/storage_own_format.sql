--
-- Events that a program or a function of the storage's owner translates for a storage: the member storage_event, and the
-- function read_message().
--
-- The payloads under the key EC925802AE430CA77FD3DD73CB2CC588 are those of demo/messages; whole frames were made by hand
-- from the fields, as LoRaWAN L2 1.0.4, section 4, lays them out (the MIC, which nobody checks here, is 01020304).
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan'), key_vault.kek_create('app2 at rest') \g /dev/null
CALL key_vault.create_storage('lorawan');
\ir storage_places.psql

-- An uplink whose payload is 0167010e02684a under the key in the envelope
CREATE FUNCTION pg_temp.event(changes jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"kind": "uplink", "received_at": "2024-05-01T12:00:00Z", "dev_eui": "0004A30B001C0530", "application_id": "app1", "device_id": "dev1", "dev_addr": "260B1234",
 "session_key_id": "0187", "f_port": 2, "f_cnt": 65538, "frm_payload": "2e115ed9a45c99", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb - without || changes $$;
CREATE FUNCTION pg_temp.own(changes jsonb DEFAULT '{}', without text[] DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('storage_event', pg_temp.event(changes, without)) $$;

--
-- Right ones
--
SELECT is(lorawan.ingest(pg_temp.own()), 'uplink', 'an uplink in the storage''s own form');
SELECT is(lorawan.ingest(pg_temp.own() || '{"original": {"counter": 1}}'), 'duplicate', 'is known again, whatever stands beside it');
SELECT is(lorawan.ingest(pg_temp.own()::text), 'duplicate', 'as text');
SELECT results_eq('SELECT received_at, application_id, device_id, dev_eui, dev_addr, session_key_id, f_cnt, f_port::integer, payload, status FROM lorawan.uplink_decrypted',
    $$VALUES ('2024-05-01 12:00Z'::timestamptz, 'app1', 'dev1', '\x0004a30b001c0530'::bytea, '\x260b1234'::bytea, '\x0187'::bytea, 65538::bigint, 2, '\x0167010e02684a'::bytea, 'decrypted')$$, 'and every field is in its column');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:01:00Z"}', '{app_s_key}') || '{"storage_event": {"encrypted": true}}'), 'rejected', 'a second member of that name takes the place of the first');
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:01:00Z", "encrypted": true}', '{app_s_key}')), 'uplink', 'without the key of a session that has it');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:02:00Z"}', '{app_s_key}')), 'uplink', 'without a word of how the payload is');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:03:00Z", "encrypted": false, "frm_payload": "0167010e02684a"}', '{app_s_key,session_key_id,dev_addr,device_id}')), 'uplink', 'plain');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:04:00Z"}', '{f_cnt}')), 'uplink', 'without a counter');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:05:00Z", "frm_payload": "", "f_port": 0, "f_cnt": 0}', '{device_id}')), 'uplink', 'empty, with counter 0');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-01T12:06:00+02:00", "dev_addr": null, "session_key_id": null, "app_s_key": null, "encrypted": null, "device_id": null}')), 'uplink', 'null is what is missing');
SELECT is(lorawan.ingest(pg_temp.own('{}', '{received_at}')), 'uplink', 'without a time');
SELECT is(lorawan.ingest(pg_temp.own('{}', '{received_at}')), 'duplicate', 'known again by its content');
SELECT results_eq($$SELECT date_part('minute', received_at AT TIME ZONE 'UTC')::integer, payload, status FROM lorawan.uplink_decrypted WHERE received_at < '2025-01-01' ORDER BY received_at$$,
    $$VALUES (6, '\x2e115ed9a45c99'::bytea, 'plain'), (0, '\x0167010e02684a', 'decrypted'), (1, '\x0167010e02684a', 'decrypted'), (2, NULL, 'perhaps encrypted'), (3, '\x0167010e02684a', 'plain'), (4, NULL, 'counter missing'), (5, '', 'decrypted')$$, 'each with its status');

-- Whole frames: confirmed and unconfirmed uplinks with and without FOpts, DevAddr and counter little-endian.
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-02T12:00:00Z", "phy_payload": "4034120b26000200022e115ed9a45c9901020304"}', '{frm_payload,f_port,dev_addr}')), 'uplink', 'a whole frame');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-02T12:01:00Z", "phy_payload": "8034120b26820200aabb022e115ed9a45c9901020304"}', '{frm_payload,f_port}')), 'uplink', 'confirmed, with options, and the DevAddr beside it');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-02T12:02:00Z", "phy_payload": "4034120b2600020001020304"}', '{frm_payload,f_port}')), 'uplink', 'without a port');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-02T12:03:00Z", "phy_payload": "4034120b26000200022e115ed9a45c9901020304"}', '{frm_payload,f_port,f_cnt}')), 'uplink', 'without the counter, of which the frame has a half');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-02T12:04:00Z", "phy_payload": "4034120b26000200022e115ed9a45c9901020304", "app_s_key": null}', '{frm_payload,f_port,dev_addr}')), 'uplink', 'its payload is encrypted, also without a key');
SELECT results_eq($$SELECT f_port::integer, dev_addr, payload, status FROM lorawan.uplink_decrypted WHERE received_at BETWEEN '2024-05-02 Z' AND '2024-05-03 Z' ORDER BY received_at$$,
    $$VALUES (2, '\x260b1234'::bytea, '\x0167010e02684a'::bytea, 'decrypted'), (2, '\x260b1234', '\x0167010e02684a', 'decrypted'), (0, '\x260b1234', '', 'decrypted'), (2, '\x260b1234', NULL, 'counter missing'), (2, '\x260b1234', '\x0167010e02684a', 'decrypted')$$, 'is taken apart');

-- Joins, downlinks, several events
SELECT is(lorawan.ingest(pg_temp.own('{"kind": "join", "received_at": "2024-05-03T12:00:00Z", "session_key_id": "0188"}', '{f_port,f_cnt,frm_payload}')), 'join', 'a join');
SELECT is(lorawan.ingest(pg_temp.own('{"kind": "join", "received_at": "2024-05-03T12:00:00Z", "dev_addr": "260B1235"}', '{f_port,f_cnt,frm_payload,session_key_id}')), 'join', 'a session key id is made from the envelope');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-03T12:01:00Z", "dev_addr": "260B1235"}', '{session_key_id}')), 'uplink', 'of which an uplink has the same');
SELECT is(count(*), 1::bigint, 'so it is one session') FROM lorawan.session WHERE dev_addr = '\x260b1235';
SELECT is(lorawan.ingest(pg_temp.own('{"kind": "downlink", "event": "sent", "received_at": "2024-05-03T12:02:00Z", "f_cnt": 7, "f_port": 3, "frm_payload": "0102", "queue_item_id": "q"}', '{app_s_key}')), 'downlink', 'a downlink');
SELECT is(lorawan.ingest(pg_temp.own('{"kind": "downlink", "event": "ack", "received_at": "2024-05-03T12:03:00Z"}', '{app_s_key,f_port,f_cnt,frm_payload,dev_addr,session_key_id}')), 'downlink', 'of which little is known');
SELECT is(lorawan.ingest(pg_temp.own('{"kind": "downlink", "event": "sent", "received_at": "2024-05-03T12:04:00Z", "phy_payload": "6034120b26000700030102aabbccdd", "f_cnt": 65543}', '{app_s_key,f_port,frm_payload,dev_addr}')), 'downlink', 'whole');
SELECT results_eq('SELECT event, dev_addr, session_key_id, f_cnt, f_port::integer, frm_payload, queue_item_id FROM lorawan.downlink ORDER BY received_at',
    $$VALUES ('sent', '\x260b1234'::bytea, '\x0187'::bytea, 7::bigint, 3, '\x0102'::bytea, 'q'), ('ack', NULL, NULL, NULL, NULL, '', NULL), ('sent', '\x260b1234', '\x0187', 65543, 3, '\x0102', NULL)$$, 'are in the table');
SELECT is(lorawan.ingest(jsonb_build_object('storage_event', jsonb_build_array(
    pg_temp.event('{"kind": "join", "received_at": "2024-05-04T12:00:00Z", "session_key_id": "0189"}', '{f_port,f_cnt,frm_payload}'),
    pg_temp.event('{"received_at": "2024-05-04T12:00:01Z", "session_key_id": "0189"}', '{app_s_key}') || '{"encrypted": true}',
    pg_temp.event('{"received_at": "2024-05-04T12:00:02Z", "session_key_id": "0189", "f_cnt": 65537, "frm_payload": "5737fad1"}')))), 'uplink', 'a join and two uplinks in one message');
SELECT results_eq($$SELECT f_cnt, payload FROM lorawan.uplink_decrypted WHERE session_key_id = '\x0189' ORDER BY received_at$$, $$VALUES (65538::bigint, '\x0167010e02684a'::bytea), (65537, 'text')$$, 'are all stored');
SELECT is(lorawan.ingest(jsonb_build_object('storage_event', jsonb_build_array(
    pg_temp.event('{"received_at": "2024-05-04T13:00:00Z"}'), pg_temp.event('{"received_at": "2024-05-04T13:01:00Z", "f_port": 256}')))), 'rejected', 'if one is wrong');
SELECT is(count(*), 0::bigint, 'none is stored') FROM lorawan.uplink WHERE received_at = '2024-05-04 13:00Z';
TRUNCATE lorawan.rejected CASCADE;

-- Plaintext keys are wrapped, under the label of the application.
INSERT INTO lorawan.application VALUES ('app2', 'app2 at rest');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-05-05T12:00:00Z", "application_id": "app2", "dev_eui": "0004A30B001C0531", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'a plaintext key');
SELECT is(lorawan.ingest(jsonb_build_object('storage_event', jsonb_build_array(pg_temp.event('{"received_at": "2024-05-05T12:01:00Z", "application_id": "app2", "dev_eui": "0004A30B001C0532", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}', '{session_key_id}')))), 'uplink', 'without a session key id, in an array');
SELECT is(lorawan.ingest(jsonb_build_object('storage_event', jsonb_build_array(pg_temp.event('{"received_at": "2024-05-05T12:02:00Z", "application_id": "app2", "dev_eui": "0004A30B001C0533", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')))), 'uplink', 'with one, in an array');
SELECT results_eq($$SELECT key_vault.kek_label(app_s_key) FROM lorawan.session WHERE application_id = 'app2'$$, $$VALUES ('app2 at rest'), ('app2 at rest'), ('app2 at rest')$$, 'is under its application''s label');
SELECT results_eq($$SELECT payload FROM lorawan.uplink_decrypted WHERE application_id = 'app2'$$, $$VALUES ('\x0167010e02684a'::bytea), ('\x0167010e02684a'), ('\x0167010e02684a')$$, 'and decrypts');
SELECT is(lorawan.ingest(pg_temp.own('{"session_key_id": "0187", "app_s_key": {"key": "00112233445566778899AABBCCDDEEFF"}, "received_at": "2024-05-05T13:00:00Z"}')), 'rejected', 'another key for a session');
SELECT is(reason, 'session 0187 of device 0004a30b001c0530 has another key', 'is refused') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;

--
-- Wrong ones, and what the row says
--
CREATE TEMP TABLE wrong (n integer GENERATED ALWAYS AS IDENTITY, message jsonb, reason text, field text, found text);
INSERT INTO wrong (message, reason, field, found) VALUES
    ('{"storage_event": null}', 'storage_event is not an object, or an array of objects', 'storage_event', 'null'),
    ('{"storage_event": "uplink"}', 'storage_event is not an object, or an array of objects', 'storage_event', '"uplink"'),
    ('{"storage_event": []}', 'storage_event is not an object, or an array of objects', 'storage_event', 'an array of 0 elements'),
    ('{"storage_event": [[]]}', 'storage_event is not an object, or an array of objects', 'storage_event', 'an array of 0 elements'),
    ('{"storage_event": {}}', 'storage_event.kind is not uplink, join or downlink', 'storage_event.kind', 'nothing'),
    (pg_temp.own('{"kind": "Uplink"}'), 'storage_event.kind is not uplink, join or downlink', 'storage_event.kind', '"Uplink"'),
    (pg_temp.own('{"kind": {"a": 1}}'), 'storage_event.kind is not uplink, join or downlink', 'storage_event.kind', 'an object of 1 member'),
    (pg_temp.own('{"fcnt": 1}', '{f_cnt,device_id,dev_addr,dev_eui,application_id,f_port,frm_payload,session_key_id}'), 'storage_event has 1 unknown member', 'storage_event', 'the members fcnt, kind, app_s_key, received_at'),
    (pg_temp.own('{}', '{dev_eui}'), 'storage_event.dev_eui is missing', 'storage_event.dev_eui', 'nothing'),
    (pg_temp.own('{"dev_eui": "0004A30B001C05"}'), 'storage_event.dev_eui has 7 bytes, not 8', 'storage_event.dev_eui', '"0004A30B001C05"'),
    (pg_temp.own('{"dev_eui": "00-04-A3-0B-00-1C-05-30"}'), 'storage_event.dev_eui is not hexadecimal', 'storage_event.dev_eui', 'a string of 23 characters'),
    (pg_temp.own('{"dev_eui": 1}'), 'storage_event.dev_eui is not a string', 'storage_event.dev_eui', '1'),
    (pg_temp.own('{}', '{application_id}'), 'storage_event.application_id is missing', 'storage_event.application_id', 'nothing'),
    (pg_temp.own('{"application_id": ""}'), 'storage_event.application_id is missing', 'storage_event.application_id', 'nothing'),
    (pg_temp.own('{"application_id": 7}'), 'storage_event.application_id is not a string', 'storage_event.application_id', '7'),
    (pg_temp.own('{"device_id": {}}'), 'storage_event.device_id is not a string', 'storage_event.device_id', 'an object of 0 members'),
    (pg_temp.own('{}', '{dev_addr}'), 'storage_event.dev_addr is missing', 'storage_event.dev_addr', 'nothing'),
    (pg_temp.own('{"encrypted": true}', '{dev_addr,app_s_key}'), 'storage_event.dev_addr is missing', 'storage_event.dev_addr', 'nothing'),
    (pg_temp.own('{"encrypted": "yes"}'), 'storage_event.encrypted is not true or false', 'storage_event.encrypted', '"yes"'),
    (pg_temp.own('{"session_key_id": "xy"}'), 'storage_event.session_key_id is not hexadecimal', 'storage_event.session_key_id', '"xy"'),
    (pg_temp.own('{}', '{f_port}'), 'storage_event.f_port is missing', 'storage_event.f_port', 'nothing'),
    (pg_temp.own('{"f_port": 256}'), 'storage_event.f_port is not an integer from 0 to 255', 'storage_event.f_port', '256'),
    (pg_temp.own('{"f_cnt": 4294967296}'), 'storage_event.f_cnt is not an integer from 0 to 4294967295', 'storage_event.f_cnt', '4294967296'),
    (pg_temp.own('{"f_cnt": -1}'), 'storage_event.f_cnt is not an integer from 0 to 4294967295', 'storage_event.f_cnt', '-1'),
    (pg_temp.own('{"frm_payload": "LhFe2aRcmQ=="}'), 'storage_event.frm_payload is not hexadecimal', 'storage_event.frm_payload', '"LhFe2aRcmQ=="'),
    (pg_temp.own(jsonb_build_object('frm_payload', repeat('00', 256))), 'storage_event.frm_payload has 256 bytes, more than 255', 'storage_event.frm_payload', 'a string of 512 characters'),
    (pg_temp.own('{"received_at": "yesterday"}'), 'storage_event.received_at is not a time as in RFC 3339', 'storage_event.received_at', '"yesterday"'),
    (pg_temp.own('{"app_s_key": {"kek_label": "app1-kek"}}'), 'storage_event.app_s_key.encrypted_key is missing', 'storage_event.app_s_key.encrypted_key', 'nothing'),
    (pg_temp.own('{"kind": "join"}', '{app_s_key,session_key_id}'), 'storage_event.session_key_id is missing', 'storage_event.session_key_id', 'nothing'),
    (pg_temp.own('{"kind": "join"}', '{dev_addr}'), 'storage_event.dev_addr is missing', 'storage_event.dev_addr', 'nothing'),
    (pg_temp.own('{"kind": "downlink"}', '{app_s_key}'), 'storage_event.event is missing', 'storage_event.event', 'nothing'),
    (pg_temp.own('{"kind": "downlink", "event": "sent"}'), 'storage_event.app_s_key is not there in an uplink or join only', 'storage_event.app_s_key', 'an object of 2 members'),
    (pg_temp.own('{"phy_payload": "4034120b26000200022e115ed9a45c9901020304"}'), 'storage_event.phy_payload: f_port and frm_payload are in the frame, and must not stand beside it', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "6034120b26000200022e115ed9a45c9901020304"}', '{frm_payload,f_port}'), 'storage_event.phy_payload: the frame has the other direction', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "4034120b26000300022e115ed9a45c9901020304"}', '{frm_payload,f_port}'), 'storage_event.phy_payload: the frame has another counter than f_cnt', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "4035120b26000200022e115ed9a45c9901020304"}', '{frm_payload,f_port}'), 'storage_event.phy_payload: the frame has another DevAddr than dev_addr', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "4034120b26000200022e115ed9a45c9901020304", "encrypted": false}', '{frm_payload,f_port}'), 'storage_event.phy_payload: the payload in a frame is encrypted', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "000102030405060708090a0b0c0d0e0f10111201020304"}', '{frm_payload,f_port}'), 'storage_event.phy_payload: the frame carries no data', 'storage_event.phy_payload', NULL),
    (pg_temp.own('{"phy_payload": "4034120b2600"}', '{frm_payload,f_port}'), NULL, 'storage_event.phy_payload', NULL);
SELECT is(lorawan.ingest(message), 'rejected', format('%s. %s', n, coalesce(reason, 'a frame that is cut off'))) FROM wrong ORDER BY n;
SELECT is(count(*), (SELECT count(*) FROM wrong), 'each has a row') FROM lorawan.rejected;
SELECT is_empty($$SELECT w.n, r.reason, r.field, r.found FROM wrong w JOIN lorawan.rejected r ON r.message = w.message
    WHERE (r.reason, r.field, r.found) IS DISTINCT FROM (coalesce(w.reason, r.reason), w.field, w.found)$$, 'with its reason, its field and what was found');
SELECT matches(reason, '^storage_event.phy_payload: .* at byte [0-9]+: .*cut off', 'one says where a frame is cut off') FROM lorawan.rejected WHERE message #>> '{storage_event,phy_payload}' = '4034120b2600';
SELECT is(stored, 0::bigint, 'and they stay') FROM lorawan.replay_rejected();
TRUNCATE lorawan.rejected CASCADE;

--
-- The owner's function for messages of another format
--
SELECT is(lorawan.ingest('{"dev": "0004A30B001C0540", "n": 65538, "at": "2024-06-01T12:00:00Z", "bytes": "2e115ed9a45c99", "secret": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}'::jsonb), 'rejected', 'a format that nobody knows');
SELECT is(hint, 'Let a function read_message() of the storage translate such messages, then replay_rejected() tries this one again.', 'says what helps') FROM lorawan.rejected;
CREATE FUNCTION lorawan.read_message(message jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF message ? 'dev' THEN
        RETURN jsonb_build_object('kind', 'uplink', 'received_at', message -> 'at', 'dev_eui', message -> 'dev', 'application_id', coalesce(message ->> 'app', 'own'),
                                  'dev_addr', '260B1234', 'session_key_id', '0a', 'f_port', 2, 'f_cnt', message -> 'n', 'frm_payload', message -> 'bytes', 'app_s_key', message -> 'secret');
    ELSIF message ? 'list' THEN
        RETURN message -> 'list';
    ELSIF message ? 'raise' THEN
        RAISE EXCEPTION 'no such device: %', message ->> 'raise' USING ERRCODE = message ->> 'state', HINT = 'Make one.';
    END IF;
    RETURN NULL;
END
$$;
SELECT is(stored, 1::bigint, 'replay_rejected() reads by it what came before it') FROM lorawan.replay_rejected();
SELECT is(lorawan.ingest('{"dev": "0004A30B001C0540", "n": 65538, "at": "2024-06-01T12:00:00Z", "bytes": "2e115ed9a45c99"}'::jsonb), 'duplicate', 'and ingest() what comes again');
SELECT is(lorawan.ingest('{"dev": "0004A30B001C0540", "n": 65537, "at": "2024-06-01T12:01:00Z", "bytes": "5737fad1", "secret": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}'::jsonb), 'uplink', 'and another');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-06-01T12:02:00Z", "dev_eui": "0004A30B001C0540", "session_key_id": "0a"}')), 'uplink', 'a message for which it returns NULL is read as always');
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-06-01T12:04:00Z"}') || '{"dev": "0004A30B001C0542", "n": 65538, "at": "2024-06-01T12:04:00Z", "bytes": "2e115ed9a45c99"}'), 'uplink', 'a message that is of both');
SELECT is(array_agg(dev_eui), ARRAY['\x0004a30b001c0542'::bytea], 'is read by the function') FROM lorawan.uplink WHERE received_at = '2024-06-01 12:04Z';
INSERT INTO lorawan.inbox SELECT (pg_temp.own('{"received_at": "2024-06-01T12:05:00Z"}') || '{"dev": "0004A30B001C0542", "n": 65538, "at": "2024-06-01T12:05:00Z", "bytes": "2e115ed9a45c99"}')::text;
SELECT is(array_agg(dev_eui), ARRAY['\x0004a30b001c0542'::bytea], 'by the inbox, too, although the search_path does not have the function') FROM lorawan.uplink WHERE received_at = '2024-06-01 12:05Z';
SELECT results_eq($$SELECT f_cnt, payload, status FROM lorawan.uplink_decrypted WHERE dev_eui = '\x0004a30b001c0540' ORDER BY received_at$$,
    $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted'), (65537, 'text', 'decrypted'), (65538, '\x0167010e02684a', 'decrypted')$$, 'all decrypt');
SELECT results_eq($$SELECT lorawan.ingest(m) FROM unnest(ARRAY['{"app": "app2", "dev": "0004A30B001C0541", "n": 65538, "at": "2024-06-01T12:03:00Z", "bytes": "2e115ed9a45c99", "secret": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}']::jsonb[]) m$$, $$VALUES ('uplink')$$, 'a plaintext key of an application with a label of its own');
SELECT results_eq($$SELECT key_vault.kek_label(app_s_key) FROM lorawan.session WHERE dev_eui = '\x0004a30b001c0541'$$, $$VALUES ('app2 at rest')$$, 'gets to that label');
SELECT is_empty($$SELECT pg_temp.places('\xEC925802AE430CA77FD3DD73CB2CC588')$$, 'the key is written nowhere');
SELECT results_eq($$SELECT * FROM lorawan.ingest((SELECT array_agg(format('{"dev": "0004A30B001C05%s", "n": 65538, "at": "2024-06-02T12:00:00Z", "bytes": "2e115ed9a45c99"}', n)) FROM generate_series(10, 40) n))$$, 'VALUES (31::bigint, 0::bigint, 0::bigint)', 'many in one call');
INSERT INTO lorawan.inbox SELECT format('{"dev": "0004A30B001C05%s", "n": 65538, "at": "2024-06-03T12:00:00Z", "bytes": "2e115ed9a45c99"}', n) FROM generate_series(10, 40) n;
SELECT is(count(*), 31::bigint, 'and by the inbox, whatever the search_path is') FROM lorawan.uplink WHERE received_at = '2024-06-03 12:00Z';
SELECT is(lorawan.ingest(jsonb_build_object('list', jsonb_build_array(pg_temp.event('{"received_at": "2024-06-04T12:00:00Z"}'), pg_temp.event('{"received_at": "2024-06-04T12:01:00Z"}')))), 'uplink', 'several events');
SELECT is(count(*), 2::bigint, 'are stored') FROM lorawan.uplink WHERE received_at BETWEEN '2024-06-04 Z' AND '2024-06-05 Z';

-- What the function raises, or returns wrongly, is a reason; so are SQLSTATEs that look like the server's.
SELECT is(lorawan.ingest(jsonb_build_object('raise', state, 'state', state)), 'rejected', format('an error %s', state)) FROM unnest(ARRAY['P0001', '53100', '57014', 'KV001']) state;
SELECT results_eq('SELECT sqlstate, reason, hint FROM lorawan.rejected ORDER BY id', $$SELECT s, 'no such device: ' || s, 'Make one.' FROM unnest(ARRAY['P0001', '53100', '57014', 'KV001']) s$$, 'is the reason');
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(jsonb_build_object('list', list)), 'rejected', 'wrongly: ' || list::text) FROM unnest(ARRAY['null', '7', '[]', '{}', '[7]', '{"kind": "uplink"}']::jsonb[]) list;
SELECT results_eq('SELECT reason FROM lorawan.rejected ORDER BY id', $$VALUES ('storage_event is not an object, or an array of objects'), ('storage_event is not an object, or an array of objects'), ('storage_event is not an object, or an array of objects'),
    ('storage_event.kind is not uplink, join or downlink'), ('storage_event is not an object, or an array of objects'), ('storage_event.dev_eui is missing')$$, 'is a reason, too');
TRUNCATE lorawan.rejected CASCADE;
SELECT results_eq($$SELECT * FROM lorawan.ingest(ARRAY['{"raise": "x", "state": "53100"}', '{"dev": "0004A30B001C0540", "n": 65538, "at": "2024-06-05T12:00:00Z", "bytes": "2e115ed9a45c99"}']::jsonb[])$$, 'VALUES (1::bigint, 0::bigint, 1::bigint)', 'and takes no other message with it');
TRUNCATE lorawan.rejected CASCADE;
DROP FUNCTION lorawan.read_message(jsonb);
CREATE FUNCTION lorawan.read_message(message jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-06-06T12:00:00Z"}')), 'rejected', 'a function that returns text');
DROP FUNCTION lorawan.read_message(jsonb);
CREATE FUNCTION lorawan.read_message(message jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT message FROM generate_series(1, 2) $$;
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-06-06T12:01:00Z"}')), 'rejected', 'or two rows');
SELECT results_eq('SELECT DISTINCT reason, sqlstate FROM lorawan.rejected', $$VALUES ('function read_message must return one jsonb', '42P13')$$, 'is told so');
DROP FUNCTION lorawan.read_message(jsonb);
SELECT is(stored, 2::bigint, 'without it, both are read') FROM lorawan.replay_rejected();

CREATE FUNCTION public.read_message(message jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
SELECT is(lorawan.ingest(pg_temp.own('{"received_at": "2024-06-06T12:02:00Z"}')), 'uplink', 'a function of that name in another schema is not called');
INSERT INTO lorawan.inbox VALUES (pg_temp.own('{"received_at": "2024-06-06T12:03:00Z"}')::text);
SELECT is_empty('SELECT * FROM lorawan.rejected', 'by the inbox neither');
SELECT * FROM finish();
ROLLBACK;
