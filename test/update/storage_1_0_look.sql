-- What is in the storages of storage_1_0.sql: every row, every payload as an analyst reads it, who may do what; but
-- not which partitions there are, nor columns, views and functions that 1.0 does not have.  It is the same before and after ALTER EXTENSION UPDATE and update_storage().

\set ON_ERROR_STOP on
SET client_min_messages = error;
SET TimeZone = 'UTC';
SELECT 'settings', kek_label, partition_interval, keep_messages FROM lorawan.storage_settings;
SELECT 'settings', kek_label, partition_interval, keep_messages FROM "My Storage".storage_settings;
SELECT 'uplink', md5(string_agg(j::text, ',' ORDER BY j::text)), count(*) FROM lorawan.uplink u, LATERAL (SELECT to_jsonb(u) - '{stored_at,encrypted,simulated}'::text[]) l (j);
SELECT 'uplink', md5(string_agg(j::text, ',' ORDER BY j::text)), count(*) FROM "My Storage".uplink u, LATERAL (SELECT to_jsonb(u) - '{stored_at,encrypted,simulated}'::text[]) l (j);
SELECT 'downlink', md5(string_agg(j::text, ',' ORDER BY j::text)), count(*) FROM lorawan.downlink d, LATERAL (SELECT to_jsonb(d) - 'stored_at') l (j);
SELECT 'session', md5(string_agg(s::text, ',' ORDER BY s::text)), count(*), count(app_s_key), count(encrypted_key) FROM lorawan.session s;
SELECT 'device', md5(string_agg(j::text, ',' ORDER BY j::text)), count(*) FROM lorawan.device d, LATERAL (SELECT to_jsonb(d) - 'seen_at') l (j);
SELECT 'rejected', md5(string_agg(r::text, ',' ORDER BY r::text)), count(*), count(message) FROM (SELECT id, rejected_at, tries, sqlstate, reason, message, digest FROM lorawan.rejected) r;
SELECT 'rejected_key', md5(string_agg(k::text, ',' ORDER BY k::text)), count(*) FROM lorawan.rejected_key k;
SELECT 'application', md5(string_agg(a::text, ',' ORDER BY a::text)), count(*) FROM (SELECT application_id, kek_label FROM lorawan.application) a;
SELECT 'inbox', count(*) FROM lorawan.inbox;
SET ROLE storage_analyst;
SELECT 'read', payload, status, count(*) FROM lorawan.uplink_decrypted WHERE status NOT IN ('plain', 'perhaps encrypted') GROUP BY 2, 3 ORDER BY 3, 2;
-- 1.0 takes for plain what came without a key in a session that has one; its reading is 17.
SELECT 'read', count(*) FROM lorawan.uplink_decrypted WHERE status IN ('plain', 'perhaps encrypted');
SELECT 'latest', device_id, payload, status FROM lorawan.device_latest ORDER BY 2;
SELECT 'reading', value, count(*) FROM lorawan.reading WHERE value <> 17 GROUP BY 2 ORDER BY 2;
RESET ROLE;
SELECT 'table', c.oid::regclass, c.relowner::regrole, c.relacl FROM pg_class c
 WHERE c.relnamespace IN ('lorawan'::regnamespace, '"My Storage"'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
   AND c.relname <> 'uplink_decoded'
 ORDER BY c.oid::regclass::text;
SELECT 'function', p.oid::regprocedure, p.proowner::regrole, p.proacl FROM pg_proc p
 WHERE p.pronamespace IN ('lorawan'::regnamespace, '"My Storage"'::regnamespace)
   AND p.oid::regprocedure::text ~ '[.](ingest[(](jsonb|text)[)]|replay_rejected[(][)])$' ORDER BY p.oid::regprocedure::text;
