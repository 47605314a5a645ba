--
-- Storages as objects of a database: several storages, each owned by the role that made it; made again; under hostile
-- names and search paths; their partitions.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
LOAD 'key_vault';
SET TimeZone = 'America/St_Johns';
SET DateStyle = 'SQL, DMY';

SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan'), key_vault.kek_create('Odd "schema"') \g /dev/null
CREATE FUNCTION pg_temp.uplink(at timestamptz, f_cnt bigint DEFAULT 65538, application text DEFAULT 'app1') RETURNS jsonb LANGUAGE sql AS
$$SELECT format('{"end_device_ids":{"device_id":"dev1","application_ids":{"application_id":"%s"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"},
 "uplink_message":{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":%s,"frm_payload":"LhFe2aRcmQ==","received_at":"%s",
 "app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}}', application, f_cnt, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::jsonb$$;

-- A role that is no superuser makes a storage, and needs no privilege but on its schema.
DROP ROLE IF EXISTS kv_storage_owner, kv_storage_ingester;
CREATE ROLE kv_storage_owner;
CREATE ROLE kv_storage_ingester;
CREATE SCHEMA lorawan AUTHORIZATION kv_storage_owner;
SET ROLE kv_storage_owner;
CALL key_vault.create_storage('lorawan');
RESET ROLE;
SELECT is(array_agg(DISTINCT relowner::regrole::text), '{kv_storage_owner}', 'tables and views belong to the caller') FROM pg_class WHERE relnamespace = 'lorawan'::regnamespace;
SELECT is(array_agg(DISTINCT proowner::regrole::text), '{kv_storage_owner}', 'and functions') FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace;
SELECT is_empty($$SELECT FROM pg_depend d WHERE d.deptype = 'e' AND d.objid IN (SELECT oid FROM pg_class WHERE relnamespace = 'lorawan'::regnamespace UNION SELECT oid FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace)$$, 'none is a member of the extension');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c WHERE relnamespace = 'lorawan'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL$$, 'each table and view has a comment');
SELECT is_empty($$SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL$$, 'and each function');
SELECT is_empty($$SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'lorawan'::regnamespace AND (prosecdef OR proconfig <> '{"search_path=lorawan, pg_temp"}')$$, 'functions run as who calls them, and look names up in pg_catalog, the schema and nowhere else');
SELECT is(kek_label, 'lorawan', 'the KEK label is the schema''s name, if none is given') FROM lorawan.storage_settings;

-- The privileges that an ingester needs
SET ROLE kv_storage_ingester;
SELECT throws_ok(format('SELECT lorawan.ingest(%L)', pg_temp.uplink('2024-05-01 12:00Z')), '42501', 'permission denied for schema lorawan', 'somebody''s messages are not taken');
RESET ROLE;
GRANT USAGE ON SCHEMA lorawan TO kv_storage_ingester;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA lorawan TO kv_storage_ingester;
SELECT key_vault.kek_grant('lorawan', 'kv_storage_ingester', 'wrap') \g /dev/null
SET ROLE kv_storage_ingester;
SELECT is(lorawan.ingest(pg_temp.uplink('2024-05-01 12:00Z')), 'rejected', 'without unwrap on the transport label');
SELECT is(reason, 'permission denied for KEK label "app1-kek"', 'messages are kept') FROM lorawan.rejected;
RESET ROLE;
SELECT key_vault.kek_grant('app1-kek', 'kv_storage_ingester', 'unwrap') \g /dev/null
GRANT DELETE ON lorawan.rejected TO kv_storage_ingester;
SELECT is(stored, 0::bigint, 'a superuser tries them with the owner''s privileges, who has none on the KEKs') FROM lorawan.replay_rejected();
SET ROLE kv_storage_ingester;
SELECT is(stored, 1::bigint, 'until it is granted, and they are tried again') FROM lorawan.replay_rejected();
SELECT is(lorawan.ingest(pg_temp.uplink('2024-05-01 12:00Z', 65539)), 'uplink', 'the ingester stores');
SELECT results_eq('SELECT payload, status FROM lorawan.uplink_decrypted', $$VALUES (NULL::bytea, 'not permitted'), (NULL, 'not permitted')$$, 'and does not decrypt');
RESET ROLE;

-- A second create_storage() changes nothing.  The uplinks get the time of their day as the time of storing, as if no
-- partition had been there for them on that day.
UPDATE lorawan.uplink SET stored_at = received_at;
CREATE TEMP TABLE before AS SELECT oid, relname::text, relkind FROM pg_class WHERE relnamespace = 'lorawan'::regnamespace;
SET ROLE kv_storage_owner;
CALL key_vault.create_storage('lorawan');
RESET ROLE;
SELECT set_has('SELECT oid, relname::text FROM pg_class WHERE relnamespace = ''lorawan''::regnamespace', 'SELECT oid, relname FROM before', 'made again, all that was there is there');
SELECT set_eq('SELECT relname::text FROM pg_class WHERE relnamespace = ''lorawan''::regnamespace EXCEPT SELECT relname FROM before', '{uplink_20240501,uplink_20240501_device_idx,uplink_20240501_received_at_idx}'::text[], 'and a partition for what came meanwhile');
SELECT is(count(*), 2::bigint, 'with its rows') FROM lorawan.uplink;
SELECT throws_ok($$CALL key_vault.create_storage('lorawan', kek_label => 'other')$$, '42501', 'must be owner of storage "lorawan"', 'not by a superuser either, who would own what is made');
SET ROLE kv_storage_owner;
CALL key_vault.create_storage('lorawan', kek_label => 'other', keep_messages => true);
CALL key_vault.create_storage('lorawan');
SELECT results_eq('SELECT kek_label, partition_interval, keep_messages FROM lorawan.storage_settings', $$VALUES ('other', 'day', true)$$, 'settings change when they are given');
CALL key_vault.create_storage('lorawan', kek_label => 'lorawan', keep_messages => false);
SELECT throws_ok($$CALL key_vault.create_storage('lorawan', partition_interval => 'month')$$, '55000', 'storage "lorawan" has partitions of a day each', 'but for the interval');
RESET ROLE;

-- Another schema, with an odd name, and hostile objects in the search path
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.trap(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.trap(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.trap(jsonb, text) RETURNS jsonb LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.octet_length(bytea) RETURNS integer LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.-> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = hostile.trap);
CREATE TEMP TABLE session (dev_eui bytea);
CREATE TEMP TABLE keks (label text);
SET search_path = pg_temp, hostile, pg_catalog, public;
CALL key_vault.create_storage('Odd "schema"');
CREATE TEMP TABLE result AS SELECT "Odd ""schema""".ingest(pg_temp.uplink('2024-05-01 12:00Z')) AS ingest;
INSERT INTO "Odd ""schema""".inbox VALUES (pg_temp.uplink('2024-05-01 12:01Z')::text);
CREATE TEMP TABLE statuses AS SELECT status, payload FROM "Odd ""schema""".uplink_decrypted;
UPDATE "Odd ""schema""".uplink SET stored_at = received_at;
CALL key_vault.maintain_storage('Odd "schema"', keep => '1 day');
SELECT * FROM "Odd ""schema""".replay_rejected() \g /dev/null
RESET search_path;
SELECT throws_ok('SELECT ''a''::text OPERATOR(hostile.=) ''b''::text', 'P0001', 'trapped', 'the trap works');
SELECT is(ingest, 'uplink', 'a schema of an odd name, hostile things before pg_catalog') FROM result;
SELECT results_eq('SELECT status, payload FROM statuses', $$VALUES ('decrypted', '\x0167010e02684a'::bytea), ('decrypted', '\x0167010e02684a')$$, 'its view decrypts');
SELECT is(count(*), 0::bigint, 'and is maintained') FROM "Odd ""schema""".uplink;
SELECT is(count(*), 2::bigint, 'the other storage is untouched') FROM lorawan.uplink;

-- create_storage() does not take over objects that are there already.
CREATE SCHEMA mine;
CREATE TABLE mine.session (id integer);
CREATE FUNCTION mine.ingest(jsonb) RETURNS text LANGUAGE sql AS 'SELECT 1::text';
SELECT throws_ok($$CALL key_vault.create_storage('mine')$$, '42710', 'schema "mine" already has objects with names that a storage needs', 'tables of somebody''s own');
SELECT hasnt_table('mine', 'uplink', 'nothing is made there');
SELECT throws_ok($$CALL key_vault.create_storage('new', partition_interval => 'hour')$$, '22023', 'invalid partition interval "hour"', 'an interval that is none');
SELECT throws_ok($$CALL key_vault.create_storage(NULL)$$, '22004', 'schema of a storage must not be NULL', 'no schema');
SELECT throws_ok($$CALL key_vault.maintain_storage('mine')$$, '42704', 'schema "mine" is no storage', 'maintaining what is no storage');
SELECT throws_ok($$CALL key_vault.maintain_storage('lorawan', -1)$$, '22023', 'ahead must be from 0 to 1000 partitions', 'partitions behind');
SELECT throws_ok($$CALL key_vault.maintain_storage('lorawan', keep => '0')$$, '22023', 'keep must be a positive interval', 'keeping nothing');

--
-- Partitions
--
CREATE SCHEMA fresh AUTHORIZATION kv_storage_owner;
SET ROLE kv_storage_owner;
CALL key_vault.create_storage('fresh', kek_label => 'lorawan');
RESET ROLE;
SELECT fresh.ingest(pg_temp.uplink('2024-05-01 12:00Z')), fresh.ingest(pg_temp.uplink('2024-05-01 12:00Z', 65539)) \g /dev/null
UPDATE fresh.uplink SET stored_at = received_at;
CREATE FUNCTION pg_temp.partitions(parent regclass) RETURNS SETOF text LANGUAGE sql SET TimeZone = 'UTC' SET DateStyle = 'ISO' AS
$$SELECT regexp_replace(inhrelid::regclass::text || ' ' || pg_get_expr(relpartbound, c.oid), '( 00:00:00\+00)|FOR VALUES |\S*\.', '', 'g') FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = parent ORDER BY inhrelid::regclass::text COLLATE "C"$$;
CREATE FUNCTION pg_temp.day(n integer) RETURNS text LANGUAGE sql AS $$SELECT to_char((now() AT TIME ZONE 'UTC')::date + n, 'YYYY-MM-DD')$$;
SELECT results_eq($$SELECT pg_temp.partitions('fresh.uplink')$$,
    $$SELECT format('uplink_%s FROM (''%s'') TO (''%s'')', replace(pg_temp.day(n), '-', ''), pg_temp.day(n), pg_temp.day(n + 1)) FROM generate_series(0, 7) n UNION ALL SELECT 'uplink_default DEFAULT'$$, 'today and seven days ahead, in UTC');
SELECT is(count(*), 9::bigint, 'also of downlinks') FROM pg_temp.partitions('fresh.downlink');
SELECT is(count(*), 2::bigint, 'what was stored when there was no partition for it is in the default partition') FROM fresh.uplink_default;
SELECT fresh.ingest(pg_temp.uplink(now())) \g /dev/null
SELECT is(tableoid::regclass::text, 'fresh.uplink_' || replace(pg_temp.day(0), '-', ''), 'what comes now, in that of today') FROM fresh.uplink WHERE received_at = now();
-- Times at the borders of partitions, and far in the future
SELECT fresh.ingest(pg_temp.uplink('2024-05-01 23:59:59.999999Z')), fresh.ingest(pg_temp.uplink('2024-05-02 00:00Z')), fresh.ingest(pg_temp.uplink('2024-05-02 00:00Z', 1)) \g /dev/null
UPDATE fresh.uplink SET received_at = '2199-01-01 00:00Z' WHERE f_cnt = 1;
UPDATE fresh.uplink SET stored_at = received_at;
CREATE TEMP TABLE uplinks AS SELECT * FROM fresh.uplink;
CALL key_vault.maintain_storage('fresh', ahead => 8);
SELECT results_eq($$SELECT pg_temp.partitions('fresh.uplink')$$,
    $$VALUES ($_$uplink_20240501 FROM ('2024-05-01') TO ('2024-05-02')$_$), ($_$uplink_20240502 FROM ('2024-05-02') TO ('2024-05-03')$_$)
      UNION ALL (SELECT format('uplink_%s FROM (''%s'') TO (''%s'')', replace(pg_temp.day(n), '-', ''), pg_temp.day(n), pg_temp.day(n + 1)) FROM generate_series(0, 8) n) UNION ALL SELECT 'uplink_default DEFAULT'$$, 'maintained: a day more ahead, and the days of what came late');
SELECT results_eq('SELECT * FROM fresh.uplink ORDER BY received_at, f_cnt', 'SELECT * FROM uplinks ORDER BY received_at, f_cnt', 'no row is lost');
SELECT results_eq('SELECT tableoid::regclass::text, count(*) FROM fresh.uplink WHERE received_at < ''2025-01-01'' GROUP BY 1 ORDER BY 1', $$VALUES ('fresh.uplink_20240501', 3::bigint), ('fresh.uplink_20240502', 1)$$, 'each is in its partition');
SELECT results_eq('SELECT received_at FROM fresh.uplink_default', $$VALUES ('2199-01-01 00:00Z'::timestamptz)$$, 'no partition is made for the far future');
SELECT is(array_agg(DISTINCT relowner::regrole::text), '{kv_storage_owner}', 'partitions belong to the storage''s owner, whoever maintains it') FROM pg_class WHERE relnamespace = 'fresh'::regnamespace AND relkind = 'r';
SELECT is(fresh.ingest(pg_temp.uplink('2024-05-02 00:00Z')), 'duplicate', 'a repeated delivery is found in the new partition');
SELECT is(count(*), 1::bigint, 'which has the indexes') FROM pg_index WHERE indrelid = 'fresh.uplink_20240502'::regclass AND indisunique;
CALL key_vault.maintain_storage('fresh', keep => now() - '2024-05-02 12:00Z');
SELECT results_eq('SELECT count(*), min(received_at) FROM fresh.uplink', $$VALUES (3::bigint, '2024-05-02 00:00Z'::timestamptz)$$, 'old partitions are dropped, not those that are partly young');
SELECT is(count(*), 1::bigint, 'sessions are kept') FROM fresh.session;
INSERT INTO fresh.inbox VALUES (pg_temp.uplink('2024-05-01 12:00Z')::text), (pg_temp.uplink('2024-05-03 00:00Z')::text), (pg_temp.uplink('2024-05-04 12:00Z')::text);
UPDATE fresh.uplink SET stored_at = received_at;
CALL key_vault.maintain_storage('fresh', keep => now() - '2024-05-02 12:00Z');
SELECT results_eq('SELECT received_at, tableoid::regclass::text FROM fresh.uplink WHERE received_at < ''2025-01-01'' ORDER BY 1',
    $$VALUES ('2024-05-02 00:00Z'::timestamptz, 'fresh.uplink_20240502'), ('2024-05-03 00:00Z', 'fresh.uplink_20240503'), ('2024-05-04 12:00Z', 'fresh.uplink_20240504')$$, 'what is too old in the default partition is not kept either, what is young enough is');
-- Partitions of weeks and months
CALL key_vault.create_storage('weekly', kek_label => 'lorawan', partition_interval => 'week');
CALL key_vault.create_storage('monthly', kek_label => 'lorawan', partition_interval => 'month');
SELECT weekly.ingest(pg_temp.uplink('2024-05-01 12:00Z')), monthly.ingest(pg_temp.uplink('2024-02-29 12:00Z')) \g /dev/null
UPDATE weekly.uplink SET stored_at = received_at;
UPDATE monthly.uplink SET stored_at = received_at;
CALL key_vault.maintain_storage('weekly', 2);
CALL key_vault.maintain_storage('monthly', 2);
SELECT results_eq($$SELECT pg_temp.partitions('weekly.uplink') LIMIT 1$$, $$VALUES ('uplink_20240429 FROM (''2024-04-29'') TO (''2024-05-06'')')$$, 'a week');
SELECT results_eq($$SELECT pg_temp.partitions('monthly.uplink') LIMIT 1$$, $$VALUES ('uplink_20240201 FROM (''2024-02-01'') TO (''2024-03-01'')')$$, 'a month');

-- An application's keys under a KEK label of its own
SELECT key_vault.kek_create('app2 at rest') \g /dev/null
INSERT INTO monthly.application VALUES ('app2', 'app2 at rest');
SELECT monthly.ingest(jsonb_set(pg_temp.uplink('2024-05-01 12:00Z', 65538, 'app2'), '{uplink_message,session_key_id}', '"AAAAAAAAAAAAAAAAAAAAAg=="')) \g /dev/null
SELECT results_eq('SELECT application_id, key_vault.kek_label(app_s_key) FROM monthly.session ORDER BY 1', $$VALUES ('app1', 'lorawan'), ('app2', 'app2 at rest')$$, 'applications under labels of their own');

SELECT * FROM finish();
ROLLBACK;
