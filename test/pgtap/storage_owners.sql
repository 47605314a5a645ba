--
-- The owner of a storage: nobody else may create objects in its schema, and only the owner updates it.  And what
-- storages() tells about a storage.
--
-- The uplinks are the example in demo/messages.
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
DROP ROLE IF EXISTS kv_owners_caller, kv_owners_owner, kv_owners_other, kv_owners_member;
CREATE ROLE kv_owners_owner;
CREATE ROLE kv_owners_caller;
CREATE ROLE kv_owners_other;
CREATE ROLE kv_owners_member IN ROLE kv_owners_owner;
CREATE FUNCTION public.uplink(minute integer, changes jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'uplink_message', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","f_port":2,"f_cnt":65538,"frm_payload":"LhFe2aRcmQ==","app_s_key":{"kek_label":"app1-kek","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}'::jsonb
    || jsonb_build_object('received_at', format('2024-05-01T%s:%s:00Z', lpad((minute / 60)::text, 2, '0'), lpad((minute % 60)::text, 2, '0'))) || changes)
$$;
CALL key_vault.create_storage('a');
CALL key_vault.create_storage('b', kek_label => 'a');
GRANT USAGE ON SCHEMA a TO kv_owners_caller;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA a FROM PUBLIC;
GRANT EXECUTE ON FUNCTION a.ingest(jsonb) TO kv_owners_caller;

--
-- Who may create objects in the schema
--
SELECT throws_ok($$CALL key_vault.create_storage('$user')$$, '42602', 'schema of a storage must not be "$user"', 'a name that means the schema of the current role');
CREATE SCHEMA shared AUTHORIZATION kv_owners_owner;
GRANT CREATE, USAGE ON SCHEMA shared TO kv_owners_other, kv_owners_member, PUBLIC;
CREATE FUNCTION public.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(E'\n', SQLSTATE, SQLERRM, substring(detail FROM '^They are[^.]*\.'), substring(hint FROM '(?:REVOKE CREATE ON|SET ROLE).*'));
END
$$;
SET ROLE kv_owners_owner;
SELECT is(error_of($$CALL key_vault.create_storage('shared', kek_label => 'a')$$), E'55000\nother roles may create objects in schema "shared"\nThey are: kv_owners_other, PUBLIC.\nREVOKE CREATE ON SCHEMA shared FROM kv_owners_other, PUBLIC.', 'a schema that others may create in, by name; members of the owner are no others');
REVOKE CREATE ON SCHEMA shared FROM PUBLIC, kv_owners_other;
RESET ROLE;
SELECT is(error_of($$CALL key_vault.create_storage('shared', kek_label => 'a')$$), E'55000\nschema "shared" belongs to role "kv_owners_owner"\nSET ROLE kv_owners_owner), or make yours the owner: ALTER SCHEMA shared OWNER TO postgres.', 'the schema of another role, for a superuser');
SET ROLE kv_owners_member;
SELECT is(error_of($$CALL key_vault.create_storage('shared', kek_label => 'a')$$), E'55000\nschema "shared" belongs to role "kv_owners_owner"\nSET ROLE kv_owners_owner), or make yours the owner: ALTER SCHEMA shared OWNER TO kv_owners_member.', 'for a member of that role, whose other members may create, too');
RESET ROLE;
SELECT is_empty($$SELECT FROM pg_class WHERE relnamespace = 'shared'::regnamespace$$, 'nothing is made');
SET ROLE kv_owners_owner;
CALL key_vault.create_storage('shared', kek_label => 'a');
GRANT CREATE ON SCHEMA shared TO kv_owners_other;
SELECT is(error_of($$CALL key_vault.$$ || call || $$_storage('shared')$$), E'55000\nother roles may create objects in schema "shared"\nThey are: kv_owners_other.\nREVOKE CREATE ON SCHEMA shared FROM kv_owners_other.', 'granted later: ' || call) FROM unnest('{create,update}'::text[]) call;
SELECT is(to_do, 'REVOKE CREATE ON SCHEMA shared FROM kv_owners_other;', 'storages() says it, too') FROM key_vault.storages() WHERE schema = 'shared';
SET ROLE kv_owners_other;
CREATE FUNCTION shared.sha256(text) RETURNS bytea LANGUAGE sql AS 'SELECT NULL::bytea';
CREATE FUNCTION shared.same(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR shared.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = shared.same);
SET ROLE kv_owners_owner;
REVOKE CREATE ON SCHEMA shared FROM kv_owners_other;
SELECT is(error_of($$CALL key_vault.update_storage('shared')$$), E'55000\nschema "shared" has functions or operators of other roles\nThey are: shared.', 'what another role has left there');
RESET ROLE;
DROP OWNED BY kv_owners_other;
SET ROLE kv_owners_owner;
CALL key_vault.update_storage('shared');
RESET ROLE;
SELECT throws_ok($$CALL key_vault.update_storage('shared')$$, '42501', 'must be owner of storage "shared"', 'a superuser, who would own what is made');
SELECT throws_ok($$CALL key_vault.update_storage('nowhere')$$, '42704', 'schema "nowhere" is no storage', 'no storage');
SELECT throws_ok('CALL key_vault.update_storage(NULL)', '22004', 'schema of a storage must not be NULL', 'nor is NULL');
-- The schema "public" belongs to pg_database_owner, so the owner of the database may create objects in it.
SELECT lives_ok($$CALL key_vault.create_storage('public', kek_label => 'a')$$, 'in schema public, for the owner of the database');
SELECT is(public.ingest(uplink(0)), 'uplink', 'which works');

--
-- storages()
--
SELECT results_eq('SELECT schema, version, to_do FROM key_vault.storages() WHERE schema IN (''a'', ''b'', ''public'', ''shared'')',
    $$VALUES ('a'::name, '1.1'::text, NULL::text), ('b', '1.1', NULL), ('public', '1.1', NULL), ('shared', '1.1', NULL)$$, 'the storages of the database');
CREATE SCHEMA bare;
CREATE TABLE bare.storage_settings (version text);
SELECT is(count(*), 0::bigint, 'not every table of that name is one') FROM key_vault.storages() WHERE schema = 'bare';
SET ROLE kv_owners_other;
SELECT results_eq('SELECT version, to_do FROM key_vault.storages() WHERE schema = ''a''', 'VALUES (NULL::text, NULL::text)', 'who may not read the settings is not told the version');
RESET ROLE;
ALTER SCHEMA b OWNER TO kv_owners_other;
SELECT is(to_do, 'ALTER SCHEMA b OWNER TO ' || quote_ident(current_user) || ';', 'a storage in the schema of another role') FROM key_vault.storages() WHERE schema = 'b';
ALTER SCHEMA a RENAME TO renamed;
SELECT is(to_do, 'CALL key_vault.update_storage(''renamed'');', 'a storage whose schema has another name now') FROM key_vault.storages() WHERE schema = 'renamed';
SELECT throws_ok('SELECT renamed.ingest(uplink(200))', '42P01', NULL, 'does not find its tables');
CALL key_vault.update_storage('renamed');
SELECT is(renamed.ingest(uplink(200)), 'uplink', 'until it is updated');
SELECT is(has_function_privilege('kv_owners_caller', 'renamed.ingest(jsonb)', 'EXECUTE'), true, 'with its grants');
SELECT is(has_function_privilege('kv_owners_caller', 'renamed.ingest(text)', 'EXECUTE'), false, 'and no others');
-- A table storage_settings that is not a storage's, and whose rows would run code of its owner, is not read.
CREATE SCHEMA trap AUTHORIZATION kv_owners_owner;
SET ROLE kv_owners_owner;
CREATE TABLE trap.session (app_s_key key_vault.wrapped_key);
CREATE TABLE trap.storage_settings (version text);
CREATE FUNCTION trap.spring(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE POLICY trap ON trap.storage_settings USING (trap.spring(version));
ALTER TABLE trap.storage_settings ENABLE ROW LEVEL SECURITY;
INSERT INTO trap.storage_settings VALUES ('no version; nor SQL');
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT SELECT ON trap.storage_settings TO PUBLIC;
SET ROLE kv_owners_other;
SELECT is(version, NULL, 'nor is a table read whose policies would run') FROM key_vault.storages() WHERE schema = 'trap';
SET ROLE kv_owners_caller;
SELECT results_eq('SELECT version, to_do FROM key_vault.storages() WHERE schema = ''renamed''', 'VALUES (NULL::text, NULL::text)', 'USAGE on the schema is not enough');
SELECT throws_ok($$CALL key_vault.maintain_storage('renamed', keep => '1 day')$$, '42501', 'must be owner of storage "renamed"', 'nor for maintenance');
SET ROLE kv_owners_owner;
ALTER TABLE trap.storage_settings DISABLE ROW LEVEL SECURITY;
RESET ROLE;
SELECT is(to_do, 'CALL key_vault.update_storage(''trap'');', 'a version that is none') FROM key_vault.storages() WHERE schema = 'trap';

SELECT * FROM finish();
ROLLBACK;
