--
-- The table rejected of a storage: which field of a message is wrong, what was found there, what is expected, and a hint.
-- No plaintext key may be in any of them.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');

CREATE FUNCTION pg_temp.tts(uplink jsonb, ids jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb || ids,
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","received_at":"2024-05-01T12:00:00.24Z","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb || uplink) $$;
CREATE FUNCTION pg_temp.cs(changes jsonb) RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T12:00:00Z","deviceInfo":{"applicationId":"a1","deviceName":"dev1","devEui":"0102030405060708"},
 "devAddr":"01fa8b2c","fCnt":1042,"fPort":2,"data":"BqiSEvuAbQ==","joinServerContext":{"sessionKeyId":"","appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}'::jsonb || changes $$;

-- What a message has, and what the row says of it.  Strings and numbers of 16 characters and more could be keys.
CREATE TEMP TABLE fault (n integer GENERATED ALWAYS AS IDENTITY, message jsonb, field text, found text, expected text, hint text);
INSERT INTO fault (message, field, found, expected, hint) VALUES
    (pg_temp.tts('{"f_port": 256}'), 'uplink_message.f_port', '256', 'an integer from 0 to 255', NULL),
    (pg_temp.tts('{"f_port": "x"}'), 'uplink_message.f_port', '"x"', 'an integer from 0 to 255', NULL),
    (pg_temp.tts('{"f_port": 1.5}'), 'uplink_message.f_port', '1.5', 'an integer from 0 to 255', NULL),
    (pg_temp.tts('{"f_port": true}'), 'uplink_message.f_port', 'true', 'an integer from 0 to 255', NULL),
    (pg_temp.tts('{"f_port": ""}'), 'uplink_message.f_port', 'an empty string', 'an integer from 0 to 255', NULL),
    (pg_temp.tts('{"f_cnt": 999999999999999}'), 'uplink_message.f_cnt', '999999999999999', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"f_cnt": 9999999999999999}'), 'uplink_message.f_cnt', 'a number of 16 characters', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"f_cnt": [1]}'), 'uplink_message.f_cnt', 'an array of 1 element', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"f_cnt": {"a": 1, "b": 2}}'), 'uplink_message.f_cnt', 'an object of 2 members', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"f_cnt": "123456789012345"}'), 'uplink_message.f_cnt', '"123456789012345"', 'an integer from 0 to 4294967295', NULL),
    -- A character is one byte in LATIN1, and two characters in SQL_ASCII.
    (pg_temp.tts('{"f_cnt": "äöüäöüäöäöüäöüäö"}'), 'uplink_message.f_cnt', 'a string of ' || length('äöüäöüäöäöüäöüäö') || ' characters', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"received_at": "2024-05-01 12:00:00+00"}'), 'uplink_message.received_at', 'a string of 22 characters', 'a time as in RFC 3339, such as 2024-05-01T12:00:00Z', NULL),
    (pg_temp.tts('{"received_at": "2024-02-30T12:00:00Z"}'), 'uplink_message.received_at', 'a string of 20 characters', 'a time as in RFC 3339, such as 2024-05-01T12:00:00Z', NULL),
    (pg_temp.tts('{"received_at": 1714564800}'), 'uplink_message.received_at', '1714564800', 'a time as in RFC 3339, such as 2024-05-01T12:00:00Z', NULL),
    (pg_temp.tts('{"frm_payload": "LhFe2aRcmQ"}'), 'uplink_message.frm_payload', '"LhFe2aRcmQ"', 'at most 255 bytes in base64', 'Write base64 with the characters + and / and with padding (RFC 4648, section 4).'),
    (pg_temp.tts(jsonb_build_object('frm_payload', translate(encode(decode(repeat('00', 256), 'hex'), 'base64'), E'\n', ''))), 'uplink_message.frm_payload', 'a string of 344 characters', 'at most 255 bytes in base64', NULL),
    (pg_temp.tts('{}', '{"dev_eui": "AAQKCwAcBTA="}'), 'end_device_ids.dev_eui', '"AAQKCwAcBTA="', '8 bytes as 16 hexadecimal digits', 'It is base64, as other network servers write it.'),
    (pg_temp.tts('{}', '{"dev_eui": "00:04:A3:0B:00:1C:05:30"}'), 'end_device_ids.dev_eui', 'a string of 23 characters', '8 bytes as 16 hexadecimal digits', 'Write two digits for each byte, without a prefix and without separators.'),
    (pg_temp.tts('{}', '{"dev_eui": null}'), 'end_device_ids.dev_eui', 'nothing', '8 bytes as 16 hexadecimal digits', 'If a field mask or a program in between takes the field away, let it keep the field.'),
    (pg_temp.tts('{}', '{"dev_addr": "260B12"}'), 'end_device_ids.dev_addr', '"260B12"', '4 bytes as 8 hexadecimal digits', NULL),
    (pg_temp.tts('{"app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC5"}}'), 'uplink_message.app_s_key', NULL, 'a plaintext key of 16 bytes, or a key wrapped under the KEK of its label', NULL),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek", "encrypted_key": "7JJYAq5DDK"}}'), 'uplink_message.app_s_key', NULL, 'a plaintext key of 16 bytes, or a key wrapped under the KEK of its label', NULL),
    (pg_temp.tts('{"app_s_key": {"kek_label": "app1-kek"}}'), 'uplink_message.app_s_key.encrypted_key', 'nothing', 'a key wrapped under the KEK of its label, in base64', 'If a field mask or a program in between takes the field away, let it keep the field.'),
    (pg_temp.tts(jsonb_build_object('app_s_key', jsonb_build_object('kek_label', repeat('x', 256), 'encrypted_key', '7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo'))), 'uplink_message.app_s_key.kek_label', 'a string of 256 characters', 'a KEK label of at most 255 bytes', 'Give the KEK a shorter label in the network server or join server, and here.'),
    (pg_temp.tts('{"app_s_key": "EC925802AE430CA77FD3DD73CB2CC588"}'), 'uplink_message.app_s_key', NULL, 'a plaintext key of 16 bytes, or a key wrapped under the KEK of its label', NULL),
    (pg_temp.tts('{"f_cnt": "EC925802AE430CA77FD3DD73CB2CC588"}'), 'uplink_message.f_cnt', 'a string of 32 characters', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{"f_cnt": 314465229012345678901234567890123456}'), 'uplink_message.f_cnt', 'a number of 36 characters', 'an integer from 0 to 4294967295', NULL),
    (pg_temp.tts('{}') - 'uplink_message' || '{"uplink_message": [1, 2]}', 'uplink_message', 'an array of 2 elements', 'an object', NULL),
    (pg_temp.tts('{}') - 'uplink_message' || '{"location_solved": {}}', NULL, 'the members end_device_ids, location_solved', 'an uplink, a join or an event of a downlink', 'A storage does not need the message: delete it, and let the network server not send events of this kind.'),
    (pg_temp.cs('{"fPort": 256}'), 'fPort', '256', 'an integer from 0 to 255', NULL),
    (pg_temp.cs('{"devAddr": null}'), 'devAddr', 'nothing', '4 bytes as 8 hexadecimal digits', 'If a field mask or a program in between takes the field away, let it keep the field.'),
    ('{"temperature": 21}', NULL, 'the members temperature', 'a message of a network server that a storage knows, or a member storage_event', 'Let a function read_message() of the storage translate such messages, then replay_rejected() tries this one again.'),
    ('{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1}', NULL, 'the members a, b, c, d, e, f and 2 others', 'a message of a network server that a storage knows, or a member storage_event', 'Let a function read_message() of the storage translate such messages, then replay_rejected() tries this one again.'),
    ('{"EC925802AE430CA77FD3DD73CB2CC588": 1}', NULL, 'an object of 1 member', 'a message of a network server that a storage knows, or a member storage_event', 'Let a function read_message() of the storage translate such messages, then replay_rejected() tries this one again.');
SELECT is(lorawan.ingest(message), 'rejected', format('fault %s: %s', n, coalesce(field, found))) FROM fault ORDER BY n;
SELECT results_eq('SELECT field, found, expected, hint FROM lorawan.rejected ORDER BY id', 'SELECT field, found, expected, hint FROM fault ORDER BY n', 'each says what is wrong where');
SELECT is(count(*), 0::bigint, 'and shows no key') FROM lorawan.rejected r WHERE concat_ws(' ', r.reason, r.field, r.found, r.expected, r.hint) ~* 'EC925802|7JJYAq5DDK';

-- Other formats, as their documentation shows them (cut short)
SELECT is(lorawan.ingest('{"app_id": "my-app-id", "dev_id": "my-dev-id", "hardware_serial": "0102030405060708", "port": 1, "counter": 2, "is_retry": false, "confirmed": false, "payload_raw": "AQIDBA==", "metadata": {"airtime": 46336000}}'::jsonb), 'rejected', 'not read: The Things Stack v2');
SELECT is(count(*), 1::bigint, 'the reason names the format') FROM lorawan.rejected WHERE reason LIKE '%this looks like The Things Stack v2' AND found LIKE 'the members %';

-- Other reasons: what a table says about its row is not for found, since it shows the row.
TRUNCATE lorawan.rejected CASCADE;
ALTER TABLE lorawan.uplink ADD CONSTRAINT few CHECK (f_cnt <> 65538);
SELECT is(lorawan.ingest(pg_temp.tts('{}')), 'rejected', 'a constraint of the table''s owner');
SELECT results_eq('SELECT sqlstate, field, found, expected, hint FROM lorawan.rejected', $$VALUES ('23514', NULL, NULL, NULL, NULL)$$, 'only has a reason');
ALTER TABLE lorawan.uplink DROP CONSTRAINT few;
UPDATE lorawan.rejected SET message = jsonb_set(message, '{uplink_message,f_port}', '256');
SELECT lorawan.replay_rejected() \g /dev/null
SELECT results_eq('SELECT field, found, expected FROM lorawan.rejected', $$VALUES ('uplink_message.f_port', '256', 'an integer from 0 to 255')$$, 'another reason when it is tried again, with what was found then');
UPDATE lorawan.rejected SET message = jsonb_set(message, '{uplink_message,f_port}', '2');
ALTER TABLE lorawan.uplink ADD CONSTRAINT few CHECK (f_cnt <> 65538);
SELECT lorawan.replay_rejected() \g /dev/null
SELECT results_eq('SELECT sqlstate, field, found, expected, hint FROM lorawan.rejected', $$VALUES ('23514', NULL, NULL, NULL, NULL)$$, 'which goes with that reason');
ALTER TABLE lorawan.uplink DROP CONSTRAINT few;
SELECT results_eq('SELECT stored, rejected FROM lorawan.replay_rejected()', 'VALUES (1::bigint, 0::bigint)', 'until it is stored');
SELECT is(lorawan.ingest('not JSON'), 'rejected', 'what is no JSON');
SELECT is(hint, 'It is wrapped, in rejected_key: roles that have unwrap on the KEK label can read it.', 'has a hint where it is') FROM lorawan.rejected;
SELECT is(lorawan.ingest(pg_temp.tts('{"f_cnt": 65539, "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')), 'rejected', 'another key for a session');
SELECT is(hint, 'The key of a session does not change: the sender may have mixed up the keys of two sessions.', 'has a hint') FROM lorawan.rejected WHERE reason LIKE '%another key';
SELECT * FROM finish();
ROLLBACK;
