--
-- A table's owner who means harm: his table has a trap wherever PostgreSQL runs code of an
-- owner's while somebody else uses the table.  Then a superuser calls the functions of the
-- extension.  No trap may have run as anybody but the owner, and he has gained nothing.
--
-- A new function has to be told of here, in the table calls: how a superuser calls it when it
-- touches tables of others; or a reason why it does not touch any.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before, current_user AS tester \gset
DROP DATABASE IF EXISTS key_vault_pgtap_hostile;
DROP ROLE IF EXISTS kv_hostile, kv_victim;
CREATE DATABASE key_vault_pgtap_hostile;
\c key_vault_pgtap_hostile
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
CREATE ROLE kv_hostile LOGIN;
CREATE ROLE kv_victim SUPERUSER LOGIN;
SELECT key_vault.kek_create('vault'), key_vault.kek_grant('vault', 'kv_hostile', 'wrap') \g /dev/null
CREATE SCHEMA hostile AUTHORIZATION kv_hostile;

-- Logged in, or his traps would become the tester with RESET ROLE while they are laid.
\c - kv_hostile
SET client_min_messages = error;
SET search_path = hostile, pg_catalog;
-- Sequences keep their count, whatever is rolled back.
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
        'GRANT pg_read_all_data TO kv_hostile'] LOOP
        BEGIN
            EXECUTE attempt;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    PERFORM nextval(CASE current_user WHEN 'kv_hostile' THEN 'hostile.ran_as_owner' ELSE 'hostile.ran_as_other' END::regclass);
END
$$;
-- Constants as arguments, so that the planner itself calls them.
CREATE FUNCTION trap(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE FUNCTION trap(integer, integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM hostile.spring(); RETURN $2; END $$;
CREATE FUNCTION trap_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NEW; END $$;
CREATE FUNCTION trap_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
-- Names that a function may look up by mistake
CREATE FUNCTION kek_id(key_vault.wrapped_key) RETURNS uuid LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
CREATE FUNCTION kek_ids(anyelement) RETURNS uuid[] LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN NULL; END $$;
CREATE FUNCTION count_keys(regclass, name) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN 0; END $$;
CREATE FUNCTION same(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR = (leftarg = uuid, rightarg = uuid, function = same);
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM hostile.spring(); RETURN true; END $$;
CREATE OPERATOR = (leftarg = text, rightarg = text, function = same);

CREATE DOMAIN trapped_key AS key_vault.wrapped_key CHECK (hostile.trap(1));
CREATE TABLE trapped (
    id integer DEFAULT hostile.trap(1, 1),
    key key_vault.wrapped_key,
    other_key trapped_key,
    made integer GENERATED ALWAYS AS (hostile.trap(1, id)) STORED,
    CHECK (hostile.trap(2)),
    CHECK (hostile.trap(3, id) IS NOT NULL)
);
CREATE INDEX ON trapped (id) WHERE hostile.trap(4);
CREATE INDEX ON trapped (hostile.trap(5, 5));
CREATE INDEX ON trapped (hostile.trap(6, id));
CREATE STATISTICS trapped_statistics ON (hostile.trap(7, 7)), (hostile.trap(8, id)) FROM trapped;
CREATE TRIGGER before BEFORE INSERT OR UPDATE OR DELETE ON trapped FOR EACH ROW EXECUTE FUNCTION trap_row();
CREATE TRIGGER after AFTER UPDATE ON trapped FOR EACH STATEMENT EXECUTE FUNCTION trap_statement();
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
\c - :tester
SET client_min_messages = error;
SELECT no_plan();

CREATE TABLE public.calls (function regprocedure PRIMARY KEY, call text, reason text, n serial);
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
    ('has_kek_privilege(text, text)', $$SELECT key_vault.has_kek_privilege('vault', 'wrap')$$),
    ('kek_destroy(text, integer, boolean)', $$SELECT key_vault.kek_destroy('vault', 1)$$),
    ('kek_destroy_due()', 'SELECT key_vault.kek_destroy_due()');
INSERT INTO public.calls (function, reason)
SELECT p.oid, 'works on its arguments, and reads none but the extension''s tables'
  FROM pg_proc p
 WHERE p.pronamespace = 'key_vault'::regnamespace
   AND (p.proname ~ '^(lorawan|cache)_'
        OR p.proname IN ('algorithm', 'bind', 'bound_dev_addr', 'export_envelope', 'generate_key', 'import_envelope', 'kek_id', 'kek_ids',
                         'kek_label', 'kek_version', 'key_check_value', 'key_status', 'open', 'rewrap', 'seal', 'try_envelope_key', 'unwrap', 'wrap'));
-- How these deal with tables of others is tested with the storages.
INSERT INTO public.calls (function, reason)
SELECT p.oid, 'of a storage'
  FROM pg_proc p
 WHERE p.pronamespace = 'key_vault'::regnamespace AND p.proname ~ '^(storage_|create_storage$|maintain_storage$)';
SET search_path = public, pg_catalog;
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'key_vault'::regnamespace AND NOT EXISTS (SELECT FROM calls c WHERE c.function = p.oid)$$,
    'it is said of each function how a superuser calls it, or why it touches nobody''s table');

-- What PostgreSQL ran while the traps were laid does not count.
SELECT setval('hostile.ran_as_owner', 1, false), setval('hostile.ran_as_other', 1, false) \g /dev/null
-- As a superuser, in a session that has planned nothing yet, and with the settings that a trap needs.
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
SELECT current_setting('search_path') AS search_path, current_setting('row_security') AS row_security, current_user AS who \gset
RESET search_path;
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(:'who' || ', ' || :'search_path' || ', ' || :'row_security', 'kv_victim, hostile, pg_catalog, public, on', 'the session is as it was');
SELECT ok(is_called, 'the traps run') FROM hostile.ran_as_owner;
SELECT ok(NOT is_called, 'none as anybody but the owner') FROM hostile.ran_as_other;
SELECT is((SELECT rolsuper FROM pg_roles WHERE rolname = 'kv_hostile'), false, 'he is no superuser');
SELECT is((SELECT count(*) FROM pg_auth_members WHERE member = 'kv_hostile'::regrole), 0::bigint, 'and no member of another role');
SELECT is((SELECT privileges FROM key_vault.kek_privileges WHERE role = 'kv_hostile'::regrole AND label = 'vault'), 'wrap', 'and holds no more privileges on KEKs');
-- They are not what the functions trip over.
SELECT is((SELECT string_agg(relation || ' ' || "column" || ' ' || keys, ', ' ORDER BY relation::text, "column") FROM key_vault.kek_usage('vault')),
    'hostile.trapped key 3, hostile.trapped other_key 3, hostile.trapped_part key 1, hostile.trapped_view key 3', 'all keys are counted');
-- A trap in the counting itself, seen by each way of reading the table
SELECT setval('hostile.ran_as_owner', 1, false) \g /dev/null
SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT count(*) FROM key_vault.kek_usage() \g /dev/null
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT ok(is_called, 'traps run when keys are counted') FROM hostile.ran_as_owner;
SELECT ok(NOT is_called, 'as the owner') FROM hostile.ran_as_other;
SELECT * FROM finish();
\c :before :tester
SET client_min_messages = error;
DROP DATABASE key_vault_pgtap_hostile;
DROP ROLE kv_hostile, kv_victim;
