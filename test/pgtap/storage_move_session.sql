--
-- A device is given to another application: what the analysts of both applications read, before and after its session
-- is moved.
--
-- The uplinks are the example in demo/messages, whose payload under its key is 0167010e02684a.  The key of the second
-- session differs in one bit, in an envelope under the same KEK.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- The tests compare times as text.
SET TimeZone = 'UTC';
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
CREATE ROLE kv_move_owner;
CREATE ROLE kv_move_analyst1;
CREATE ROLE kv_move_analyst2;
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan'), key_vault.kek_create('app2 at rest') \g /dev/null
SELECT key_vault.kek_grant('app1-kek', 'kv_move_owner', 'unwrap'), key_vault.kek_grant('lorawan', 'kv_move_owner', 'wrap'),
    key_vault.kek_grant('lorawan', 'kv_move_analyst1', 'decrypt'), key_vault.kek_grant('app2 at rest', 'kv_move_analyst2', 'decrypt') \g /dev/null
CREATE FUNCTION public.uplink(minute integer, application text DEFAULT 'app1', changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', jsonb_build_object('device_id', 'dev1', 'application_ids', jsonb_build_object('application_id', application), 'dev_eui', '0004A30B001C0530', 'dev_addr', '260B1234'),
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-01T%s:%s:00Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes)
$$;
CREATE SCHEMA lorawan AUTHORIZATION kv_move_owner;
SET ROLE kv_move_owner;
CALL key_vault.create_storage('lorawan');
INSERT INTO lorawan.application VALUES ('app2', 'app2 at rest');
GRANT USAGE ON SCHEMA lorawan TO kv_move_analyst1, kv_move_analyst2;
GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.uplink_decrypted, lorawan.device_latest TO kv_move_analyst1, kv_move_analyst2;
SELECT lorawan.ingest(uplink(0)), lorawan.ingest(uplink(1, 'app1', '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg==", "app_s_key": {"kek_label": "app1-kek", "encrypted_key": "CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA"}}')),
    lorawan.ingest(uplink(2, 'app2')),
    lorawan.ingest(uplink(3, 'app1', '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw==", "app_s_key": {"kek_label": "late", "encrypted_key": "7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
RESET ROLE;

CREATE FUNCTION read_by(role text) RETURNS TABLE (minute integer, payload bytea, status text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    RETURN QUERY SELECT extract(minute FROM u.received_at)::integer, u.payload, u.status FROM lorawan.uplink_decrypted u ORDER BY 1;
    RESET ROLE;
END
$$;
SELECT results_eq($$SELECT * FROM read_by('kv_move_analyst2')$$, $$VALUES (0, NULL::bytea, 'not permitted'), (1, NULL, 'not permitted'), (2, NULL, 'not permitted'), (3, NULL, 'KEK unknown')$$, 'the key is under the label of the first application');
SET ROLE kv_move_analyst2;
SELECT results_eq('SELECT payload, status FROM lorawan.device_latest', $$VALUES (NULL::bytea, 'KEK unknown')$$, 'the latest, too, is a status');
SELECT throws_ok($$SELECT key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2')$$, '42501', 'must be owner of storage "lorawan"', 'he cannot take it');
RESET ROLE;

-- Which privileges moving a session needs
CREATE TEMP TABLE before AS SELECT * FROM lorawan.session;
SET ROLE kv_move_owner;
SELECT throws_ok($$SELECT key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2')$$, '42501', 'permission denied for KEK label "lorawan"', 'who moves a key needs unwrap on its label');
RESET ROLE;
SELECT key_vault.kek_grant('lorawan', 'kv_move_owner', 'unwrap') \g /dev/null
SELECT throws_ok($$SELECT key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2')$$, '42501', 'permission denied for KEK label "app2 at rest"', 'and wrap on the other, which the owner needs, whoever calls it');
SELECT key_vault.kek_grant('app2 at rest', 'kv_move_owner', 'wrap') \g /dev/null
SELECT throws_ok($$SELECT key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0287c2d1b6a0f3e4475869aabbccddee', 'app2')$$, 'P0002', 'device 0004a30b001c0530 has no session 0287c2d1b6a0f3e4475869aabbccddee', 'a session that is not there');
SELECT throws_ok($$SELECT key_vault.move_session('lorawan', '\x0104A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2')$$, 'P0002', 'device 0104a30b001c0530 has no session 0187c2d1b6a0f3e4475869aabbccddee', 'another device');
SELECT throws_ok(format('SELECT key_vault.move_session(%s)', arguments), '22004', NULL, arguments)
  FROM unnest(ARRAY[$$NULL, '\x0004A30B001C0530', '\x01', 'app2'$$, $$'lorawan', NULL, '\x01', 'app2'$$, $$'lorawan', '\x0004A30B001C0530', NULL, 'app2'$$, $$'lorawan', '\x0004A30B001C0530', '\x01', NULL$$, $$'lorawan', '\x0004A30B001C0530', '\x01', ''$$]) arguments;
SELECT set_eq('SELECT s::text FROM lorawan.session s', 'SELECT b::text FROM before b', 'nothing is changed so far');

-- After the move
SELECT is(key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2'), 'app2 at rest', 'by a superuser, as the owner');
SELECT results_eq($$SELECT application_id, key_vault.kek_label(app_s_key), key_vault.bound_dev_addr(app_s_key) FROM lorawan.session WHERE session_key_id = '\x0187c2d1b6a0f3e4475869aabbccddee'$$,
    $$VALUES ('app2', 'app2 at rest', '\x260b1234'::bytea)$$, 'its key is under the other label, and bound as before');
SELECT set_eq($$SELECT s::text FROM lorawan.session s WHERE session_key_id <> '\x0187c2d1b6a0f3e4475869aabbccddee'$$, $$SELECT b::text FROM before b WHERE session_key_id <> '\x0187c2d1b6a0f3e4475869aabbccddee'$$, 'the device''s other sessions are as they were');
SELECT results_eq($$SELECT * FROM read_by('kv_move_analyst2')$$, $$VALUES (0, '\x0167010e02684a'::bytea, 'decrypted'), (1, NULL, 'not permitted'), (2, '\x0167010e02684a', 'decrypted'), (3, NULL, 'KEK unknown')$$, 'the analysts of the second application read it');
SELECT results_eq($$SELECT minute, status FROM read_by('kv_move_analyst1')$$, $$VALUES (0, 'not permitted'), (1, 'decrypted'), (2, 'not permitted'), (3, 'KEK unknown')$$, 'those of the first no more');
SELECT app_s_key AS moved FROM lorawan.session WHERE application_id = 'app2' \gset
SELECT is(key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2'), 'app2 at rest', 'once more');
SELECT is(app_s_key, :'moved', 'changes nothing') FROM lorawan.session WHERE application_id = 'app2';
SELECT is(lorawan.ingest(uplink(4, 'app2')), 'uplink', 'messages of the session go on');
SELECT is(status, 'decrypted', 'under its key') FROM lorawan.uplink_decrypted WHERE received_at = '2024-05-01 00:04Z';
-- A session whose envelope is not opened yet
SELECT is(key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x00000000000000000000000000000003', 'app2'), 'app2 at rest', 'a session that waits for its KEK');
SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_grant('late', 'kv_move_owner', 'unwrap') \g /dev/null
SELECT is(opened, 1::bigint, 'is opened') FROM lorawan.replay_rejected();
SELECT is(key_vault.kek_label(app_s_key), 'app2 at rest', 'under the label of the other application') FROM lorawan.session WHERE session_key_id = '\x00000000000000000000000000000003';
-- A move to an application without a KEK label of its own
SELECT is(key_vault.kek_grant('app2 at rest', 'kv_move_owner', 'unwrap'), true, 'back');
SELECT is(key_vault.move_session('lorawan', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app7'), 'lorawan', 'the label of the storage');

SELECT * FROM finish();
ROLLBACK;
