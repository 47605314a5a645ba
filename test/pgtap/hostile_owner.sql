--
-- The hostile owner of a table has put a trap into every place where PostgreSQL runs code of the owner while somebody
-- else uses the table.  Then a superuser calls the functions of the extension.  No trap may run as anybody but the
-- owner, and the owner must have gained nothing.
--
-- A new function needs a row in the table calls: how a superuser calls it if it touches tables of others, or the
-- reason why it does not touch any.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before, current_user AS tester \gset
DROP DATABASE IF EXISTS key_vault_pgtap_hostile;
DROP ROLE IF EXISTS kv_hostile, kv_victim;
CREATE DATABASE key_vault_pgtap_hostile;
-- kek_destroy() needs READ COMMITTED.  Policies, which are among the traps, need row_security on.
ALTER DATABASE key_vault_pgtap_hostile SET default_transaction_isolation = 'read committed';
ALTER DATABASE key_vault_pgtap_hostile SET row_security = on;
\c key_vault_pgtap_hostile
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
CREATE ROLE kv_hostile LOGIN;
CREATE ROLE kv_victim SUPERUSER LOGIN;
SELECT key_vault.kek_create('vault'), key_vault.kek_grant('vault', 'kv_hostile', 'wrap') \g /dev/null
SELECT format('GRANT CREATE ON DATABASE %I TO kv_hostile', current_database()) \gexec
CREATE SCHEMA hostile AUTHORIZATION kv_hostile;

-- The owner lays his traps in a session that he has logged in to.  After a SET ROLE of the tester, a trap that runs
-- meanwhile could become the tester with RESET ROLE.
\c - kv_hostile
SET client_min_messages = error;
SET search_path = hostile, pg_catalog;
-- Sequences count the traps that ran, since a rollback does not set them back.
CREATE SEQUENCE ran_as_owner;
CREATE SEQUENCE ran_as_other;
GRANT ALL ON ran_as_owner, ran_as_other TO PUBLIC;
CREATE FUNCTION spring() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    attempt text;
BEGIN
    PERFORM nextval(CASE current_user WHEN 'kv_hostile' THEN 'hostile.ran_as_owner' ELSE 'hostile.ran_as_other' END::regclass);
    FOREACH attempt IN ARRAY ARRAY[
        'ALTER ROLE kv_hostile SUPERUSER',
        $q$SELECT key_vault.kek_grant('vault', 'kv_hostile', 'unwrap')$q$,
        'RESET ROLE', 'SET ROLE NONE', 'SET SESSION AUTHORIZATION DEFAULT',
        'SET LOCAL search_path = hostile', 'SET search_path = hostile', 'SET SESSION row_security = off',
        'GRANT pg_read_all_data TO kv_hostile',
        -- What would run, or be found, in the session later
        'PREPARE left_behind AS SELECT 1', 'DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1', 'LISTEN left_behind',
        'CREATE TEMPORARY TABLE left_behind (n integer)',
        'DISCARD ALL', 'DEALLOCATE ALL', 'SET SESSION session_replication_role = replica', 'SET LOCAL ROLE kv_victim'] LOOP
        -- The code of a storage needs its search_path, so the trap leaves that as it is: without it the owner would
        -- only break his own storage.
        CONTINUE WHEN attempt LIKE '%search_path%' AND current_setting('search_path') ~ '^(storage|older)\M';
        BEGIN
            EXECUTE attempt;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    PERFORM nextval(CASE current_user WHEN 'kv_hostile' THEN 'hostile.ran_as_owner' ELSE 'hostile.ran_as_other' END::regclass);
END
$$;
-- The traps are called with constants, so that the planner itself evaluates them.
CREATE FUNCTION trap(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE FUNCTION trap(integer, integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM hostile.spring(); RETURN $2; END $$;
CREATE FUNCTION trap_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END; END $$;
CREATE FUNCTION trap_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
-- Names that a function may look up by mistake
CREATE FUNCTION kek_id(key_vault.wrapped_key) RETURNS uuid LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
CREATE FUNCTION kek_ids(anyelement) RETURNS uuid[] LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
CREATE FUNCTION count_keys(regclass, name) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN 0; END $$;
CREATE FUNCTION same(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR = (leftarg = uuid, rightarg = uuid, function = same);
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR = (leftarg = text, rightarg = text, function = same);

CREATE FUNCTION less_key(key_vault.wrapped_key, key_vault.wrapped_key) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM hostile.spring(); RETURN 1; END $$;
CREATE FUNCTION same(tid, tid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR >= (leftarg = tid, rightarg = tid, function = same);
CREATE OPERATOR < (leftarg = tid, rightarg = tid, function = same);
CREATE FUNCTION same(uuid[], uuid[]) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR && (leftarg = uuid[], rightarg = uuid[], function = same);
CREATE FUNCTION count(bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN 0; END $$;

CREATE TYPE key_range AS RANGE (subtype = key_vault.wrapped_key, subtype_diff = less_key);
CREATE TYPE key_pair AS (id integer, key key_vault.wrapped_key);
CREATE FUNCTION key_of(key_pair) RETURNS key_vault.wrapped_key LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN $1.key; END $$;
CREATE CAST (key_pair AS key_vault.wrapped_key) WITH FUNCTION key_of(key_pair) AS IMPLICIT;
CREATE DOMAIN trapped_pair AS key_pair CHECK (hostile.trap(14));
CREATE DOMAIN trapped_text AS text DEFAULT hostile.trap(15, 15)::text CHECK (hostile.trap(15));
CREATE DOMAIN trapped_key AS key_vault.wrapped_key CHECK (hostile.trap(1));
CREATE TABLE trapped (
    id integer DEFAULT hostile.trap(1, 1),
    key key_vault.wrapped_key,
    other_key trapped_key,
    made integer GENERATED ALWAYS AS (hostile.trap(1, id)) STORED,
    range key_range,
    pair trapped_pair,
    pairs key_pair[],
    CHECK (hostile.trap(2)),
    CHECK (hostile.trap(3, id) IS NOT NULL)
);
CREATE INDEX ON trapped (id) WHERE hostile.trap(4);
CREATE INDEX ON trapped (hostile.trap(5, 5));
CREATE INDEX ON trapped (hostile.trap(6, id));
CREATE STATISTICS trapped_statistics ON (hostile.trap(7, 7)), (hostile.trap(8, id)) FROM trapped;
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON trapped FOR EACH ROW EXECUTE FUNCTION trap_row();
CREATE TRIGGER after AFTER UPDATE ON trapped FOR EACH STATEMENT EXECUTE FUNCTION trap_statement();
CREATE TRIGGER before_statement BEFORE UPDATE ON trapped FOR EACH STATEMENT EXECUTE FUNCTION trap_statement();
CREATE TRIGGER transition AFTER UPDATE ON trapped REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trap_statement();
CREATE TRIGGER condition BEFORE UPDATE OF key ON trapped FOR EACH ROW WHEN (hostile.trap(16, NEW.id) > 0) EXECUTE FUNCTION trap_row();
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON trapped DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap_row();
CREATE RULE rule AS ON UPDATE TO trapped DO ALSO SELECT hostile.spring();
CREATE TABLE trapped_parent (id integer, key key_vault.wrapped_key) PARTITION BY RANGE (hostile.trap(10, id));
CREATE TABLE trapped_part PARTITION OF trapped_parent FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW trapped_view AS SELECT hostile.trap(11, 11), key FROM trapped;
CREATE INDEX ON trapped_view (hostile.trap(12, 12));
CREATE VIEW trapped_plain_view AS SELECT hostile.trap(13), key FROM trapped;
INSERT INTO trapped (id, key, other_key) SELECT n, key_vault.generate_key('vault'), key_vault.generate_key('vault') FROM generate_series(1, 3) n;
INSERT INTO trapped_parent SELECT 1, key_vault.generate_key('vault');
REFRESH MATERIALIZED VIEW trapped_view;
CREATE POLICY policy ON trapped USING (hostile.trap(9));
ALTER TABLE trapped ENABLE ROW LEVEL SECURITY;
ALTER TABLE trapped FORCE ROW LEVEL SECURITY;

-- A storage, with uplinks of yesterday that wait to be moved into a partition, an old partition to drop, an envelope
-- that waits for its KEK, and a rejected message that can be stored
CALL key_vault.create_storage('storage', kek_label => 'vault');
CREATE FUNCTION uplink(n integer, at text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('end_device_ids', '{"device_id":"dev1","application_ids":{"application_id":"app1"},"dev_eui":"0004A30B001C0530","dev_addr":"260B1234"}'::jsonb,
    'uplink_message', jsonb_build_object('f_cnt', n, 'received_at', at) || more)
$$;
SELECT storage.ingest(uplink(1, '2024-05-01T12:00:00Z')), storage.ingest(uplink(2, '2024-05-02T12:00:00Z')), storage.ingest(uplink(-1, '2024-05-03T12:00:00Z')),
    storage.ingest(uplink(3, '2024-05-03T12:00:00Z', '{"session_key_id":"AYfC0bag8+RHWGmqu8zd7g==","app_s_key":{"kek_label":"late","encrypted_key":"7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo"}}')) \g /dev/null
UPDATE storage.uplink SET stored_at = received_at;
UPDATE storage.rejected SET message = jsonb_set(message, '{uplink_message,f_cnt}', '4');
DO $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = 'storage'::regnamespace AND relkind IN ('r', 'p') LOOP
        EXECUTE format('CREATE INDEX ON %s ((hostile.trap(20, 20)))', relation);
        EXECUTE format('ALTER TABLE %s ADD CHECK (hostile.trap(21))', relation);
        -- A row trigger of a partitioned table is a trigger of its partitions, too.
        EXECUTE format('CREATE OR REPLACE TRIGGER trap_before_%s BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION hostile.trap_row()', relation::oid, relation);
        EXECUTE format('CREATE TRIGGER trap_after AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION hostile.trap_statement()', relation);
        EXECUTE format('CREATE POLICY trap ON %s USING (hostile.trap(22)) WITH CHECK (hostile.trap(23))', relation);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
    END LOOP;
END
$$;
ALTER TABLE storage.rejected ADD trapped hostile.trapped_text, ADD made integer GENERATED ALWAYS AS (hostile.trap(1, 1)) STORED;
ALTER TABLE storage.session ADD trapped hostile.trapped_text, ADD made integer GENERATED ALWAYS AS (hostile.trap(1, 1)) STORED;
CREATE RULE trap AS ON UPDATE TO storage.storage_settings DO ALSO SELECT hostile.spring();
CREATE RULE trap AS ON UPDATE TO storage.session DO ALSO SELECT hostile.spring();
CREATE RULE trap AS ON DELETE TO storage.rejected DO ALSO SELECT hostile.spring();
CREATE INDEX ON storage.storage_settings (version) WHERE hostile.trap(24);
CREATE INDEX ON storage.uplink_default (f_cnt) WHERE hostile.trap(25);
ALTER TABLE storage.uplink ALTER f_port SET DEFAULT hostile.trap(1, 1);
ALTER TABLE storage.rejected ALTER tries SET DEFAULT hostile.trap(1, 1);
CREATE FUNCTION storage.octet_length(jsonb) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN 1; END $$;
-- A storage whose version is no version, one whose settings are a view, and one of version 1.0
CREATE SCHEMA odd_version;
CREATE TABLE odd_version.session (app_s_key key_vault.wrapped_key);
CREATE TABLE odd_version.storage_settings AS SELECT '99999999999.1' AS version;
CREATE SCHEMA odd_view;
CREATE TABLE odd_view.session (app_s_key key_vault.wrapped_key);
CREATE VIEW odd_view.storage_settings AS SELECT 'vault'::text AS kek_label, 'day'::text AS partition_interval, '1.1'::text AS version WHERE hostile.trap(26);
CALL key_vault.create_storage('older', kek_label => 'vault');
ALTER TABLE older.storage_settings DROP COLUMN version;
CREATE INDEX ON older.storage_settings (kek_label) WHERE hostile.trap(27);
CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON older.storage_settings FOR EACH ROW EXECUTE FUNCTION hostile.trap_row();
\c - :tester
SET client_min_messages = error;
SELECT no_plan();

CREATE TABLE public.calls (function regprocedure, call text, reason text, n serial);
SET search_path = key_vault, pg_catalog;
INSERT INTO public.calls VALUES
    ('kek_usage(text)', 'SELECT count(*) FROM key_vault.kek_usage()'),
    ('rewrap_all(text, integer, interval, regclass)', $$CALL key_vault.rewrap_all('vault')$$),
    ('kek_create(text, integer, text)', $$SELECT key_vault.kek_create('new')$$),
    ('kek_import(text, bytea)', $$SELECT key_vault.kek_import('imported', '\x000102030405060708090a0b0c0d0e0f')$$),
    ('kek_import_wrapped(text, bytea, text)', $$SELECT key_vault.kek_import_wrapped('more', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', 'imported')$$),
    ('kek_rotate(text, text)', $$SELECT key_vault.kek_rotate('vault')$$),
    ('kek_suspend(text, integer)', $$SELECT key_vault.kek_suspend('new', 1)$$),
    ('kek_resume(text, integer)', $$SELECT key_vault.kek_resume('new', 1)$$),
    ('kek_compromise(text, integer)', $$SELECT key_vault.kek_compromise('new', 1)$$),
    ('kek_schedule_destroy(text, integer, interval)', $$SELECT key_vault.kek_schedule_destroy('vault', 1, '0')$$),
    ('kek_cancel_destroy(text, integer)', $$SELECT key_vault.kek_cancel_destroy('new', 1)$$),
    ('kek_grant(text, regrole, text)', $$SELECT key_vault.kek_grant('new', 'kv_victim', 'wrap')$$),
    ('kek_revoke(text, regrole, text)', $$SELECT key_vault.kek_revoke('new', 'kv_victim', 'wrap')$$),
    ('root_key_rotate()', 'SELECT key_vault.root_key_rotate()'),
    ('root_keys()', 'SELECT count(*) FROM key_vault.root_keys()'),
    ('explain_key(wrapped_key, bytea)', $$SELECT key_vault.explain_key(key_vault.generate_key('vault'), '\x01020304')$$),
    ('check_keys()', 'SELECT count(*) FROM key_vault.check_keys()'),
    ('has_kek_privilege(text, text)', $$SELECT key_vault.has_kek_privilege('vault', 'wrap')$$),
    ('kek_destroy(text, integer, boolean)', $$SELECT key_vault.kek_destroy('vault', 1)$$),
    ('kek_destroy_due()', 'SELECT key_vault.kek_destroy_due()'),
    ('storages()', 'SELECT count(*) FROM key_vault.storages()'),
    ('storage_activity()', 'SELECT count(*) FROM key_vault.storage_activity()'),
    ('health(interval, interval)', 'SELECT count(*) FROM key_vault.health()'),
    ('create_storage(name, text, text, boolean, text)', $$CALL key_vault.create_storage('storage', keep_messages => true)$$),
    ('update_storage(name)', $$CALL key_vault.update_storage('storage')$$),
    ('maintain_storage(name, integer, interval)', $$CALL key_vault.maintain_storage('storage', keep => '1000 years')$$),
    ('move_session(name, bytea, bytea, text)', $$SELECT key_vault.move_session('storage', '\x0004A30B001C0530', '\x0187c2d1b6a0f3e4475869aabbccddee', 'app2')$$),
    ('storage.replay_rejected()', 'SELECT * FROM storage.replay_rejected()');
INSERT INTO public.calls (function, call)
SELECT to_regprocedure('storage.ingest(text)'), format(call, schema)
  FROM (VALUES ('odd_version'), ('odd_view'), ('older')) s (schema),
       (VALUES ('CALL key_vault.create_storage(%L)'), ('CALL key_vault.update_storage(%L)'), ('CALL key_vault.maintain_storage(%L)')) c (call);
-- The views read catalogs and the extension's tables.
INSERT INTO public.calls (function, call)
SELECT 'key_vault.storages()', format('SELECT count(*) FROM key_vault.%I', c.relname)
  FROM pg_class c WHERE c.relnamespace = 'key_vault'::regnamespace AND c.relkind = 'v';
INSERT INTO public.calls (function, reason)
SELECT p.oid, 'works on its arguments, and reads none but the extension''s tables'
  FROM pg_proc p
 WHERE p.pronamespace = 'key_vault'::regnamespace
   AND (p.proname ~ '^(lorawan|cache)_'
        OR p.proname IN ('algorithm', 'bind', 'bound_dev_addr', 'cayenne_lpp', 'export_envelope', 'generate_key', 'import_envelope', 'kek_id', 'kek_ids',
                         'kek_label', 'kek_version', 'key_check_value', 'key_status', 'open', 'rewrap', 'seal', 'try_envelope_key', 'unwrap', 'wrap'));
INSERT INTO public.calls (function, reason)
SELECT p.oid, 'for the code of storages of version 1.0, and works on its arguments'
  FROM pg_proc p
 WHERE p.pronamespace = 'key_vault'::regnamespace AND p.proname ~ '^storage_';
SET search_path = public, pg_catalog;
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'key_vault'::regnamespace AND NOT EXISTS (SELECT FROM calls c WHERE c.function = p.oid)$$,
    'it is said of each function how a superuser calls it, or why it touches nobody''s table');

-- The counts begin anew, since PostgreSQL ran traps while they were laid.
SELECT setval('hostile.ran_as_owner', 1, false), setval('hostile.ran_as_other', 1, false) \g /dev/null
-- The calls are made by a superuser, in a session that has planned nothing yet, with the settings that some traps
-- need.
SELECT currval('__tresults___numb_seq') AS tests \gset
\c - kv_victim
SET client_min_messages = error;
SET search_path = hostile, pg_catalog, public;
SET constraint_exclusion = on;
SET plan_cache_mode = force_custom_plan;
\o /dev/null
SELECT key_vault.kek_rotate('vault');
\set ON_ERROR_STOP 0
SELECT call FROM public.calls WHERE call IS NOT NULL ORDER BY n \gexec
\o
\set ON_ERROR_STOP 1
SELECT format('%s %s %s %s %s', (SELECT count(*) FROM pg_catalog.pg_prepared_statements), (SELECT count(*) FROM pg_catalog.pg_cursors WHERE is_holdable),
           (SELECT count(*) FROM pg_catalog.pg_listening_channels()), pg_catalog.pg_my_temp_schema(), pg_catalog.current_setting('session_replication_role')) AS left_behind \gset
SELECT current_setting('search_path') AS search_path, current_setting('row_security') AS row_security, current_user AS who \gset
RESET search_path;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(:'who' || ', ' || :'search_path' || ', ' || :'row_security', 'kv_victim, hostile, pg_catalog, public, on', 'the session is as it was');
SELECT is(:'left_behind'::text, '0 0 0 0 origin', 'and nothing is left behind in it');
SELECT ok(is_called, 'the traps run') FROM hostile.ran_as_owner;
SELECT ok(NOT is_called, 'none as anybody but the owner') FROM hostile.ran_as_other;
SELECT is((SELECT rolsuper FROM pg_roles WHERE rolname = 'kv_hostile'), false, 'he is no superuser');
SELECT is((SELECT count(*) FROM pg_auth_members WHERE member = 'kv_hostile'::regrole), 0::bigint, 'and no member of another role');
SELECT is((SELECT privileges FROM key_vault.kek_privileges WHERE role = 'kv_hostile'::regrole AND label = 'vault'), 'wrap', 'and holds no more privileges on KEKs');
-- The traps do not keep the functions from counting all keys.
SELECT is((SELECT string_agg(relation || ' ' || "column" || ' ' || keys, ', ' ORDER BY relation::text, "column") FROM key_vault.kek_usage('vault')),
    'hostile.trapped key 3, hostile.trapped other_key 3, hostile.trapped_part key 1, hostile.trapped_view key 3', 'all keys are counted');
-- A trap in the counting itself, run by each way in which the table is read
SELECT setval('hostile.ran_as_owner', 1, false) \g /dev/null
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT count(*) FROM key_vault.kek_usage() \g /dev/null
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT ok(is_called, 'traps run when keys are counted') FROM hostile.ran_as_owner;
SELECT ok(NOT is_called, 'as the owner') FROM hostile.ran_as_other;

-- The storage: a superuser, and a role that a superuser has set with SET ROLE, maintain it and try its rejected
-- messages again.
SELECT is((SELECT string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'storage.uplink'::regclass AND inhrelid::regclass::text ~ '_2024'),
    'storage.uplink_20240501, storage.uplink_20240502, storage.uplink_20240503', 'partitions are made');
SELECT is(array_agg(DISTINCT relowner::regrole::text), '{kv_hostile}', 'for the owner of the storage') FROM pg_class WHERE relnamespace = 'storage'::regnamespace;
SELECT currval('__tresults___numb_seq') AS tests \gset
-- Only the owner reads his tables here: the planner would run his index expressions as the tester.
\c - kv_hostile
SET client_min_messages = error;
SELECT count(*) AS uplinks FROM storage.uplink \gset
\c - :tester
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(:uplinks, 4, 'uplinks are moved, and what was rejected is stored');
SELECT set_eq($$SELECT schema, version FROM key_vault.storages()$$, $$VALUES ('storage'::name, '1.1'), ('older', '1.0'), ('odd_version', '99999999999.1')$$, 'versions are told');
SELECT currval('__tresults___numb_seq') AS tests \gset
SELECT key_vault.kek_import('late', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_grant('late', 'kv_hostile', 'unwrap') \g /dev/null
CREATE TABLE public.ran (call text, as_owner boolean, as_other boolean);
CREATE PROCEDURE public.note(call text) LANGUAGE sql AS $$
INSERT INTO public.ran SELECT $1, o.is_called, x.is_called FROM hostile.ran_as_owner o, hostile.ran_as_other x;
SELECT setval('hostile.ran_as_owner', 1, false), setval('hostile.ran_as_other', 1, false);
$$;
GRANT ALL ON public.ran TO PUBLIC;
CALL public.note('before');
TRUNCATE public.ran;
\c - kv_victim
SET client_min_messages = error;
\set ON_ERROR_STOP 0
\o /dev/null
SELECT * FROM storage.replay_rejected();
CALL public.note('replay_rejected()');
CALL key_vault.maintain_storage('storage', keep => '1 day');
CALL public.note('maintain_storage()');
SET ROLE kv_hostile;
SELECT count(*) FROM key_vault.storages();
CALL key_vault.update_storage('storage');
CALL key_vault.create_storage('storage', kek_label => 'vault');
CALL key_vault.update_storage('older');
RESET ROLE;
CALL public.note('update_storage() after SET ROLE');
\o
\set ON_ERROR_STOP 1
\c - kv_hostile
SET client_min_messages = error;
SELECT count(*) AS uplinks FROM storage.uplink \gset
SET row_security = on;
SELECT count(app_s_key) AS keys FROM storage.session \gset
\c - :tester
SET client_min_messages = error;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT ok(passed, name) FROM public.ran, LATERAL (VALUES (as_owner, call || ' springs traps'), (NOT as_other, call || ' as the owner')) test (passed, name);
SELECT is(:keys, 1, 'the envelope is opened');
SELECT is((SELECT rolsuper FROM pg_roles WHERE rolname = 'kv_hostile'), false, 'he is no superuser now either');
SELECT is((SELECT count(*) FROM pg_auth_members WHERE member = 'kv_hostile'::regrole), 0::bigint, 'and no member of another role');
SELECT is(:uplinks, 1, 'old uplinks are dropped, and the one that was stored now is not');
-- A table of the storage that belongs to another role
ALTER TABLE storage.uplink_default OWNER TO kv_victim;
CREATE FUNCTION public.error_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(E'\n', SQLSTATE, SQLERRM, substring(detail FROM '^They are[^.]*\.[^.]*\.'));
END
$$;
SELECT is(public.error_of(call), E'55000\nstorage "storage" has tables or views of other roles\nThey are: storage.uplink_default (kv_victim).', call)
  FROM unnest(ARRAY['CALL key_vault.maintain_storage(''storage'')', 'SELECT storage.replay_rejected()', 'SET ROLE kv_hostile; CALL key_vault.update_storage(''storage'')', 'SET ROLE kv_hostile; CALL key_vault.create_storage(''storage'')']) call;
RESET ROLE;
SELECT * FROM finish();
\c :before :tester
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_hostile;
DROP ROLE kv_hostile, kv_victim;
