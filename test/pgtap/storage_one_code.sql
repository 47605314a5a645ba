--
-- All storages share one code, which names their tables without a schema.  The code finds the right tables whatever
-- the session did before, whatever its settings are, and whatever objects others have put in the way.
--
-- The uplinks are the example in demo/messages, whose payload under its key is 0167010e02684a.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_one_code;
DROP ROLE IF EXISTS kv_caller;
CREATE DATABASE key_vault_pgtap_one_code;
\c key_vault_pgtap_one_code
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
CREATE ROLE kv_caller;
SELECT no_plan();
SELECT key_vault.kek_import('app1-kek', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('a'), key_vault.kek_create('b') \g /dev/null
CREATE FUNCTION public.uplink(minute integer, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-01T%s:%s:00Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes)
$$;
CALL key_vault.create_storage('a', keep_messages => true);
CALL key_vault.create_storage('b');
CREATE FUNCTION public.counts() RETURNS text LANGUAGE sql AS $$
SELECT concat_ws(' ', 'a', (SELECT count(*) FROM a.uplink), (SELECT count(message) FROM a.uplink), (SELECT count(*) FROM a.session), (SELECT count(*) FROM a.rejected),
                      'b', (SELECT count(*) FROM b.uplink), (SELECT count(message) FROM b.uplink), (SELECT count(*) FROM b.session), (SELECT count(*) FROM b.rejected))
$$;

-- Two storages are used in turn in one session: each has its own rows and settings.
SELECT is(a.ingest(uplink(0)), 'uplink', 'one storage');
SELECT is(b.ingest(uplink(0)), 'uplink', 'the other');
SELECT is(a.ingest(uplink(0)), 'duplicate', 'the first again');
SELECT is(b.ingest(uplink(1)), 'uplink', 'the other again');
SELECT is(a.ingest(uplink(2, '{"f_cnt": -1}')), 'rejected', 'rejected by one');
SELECT is(counts(), 'a 1 1 1 1 b 2 0 1 0', 'each row is where it belongs');
SELECT is(key_vault.kek_label(app_s_key), 'b', 'each key under the label of its storage') FROM b.session;
-- Both storages in one statement, row by row, by function and by table
SELECT is(array_agg(a.ingest(uplink(i)) || b.ingest(uplink(i)) || a.ingest(uplink(i)::text)), array_fill('uplinkuplinkduplicate'::text, ARRAY[10]), 'both in each row of a statement') FROM generate_series(10, 19) i;
INSERT INTO a.inbox SELECT uplink(i)::text FROM generate_series(20, 24) i;
INSERT INTO b.inbox SELECT uplink(i)::text FROM generate_series(20, 24) i;
SELECT is(counts(), 'a 16 16 1 1 b 17 0 1 0', 'are not mixed up');
UPDATE a.rejected SET message = uplink(3);
SELECT results_eq('SELECT a.*, b.* FROM a.replay_rejected() a, b.replay_rejected() b', 'VALUES (0::bigint, 1::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint)', 'nor when messages are tried again');
-- One storage within the other: a trigger of the one hands each uplink on to the other.
CREATE FUNCTION public.hand_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.application_id := b.ingest(NEW.message);
    PERFORM b.ingest('no JSON'::text);
    RETURN NEW;
END
$$;
CREATE TRIGGER hand_on BEFORE INSERT ON a.uplink FOR EACH ROW EXECUTE FUNCTION public.hand_on();
SELECT is(array_agg(a.ingest(uplink(i))), array_fill('uplink'::text, ARRAY[3]), 'one storage within the other') FROM generate_series(30, 32) i;
SELECT is(counts(), 'a 20 20 1 0 b 20 0 1 1', 'keeps both apart');
SELECT is(array_agg(DISTINCT application_id), '{uplink}', 'to the end of the outer one') FROM a.uplink WHERE received_at >= '2024-05-01 00:30Z';
DROP TRIGGER hand_on ON a.uplink;
-- A storage whose tables have another version, as a later version of the extension may make
ALTER TABLE b.session ADD COLUMN more integer DEFAULT 7;
ALTER TABLE b.rejected ADD COLUMN more integer DEFAULT 7;
ALTER TABLE b.storage_settings ADD COLUMN more integer DEFAULT 7;
ALTER TABLE b.session ALTER envelope_digest TYPE bytea USING envelope_digest || '';
SELECT is(array_agg(a.ingest(uplink(i, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg=="}')) || b.ingest(uplink(i, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAg=="}'))), array_fill('uplinkuplink'::text, ARRAY[3]), 'tables that have more columns') FROM generate_series(40, 42) i;
-- A storage that is dropped and made again
DROP SCHEMA b CASCADE;
SELECT throws_ok('SELECT b.ingest(uplink(0))', '3F000', 'schema "b" does not exist', 'a storage that is dropped');
CALL key_vault.create_storage('b');
SELECT is(b.ingest(uplink(0)), 'uplink', 'and made again, in a session that knew the one before');

-- Objects that come before the storage in the session's search_path, temporary tables among them
CREATE TEMP TABLE session (dev_eui bytea);
CREATE TEMP TABLE uplink (dev_eui bytea);
CREATE TEMP TABLE storage_settings (kek_label text);
CREATE TEMP TABLE rejected (id bigint);
CREATE TEMP TABLE device AS SELECT * FROM a.device;
CREATE SCHEMA hostile;
CREATE TABLE hostile.session (dev_eui bytea);
CREATE TABLE hostile.storage_settings AS SELECT true AS one_row, 'stolen' AS kek_label, true AS keep_messages;
CREATE FUNCTION hostile.octet_length(bytea) RETURNS integer LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.encode(bytea, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.sha256(bytea) RETURNS bytea LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.equal(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR hostile.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = hostile.equal);
SET search_path = pg_temp, hostile, pg_catalog, public;
CREATE TEMP TABLE results AS SELECT n, a.ingest(uplink(n)) AS ingest FROM generate_series(50, 52) n;
INSERT INTO a.inbox SELECT uplink(n)::text FROM generate_series(53, 54) n;
RESET search_path;
SELECT is(array_agg(ingest), '{uplink,uplink,uplink}', 'temporary tables and a hostile search_path') FROM pg_temp.results;
SELECT is((SELECT count(*) FROM pg_temp.session) + (SELECT count(*) FROM pg_temp.uplink) + (SELECT count(*) FROM hostile.session), 0::bigint, 'nothing is written beside the storage');
SELECT is(count(*), 5::bigint, 'but to it') FROM a.uplink WHERE received_at BETWEEN '2024-05-01 00:50Z' AND '2024-05-01 00:55Z';
DROP TABLE pg_temp.session, pg_temp.uplink, pg_temp.storage_settings, pg_temp.rejected, pg_temp.device, pg_temp.results;

-- A role that may execute ingest() and write to the tables, but nothing else
GRANT USAGE ON SCHEMA a TO kv_caller;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA a TO kv_caller;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA a FROM PUBLIC;
GRANT EXECUTE ON FUNCTION a.ingest(jsonb) TO kv_caller;
SELECT key_vault.kek_grant('a', 'kv_caller', 'wrap'), key_vault.kek_grant('a', 'kv_caller', 'rewrap'), key_vault.kek_grant('app1-kek', 'kv_caller', 'unwrap') \g /dev/null
SET ROLE kv_caller;
SELECT is(a.ingest(uplink(100, '{"session_key_id": "AAAAAAAAAAAAAAAAAAAAAw=="}')), 'uplink', 'a role with EXECUTE on one function');
SELECT is(a.ingest(uplink(101, '{"f_cnt": -1}')), 'rejected', 'also what is rejected');
SELECT throws_ok('SELECT a.ingest(''x''::text)', '42501', 'permission denied for function ingest', 'has no other');
SELECT throws_ok('SELECT * FROM a.replay_rejected()', '42501', 'permission denied for function replay_rejected', 'none at all');
SELECT throws_ok('SELECT b.ingest(uplink(0))', '42501', 'permission denied for schema b', 'nor another storage');
-- If the code is called without the storage's own function, it works on the tables in the search_path, with the
-- caller's rights.
SET search_path = b, public;
SELECT throws_ok('SELECT key_vault_internal.storage_ingest(public.uplink(0))', '42P01', NULL, 'the shared code by itself gives nobody rights');
RESET search_path;
RESET ROLE;

SELECT * FROM finish();
\c :before
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_one_code;
DROP ROLE kv_caller;
