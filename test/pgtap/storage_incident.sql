--
-- The incident drill.  For an hour a faulty decryptor, outside of key_vault, writes garbage; a storage has the same
-- messages as they came, and reads the hour back right.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SELECT key_vault.kek_create('transport'), key_vault.kek_create('lorawan') \g /dev/null
CALL key_vault.create_storage('lorawan');

-- Ten devices under one KEK send every ten minutes from 13:00 to 16:00.  Devices 3 and 7 join anew at 14:30.  The
-- plaintexts are kept to compare with.
CREATE TABLE session_key AS
SELECT n, part, int8send(n) AS dev_eui, int4send(x'260B0000'::integer + 16 * part + n) AS dev_addr, int8send(100 * n + part) AS session_key_id,
       key_vault.generate_key('transport') AS key
  FROM generate_series(1, 10) n, generate_series(1, 2) part WHERE part = 1 OR n IN (3, 7);
CREATE TABLE sent AS
SELECT k.*, i, '2023-02-10 13:00Z'::timestamptz + i * interval '10 minutes' + n * interval '1 second' AS at, 65530 + i AS f_cnt,
       '\x0167'::bytea || int2send((150 + 10 * n + i)::smallint) AS payload
  FROM generate_series(0, 17) i JOIN session_key k ON k.part = CASE WHEN k.n IN (3, 7) AND i >= 9 THEN 2 ELSE 1 END;
CREATE TABLE message AS
SELECT at, n, jsonb_build_object('end_device_ids', jsonb_build_object('device_id', 'sensor' || n, 'application_ids', '{"application_id": "app1"}'::jsonb, 'dev_eui', encode(dev_eui, 'hex'), 'dev_addr', encode(dev_addr, 'hex')),
    'uplink_message', jsonb_build_object('session_key_id', encode(session_key_id, 'base64'), 'f_port', 2, 'f_cnt', f_cnt, 'received_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'frm_payload', encode(key_vault.lorawan_encrypt_uplink(key, dev_addr, f_cnt, payload), 'base64'),
        'app_s_key', jsonb_build_object('kek_label', (e).kek_label, 'encrypted_key', encode((e).encrypted_key, 'base64')))) AS body
  FROM sent, LATERAL (SELECT key_vault.export_envelope(key, 'transport') AS e) x;

-- The faulty decryptor: it finds unwrapped keys in its cache by the KEK label alone, and the cache is on from 14:00
-- to 15:00.
CREATE TABLE upstream (dev_eui bytea, at timestamptz, payload bytea);
CREATE FUNCTION upstream_decrypts() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    m record;
    cached key_vault.wrapped_key;
    key key_vault.wrapped_key;
BEGIN
    FOR m IN SELECT s.*, body FROM message JOIN sent s USING (at, n) ORDER BY at LOOP
        key := key_vault.import_envelope(body #>> '{uplink_message,app_s_key,kek_label}', decode(body #>> '{uplink_message,app_s_key,encrypted_key}', 'base64'), 'lorawan') FROM (SELECT m.body) b;
        IF m.at >= '2023-02-10 14:00Z' AND m.at < '2023-02-10 15:00Z' THEN
            cached := coalesce(cached, key);
            key := cached;
        END IF;
        INSERT INTO upstream VALUES (m.dev_eui, m.at, key_vault.lorawan_decrypt_uplink(key, m.dev_addr, m.f_cnt, decode(m.body #>> '{uplink_message,frm_payload}', 'base64')));
    END LOOP;
END
$$;
SELECT upstream_decrypts() \g /dev/null
SELECT results_eq('SELECT date_trunc(''hour'', at AT TIME ZONE ''UTC''), count(*) FROM upstream u JOIN sent s USING (dev_eui, at) WHERE u.payload <> s.payload GROUP BY 1',
    $$VALUES ('2023-02-10 14:00'::timestamp, 54::bigint)$$, 'upstream, an hour of nine devices is garbage, without an error');
SELECT is(count(*), 180::bigint, 'while all rows are there') FROM upstream;

-- The storage gets the same messages, in no order, and some of them twice.
INSERT INTO lorawan.inbox SELECT body::text FROM message ORDER BY md5(body::text);
INSERT INTO lorawan.inbox SELECT body::text FROM message WHERE n = 4 ORDER BY at DESC;
SELECT results_eq('SELECT status, count(*) FROM lorawan.uplink_decrypted GROUP BY 1', $$VALUES ('decrypted', 180::bigint)$$, 'the storage has each uplink once');
SELECT is(count(*), 12::bigint, 'and each session') FROM lorawan.session;
SELECT results_eq('SELECT dev_eui, received_at, payload FROM lorawan.uplink_decrypted WHERE received_at >= ''2023-02-10 14:00Z'' AND received_at < ''2023-02-10 15:00Z'' ORDER BY 1, 2',
    'SELECT dev_eui, at, payload FROM sent WHERE at >= ''2023-02-10 14:00Z'' AND at < ''2023-02-10 15:00Z'' ORDER BY 1, 2', 'the hour is read back right by a SELECT');
SELECT results_eq('SELECT count(*) FROM lorawan.uplink_decrypted d JOIN sent s ON s.dev_eui = d.dev_eui AND s.at = d.received_at WHERE d.payload = s.payload', 'VALUES (180::bigint)', 'and so is all else');
UPDATE upstream u SET payload = d.payload FROM lorawan.uplink_decrypted d WHERE d.dev_eui = u.dev_eui AND d.received_at = u.at AND u.payload IS DISTINCT FROM d.payload;
SELECT is(count(*), 180::bigint, 'with which upstream is repaired') FROM upstream u JOIN sent s USING (dev_eui, at) WHERE u.payload = s.payload;

-- If the fault had also given out other devices' envelopes, no key of the storage would become wrong.
CREATE TEMP TABLE faulty AS
SELECT jsonb_set(jsonb_set(body, '{uplink_message,app_s_key}', (SELECT body #> '{uplink_message,app_s_key}' FROM message WHERE n = 1 LIMIT 1)),
                 '{uplink_message,received_at}', '"2023-02-10T17:00:00Z"') AS body FROM message WHERE n > 1 AND at < '2023-02-10 13:10Z';
SELECT is(array_agg(DISTINCT lorawan.ingest(body)), '{rejected}', 'an envelope of another device in a known session is rejected') FROM faulty;
SELECT results_eq('SELECT status, count(*), count(payload) FROM lorawan.uplink_decrypted GROUP BY 1', $$VALUES ('decrypted', 180::bigint, 180::bigint)$$, 'and all uplinks are as they were');
-- A key that strayed to another session's row is an error, not garbage.
UPDATE lorawan.session SET app_s_key = (SELECT app_s_key FROM lorawan.session WHERE dev_eui = int8send(1)) WHERE dev_eui = int8send(2);
SELECT results_eq('SELECT status, count(payload) FROM lorawan.uplink_decrypted WHERE dev_eui IN (int8send(1), int8send(2)) GROUP BY 1 ORDER BY status COLLATE "C"', $$VALUES ('decrypted', 18::bigint), ('other DevAddr', 0)$$, 'a key on another device''s row gives no payload');

SELECT * FROM finish();
ROLLBACK;
