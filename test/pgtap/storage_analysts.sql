--
-- Analysts: roles that may decrypt but not unwrap, and that read a storage's views.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_analysts;
CREATE DATABASE key_vault_pgtap_analysts;
ALTER DATABASE key_vault_pgtap_analysts SET row_security = on;
-- The report counts by hour, so the time zone matters.
ALTER DATABASE key_vault_pgtap_analysts SET TimeZone = 'UTC';
\c key_vault_pgtap_analysts
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
ALTER DATABASE key_vault_pgtap_analysts SET client_min_messages = error;
DROP ROLE IF EXISTS kv_analyst, kv_analyst_app1;
CREATE ROLE kv_analyst;
CREATE ROLE kv_analyst_app1;
SELECT no_plan();
LOAD 'key_vault';

SELECT key_vault.kek_create('app1-kek'), key_vault.kek_create('lorawan'), key_vault.kek_create('app2 at rest') \g /dev/null
CALL key_vault.create_storage('lorawan');
INSERT INTO lorawan.application VALUES ('app2', 'app2 at rest');

-- Twenty devices of two applications send every 20 minutes for two days.  Their plaintexts are kept to compare with:
-- temperature and humidity in the form of Cayenne LPP.
CREATE TABLE device_key AS SELECT n, int8send(n) AS dev_eui, int4send(x'260B0000'::integer + n) AS dev_addr, key_vault.generate_key('app1-kek') AS key FROM generate_series(1, 20) n;
CREATE TABLE plaintext AS
SELECT d.n, d.dev_eui, CASE WHEN d.n <= 10 THEN 'app1' ELSE 'app2' END AS application_id, 65000 + i AS f_cnt, '2024-05-01 00:00Z'::timestamptz + i * interval '20 minutes' AS at,
       (100 + d.n * 10 + i % 24) / 10.0 AS temperature, (40 + i % 60) / 2.0 AS humidity
  FROM device_key d, generate_series(0, 143) i;
INSERT INTO lorawan.inbox
SELECT jsonb_build_object('end_device_ids', jsonb_build_object('device_id', 'sensor' || n, 'application_ids', jsonb_build_object('application_id', application_id), 'dev_eui', upper(encode(dev_eui, 'hex')), 'dev_addr', upper(encode(dev_addr, 'hex'))),
    'uplink_message', jsonb_build_object('session_key_id', encode(dev_eui, 'base64'), 'f_port', 2, 'f_cnt', f_cnt, 'received_at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'frm_payload', encode(key_vault.lorawan_encrypt_uplink(key, dev_addr, f_cnt, '\x0167'::bytea || int2send((temperature * 10)::smallint) || '\x0268'::bytea || substr(int2send((humidity * 2)::smallint), 2)), 'base64'),
        'app_s_key', jsonb_build_object('kek_label', (envelope).kek_label, 'encrypted_key', encode((envelope).encrypted_key, 'base64'))))::text
  FROM plaintext JOIN device_key USING (n, dev_eui), LATERAL (SELECT key_vault.export_envelope(key, 'app1-kek') AS envelope) e;
-- The rows get the times at which their messages would have been stored.
UPDATE lorawan.uplink SET stored_at = received_at;
CALL key_vault.maintain_storage('lorawan');
ANALYZE;
SELECT is(count(*), 2880::bigint, 'uplinks') FROM lorawan.uplink;

-- A payload decoded in SQL
CREATE VIEW lorawan.reading WITH (security_invoker = true) AS
SELECT received_at, application_id, device_id, dev_eui, f_cnt,
       (get_byte(payload, 2) << 8 | get_byte(payload, 3))::integer / 10.0 AS temperature, get_byte(payload, 6) / 2.0 AS humidity, stored_at
  FROM lorawan.uplink_decrypted WHERE f_port = 2;
GRANT USAGE ON SCHEMA lorawan TO kv_analyst, kv_analyst_app1;
GRANT SELECT ON lorawan.uplink, lorawan.session, lorawan.device, lorawan.uplink_decrypted, lorawan.device_latest, lorawan.reading TO kv_analyst, kv_analyst_app1;
GRANT SELECT ON plaintext TO kv_analyst, kv_analyst_app1;

SET ROLE kv_analyst;
SELECT results_eq('SELECT DISTINCT payload, status FROM lorawan.uplink_decrypted', $$VALUES (NULL::bytea, 'not permitted')$$, 'without decrypt there are no readings');
SELECT lives_ok('SELECT dev_eui, f_cnt, received_at FROM lorawan.uplink_decrypted', 'the rest can be read: nothing is decrypted for it');
RESET ROLE;
SELECT key_vault.kek_grant('lorawan', 'kv_analyst', 'decrypt'), key_vault.kek_grant('app2 at rest', 'kv_analyst', 'decrypt'), key_vault.kek_grant('lorawan', 'kv_analyst_app1', 'decrypt') \g /dev/null
SET ROLE kv_analyst;
SELECT results_eq('SELECT dev_eui, f_cnt, temperature::numeric(5, 1), humidity::numeric(5, 1) FROM lorawan.reading ORDER BY 1, 2', 'SELECT dev_eui, f_cnt::bigint, temperature::numeric(5, 1), humidity::numeric(5, 1) FROM plaintext ORDER BY 1, 2', 'decoded in SQL');
SELECT results_eq('SELECT date_trunc(''hour'', received_at) AS hour, application_id, count(*), avg(temperature)::numeric(5, 2) FROM lorawan.reading GROUP BY 1, 2 ORDER BY 1, 2',
    'SELECT date_trunc(''hour'', at) AS hour, application_id, count(*), avg(temperature)::numeric(5, 2) FROM plaintext GROUP BY 1, 2 ORDER BY 1, 2', 'aggregated by hour');
SELECT results_eq('SELECT device_id, temperature::numeric(5, 1) FROM lorawan.reading r JOIN (VALUES (''sensor3'', ''shed''), (''sensor13'', ''roof'')) AS place (device_id, place) USING (device_id) WHERE f_cnt = 65010 AND place = ''roof''',
    'SELECT ''sensor13'', temperature::numeric(5, 1) FROM plaintext WHERE n = 13 AND f_cnt = 65010', 'joined');
SELECT is(count(*), 20::bigint, 'the latest of each device') FROM lorawan.device_latest l JOIN plaintext p USING (dev_eui, f_cnt) WHERE p.at = '2024-05-02 23:40Z' AND get_byte(l.payload, 6) = (p.humidity * 2)::integer;
SELECT throws_ok('SELECT key_vault.unwrap(app_s_key) FROM lorawan.session', '42501', NULL, 'an analyst cannot unwrap');
SELECT throws_ok('SELECT key_vault.export_envelope(app_s_key, ''app1-kek'') FROM lorawan.session', '42501', NULL, 'or take a key elsewhere');
SELECT throws_ok('SELECT key_vault.rewrap(app_s_key) FROM lorawan.session', '42501', NULL, 'or rewrap it');
RESET ROLE;

-- What a query reads: one of the two partitions; the latest row, by an index
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
        result := result || line || E'\n';
    END LOOP;
    RETURN result;
END
$$;
SELECT alike(plan_of('SELECT avg(temperature) FROM lorawan.reading WHERE stored_at >= ''2024-05-02 00:00Z'' AND stored_at < ''2024-05-03 00:00Z'''), '%uplink_20240502%', 'a day is one partition');
SELECT unalike(plan_of('SELECT avg(temperature) FROM lorawan.reading WHERE stored_at >= ''2024-05-02 00:00Z'' AND stored_at < ''2024-05-03 00:00Z'''), '%uplink_20240501%', 'and no other');
SELECT unalike(plan_of('SELECT avg(temperature) FROM lorawan.reading WHERE stored_at >= ''2024-05-02 00:00Z'' AND stored_at < ''2024-05-03 00:00Z'''), '%device%', 'what is not asked for is not joined');
SELECT matches(plan_of('SELECT * FROM lorawan.device_latest WHERE dev_eui = ''\x0000000000000001'''), 'Index Scan[^\n]*uplink_20240502', 'the latest uplink comes from the index');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT matches(plan_of('SELECT date_trunc(''hour'', received_at), avg(temperature) FROM lorawan.reading GROUP BY 1'), 'Gather(.|\n)*Partial [^\n]*Aggregate(.|\n)*Parallel', 'parallel workers decrypt and aggregate');
SELECT results_eq('SELECT date_trunc(''hour'', received_at) AS hour, application_id, count(*), avg(temperature)::numeric(5, 2) FROM lorawan.reading GROUP BY 1, 2 ORDER BY 1, 2',
    'SELECT date_trunc(''hour'', at) AS hour, application_id, count(*), avg(temperature)::numeric(5, 2) FROM plaintext GROUP BY 1, 2 ORDER BY 1, 2', 'with the same result');
SELECT results_eq('SELECT status, count(*) FROM lorawan.uplink_decrypted GROUP BY 1', $$VALUES ('decrypted', 2880::bigint)$$, 'and the status');
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size; RESET max_parallel_workers_per_gather;

-- Row-level security by application
ALTER TABLE lorawan.uplink ENABLE ROW LEVEL SECURITY;
ALTER TABLE lorawan.session ENABLE ROW LEVEL SECURITY;
ALTER TABLE lorawan.device ENABLE ROW LEVEL SECURITY;
CREATE POLICY app1 ON lorawan.uplink FOR SELECT TO kv_analyst_app1 USING (application_id = 'app1');
CREATE POLICY app1 ON lorawan.session FOR SELECT TO kv_analyst_app1 USING (application_id = 'app1');
CREATE POLICY app1 ON lorawan.device FOR SELECT TO kv_analyst_app1 USING (application_id = 'app1');
SET ROLE kv_analyst_app1;
SELECT results_eq('SELECT application_id, count(*), avg(temperature)::numeric(5, 2) FROM lorawan.reading GROUP BY 1', 'SELECT application_id, count(*), avg(temperature)::numeric(5, 2) FROM plaintext WHERE application_id = ''app1'' GROUP BY 1', 'an analyst of an application sees its readings only');
SELECT results_eq('SELECT DISTINCT application_id FROM lorawan.uplink', $$VALUES ('app1')$$, 'and its rows');
SELECT is(count(*), 10::bigint, 'its sessions') FROM lorawan.session;
SELECT is(count(*), 10::bigint, 'its devices') FROM lorawan.device_latest;
SELECT throws_ok('SELECT * FROM lorawan.uplink_20240501', '42501', NULL, 'and the partitions not at all');
SET ROLE kv_analyst;
SELECT is(count(*), 0::bigint, 'a role without a policy sees nothing') FROM lorawan.reading;
RESET ROLE;
SELECT is(count(*), 2880::bigint, 'the owner all') FROM lorawan.reading;
-- KEK labels of applications protect payloads where a policy was forgotten.
ALTER TABLE lorawan.uplink DISABLE ROW LEVEL SECURITY;
ALTER TABLE lorawan.session DISABLE ROW LEVEL SECURITY;
ALTER TABLE lorawan.device DISABLE ROW LEVEL SECURITY;
SET ROLE kv_analyst_app1;
SELECT results_eq('SELECT application_id, status, count(payload), count(*) FROM lorawan.uplink_decrypted GROUP BY 1, 2 ORDER BY 1', $$VALUES ('app1', 'decrypted', 1440::bigint, 1440::bigint), ('app2', 'not permitted', 0, 1440)$$, 'without policies the other application''s keys are refused, row by row');
SELECT is(count(temperature), 1440::bigint, 'and the own ones are not') FROM lorawan.reading WHERE application_id = 'app1';
RESET ROLE;

-- A materialised view is fast, but it holds payloads in the clear.
CREATE MATERIALIZED VIEW lorawan.hourly AS
SELECT dev_eui, date_trunc('hour', received_at) AS hour, avg(temperature) AS temperature FROM lorawan.reading GROUP BY 1, 2;
SELECT is(count(*), 20 * 48::bigint, 'a materialised view') FROM lorawan.hourly;
SELECT key_vault.kek_suspend('lorawan', 1), key_vault.kek_suspend('app2 at rest', 1) \g /dev/null
SELECT is(count(temperature), 20 * 48::bigint, 'is read without any key') FROM lorawan.hourly;
SELECT is(count(temperature), 0::bigint, 'while nothing can be decrypted') FROM lorawan.reading;
SELECT key_vault.kek_resume('lorawan', 1), key_vault.kek_resume('app2 at rest', 1) \g /dev/null

SELECT * FROM finish();
\c :before
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_analysts;
DROP ROLE kv_analyst, kv_analyst_app1;
