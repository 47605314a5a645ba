-- Ninety messages of each network server: the example messages, with other counters, times and payloads.
CREATE TABLE stream AS
SELECT s.dev_eui, s.app_s_key, s.dev_addr, n, 70000 + n AS f_cnt,
       '2024-05-02 12:00Z'::timestamptz + n * interval '1 second' AS received_at,
       '\x0167'::bytea || int2send((150 + n)::smallint) AS payload
  FROM lorawan.session s, generate_series(1, 90) AS n
 WHERE s.dev_eui IN ('\x0004A30B001C0530', '\x0102030405060708');

\set the_things_stack `cat messages/the-things-stack.json`
\set chirpstack `cat messages/chirpstack.json`
CREATE TEMPORARY VIEW line AS
SELECT n, dev_eui, CASE dev_eui WHEN '\x0102030405060708' THEN
       :'chirpstack'::jsonb || jsonb_build_object('time', at, 'fCnt', f_cnt, 'data', encrypted)
       ELSE jsonb_set(:'the_things_stack', '{uplink_message}', :'the_things_stack'::jsonb -> 'uplink_message'
            || jsonb_build_object('received_at', at, 'f_cnt', f_cnt, 'frm_payload', encrypted)) END AS message
  FROM stream, LATERAL (SELECT to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
                               encode(key_vault.lorawan_encrypt_uplink(app_s_key, dev_addr, f_cnt, payload), 'base64') AS encrypted) e;
\copy (SELECT message FROM line WHERE dev_eui = '\x0004A30B001C0530' ORDER BY n) TO v3.lines (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
\copy (SELECT message FROM line WHERE dev_eui = '\x0102030405060708' ORDER BY n) TO application.lines (FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')
