--
-- A storage and messages that lack fields.  A missing field is not taken for 0 or empty.  Webhooks of The Things
-- Stack send only the fields in their field mask, and a program in between may remove fields, too.
--
-- The uplink is the example in demo/messages, whose payload under its key is 0167010e02684a.  The payload with
-- counter 0 ("text") was encrypted with python3-cryptography's AES in ECB mode over the block A_1 of LoRaWAN L2
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
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');

-- The example, some minutes later, with changes in its uplink_message.  If "fields" are given, only those are kept.
CREATE FUNCTION pg_temp.tts(minute integer, changes jsonb DEFAULT '{}', fields text[] DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","join_eui":"800000000000000C","dev_addr":"260B1234"}'::jsonb,
    'received_at', '2024-05-01T23:59:59Z', 'uplink_message',
    (SELECT jsonb_object_agg(key, value) FROM jsonb_each('{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==",
        "rx_metadata":[{"gateway_ids":{"gateway_id":"gtw1"},"rssi":-35,"snr":5.2}],"settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":7}},"frequency":"868300000"},
        "app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"},"last_a_f_cnt_down":7,
        "network_ids":{"net_id":"000013","tenant_id":"t1","cluster_id":"eu1"}}'::jsonb
        || jsonb_build_object('received_at', format('2024-05-01T12:%s:00Z', lpad(minute::text, 2, '0'))) || changes)
      WHERE fields IS NULL OR key = ANY (fields))) $$;
-- The row of the uplink that was received in this minute
CREATE FUNCTION pg_temp.row_of(minute integer) RETURNS TABLE (f_cnt bigint, payload bytea, status text) LANGUAGE sql AS $$
SELECT u.f_cnt, u.payload, u.status FROM lorawan.uplink_decrypted u WHERE u.received_at = format('2024-05-01T12:%s:00Z', lpad(minute::text, 2, '0'))::timestamptz $$;

--
-- The key
--
SELECT is(lorawan.ingest(pg_temp.tts(1, '{"app_s_key": null, "last_a_f_cnt_down": null}')), 'uplink', 'no key, in a session without one');
SELECT results_eq('SELECT * FROM pg_temp.row_of(1)', $$VALUES (65538::bigint, decode('LhFe2aRcmQ==', 'base64'), 'plain')$$, 'is plain: the network decrypts');
SELECT is(lorawan.ingest(pg_temp.tts(2)), 'uplink', 'the session gets a key');
SELECT results_eq('SELECT * FROM pg_temp.row_of(1)', $$VALUES (65538::bigint, NULL::bytea, 'perhaps encrypted')$$, 'then nobody knows what came without');
SELECT results_eq($$SELECT payload, status FROM lorawan.device_latest$$, $$VALUES ('\x0167010e02684a'::bytea, 'decrypted')$$, 'the latest is decrypted');
SELECT is(lorawan.ingest(pg_temp.tts(3, '{}', '{session_key_id,f_port,f_cnt,frm_payload,received_at}')), 'uplink', 'a field mask without app_s_key');
SELECT results_eq('SELECT * FROM pg_temp.row_of(3)', $$VALUES (65538::bigint, NULL::bytea, 'perhaps encrypted')$$, 'shows no ciphertext as a payload');
SELECT results_eq($$SELECT payload, status FROM lorawan.device_latest$$, $$VALUES (NULL::bytea, 'perhaps encrypted')$$, 'as the latest, either');
SELECT is(encrypted, NULL, 'and does not say') FROM lorawan.uplink WHERE received_at = '2024-05-01 12:03Z';
UPDATE lorawan.uplink SET encrypted = true WHERE received_at = '2024-05-01 12:03Z';
SELECT results_eq('SELECT * FROM pg_temp.row_of(3)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'its owner may say that it is encrypted');
SELECT is(lorawan.ingest(pg_temp.tts(4, '{}', '{session_key_id,f_port,f_cnt,frm_payload,received_at,last_a_f_cnt_down}')), 'uplink', 'last_a_f_cnt_down is there if the network does not decrypt');
SELECT results_eq('SELECT * FROM pg_temp.row_of(4)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'and the session has the key');
SELECT is(lorawan.ingest(pg_temp.tts(5, '{"app_s_key": null, "last_a_f_cnt_down": null, "frm_payload": "AWcBDgJoSg==", "decoded_payload": {"temperature": 27.0}}')), 'uplink', 'the network decodes what it has decrypted');
SELECT is(lorawan.ingest(pg_temp.tts(6, '{"app_s_key": null, "last_a_f_cnt_down": null, "frm_payload": "AWcBDgJoSg==", "normalized_payload": [{"air": {"temperature": 27.0}}]}')), 'uplink', 'likewise');
SELECT results_eq('SELECT * FROM pg_temp.row_of(5) UNION ALL SELECT * FROM pg_temp.row_of(6)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'plain'), (65538, '\x0167010e02684a', 'plain')$$, 'so that is plain');
SELECT is(lorawan.ingest(pg_temp.tts(7, '{"app_s_key": null, "last_a_f_cnt_down": null, "frm_payload": ""}')), 'uplink', 'an empty payload');
SELECT results_eq('SELECT * FROM pg_temp.row_of(7)', $$VALUES (65538::bigint, ''::bytea, 'plain')$$, 'is empty in any case');
-- A session whose key waits for its KEK counts as having a key.
SELECT is(lorawan.ingest(pg_temp.tts(8, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"kek_label": "unknown", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')), 'uplink', 'a session whose KEK is not here');
SELECT is(lorawan.ingest(pg_temp.tts(9, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw=="}', '{session_key_id,f_port,f_cnt,frm_payload,received_at}')), 'uplink', 'a field mask without app_s_key');
SELECT results_eq('SELECT * FROM pg_temp.row_of(9)', $$VALUES (65538::bigint, NULL::bytea, 'perhaps encrypted')$$, 'is not plain there');

--
-- The counter
--
SELECT is(lorawan.ingest(pg_temp.tts(20, '{}', '{session_key_id,f_port,frm_payload,received_at,app_s_key,rx_metadata,settings}')), 'uplink', 'a field mask without f_cnt');
SELECT results_eq('SELECT * FROM pg_temp.row_of(20)', $$VALUES (NULL::bigint, NULL::bytea, 'counter missing')$$, 'gives no garbage');
UPDATE lorawan.uplink SET f_cnt = 65538 WHERE received_at = '2024-05-01 12:20Z';
SELECT results_eq('SELECT * FROM pg_temp.row_of(20)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'who knows it may set it');
SELECT is(lorawan.ingest(pg_temp.tts(21, '{"frm_payload": "euO0kw=="}') #- '{uplink_message,f_cnt}'), 'uplink', 'a whole message without f_cnt');
SELECT results_eq('SELECT * FROM pg_temp.row_of(21)', $$VALUES (0::bigint, 'text'::bytea, 'decrypted')$$, 'has counter 0');
SELECT is(lorawan.ingest(pg_temp.tts(22 + n::integer) #- '{uplink_message,f_cnt}' #- ARRAY['uplink_message', field]), 'uplink', 'but not where there is no ' || field)
  FROM unnest('{rx_metadata,settings,network_ids}'::text[]) WITH ORDINALITY f (field, n);
SELECT results_eq('SELECT DISTINCT r.* FROM generate_series(23, 25) n, pg_temp.row_of(n::integer) r', $$VALUES (NULL::bigint, NULL::bytea, 'counter missing')$$, 'as its status says');
SELECT is(lorawan.ingest(pg_temp.tts(26, '{"f_cnt": 0, "frm_payload": "euO0kw=="}', '{session_key_id,f_port,f_cnt,frm_payload,received_at,app_s_key}')), 'uplink', 'a counter that is there');
SELECT results_eq('SELECT * FROM pg_temp.row_of(26)', $$VALUES (0::bigint, 'text'::bytea, 'decrypted')$$, 'needs nothing else');
-- A plain payload can be read without a counter.
SELECT is(lorawan.ingest(pg_temp.tts(27, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABQ==", "frm_payload": "AWcBDgJoSg=="}', '{session_key_id,f_port,frm_payload,received_at}')), 'uplink', 'a plain one without a counter');
SELECT results_eq('SELECT * FROM pg_temp.row_of(27)', $$VALUES (NULL::bigint, '\x0167010e02684a'::bytea, 'plain')$$, 'is read');

--
-- Several deliveries of an uplink, of which some have more fields than others, are one uplink.
--
SELECT is(lorawan.ingest(pg_temp.tts(40, '{}', '{session_key_id,f_port,frm_payload,received_at}')), 'uplink', 'one that says little');
SELECT results_eq('SELECT * FROM pg_temp.row_of(40)', $$VALUES (NULL::bigint, NULL::bytea, 'perhaps encrypted')$$, 'is not read');
SELECT is(lorawan.ingest(pg_temp.tts(40, '{}', '{session_key_id,f_port,f_cnt,frm_payload,received_at}')), 'duplicate', 'again, with its counter');
SELECT is(lorawan.ingest(pg_temp.tts(40)), 'duplicate', 'and whole');
SELECT results_eq('SELECT * FROM pg_temp.row_of(40)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'is read then');
SELECT is(lorawan.ingest(pg_temp.tts(40, '{}', '{session_key_id,f_port,frm_payload,received_at}')), 'duplicate', 'the first once more');
SELECT results_eq('SELECT * FROM pg_temp.row_of(40)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'changes nothing');
SELECT is(lorawan.ingest(pg_temp.tts(40, '{"app_s_key": null, "last_a_f_cnt_down": null, "decoded_payload": {}}')), 'rejected', 'one that says that it is plain');
SELECT results_eq('SELECT reason FROM lorawan.rejected', $$VALUES ('another uplink of device 0004a30b001c0530 with f_cnt 65538 of that time is stored')$$, 'is another');
TRUNCATE lorawan.rejected CASCADE;
-- In a set, in any order
SELECT results_eq('SELECT * FROM lorawan.ingest(ARRAY[pg_temp.tts(41), pg_temp.tts(41, ''{}'', ''{session_key_id,f_port,frm_payload,received_at}''),
    pg_temp.tts(42, ''{}'', ''{session_key_id,f_port,frm_payload,received_at}''), pg_temp.tts(42)])', 'VALUES (2::bigint, 2::bigint, 0::bigint)', 'in a set');
SELECT results_eq('SELECT * FROM pg_temp.row_of(41) UNION ALL SELECT * FROM pg_temp.row_of(42)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted'), (65538, '\x0167010e02684a', 'decrypted')$$, 'too');

--
-- ChirpStack sends whole messages, but version 4.0 leaves out every field that is 0.
--
CREATE FUNCTION pg_temp.cs(minute integer, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT '{"deduplicationId":"3ac7e3c4-4401-4b8d-9386-a5c902f9202d","deviceInfo":{"applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","deviceName":"dev1","devEui":"0102030405060708"},
 "devAddr":"01fa8b2c","adr":true,"dr":5,"fPort":2,"data":"BqiSEvuAbQ==","rxInfo":[{"gatewayId":"0016c001f153a14c","rssi":-52}],"txInfo":{"frequency":867300000},
 "joinServerContext":{"appSKey":{"kekLabel":"app1-kek","aesKey":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}'::jsonb
 || jsonb_build_object('time', format('2024-05-01T12:%s:00Z', lpad(minute::text, 2, '0'))) || changes $$;
SELECT is(lorawan.ingest(m), 'uplink', 'ChirpStack, without fCnt' || what) FROM (VALUES
    (1, '', pg_temp.cs(50)), (2, ', and with another zero', pg_temp.cs(51, '{"confirmed": false}')), (3, ' and with an empty one', pg_temp.cs(52, '{"object": null}')),
    (4, ' and with a number that is zero', pg_temp.cs(53, '{"dr": 0}')), (5, ' and rxInfo', pg_temp.cs(54) - 'rxInfo'), (6, ' and txInfo', pg_temp.cs(55) - 'txInfo'),
    (7, ' and with an empty string', pg_temp.cs(56, '{"regionConfigId": ""}'))) v (n, what, m) ORDER BY n;
SELECT results_eq('SELECT f_cnt, status FROM generate_series(50, 56) n, pg_temp.row_of(n::integer) r ORDER BY n', $$VALUES (0::bigint, 'decrypted'), (NULL, 'counter missing'), (NULL, 'counter missing'), (NULL, 'counter missing'), (NULL, 'counter missing'), (NULL, 'counter missing'), (NULL, 'counter missing')$$,
    'is 0 only where no other zero is there, and nothing else is missing');
SELECT is_empty('SELECT * FROM lorawan.rejected', 'nothing is rejected');

-- A plain payload needs no DevAddr.
CREATE FUNCTION pg_temp.no_addr(minute integer, changes jsonb DEFAULT '{"app_s_key": null, "last_a_f_cnt_down": null, "frm_payload": "AWcBDgJoSg=="}') RETURNS jsonb LANGUAGE sql AS $$
SELECT pg_temp.tts(minute, changes || '{"session_key_id": "AAAAAAAAAAAAAAAAAAAABg=="}') #- '{end_device_ids,dev_addr}' $$;
SELECT is(lorawan.ingest(pg_temp.no_addr(30)), 'uplink', 'a plain payload without a DevAddr');
SELECT is(lorawan.ingest(pg_temp.no_addr(30)), 'duplicate', 'is stored once');
SELECT results_eq('SELECT * FROM lorawan.ingest(ARRAY[pg_temp.no_addr(30), pg_temp.no_addr(31), pg_temp.no_addr(31)])', 'VALUES (1::bigint, 2::bigint, 0::bigint)', 'in a set, too');
SELECT is(lorawan.ingest(pg_temp.no_addr(31, '{"app_s_key": null, "last_a_f_cnt_down": null, "frm_payload": "Ag=="}')), 'rejected', 'another payload is no second delivery');
SELECT is(lorawan.ingest(pg_temp.no_addr(32) #- '{uplink_message,received_at}' #- '{received_at}'), 'uplink', 'without a time');
SELECT is(lorawan.ingest(pg_temp.no_addr(32) #- '{uplink_message,received_at}' #- '{received_at}'), 'duplicate', 'once, too');
SELECT results_eq('SELECT * FROM pg_temp.row_of(30) UNION ALL SELECT * FROM pg_temp.row_of(31)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'plain'), (65538, '\x0167010e02684a', 'plain')$$, 'and read');
SELECT is(lorawan.ingest(pg_temp.cs(57, '{"fCnt": 1, "data": "AWcBDgJoSg==", "joinServerContext": null}') - 'devAddr'), 'uplink', 'ChirpStack''s');
SELECT results_eq('SELECT * FROM pg_temp.row_of(57)', $$VALUES (1::bigint, '\x0167010e02684a'::bytea, 'plain')$$, 'likewise');
TRUNCATE lorawan.rejected CASCADE;
SELECT is(lorawan.ingest(pg_temp.no_addr(33, '{}')), 'rejected', 'an encrypted one needs it');
SELECT is(lorawan.ingest(pg_temp.cs(58, '{"fCnt": 1}') - 'devAddr'), 'rejected', 'ChirpStack''s, too');
SELECT is(lorawan.ingest(pg_temp.cs(58) - '{devAddr,data,fPort,rxInfo,txInfo}'::text[] || '{"fCnt": 1, "joinServerContext": {"sessionKeyId": "01"}}'), 'rejected', 'and one with a session key id');
SELECT is(array_agg(DISTINCT reason), '{devAddr is missing,end_device_ids.dev_addr is missing}', 'that is the reason') FROM lorawan.rejected;
TRUNCATE lorawan.rejected CASCADE;
-- One that does not say, of a session whose key is known
SELECT is(lorawan.ingest(pg_temp.tts(34, '{}', '{session_key_id,f_port,f_cnt,frm_payload,received_at}') #- '{end_device_ids,dev_addr}'), 'uplink', 'one that does not say what it is');
SELECT results_eq('SELECT * FROM pg_temp.row_of(34)', $$VALUES (65538::bigint, NULL::bytea, 'perhaps encrypted')$$, 'is not plain in a session with a key');
UPDATE lorawan.uplink SET encrypted = true WHERE received_at = '2024-05-01 12:34Z';
SELECT results_eq('SELECT * FROM pg_temp.row_of(34)', $$VALUES (65538::bigint, '\x0167010e02684a'::bytea, 'decrypted')$$, 'who knows it may say so: the session has the DevAddr');

-- Simulated uplinks
SELECT is(lorawan.ingest(pg_temp.tts(35) || '{"simulated": true}'), 'uplink', 'a simulated uplink');
SELECT is(lorawan.ingest(pg_temp.tts(36, '{}', '{session_key_id,f_port,frm_payload,received_at}') || '{"simulated": true}'), 'uplink', 'one that is stored by itself');
SELECT is(lorawan.ingest(pg_temp.tts(37) || '{"simulated": "true"}'), 'uplink', 'another value');
SELECT results_eq('SELECT received_at, simulated FROM lorawan.uplink_decrypted WHERE simulated OR received_at = ''2024-05-01 12:37Z'' ORDER BY 1',
    $$VALUES ('2024-05-01 12:35Z'::timestamptz, true), ('2024-05-01 12:36Z', true), ('2024-05-01 12:37Z', false)$$, 'are marked');
SELECT results_eq('SELECT simulated, count(*) > 0 FROM lorawan.uplink GROUP BY 1 ORDER BY 1', 'VALUES (true, true), (NULL, true)', 'and the others take no space for it');

--
-- A plaintext key without a session key id: a device that is activated by personalization.  Two keys, two DevAddrs.
--
CALL key_vault.create_storage('abp', kek_label => 'lorawan');
CREATE FUNCTION pg_temp.abp(minute integer, key text, dev_addr text DEFAULT '260B1234', changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_set(pg_temp.tts(minute, jsonb_build_object('app_s_key', jsonb_build_object('key', key)) || changes) #- '{uplink_message,session_key_id}', '{end_device_ids,dev_addr}', to_jsonb(dev_addr)) $$;
SELECT is(abp.ingest(pg_temp.abp(1, 'EC925802AE430CA77FD3DD73CB2CC588')), 'uplink', 'a plaintext key without a session key id');
SELECT is(abp.ingest(pg_temp.abp(1, 'EC925802AE430CA77FD3DD73CB2CC588')), 'duplicate', 'is stored once');
SELECT results_eq($$SELECT * FROM abp.ingest(ARRAY[pg_temp.abp(2, 'EC925802AE430CA77FD3DD73CB2CC588'), pg_temp.abp(3, '00000000000000000000000000000001'), pg_temp.abp(4, 'EC925802AE430CA77FD3DD73CB2CC588'), pg_temp.abp(4, 'EC925802AE430CA77FD3DD73CB2CC588')])$$,
    'VALUES (3::bigint, 1::bigint, 0::bigint)', 'in a set, with another key between');
SELECT is(abp.ingest(pg_temp.abp(5, 'EC925802AE430CA77FD3DD73CB2CC588', '260B1235')), 'uplink', 'with another DevAddr');
SELECT results_eq('SELECT s.dev_addr, key_vault.unwrap(s.app_s_key), count(*) FROM abp.session s JOIN abp.uplink u USING (dev_eui, session_key_id) GROUP BY s.dev_eui, s.session_key_id ORDER BY min(u.received_at)',
    $$VALUES ('\x260B1234'::bytea, '\xec925802ae430ca77fd3dd73cb2cc588'::bytea, 3::bigint), ('\x260B1234', '\x00000000000000000000000000000001', 1), ('\x260B1235', '\xec925802ae430ca77fd3dd73cb2cc588', 1)$$, 'each key has a session');
SELECT results_eq('SELECT DISTINCT payload, status FROM abp.uplink_decrypted WHERE dev_addr = ''\x260B1234'' AND received_at <> ''2024-05-01 12:03Z''', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted')$$, 'and is decrypted with its own');
-- The id must not be a digest of what somebody who guesses the key can know.
SELECT is_empty($$SELECT s.session_key_id FROM abp.session s CROSS JOIN (VALUES ('\xec925802ae430ca77fd3dd73cb2cc588'::bytea), ('\x00000000000000000000000000000001')) k (key)
    CROSS JOIN LATERAL (VALUES (k.key), (k.key || s.dev_addr), (s.dev_addr || k.key), (k.key || s.dev_eui), (s.dev_eui || k.key), ('\x00'::bytea || k.key || s.dev_addr), ('\x00'::bytea || k.key)) t (text)
    WHERE s.session_key_id IN (substr(sha256(t.text), 1, 16), substr(sha512(t.text), 1, 16), decode(md5(t.text), 'hex'))$$, 'no session key id is a digest of a key');
SELECT key_vault.kek_rotate('lorawan') \g /dev/null
SELECT is(abp.ingest(pg_temp.abp(1, 'EC925802AE430CA77FD3DD73CB2CC588')), 'duplicate', 'after a rotation, a second delivery is one');
SELECT is(abp.ingest(pg_temp.abp(6, 'EC925802AE430CA77FD3DD73CB2CC588')), 'uplink', 'and an uplink');
SELECT is(count(*), 3::bigint, 'has the session of its key') FROM abp.session;
SELECT key_vault.kek_suspend('lorawan', 1) \g /dev/null
SELECT is(abp.ingest(pg_temp.abp(7, 'EC925802AE430CA77FD3DD73CB2CC588')), 'uplink', 'while the session''s KEK is suspended');
SELECT results_eq('SELECT payload, status FROM abp.uplink_decrypted WHERE received_at = ''2024-05-01 12:07Z''', $$VALUES ('\x0167010e02684a'::bytea, 'decrypted')$$, 'it gets another, and is decrypted');
SELECT is(abp.ingest(pg_temp.abp(8, 'EC925802AE430CA77FD3DD73CB2CC5')), 'rejected', 'what is no key');
SELECT results_eq('SELECT reason FROM abp.rejected', $$VALUES ('uplink_message.app_s_key holds no key of 16 bytes and no wrapped one')$$, 'is rejected');

-- For storages of version 1.0 a missing field is 0 or plain, since their tables cannot hold a missing one.
SELECT results_eq($$SELECT f_cnt, encrypted FROM key_vault.storage_events(pg_temp.tts(59, '{}', '{session_key_id,f_port,frm_payload,received_at}'))$$, 'VALUES (0::bigint, false)', 'for storages of 1.0');

SELECT * FROM finish();
ROLLBACK;
