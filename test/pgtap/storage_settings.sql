--
-- A storage with an odd name, made and used in a session whose settings change how literals, times and bytes are read
-- and written.  Its rows and keys must be the same as without these settings.
--
-- The uplinks are the example in demo/messages, whose payload under its key is 0167010e02684a.  The session key id of
-- ChirpStack's session is made from its envelope: the first 16 bytes of SHA-256 over the KEK label, a zero byte, the
-- wrapped key and the DevAddr.  It was computed with Python's hashlib.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('a') \g /dev/null
CREATE FUNCTION public.uplink(minute integer, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-01T%s:%s:00Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes)
$$;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET backslash_quote = off;
SET DateStyle = 'German';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Pacific/Chatham';
SET bytea_output = 'escape';
SET extra_float_digits = -15;
SET default_transaction_isolation = 'serializable';
SET lc_numeric = 'C';
SET array_nulls = off;
SET transform_null_equals = on;
SET quote_all_identifiers = on;
SET plpgsql.variable_conflict = use_column;
SET plpgsql.check_asserts = off;
SET default_transaction_deferrable = on;
SET xmloption = document;
SET check_function_bodies = on;
\set storage 'Odd "name", with \\ and ''quotes'' $body$ $$'
CALL key_vault.create_storage(:'storage', kek_label => 'a');
SELECT is(:"storage".ingest(uplink(0)), 'uplink', 'a storage of an odd name, made under odd settings');
SELECT is(:"storage".ingest(uplink(1)::text), 'uplink', 'by the other function');
SELECT is(:"storage".ingest(E'{"a": "x\\u0000y", ' || substr(uplink(2)::text, 2)), 'uplink', 'with a character that text cannot have');
SELECT is(:"storage".ingest(uplink(3, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"key": "EC925802AE430CA77FD3DD73CB2CC588"}}')), 'uplink', 'with a key in the clear');
SELECT is(:"storage".ingest('{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","time":"2024-05-01T12:00:00+02:00","deviceInfo":{"applicationId":"app1","devEui":"0102030405060708"},"devAddr":"01fa8b2c","fCnt":1042,"fPort":2,"data":"BqiSEvuAbQ==","joinServerContext":{"sessionKeyId":"","appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}'::jsonb), 'uplink', 'of ChirpStack');
UPDATE :"storage".uplink SET stored_at = received_at;
CALL key_vault.maintain_storage(:'storage');
SELECT is(array_agg(DISTINCT tableoid::regclass::text LIKE '%uplink_20240501%'), '{true}', 'lie in the partition of their day') FROM :"storage".uplink;
SELECT is(count(*), 5::bigint, 'and are read') FROM :"storage".uplink_decrypted WHERE payload = decode('0167010e02684a', 'hex');
SELECT is(array_agg(DISTINCT encode(session_key_id, 'hex') ORDER BY encode(session_key_id, 'hex')), '{00000000000000000000000000000002,0187c2d1b6a0f3e4475869aabbccddee,5bcca76084c450d63e5c468ccfbda205}', 'a session id that is made of the envelope is the same as ever')
  FROM :"storage".session;
CALL key_vault.maintain_storage(:'storage', keep => '1 day');
SELECT is(count(*), 0::bigint, 'old partitions are dropped') FROM :"storage".uplink;
CALL key_vault.create_storage('plain', kek_label => 'a');
SET quote_all_identifiers = off;
CALL key_vault.create_storage('plain off', kek_label => 'a');
SELECT results_eq('SELECT version, to_do FROM key_vault.storages()', 'SELECT ''1.1''::text, NULL::text FROM generate_series(1, 3)', 'nothing is to be done for them, by whatever setting they were made');
SET quote_all_identifiers = on;
SELECT results_eq('SELECT version, to_do FROM key_vault.storages()', 'SELECT ''1.1''::text, NULL::text FROM generate_series(1, 3)', 'and looked at');

SELECT * FROM finish();
ROLLBACK;
