--
-- rewrap_all(): which keys it reaches, as which role the code of tables' owners runs, and what it does with rows that
-- cannot be rewrapped.
--
-- It commits, so these tests are not in a transaction.  The keys in the clear are compared before and after a run, in
-- this session and in a new one.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- kek_destroy() needs READ COMMITTED.  The tests compare the search_path and the text of an interval.
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'read committed';
ALTER DATABASE :"DBNAME" SET search_path = "$user", public;
ALTER DATABASE :"DBNAME" SET IntervalStyle = postgres;
\c
SET client_min_messages = error;
SELECT no_plan();
CREATE EXTENSION dblink;
SELECT format('host=%s port=%s dbname=%s', split_part(current_setting('unix_socket_directories'), ',', 1),
              current_setting('port'), current_database()) AS connection \gset

CREATE ROLE regress_kv_owner;
CREATE ROLE regress_kv_dba LOGIN SUPERUSER;
CREATE ROLE regress_kv_rotator LOGIN;
GRANT CREATE ON SCHEMA public TO regress_kv_owner;

-- How many keys of a label each column holds under each version.
CREATE FUNCTION versions(wanted text) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(format('%s.%s v%s: %s', relation, "column", kek_version, keys), ', ' ORDER BY relation::text COLLATE "C", "column" COLLATE "C", kek_version)
    FROM key_vault.kek_usage(wanted)$$;
CREATE FUNCTION progress(wanted regclass) RETURNS text LANGUAGE sql AS
$$SELECT format('%s: %s rows, %s keys, %s failed, %s left', state, rows, keys, rows_failed, rows_left)
    FROM key_vault.rewrap_progress WHERE relation = wanted$$;

------------------------------------------------------------------------------
-- Every column that holds wrapped keys
------------------------------------------------------------------------------

SELECT key_vault.kek_create('app'), key_vault.kek_create('other') \g /dev/null
CREATE DOMAIN public.checked_key AS key_vault.wrapped_key CHECK (VALUE IS NOT NULL);
CREATE DOMAIN public.keyring AS key_vault.wrapped_key[];
CREATE TABLE plain (id integer, " odd ""column'" key_vault.wrapped_key, second key_vault.wrapped_key);
CREATE TABLE heir (more text) INHERITS (plain);
CREATE TABLE parted (part integer, key key_vault.wrapped_key) PARTITION BY LIST (part);
CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY LIST (part);
CREATE TABLE part_2a PARTITION OF part_2 DEFAULT;
CREATE SCHEMA "Odd schema";
CREATE TABLE "Odd schema"."Odd ""table" (dropped key_vault.wrapped_key, key checked_key, shadow key_vault.wrapped_key GENERATED ALWAYS AS (key) STORED);
ALTER TABLE "Odd schema"."Odd ""table" DROP COLUMN dropped;
CREATE TABLE lists (keys key_vault.wrapped_key[], ring keyring, checked checked_key[]);
CREATE UNLOGGED TABLE unlogged (key key_vault.wrapped_key);
CREATE TEMP TABLE temporary (key key_vault.wrapped_key);
CREATE MATERIALIZED VIEW snapshot AS SELECT key FROM part_1;

CREATE FUNCTION new_key(n integer) RETURNS key_vault.wrapped_key LANGUAGE sql AS
$$SELECT key_vault.wrap(decode(md5(n::text), 'hex'), CASE WHEN n % 10 = 9 THEN 'other' ELSE 'app' END)$$;
INSERT INTO plain SELECT n, new_key(n), CASE WHEN n % 2 = 0 THEN key_vault.bind(new_key(n), '\x260B1234') END FROM generate_series(1, 100) n;
INSERT INTO heir SELECT n, new_key(n), NULL, 'x' FROM generate_series(1, 30) n;
INSERT INTO parted SELECT n % 2 + 1, new_key(n) FROM generate_series(1, 40) n;
INSERT INTO "Odd schema"."Odd ""table" SELECT new_key(n) FROM generate_series(1, 20) n;
INSERT INTO lists SELECT ARRAY[[new_key(n), NULL], [new_key(n + 1), new_key(n + 2)]], ARRAY[new_key(n)], ARRAY[new_key(n + 3)]::checked_key[] FROM generate_series(1, 20) n;
INSERT INTO lists VALUES (NULL, '{}', ARRAY[]::checked_key[]);
UPDATE lists SET keys[2:2][1:2] = keys[2:2][1:2];
INSERT INTO lists SELECT array_agg(key_vault.wrap(convert_to(repeat('k', 4000) || n, 'UTF8'), 'app')), NULL, NULL FROM generate_series(1, 10) n;	-- toasted
INSERT INTO unlogged SELECT new_key(n) FROM generate_series(1, 10) n;
INSERT INTO temporary SELECT new_key(n) FROM generate_series(1, 10) n;
REFRESH MATERIALIZED VIEW snapshot;

-- All keys in the clear, with the DevAddr that each is bound to
CREATE VIEW plaintexts AS
SELECT md5(string_agg(x, ',' ORDER BY x COLLATE "C")) AS sum, count(*) FROM (
    SELECT concat_ws(' ', tableoid::regclass, id, key_vault.unwrap(" odd ""column'"), key_vault.unwrap(second), key_vault.bound_dev_addr(second)) FROM plain
    UNION ALL SELECT concat_ws(' ', tableoid::regclass, key_vault.unwrap(key)) FROM parted
    UNION ALL SELECT concat_ws(' ', key_vault.unwrap(key), key_vault.unwrap(shadow)) FROM "Odd schema"."Odd ""table"
    UNION ALL SELECT concat_ws(' ', array_dims(keys), array_dims(ring), array_dims(checked),
        (SELECT string_agg(coalesce(key_vault.unwrap(k)::text, 'null'), '-' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u (k, n)),
        (SELECT string_agg(key_vault.unwrap(k)::text, '-' ORDER BY n) FROM unnest(ring) WITH ORDINALITY u (k, n)),
        (SELECT string_agg(key_vault.unwrap(k)::text, '-' ORDER BY n) FROM unnest(checked) WITH ORDINALITY u (k, n))) FROM lists
    UNION ALL SELECT key_vault.unwrap(key)::text FROM unlogged) k (x);
SELECT sum AS before FROM plaintexts \gset
SELECT isnt(:'before'::text, NULL, 'there are keys');

-- The counts of each kind of value, worked out by hand: 90 of 100 keys are of label app, and so on.
SELECT is(versions('app'),
    '"Odd schema"."Odd ""table".key v1: 18, "Odd schema"."Odd ""table".shadow v1: 18, heir. odd "column'' v1: 27, lists.checked v1: 18, '
    'lists.keys v1: 64, lists.ring v1: 18, part_1.key v1: 20, part_2a.key v1: 16, plain. odd "column'' v1: 90, plain.second v1: 50, '
    'snapshot.key v1: 20, temporary.key v1: 9, unlogged.key v1: 9', 'kek_usage counts by column and version');

-- Where there is nothing to do, no row is touched.
CREATE FUNCTION touched(before xid8) RETURNS bigint LANGUAGE sql AS
$$SELECT count(*) FROM (SELECT xmin FROM plain UNION ALL SELECT xmin FROM parted UNION ALL SELECT xmin FROM lists UNION ALL SELECT xmin FROM unlogged) r
   WHERE r.xmin::text::bigint >= before::text::bigint$$;
SELECT pg_current_xact_id() AS xid \gset
CALL key_vault.rewrap_all('app');
SELECT is(touched(:'xid'), 0::bigint, 'one version only: no row is touched');

SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', batch_size => 7);
REFRESH MATERIALIZED VIEW snapshot;
SELECT is(versions('app'),
    '"Odd schema"."Odd ""table".key v2: 18, "Odd schema"."Odd ""table".shadow v2: 18, heir. odd "column'' v2: 27, lists.checked v2: 18, '
    'lists.keys v2: 64, lists.ring v2: 18, part_1.key v2: 20, part_2a.key v2: 16, plain. odd "column'' v2: 90, plain.second v2: 50, '
    'snapshot.key v2: 20, temporary.key v2: 9, unlogged.key v2: 9', 'all are rewrapped');
SELECT is(sum, :'before'::text, 'and hold the same keys') FROM plaintexts;
SELECT is((SELECT count(*) FROM key_vault.kek_usage('other') WHERE kek_version <> 1), 0::bigint, 'another label''s keys stay');
SELECT is(progress('plain'), 'done: 90 rows, 140 keys, 0 failed, 0 left', 'progress says so');
SELECT is(progress('part_2a'), 'done: 16 rows, 16 keys, 0 failed, 0 left', 'for each partition');
SELECT pg_current_xact_id() AS xid \gset
CALL key_vault.rewrap_all('app');
SELECT is(touched(:'xid'), 0::bigint, 'a second call touches no row');
SELECT is((SELECT count(*) FROM key_vault.audit_log WHERE event = 'rewrapped' AND label = 'app'), 8::bigint, 'the audit log has a row for each table');
SELECT is((SELECT details - 'table' FROM key_vault.audit_log WHERE event = 'rewrapped' AND details ->> 'table' = 'public.plain'),
    '{"rows": 90, "keys": 140, "finished": true}'::jsonb, 'with what was done');
SELECT lives_ok($$SELECT key_vault.kek_destroy('app', 1)$$, 'no key needs the old version');
SELECT is(sum, :'before'::text, 'and all keys are there without it') FROM plaintexts;
SELECT is(sum, :'before'::text, 'also in a new session') FROM dblink(:'connection', 'SELECT sum FROM plaintexts') s (sum text);

-- Only rows that need it are rewritten: rows with keys of other labels stay in place.
SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE TABLE places AS SELECT id, ctid AS place FROM ONLY plain WHERE id % 10 = 9 AND id % 2 = 1;
CALL key_vault.rewrap_all('app', only_table => 'plain');
SELECT is((SELECT count(*) FROM ONLY plain p JOIN places ON p.id = places.id AND p.ctid <> place), 0::bigint, 'rows without such keys stay where they are');
SELECT is(versions('app') ~ 'heir\S* odd "column'' v3: 27.*lists.checked v2: 18.*plain\S* odd "column'' v3: 90', true, 'only_table: that table and its heirs');
CALL key_vault.rewrap_all('app', only_table => 'parted');
SELECT is(versions('app') ~ 'part_1.key v3: 20, part_2a.key v3: 16', true, 'or its partitions, also of partitions');
CALL key_vault.rewrap_all('app');

-- Updates are HOT where the page has room and the key has no index.
CREATE TABLE roomy (id integer PRIMARY KEY, key key_vault.wrapped_key) WITH (fillfactor = 40);
INSERT INTO roomy SELECT n, key_vault.generate_key('app') FROM generate_series(1, 1000) n;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'roomy');
CREATE EXTENSION pageinspect;
SELECT is((SELECT count(*) FROM generate_series(0, pg_relation_size('roomy') / current_setting('block_size')::integer - 1) b (n),
    LATERAL heap_page_items(get_raw_page('roomy', n::integer)) i WHERE i.t_infomask2 & 32768 <> 0), 1000::bigint, 'all new rows are heap-only tuples');
DROP EXTENSION pageinspect;
DROP TABLE roomy;
CALL key_vault.rewrap_all('app');

------------------------------------------------------------------------------
-- Wrong uses
------------------------------------------------------------------------------

-- Each of these calls must fail.
\set ON_ERROR_STOP 0
CALL key_vault.rewrap_all('nowhere');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'KV001', 'an unknown label');
CALL key_vault.rewrap_all(NULL);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22004', 'NULL');
CALL key_vault.rewrap_all('app', batch_size => 0);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'batches of no row');
CALL key_vault.rewrap_all('app', batch_size => 1000001);
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'batches of more than a million rows');
CALL key_vault.rewrap_all('app', sleep => '-1 s');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a negative pause');
-- An interval of 2^64 microseconds and one second, which would overflow to one second, and other intervals that
-- overflow
CALL key_vault.rewrap_all('app', sleep => '213503982 days 08:01:50.551616');
SELECT is(:'LAST_ERROR_MESSAGE'::text, 'sleep must be 0 to 1 day, not 213503982 days 08:01:50.551616', 'a pause that would overflow to one second');
CALL key_vault.rewrap_all('app', sleep => '178000000 years');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a pause of the longest interval');
CALL key_vault.rewrap_all('app', sleep => '-178000000 years 2147483647 days');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a pause of the most negative one');
CALL key_vault.rewrap_all('app', sleep => '1 day 00:00:00.000001');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a pause of more than a day');
CALL key_vault.rewrap_all('app', sleep => '1 day -24:00:00');
SELECT is(:'ERROR'::text, 'false', 'days and hours that make no time');
CALL key_vault.rewrap_all('app', only_table => 'places');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '22023', 'a table without wrapped keys');
BEGIN;
CALL key_vault.rewrap_all('app');
ROLLBACK;
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '25001', 'within a transaction');
SELECT key_vault.kek_create('inactive'), key_vault.kek_suspend('inactive', 1) \g /dev/null
CALL key_vault.rewrap_all('inactive');
SELECT is(:'LAST_ERROR_SQLSTATE'::text, 'KV007', 'without an active version');
\set ON_ERROR_STOP 1
SELECT is((SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), 0::bigint, 'no lock is left');

-- A session whose isolation level shows old rows, and which has hostile names in its search_path
CREATE SCHEMA trap;
CREATE FUNCTION trap.kek_id(key_vault.wrapped_key) RETURNS uuid LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION trap.equal(tid, tid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR trap.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = trap.equal);
CREATE OPERATOR trap.>= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = trap.equal);
CREATE FUNCTION trap.count() RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE TABLE trap.key_vault_new_keys (row_id tid, key_1 key_vault.wrapped_key);
SELECT key_vault.kek_rotate('app') \g /dev/null
SET default_transaction_isolation = 'repeatable read';
SET search_path = trap, pg_catalog, public;
CALL key_vault.rewrap_all('app');
RESET default_transaction_isolation;
SHOW search_path \gset
SELECT public.is(:'search_path'::text, 'trap, pg_catalog, public', 'the search_path stays the caller''s');
RESET search_path;
SELECT is(progress('plain'), 'done: 90 rows, 140 keys, 0 failed, 0 left', 'hostile names and REPEATABLE READ change nothing');
DROP SCHEMA trap CASCADE;

------------------------------------------------------------------------------
-- Owners' code does not get the caller's rights
------------------------------------------------------------------------------

CREATE TABLE seen (what text, role name, session_role name, bad boolean);
GRANT INSERT, SELECT ON seen TO PUBLIC;
CREATE TABLE armed ();	-- a row while attacks are on
GRANT SELECT ON armed TO PUBLIC;
SET ROLE regress_kv_owner;
-- The owner's code tries everything that could make it somebody else, or keep it so.
CREATE FUNCTION try(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE FUNCTION attack(place text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    command text;
BEGIN
    IF NOT EXISTS (SELECT FROM public.armed) THEN
        RETURN true;
    END IF;
    FOREACH command IN ARRAY ARRAY[
        'RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE regress_kv_dba', 'SET LOCAL ROLE regress_kv_dba',
        'SET SESSION AUTHORIZATION regress_kv_dba', 'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE NONE',
        $c$SELECT pg_catalog.set_config('role', 'regress_kv_dba', false)$c$,
        $c$SELECT pg_catalog.set_config('session_authorization', 'regress_kv_dba', false)$c$,
        'ALTER ROLE regress_kv_owner SUPERUSER', 'CREATE TEMP TABLE mine ()', 'PREPARE trap AS SELECT 1', 'LISTEN trap',
        'DECLARE trap CURSOR WITH HOLD FOR SELECT 1', 'CREATE FUNCTION key_vault.trap() RETURNS int LANGUAGE sql AS ''SELECT 1''',
        'UPDATE key_vault.kek SET state = state', 'SELECT sealed_material FROM key_vault.kek',
        $c$SELECT key_vault_internal.kek_erase('app', 1)$c$, $c$SELECT pg_read_file('PG_VERSION')$c$, 'ROLLBACK', 'COMMIT']
    LOOP
        IF public.try(command) = 'done' THEN
            INSERT INTO public.seen VALUES (place || ': ' || command, current_user, session_user, true);
        END IF;
    END LOOP;
    -- Code may change these settings, but the changes must not last.
    PERFORM pg_catalog.set_config('search_path', 'regress_kv_trap', false), pg_catalog.set_config('statement_timeout', '1h', false);
    INSERT INTO public.seen VALUES (place, current_user, session_user, current_user <> 'regress_kv_owner');
    RETURN true;
END
$$;
-- Index expressions and CHECKs may call functions that are declared IMMUTABLE.
CREATE FUNCTION attack_quietly(place text, n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM public.attack(place);
    RETURN n;
END
$$;
CREATE FUNCTION attack_by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.attack(TG_NAME);
    RETURN NEW;
END
$$;
CREATE FUNCTION attack_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.attack(TG_NAME);
    INSERT INTO public.bait VALUES (TG_NAME);
    RETURN NEW;
END
$$;
CREATE TABLE bait (name text);
CREATE CONSTRAINT TRIGGER bait_deferred AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION attack_by_trigger();
CREATE TABLE hostile (id integer, key key_vault.wrapped_key, copy integer);
RESET ROLE;
INSERT INTO hostile SELECT n, key_vault.generate_key('app') FROM generate_series(1, 3) n;
SET ROLE regress_kv_owner;
CREATE INDEX ON hostile (key);	-- no HOT updates
CREATE INDEX hostile_index ON hostile (attack_quietly('index', id));
CREATE INDEX hostile_partial ON hostile (id) WHERE attack_quietly('index predicate', id) > 0;
ALTER TABLE hostile ADD CHECK (attack_quietly('check', id) > 0);
ALTER TABLE hostile ADD generated integer GENERATED ALWAYS AS (attack_quietly('generated', id)) STORED;
CREATE TRIGGER before_row BEFORE UPDATE ON hostile FOR EACH ROW EXECUTE FUNCTION attack_by_trigger();
CREATE TRIGGER before_when BEFORE UPDATE ON hostile FOR EACH ROW WHEN (attack_quietly('when', NEW.id) < 0) EXECUTE FUNCTION attack_by_trigger();
CREATE TRIGGER before_statement BEFORE UPDATE ON hostile EXECUTE FUNCTION attack_by_trigger();
CREATE TRIGGER after_row AFTER UPDATE ON hostile FOR EACH ROW EXECUTE FUNCTION attack_by_trigger();
CREATE TRIGGER after_statement AFTER UPDATE ON hostile EXECUTE FUNCTION attack_by_trigger();
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON hostile DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION attack_later();
CREATE RULE also AS ON UPDATE TO hostile DO ALSO INSERT INTO seen SELECT 'rule', current_user, session_user, current_user <> 'regress_kv_owner' OR attack('rule function') IS NULL;
RESET ROLE;
SELECT key_vault.kek_rotate('app') \g /dev/null
INSERT INTO armed DEFAULT VALUES;
SELECT dblink_connect('dba', :'connection' || ' user=regress_kv_dba') \g /dev/null
SELECT is(dblink_exec('dba', $$CALL key_vault.rewrap_all('app')$$), 'CALL', 'a superuser rewraps them');
SELECT role, session_role, search_path, timeout FROM dblink('dba', $$SELECT current_user, session_user, current_setting('search_path'), current_setting('statement_timeout')$$)
    d (role text, session_role text, search_path text, timeout text) \gset
SELECT dblink_disconnect('dba') \g /dev/null
DELETE FROM armed;
SELECT is((SELECT string_agg(DISTINCT what || ' as ' || role, '; ') FROM seen WHERE bad), NULL, 'no attack succeeds');
SELECT is((SELECT string_agg(DISTINCT role, ', ') FROM seen), 'regress_kv_owner', 'all of it runs as the table''s owner');
SELECT is((SELECT string_agg(DISTINCT what, ', ' ORDER BY what) FROM seen),
    'after_row, after_statement, bait_deferred, before_row, before_statement, check, deferred, generated, index, index predicate, rule, rule function, when',
    'and all of it ran');
SELECT is((SELECT count(DISTINCT what) FROM seen WHERE session_role <> 'regress_kv_dba'), 0::bigint, 'in the session of the superuser');
SELECT is(:'role' || ' ' || :'session_role', 'regress_kv_dba regress_kv_dba', 'who is afterwards who he was');
SELECT is(:'search_path'::text, '"$user", public', 'with his search_path');
SELECT is(:'timeout'::text, '0', 'and other settings');
SELECT is(rolsuper, false, 'and the owner is what it was') FROM pg_roles WHERE rolname = 'regress_kv_owner';
SELECT is(progress('hostile'), 'done: 3 rows, 3 keys, 0 failed, 0 left', 'the rows are rewrapped all the same');

-- A trigger that defers other triggers to the commit, where they would run with other rights, is refused.
SET ROLE regress_kv_owner;
CREATE FUNCTION defer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS ALL DEFERRED;
    INSERT INTO public.bait VALUES (TG_NAME);
    RETURN NEW;
END
$$;
CREATE TABLE deferring (key key_vault.wrapped_key);
CREATE CONSTRAINT TRIGGER deferred_again AFTER UPDATE ON deferring DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION defer();
RESET ROLE;
INSERT INTO deferring SELECT key_vault.generate_key('app') FROM generate_series(1, 3) n;
TRUNCATE seen;
INSERT INTO armed DEFAULT VALUES;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'deferring');
DELETE FROM armed;
SELECT is(progress('deferring'), 'rows left: 0 rows, 0 keys, 3 failed, 3 left', 'a trigger that defers others is refused');
SELECT is(count(*), 0::bigint, 'and none of them fires, with whatever rights') FROM seen;
DROP TABLE deferring;
CALL key_vault.rewrap_all('app');

-- Deferred triggers that the caller queued before the run fire as the caller, not as the owner of a table.
CREATE TABLE mine (n integer);
CREATE FUNCTION log_role() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO seen VALUES ('mine', current_user); RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER mine_deferred AFTER INSERT ON mine DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION log_role();
CREATE PROCEDURE insert_and_rewrap() LANGUAGE plpgsql AS $$BEGIN INSERT INTO mine VALUES (1); CALL key_vault.rewrap_all('app'); END$$;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL insert_and_rewrap();
SELECT is((SELECT string_agg(role, ', ') FROM seen WHERE what = 'mine'), 'postgres', 'deferred triggers of the caller''s transaction fire as the caller');
SELECT is(progress('hostile'), 'done: 3 rows, 3 keys, 0 failed, 0 left', 'called from a procedure it does its work');
DO $$BEGIN CALL key_vault.rewrap_all('app'); END$$;
SELECT is(progress('hostile'), 'done: 0 rows, 0 keys, 0 failed, 0 left', 'and from DO');
DROP TABLE hostile, bait, mine;

------------------------------------------------------------------------------
-- Row-level security, forced on the owner too
------------------------------------------------------------------------------

CREATE TABLE secret (id integer, key key_vault.wrapped_key);
INSERT INTO secret SELECT n, key_vault.generate_key('app') FROM generate_series(1, 5) n;
ALTER TABLE secret OWNER TO regress_kv_owner;
CREATE POLICY nothing ON secret USING (attack('policy') AND false);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
TRUNCATE seen;
INSERT INTO armed DEFAULT VALUES;
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app');
SELECT is(progress('secret'), 'done: 5 rows, 5 keys, 0 failed, 0 left', 'policies hide no row from it');
SELECT is(count(*), 0::bigint, 'and do not run') FROM seen;
DELETE FROM armed;

------------------------------------------------------------------------------
-- A role with the privilege rewrap, and no other
------------------------------------------------------------------------------

SELECT key_vault.kek_grant('app', 'regress_kv_rotator', 'rewrap') \g /dev/null
CREATE TABLE allowed (id integer, key key_vault.wrapped_key, other key_vault.wrapped_key);
INSERT INTO allowed SELECT n, key_vault.generate_key('app'), key_vault.generate_key('app') FROM generate_series(1, 5) n;
CREATE TABLE column_wise AS SELECT * FROM allowed;
CREATE TABLE read_only AS SELECT * FROM allowed;
CREATE TABLE one_column AS SELECT * FROM allowed;
GRANT SELECT, UPDATE ON allowed TO regress_kv_rotator;
GRANT SELECT (key, other), UPDATE (key, other) ON column_wise TO regress_kv_rotator;
GRANT SELECT ON read_only TO regress_kv_rotator;
GRANT SELECT, UPDATE (key) ON one_column TO regress_kv_rotator;
SELECT key_vault.kek_rotate('app') \g /dev/null
SELECT versions('app') AS before_all \gset
SET ROLE regress_kv_rotator;
SELECT throws_ok($$SELECT key_vault.unwrap(key) FROM allowed$$, '42501', NULL, 'it cannot unwrap');
CALL key_vault.rewrap_all('app');
\set ON_ERROR_STOP 0
CALL key_vault.rewrap_all('other');
\set ON_ERROR_STOP 1
SELECT is(:'LAST_ERROR_SQLSTATE'::text, '42501', 'and not rewrap another label');
RESET ROLE;
SELECT is(progress('allowed'), 'done: 5 rows, 10 keys, 0 failed, 0 left', 'it rewraps where it may write');
SELECT is(progress('column_wise'), 'done: 5 rows, 10 keys, 0 failed, 0 left', 'also by privileges on the columns');
SELECT is(progress('read_only'), 'stopped: 0 rows, 0 keys, 0 failed,  left', 'not where it may only read');
SELECT is(progress('one_column'), 'stopped: 0 rows, 0 keys, 0 failed,  left', 'or write one of the columns');
SELECT is(progress('secret'), 'stopped: 0 rows, 0 keys, 0 failed,  left', 'or nothing');
SELECT is((SELECT count(DISTINCT kek_version) FROM key_vault.kek_usage('app') WHERE relation IN ('read_only'::regclass, 'secret'::regclass, 'one_column'::regclass)
              AND kek_version <> (SELECT max(version) - 1 FROM key_vault.keks WHERE label = 'app')), 0::bigint, 'nothing changed there');
CALL key_vault.rewrap_all('app');
SELECT is((SELECT count(DISTINCT kek_version) FROM key_vault.kek_usage('app') WHERE relation <> 'snapshot'::regclass), 1::bigint, 'a superuser does the rest');
DROP TABLE allowed, column_wise, read_only, one_column, secret;

------------------------------------------------------------------------------
-- Rows that cannot be rewrapped are reported and passed over, and the run still ends.
------------------------------------------------------------------------------

CREATE TABLE stubborn (id integer PRIMARY KEY, key key_vault.wrapped_key);
INSERT INTO stubborn SELECT n, key_vault.generate_key('app') FROM generate_series(1, 300) n;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE TG_ARGV[0]
        WHEN 'suppress' THEN RETURN CASE WHEN NEW.id % 100 = 0 THEN NULL ELSE NEW END;
        WHEN 'revert' THEN IF NEW.id % 100 = 0 THEN NEW.key = OLD.key; END IF;
        WHEN 'raise' THEN IF NEW.id % 100 = 0 THEN RAISE EXCEPTION 'row % stays', NEW.id; END IF;
    END CASE;
    RETURN NEW;
END
$$;

SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE TRIGGER refuse BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION refuse('suppress');
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(progress('stubborn'), 'rows left: 297 rows, 297 keys, 3 failed, 3 left', 'a trigger that suppresses updates');
DROP TRIGGER refuse ON stubborn;

SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE TRIGGER refuse BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION refuse('revert');
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(regexp_replace(progress('stubborn'), '\d+ rows, \d+ keys', 'some'), 'rows left: some, 0 failed, 3 left', 'a trigger that undoes them');
DROP TRIGGER refuse ON stubborn;

SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE TRIGGER refuse BEFORE UPDATE ON stubborn FOR EACH ROW EXECUTE FUNCTION refuse('raise');
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(progress('stubborn'), 'rows left: 297 rows, 297 keys, 3 failed, 3 left', 'a trigger that raises an error: all other rows are rewrapped');
DROP TRIGGER refuse ON stubborn;

SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON stubborn DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse('raise');
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(progress('stubborn'), 'rows left: 297 rows, 297 keys, 3 failed, 3 left', 'also at the end of the batch');
DROP TRIGGER refuse ON stubborn;

SELECT key_vault.kek_rotate('app') \g /dev/null
ALTER TABLE stubborn ADD CHECK (id % 100 <> 0) NOT VALID;
CALL key_vault.rewrap_all('app', only_table => 'stubborn', batch_size => 50);
SELECT is(progress('stubborn'), 'rows left: 297 rows, 297 keys, 3 failed, 3 left', 'a CHECK that they do not meet');
ALTER TABLE stubborn DROP CONSTRAINT stubborn_id_check;

SELECT key_vault.kek_rotate('app') \g /dev/null
CREATE RULE refuse AS ON UPDATE TO stubborn WHERE OLD.id % 100 = 0 DO INSTEAD NOTHING;
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(progress('stubborn'), 'rows left: 297 rows, 297 keys, 3 failed, 3 left', 'a rule that does nothing instead');
DROP RULE refuse ON stubborn;

-- A run gives up a table that refuses every row, and goes on with the other tables.
SELECT key_vault.kek_rotate('app') \g /dev/null
ALTER TABLE stubborn ADD CHECK (id < 0) NOT VALID;
CALL key_vault.rewrap_all('app');
SELECT is(progress('stubborn'), 'stopped: 0 rows, 0 keys, 101 failed, 300 left', 'a table that refuses all is given up');
SELECT is(progress('plain'), 'done: 90 rows, 140 keys, 0 failed, 0 left', 'the others are rewrapped');
ALTER TABLE stubborn DROP CONSTRAINT stubborn_id_check;
CALL key_vault.rewrap_all('app');
SELECT is(split_part(progress('stubborn'), ':', 1), 'done', 'once it does not refuse, the next call takes care of it');

-- Keys that do not open: one with a changed byte, and one under a suspended version
SELECT key_vault.kek_rotate('app') \g /dev/null
SELECT max(version) AS version FROM key_vault.keks WHERE label = 'app' \gset
UPDATE stubborn SET key = (left(key::text, -2) || CASE right(key::text, 2) WHEN '00' THEN '01' ELSE '00' END)::key_vault.wrapped_key WHERE id IN (5, 6);
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(progress('stubborn'), 'rows left: 298 rows, 298 keys, 2 failed, 2 left', 'damaged keys stay as they are');
DELETE FROM stubborn WHERE id IN (5, 6);
SELECT key_vault.kek_rotate('app') \g /dev/null
SELECT key_vault.kek_suspend('app', :version) \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(versions('app') ~ format('stubborn.key v%s: 298', :version), true, 'keys of a suspended version are left');
SELECT key_vault.kek_resume('app', :version) \g /dev/null
SELECT key_vault.kek_compromise('app', :version) \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'stubborn');
SELECT is(versions('app') ~ format('stubborn.key v%s: 298', :version + 1), true, 'keys of a compromised one are rewrapped');
-- Types in which rewrap_all() does not replace keys
CREATE TYPE pair AS (name text, key key_vault.wrapped_key);
CREATE TABLE composite (pair pair, pairs pair[]);
INSERT INTO composite SELECT ('kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', key_vault.generate_key('app'))::pair,
    ARRAY[('a', key_vault.generate_key('app')), ('b', NULL)]::pair[];
SELECT key_vault.kek_rotate('app') \g /dev/null
CALL key_vault.rewrap_all('app', only_table => 'composite');
SELECT is(progress('composite'), 'stopped: 0 rows, 0 keys, 0 failed, 1 left', 'keys in rows are told, not rewrapped');
SELECT is((SELECT string_agg("column" || ' ' || keys, ', ' ORDER BY "column") FROM key_vault.kek_usage() WHERE relation = 'composite'::regclass), 'pair 1, pairs 1',
    'they are counted, and what only looks like a key is not');
SELECT throws_ok(format($$SELECT key_vault.kek_destroy('app', %s)$$, :version + 1), 'KV008', NULL, 'so their version cannot be destroyed');

------------------------------------------------------------------------------
-- Destruction: while the KEKs are published; scheduled for later; cancelled
------------------------------------------------------------------------------

SELECT key_vault.kek_create('gone'), key_vault.kek_rotate('gone'), key_vault.kek_rotate('gone') \g /dev/null
CREATE PUBLICATION everything FOR ALL TABLES;
SELECT throws_ok($$SELECT key_vault.kek_destroy('gone', 1)$$, '55000', 'KEKs of this database are published to other servers', 'not while all tables are published');
DROP PUBLICATION everything;
CREATE PUBLICATION schemas FOR TABLES IN SCHEMA key_vault;
SELECT throws_ok($$SELECT key_vault.kek_destroy('gone', 1)$$, '55000', NULL, 'or the tables of the schema');
DROP PUBLICATION schemas;
CREATE PUBLICATION keks FOR TABLE key_vault.kek;
SELECT throws_ok($$SELECT key_vault.kek_destroy('gone', 1)$$, '55000', NULL, 'or this one');
DROP PUBLICATION keks;
CREATE PUBLICATION fine FOR TABLE plain;
SELECT lives_ok($$SELECT key_vault.kek_destroy('gone', 1)$$, 'other tables may be');
DROP PUBLICATION fine;

SELECT cmp_ok(key_vault.kek_schedule_destroy('gone', 2, '1 day'), '>', now() + '23 hours'::interval, 'a destruction is scheduled');
SELECT is(key_vault.kek_destroy_due(), 0, 'it is not due');
SELECT is((SELECT count(*) FROM key_vault.keks WHERE destroy_at > now() AND label = 'gone' AND state = 'deactivated'), 1::bigint, 'the view keks shows it');
SELECT is(key_vault.kek_cancel_destroy('gone', 2), true, 'it is taken back');
SELECT is(key_vault.kek_cancel_destroy('gone', 2), false, 'once');
SELECT key_vault.kek_schedule_destroy('gone', 2, '0') \g /dev/null
SELECT throws_ok($$SELECT key_vault.kek_schedule_destroy('gone', 2, '-1 s')$$, '22023', NULL, 'a time in the past is refused');
SELECT throws_ok($$SELECT key_vault.kek_schedule_destroy('gone', 2, '178000000 years')$$, '22008', NULL, 'so is one that no date can express');
SELECT throws_ok($$SELECT key_vault.kek_schedule_destroy('gone', 2, 'infinity')$$, CASE WHEN current_setting('server_version_num')::integer < 170000 THEN '22007' ELSE '22023' END, NULL, 'or that never comes');
SELECT throws_ok($$SELECT key_vault.kek_schedule_destroy('gone', 1, '1 s')$$, 'KV003', NULL, 'so is a destroyed KEK');
CREATE TABLE last_one AS SELECT key_vault.generate_key('gone') AS key;
SELECT key_vault.kek_schedule_destroy('gone', 3, '0') \g /dev/null
SET ROLE regress_kv_rotator;
SELECT is(key_vault.kek_destroy_due(), 0, 'who does not administer the label destroys nothing');
SELECT throws_ok($$SELECT key_vault.kek_schedule_destroy('app', 1, '0')$$, '42501', NULL, 'and schedules nothing');
RESET ROLE;
SELECT is(key_vault.kek_destroy_due(), 1, 'what is due is destroyed');
SELECT is((SELECT string_agg(state || coalesce(' scheduled' || left(destroy_at::text, 0), ''), ', ' ORDER BY version) FROM key_vault.keks WHERE label = 'gone'),
    'destroyed, destroyed, active scheduled', 'but for what still wraps a key, which stays scheduled');
DROP TABLE last_one;
SELECT is(key_vault.kek_destroy_due(), 0, 'nor is the active version, with which others can wrap keys at any moment');
SELECT key_vault.kek_suspend('gone', 3) \g /dev/null
SELECT is(key_vault.kek_destroy_due(), 1, 'until no key needs it, and it is not active');
SELECT is((SELECT string_agg(event, ', ' ORDER BY at) FROM key_vault.audit_log WHERE label = 'gone' AND version = 2), 'rotated, scheduled, unscheduled, scheduled, destroyed', 'all of it is in the audit log');

DROP OWNED BY regress_kv_owner, regress_kv_rotator CASCADE;
DROP ROLE regress_kv_owner, regress_kv_dba, regress_kv_rotator;
SELECT * FROM finish();
