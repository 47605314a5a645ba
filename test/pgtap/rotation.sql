--
-- Rotation and the other changes of KEKs, seen by a session that has keys in its cache: they take effect at once in
-- its own transaction, a rollback undoes them, and a new session sees the same.
--
-- The tests run in a database of their own, since they reconnect.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
SELECT current_database() AS before \gset
DROP DATABASE IF EXISTS key_vault_pgtap_rotation;
CREATE DATABASE key_vault_pgtap_rotation;
-- kek_destroy() needs READ COMMITTED.
ALTER DATABASE key_vault_pgtap_rotation SET default_transaction_isolation = 'read committed';
\c key_vault_pgtap_rotation
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION key_vault;
ALTER DATABASE key_vault_pgtap_rotation SET client_min_messages = error;
SELECT no_plan();
LOAD 'key_vault';
SET key_vault.cache = on;
SET key_vault.cache_size = '16MB';
SET key_vault.cache_max_age = 0;
SET key_vault.cache_max_uses = 0;

SELECT key_vault.kek_create('a'), key_vault.kek_create('b') \g /dev/null
CREATE TABLE key (label text, n integer, plain bytea, key key_vault.wrapped_key, frm_payload bytea);
INSERT INTO key SELECT label, n, decode(md5(label || n), 'hex'), key_vault.wrap(decode(md5(label || n), 'hex'), label)
  FROM unnest('{a,b}'::text[]) label, generate_series(1, 50) n;
-- Payloads are encrypted with the same keys under another label, so that they do not depend on the labels that are
-- rotated.
SELECT key_vault.kek_create('maker') \g /dev/null
UPDATE key SET frm_payload = key_vault.lorawan_encrypt_uplink(key_vault.wrap(plain, 'maker'), '\x260B1234', n, convert_to(label || n, 'UTF8'));

-- How many of a label's payloads decrypt to what they should be
CREATE FUNCTION right_payloads(wanted text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    k record;
    result bigint := 0;
BEGIN
    FOR k IN SELECT * FROM key WHERE label = wanted ORDER BY n LOOP
        result := result + (key_vault.lorawan_decrypt_uplink(k.key, '\x260B1234', k.n, k.frm_payload) = convert_to(k.label || k.n, 'UTF8'))::integer;
    END LOOP;
    RETURN result;
END
$$;
-- The different answers of key_status() for the keys of a label
CREATE FUNCTION statuses(wanted text) RETURNS text LANGUAGE sql AS
$$SELECT string_agg(DISTINCT key_vault.key_status(key, '\x260B1234'), ', ') FROM key WHERE label = wanted$$;
CREATE FUNCTION counted() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    text text;
BEGIN
    SELECT format('hits %s, misses %s, unwraps %s, withdrawals %s', hits, misses, unwraps, withdrawals) INTO text FROM key_vault.cache_stats();
    PERFORM key_vault.cache_stats_reset();
    RETURN text;
END
$$;

SELECT key_vault.cache_flush(), counted() \g /dev/null
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'all right at first');
SELECT is(counted(), 'hits 0, misses 100, unwraps 100, withdrawals 0', 'and unwrapped');
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'all right from the cache');
SELECT is(counted(), 'hits 100, misses 0, unwraps 0, withdrawals 0', 'where they are');

-- A rotation wipes the cached keys under its own label, and no others.
SELECT is(key_vault.kek_rotate('a'), 2, 'label a is rotated');
SELECT is(right_payloads('b'), 50::bigint, 'label b after a rotation of a');
SELECT is(counted(), 'hits 50, misses 0, unwraps 0, withdrawals 50', 'stays in the cache; all of a is wiped');
SELECT is(right_payloads('a'), 50::bigint, 'label a after its rotation');
SELECT is(counted(), 'hits 0, misses 50, unwraps 50, withdrawals 0', 'is unwrapped anew');
SELECT is(entries, 100::bigint, 'nothing is there twice') FROM key_vault.cache_stats();

-- Suspended within a transaction: seen at once, undone with it.
BEGIN;
SELECT is(right_payloads('a'), 50::bigint, 'before a suspension');
SAVEPOINT s;
SELECT key_vault.kek_suspend('a', 1) \g /dev/null
SELECT throws_ok('SELECT right_payloads(''a'')', 'KV002', 'KEK label "a" version 1 is suspended', 'suspended: an error at once');
SELECT is(statuses('a'), 'KEK suspended', 'also for all others of it');
SELECT is(right_payloads('b'), 50::bigint, 'the other label goes on');
ROLLBACK TO s;
SELECT is(right_payloads('a'), 50::bigint, 'after ROLLBACK TO all are right');
SELECT key_vault.kek_suspend('a', 1) \g /dev/null
SELECT throws_ok('SELECT right_payloads(''a'')', 'KV002', NULL, 'suspended again: an error');
ROLLBACK;
SELECT is(right_payloads('a'), 50::bigint, 'after ROLLBACK all are right');
SELECT is(state, 'deactivated', 'and nothing was changed') FROM key_vault.keks WHERE label = 'a' AND version = 1;

-- The savepoint of the change is released, then the outer transaction is rolled back.
BEGIN;
SAVEPOINT s;
SELECT key_vault.kek_suspend('a', 1) \g /dev/null
RELEASE s;
SELECT is(statuses('a'), 'KEK suspended', 'suspended in a subtransaction, seen outside of it');
ROLLBACK;
SELECT is(statuses('a'), 'ok', 'and rolled back with all');

-- A change and a use within one statement
SELECT is(array_agg(step), ARRAY['ok', '', 'KEK suspended', '', 'ok'], 'suspended and resumed between the rows of one statement')
  FROM (SELECT CASE i WHEN 2 THEN key_vault.kek_suspend('a', 1)::text WHEN 4 THEN key_vault.kek_resume('a', 1)::text
                      ELSE key_vault.key_status(key, '\x260B1234') END AS step
          FROM generate_series(1, 5) i, (SELECT key FROM key WHERE label = 'a' AND n = 1) k) steps;

-- A rotation that is rolled back has made no version: a key that was wrapped with it is an error.
BEGIN;
SELECT is(key_vault.kek_rotate('b'), 2, 'rotated');
SELECT key_vault.rewrap(key) AS lost, key AS kept FROM key WHERE label = 'b' AND n = 7 \gset
SELECT is(key_vault.kek_version(:'lost'), 2, 'rewrapped to the new version');
SELECT is(key_vault.lorawan_decrypt_uplink(:'lost', '\x260B1234', 7, frm_payload), convert_to('b7', 'UTF8'), 'which decrypts') FROM key WHERE label = 'b' AND n = 7;
SELECT is(key_vault.kek_version(key_vault.generate_key('b')), 2, 'new keys are under the new version');
ROLLBACK;
SELECT throws_ok(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 7, %L)', :'lost', '\x260B1234', '\x00'), 'KV001', NULL, 'rolled back: a key of it is an error');
SELECT is(key_vault.kek_version(:'lost'), NULL, 'of an unknown KEK');
SELECT is(key_vault.kek_version(key_vault.generate_key('b')), 1, 'new keys are under the old version');
SELECT is(right_payloads('b'), 50::bigint, 'and all others are right');
BEGIN;
SAVEPOINT s;
SELECT key_vault.kek_rotate('b') \g /dev/null
SELECT key_vault.generate_key('b') AS lost \gset
ROLLBACK TO s;
SELECT is(key_vault.kek_rotate('b'), 2, 'rotated again in the same transaction');
SELECT is(key_vault.key_status(:'lost', '\x260B1234'), 'KEK unknown', 'the version that was rolled back is not the one that has its number now');
COMMIT;

-- A destruction that is rolled back loses nothing.
BEGIN;
SELECT key_vault.kek_destroy('a', 1, force => true) \g /dev/null
SELECT throws_ok('SELECT right_payloads(''a'')', 'KV003', 'KEK label "a" version 1 is destroyed', 'destroyed: an error at once');
ROLLBACK;
SELECT is(right_payloads('a'), 50::bigint, 'rolled back: all are right');

-- Rows changed by hand, in the way of a subscription: only triggers that are ENABLE ALWAYS fire.
SET session_replication_role = replica;
UPDATE key_vault.kek SET state = 'suspended', suspended_from = 'deactivated' WHERE label = 'a' AND version = 1;
SELECT throws_ok('SELECT right_payloads(''a'')', 'KV002', NULL, 'a row that was replicated is seen');
BEGIN;
TRUNCATE key_vault.kek;
SELECT is(statuses('b'), 'KEK unknown', 'a TRUNCATE is seen');
ROLLBACK;
UPDATE key_vault.kek SET state = 'deactivated', suspended_from = NULL WHERE label = 'a' AND version = 1;
RESET session_replication_role;
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'and undone');

-- The extension is dropped and made anew: no key from before opens with a KEK that is made after.
BEGIN;
CREATE TEMP TABLE saved AS SELECT n, key::text, frm_payload FROM key WHERE label = 'a';
SET LOCAL key_vault.allow_drop = on;
DROP EXTENSION key_vault CASCADE;
SELECT throws_ok('SELECT key_vault.unwrap(NULL)', '3F000', NULL, 'without the extension there is nothing to call');
CREATE EXTENSION key_vault;
SELECT key_vault.kek_create('a') \g /dev/null
SELECT is(count(*) FILTER (WHERE key_vault.key_status(key::key_vault.wrapped_key, '\x260B1234') = 'KEK unknown'), 50::bigint, 'a new extension does not know the old KEKs') FROM saved;
ROLLBACK;
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'rolled back: all are right');

-- Half of the keys are rewrapped, then the session ends.
UPDATE key SET key = key_vault.rewrap(key) WHERE label = 'a' AND n <= 25;
SELECT is(array_agg(DISTINCT key_vault.kek_version(key) ORDER BY key_vault.kek_version(key)), ARRAY[1, 2], 'keys of label a are under two versions') FROM key WHERE label = 'a';
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'all right with half of label a rewrapped');

SELECT key_vault.cache_flush(), right_payloads('a'), right_payloads('b'), counted() \g /dev/null
SELECT is(key_vault.kek_rotate('a'), 3, 'label a is rotated once more');
SELECT is(right_payloads('b'), 50::bigint, 'label b after that');
SELECT is(counted(), 'hits 50, misses 0, unwraps 0, withdrawals 50', 'all of label a are wiped, under each of its versions');

SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'all right in a fresh session');
SELECT is(key_vault.key_status(:'lost', '\x260B1234'), 'KEK unknown', 'and the version that was rolled back is unknown there, too');
SELECT throws_ok('SELECT key_vault.kek_destroy(''a'', 1)', 'KV008', NULL, 'version 1 is not destroyed while keys need it');
SELECT is(array_agg(DISTINCT key_vault.kek_version(key) ORDER BY key_vault.kek_version(key)), ARRAY[1, 2], 'a rotation rewraps nothing by itself') FROM key WHERE label = 'a';
UPDATE key SET key = key_vault.rewrap(key) WHERE label = 'a' AND key_vault.kek_version(key) = 1;
SELECT lives_ok('SELECT key_vault.kek_destroy(''a'', 1)', 'and is when none does');
SELECT is(right_payloads('a') + right_payloads('b'), 100::bigint, 'all right after that');
SELECT key_vault.kek_suspend('b', 1) \g /dev/null

SELECT currval('__tresults___numb_seq') AS tests \gset
\c
SELECT no_plan();
SELECT setval('__tresults___numb_seq', :tests) \g /dev/null
SELECT is(right_payloads('a'), 50::bigint, 'all right in a fresh session after the destruction');
SELECT is(statuses('b'), 'KEK suspended', 'a suspension is seen in a fresh session');
SELECT key_vault.kek_resume('b', 1) \g /dev/null
SELECT is(right_payloads('b'), 50::bigint, 'and its end in the same one');
SELECT is(key_vault.key_status(replace(key::text, key_vault.kek_id(key)::text, (SELECT kek_id::text FROM key_vault.keks WHERE label = 'a' AND version = 1))::key_vault.wrapped_key, '\x260B1234'), 'KEK destroyed', 'a key made out to be of the destroyed version') FROM key WHERE label = 'a' AND n = 1;

SELECT * FROM finish();
\c :before
DROP DATABASE key_vault_pgtap_rotation;
