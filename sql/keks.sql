--
-- KEKs: making, importing, rotating them, and their states.
--
\pset format unaligned
\pset tuples_only
\pset null (null)
-- kek_destroy() takes it.
SET default_transaction_isolation = 'read committed';

-- What a user sees of KEKs, but for what is random.
CREATE VIEW keks_seen AS
SELECT label, version, state, key_bits, provider FROM key_vault.keks WHERE label LIKE 'keks %';

--
-- kek_create
--
SELECT key_vault.kek_create('keks random');
SELECT key_vault.kek_create('keks random 128', 128), key_vault.kek_create('keks random 192', 192),
       key_vault.kek_create(label => 'keks random 256', key_bits => 256);
TABLE keks_seen;
SELECT failure($$SELECT key_vault.kek_create('keks random')$$);
SELECT key_bits, failure(format($$SELECT key_vault.kek_create('keks other', %s)$$, key_bits))
  FROM (VALUES (-128), (0), (16), (127), (160), (255), (257), (512), (2147483647)) v (key_bits);

-- Labels: 1 to 255 bytes (not characters), no control characters.
SELECT name, failure(format('SELECT key_vault.kek_create(%L)', label))
  FROM (VALUES ('empty', ''), ('line end', E'a\n'), ('tab', E'\ta'), ('DEL', E'a\u007f'),
               ('256 bytes', repeat('x', 256)), ('128 characters, 256 bytes', repeat(U&'\00e9', 128))) v (name, label);
SELECT key_vault.kek_create('keks ' || repeat('x', 250)), key_vault.kek_create('keks ' || repeat(U&'\00e9', 125));
SELECT key_vault.kek_create($$keks "';--%s\ $$);
SELECT label, version FROM key_vault.keks WHERE label LIKE 'keks "%';
-- Case and spaces are part of a label.
SELECT key_vault.kek_create('keks Random'), key_vault.kek_create('keks random '), key_vault.kek_create(' keks random');
SELECT kcv <> ALL (SELECT kcv FROM key_vault.keks WHERE label <> 'keks random') FROM key_vault.keks WHERE label = 'keks random';

-- Random KEKs differ, and so do their ids.
SELECT count(*), count(DISTINCT kcv), count(DISTINCT kek_id), count(DISTINCT root_key_id) FROM key_vault.keks WHERE label LIKE '%keks %';

--
-- kek_import: the key check values were made with python3-cryptography, as the
-- first 5 bytes of AES-CMAC(KEK, "key_vault key check value").
--
SELECT key_vault.kek_import('keks import', '\x000102030405060708090a0b0c0d0e0f');
SELECT key_vault.kek_import('keks import', '\x000102030405060708090a0b0c0d0e0f1011121314151617');
SELECT key_vault.kek_import('keks import', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
SELECT version, state, key_bits, kcv, kcv = CASE version WHEN 1 THEN '\x5aa6cdc809'::bytea WHEN 2 THEN '\xf6b85cb9ea' WHEN 3 THEN '\xd8bd746a8a' END
  FROM key_vault.keks WHERE label = 'keks import';
-- The same KEK twice under one label is a mistake; under another it is not.
SELECT failure($$SELECT key_vault.kek_import('keks import', '\x000102030405060708090a0b0c0d0e0f')$$);
SELECT key_vault.kek_import('keks import again', '\x000102030405060708090a0b0c0d0e0f');
SELECT size, failure(format($$SELECT key_vault.kek_import('keks other', %L)$$, decode(repeat('5a', size), 'hex')))
  FROM (VALUES (0), (1), (8), (15), (17), (23), (25), (31), (33), (64), (5000)) v (size);
SELECT failure($$SELECT key_vault.kek_import('', '\x000102030405060708090a0b0c0d0e0f')$$);

--
-- kek_import_wrapped: 00..0f, 00..17 and 00..1f wrapped (AES-KW) with the KEK
-- 00..1f by python3-cryptography.
--
SELECT key_vault.kek_import_wrapped('keks wrapped', '\x8cc4bfeca8a9f2f38c8b28392f1e8f4b3e5a5fd2f20bd688', 'keks import');
SELECT key_vault.kek_import_wrapped('keks wrapped', '\xea68bea6536953b9ff35c728b5a3529a97b1c8ff70d08bfb782e8a02f8d51e5e', 'keks import');
SELECT key_vault.kek_import_wrapped('keks wrapped', '\x82c693bff487db7c31a7f0cc440ad9e37709511b52efce48094b4548eee3cfc2bf7805b51201bc01', 'keks import');
SELECT w.version, w.state, w.key_bits, w.kcv = i.kcv FROM key_vault.keks w JOIN key_vault.keks i USING (version)
 WHERE w.label = 'keks wrapped' AND i.label = 'keks import' ORDER BY 1;
-- any version of the transport label: this one was wrapped with version 2, 00..17
-- (RFC 3394, section 4.2; the KEK inside is 00112233..eeff)
SELECT key_vault.kek_import_wrapped('keks wrapped', '\x96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d', 'keks import');
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\x8cc4bfeca8a9f2f38c8b28392f1e8f4b3e5a5fd2f20bd688', 'keks import')$$);
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\x8cc4bfeca8a9f2f38c8b28392f1e8f4b3e5a5fd2f20bd689', 'keks import')$$);
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\x8cc4bfeca8a9f2f38c8b28392f1e8f4b3e5a5fd2f20bd688', 'keks nowhere')$$);
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\x000102030405060708090a0b0c0d0e0f', 'keks import')$$);
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\x000102030405060708090a0b0c0d0e0f', '')$$);
-- 40 bytes of zeros, wrapped with 00..1f: not the length of a KEK
SELECT failure($$SELECT key_vault.kek_import_wrapped('keks wrapped', '\xa0c8a21508c09c60d7279019af884c7860d0f41f61e5292d14afb66865943e27a036c676c99a4157eed8e01137193daf', 'keks import')$$);

--
-- kek_rotate
--
SELECT key_vault.kek_rotate('keks random 128');
SELECT key_vault.kek_rotate('keks random 128');
SELECT * FROM keks_seen WHERE label = 'keks random 128';
SELECT count(DISTINCT kcv), count(DISTINCT kek_id) FROM key_vault.keks WHERE label = 'keks random 128';
-- the length is the newest version's
SELECT key_vault.kek_rotate('keks import');
SELECT key_bits FROM keks_seen WHERE label = 'keks import' AND version = 4;
SELECT failure($$SELECT key_vault.kek_rotate('keks nowhere')$$);

--
-- States.  Each takes its arrow or refuses.
--
\set VERBOSITY terse
SET client_min_messages = notice;
SELECT key_vault.kek_suspend('keks random 192', 1);
SET client_min_messages = error;
\set VERBOSITY default
SELECT * FROM keks_seen WHERE label = 'keks random 192';
SELECT failure($$SELECT key_vault.kek_suspend('keks random 192', 1)$$);
SELECT failure($$SELECT key_vault.generate_key('keks random 192')$$);
SELECT key_vault.kek_resume('keks random 192', 1);
SELECT * FROM keks_seen WHERE label = 'keks random 192';
SELECT failure($$SELECT key_vault.kek_resume('keks random 192', 1)$$);
-- Suspended while the label goes on without it: it comes back, but wraps no more.
SELECT key_vault.kek_suspend('keks random 192', 1);
SELECT key_vault.kek_rotate('keks random 192');
SELECT key_vault.kek_resume('keks random 192', 1);
SELECT * FROM keks_seen WHERE label = 'keks random 192';
-- A deactivated and a compromised one come back as what they were.
SELECT key_vault.kek_suspend('keks random 192', 1);
SELECT key_vault.kek_resume('keks random 192', 1);
SELECT state FROM keks_seen WHERE label = 'keks random 192' AND version = 1;
SELECT key_vault.kek_compromise('keks random 192', 1);
SELECT state FROM keks_seen WHERE label = 'keks random 192' AND version = 1;
SELECT failure($$SELECT key_vault.kek_compromise('keks random 192', 1)$$);
SELECT key_vault.kek_suspend('keks random 192', 1);
SELECT key_vault.kek_resume('keks random 192', 1);
SELECT state FROM keks_seen WHERE label = 'keks random 192' AND version = 1;
-- The active one compromised: none is active until the label is rotated.
\set VERBOSITY terse
SET client_min_messages = notice;
SELECT key_vault.kek_compromise('keks random 192', 2);
SET client_min_messages = error;
\set VERBOSITY default
SELECT failure($$SELECT key_vault.generate_key('keks random 192')$$);
SELECT key_vault.kek_rotate('keks random 192');
SELECT * FROM keks_seen WHERE label = 'keks random 192';
-- no such version
SELECT function, failure(format('SELECT %s(%L, %s)', function, label, version))
  FROM (VALUES ('key_vault.kek_suspend'), ('key_vault.kek_resume'), ('key_vault.kek_compromise'), ('key_vault.kek_destroy'), ('key_vault_internal.kek_erase')) f (function),
       (VALUES ('keks nowhere', 1), ('keks random', 0), ('keks random', 2), ('keks random', -1)) v (label, version);

--
-- kek_destroy: not while a key needs it.
--
CREATE DOMAIN keks_domain AS key_vault.wrapped_key;
CREATE TABLE keks_plain (name text, key key_vault.wrapped_key, other integer);
CREATE TABLE keks_domains (key keks_domain);
CREATE TABLE keks_arrays (keys key_vault.wrapped_key[]);
CREATE TABLE "keks ""Odd" (" key'" key_vault.wrapped_key);
CREATE TABLE keks_parted (key key_vault.wrapped_key, part integer) PARTITION BY LIST (part);
CREATE TABLE keks_part_1 PARTITION OF keks_parted FOR VALUES IN (1);
CREATE TABLE keks_heir () INHERITS (keks_plain);
INSERT INTO keks_plain SELECT 'a', key_vault.generate_key('keks random') FROM generate_series(1, 3);
INSERT INTO keks_plain VALUES ('no key', NULL), ('unknown', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5');
INSERT INTO keks_heir SELECT 'b', key_vault.generate_key('keks random') FROM generate_series(1, 2);
INSERT INTO keks_domains SELECT key_vault.generate_key('keks random') FROM generate_series(1, 4);
INSERT INTO keks_arrays SELECT array_agg(key_vault.generate_key('keks random')) FROM generate_series(1, 5);
INSERT INTO keks_arrays VALUES (NULL), ('{}'), (ARRAY[NULL]::key_vault.wrapped_key[]);
INSERT INTO "keks ""Odd" SELECT key_vault.generate_key('keks random') FROM generate_series(1, 6);
INSERT INTO keks_parted SELECT key_vault.generate_key('keks random'), 1 FROM generate_series(1, 7);
CREATE MATERIALIZED VIEW keks_materialized AS SELECT key FROM keks_plain WHERE name = 'a';
CREATE TEMP TABLE keks_temp AS SELECT key_vault.generate_key('keks random') AS key FROM generate_series(1, 8);
SELECT * FROM key_vault.kek_usage() WHERE relation::text LIKE '%keks%' ORDER BY relation::text COLLATE "C", kek_label;
SELECT DISTINCT kek_label FROM key_vault.kek_usage('keks random');
SELECT count(*) FROM key_vault.kek_usage('keks nowhere');
SELECT key_vault.kek_rotate('keks random');
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 1)$$) LIKE 'KV008 / KEK label "keks random" version 1 still wraps 38 keys / %3 in column "key" of %keks_plain%';
SELECT state FROM keks_seen WHERE label = 'keks random' AND version = 1;

-- Once all are rewrapped, it goes.
UPDATE keks_plain SET key = key_vault.rewrap(key) WHERE name <> 'unknown';
UPDATE keks_domains SET key = key_vault.rewrap(key);
UPDATE keks_arrays SET keys = ARRAY(SELECT key_vault.rewrap(k) FROM unnest(keys) k);
UPDATE keks_parted SET key = key_vault.rewrap(key);
UPDATE keks_temp SET key = key_vault.rewrap(key);
REFRESH MATERIALIZED VIEW keks_materialized;
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 1)$$);
UPDATE "keks ""Odd" SET " key'" = key_vault.rewrap(" key'");
SELECT key_vault.kek_destroy('keks random', 1);
SELECT * FROM keks_seen WHERE label = 'keks random';
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 1)$$);
SELECT failure($$SELECT key_vault.kek_suspend('keks random', 1)$$);
SELECT failure($$SELECT key_vault.kek_resume('keks random', 1)$$);
SELECT failure($$SELECT key_vault.kek_compromise('keks random', 1)$$);
SELECT sealed_material IS NULL, root_key_id IS NULL FROM key_vault.kek WHERE label = 'keks random' AND version = 1;

-- A key inside a composite type counts too.
CREATE TYPE keks_session AS (dev_addr bytea, key key_vault.wrapped_key);
CREATE TABLE keks_composite (session keks_session);
SELECT key_vault.kek_create('keks composite');
INSERT INTO keks_composite SELECT ROW('\x260B1234', key_vault.generate_key('keks composite'))::keks_session;
SELECT key_vault.kek_rotate('keks composite');
SELECT failure($$SELECT key_vault.kek_destroy('keks composite', 1)$$) LIKE 'KV008 / %';
SELECT state FROM keks_seen WHERE label = 'keks composite';
SELECT length(key_vault.unwrap((session).key)) FROM keks_composite;

-- So do keys in ranges, and in arrays of arrays.
CREATE TYPE keks_range AS RANGE (subtype = key_vault.wrapped_key);
CREATE DOMAIN keks_keyring AS key_vault.wrapped_key[];
CREATE TABLE keks_nested (range keks_range, keyrings keks_keyring[]);
SELECT key_vault.kek_create('keks range'), key_vault.kek_create('keks keyring');
INSERT INTO keks_nested VALUES (keks_range(key_vault.generate_key('keks range'), NULL), ARRAY[ARRAY[key_vault.generate_key('keks keyring'), key_vault.generate_key('keks keyring')]::keks_keyring]);
SELECT key_vault.kek_rotate('keks range'), key_vault.kek_rotate('keks keyring');
SELECT failure($$SELECT key_vault.kek_destroy('keks range', 1)$$);
SELECT failure($$SELECT key_vault.kek_destroy('keks keyring', 1)$$);

-- Only in so many words are keys lost.
SELECT key_vault.kek_suspend('keks random', 2);
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 2)$$) LIKE 'KV008 / KEK label "keks random" version 2 still wraps 38 keys / %';
SELECT key_vault.kek_destroy('keks random', 2, force => true);
SELECT DISTINCT failure(format('SELECT key_vault.unwrap(%L)', key)) FROM keks_domains;
-- Versions are not used again.
SELECT key_vault.kek_rotate('keks random');
-- An older snapshot would not show keys written since.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 3)$$);
COMMIT;
-- Others can wrap keys with the active version at any moment, and use a version as it was before
-- until the change is committed.
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 3)$$);
BEGIN;
SELECT key_vault.kek_suspend('keks random', 3);
SELECT failure($$SELECT key_vault.kek_destroy('keks random', 3)$$);
COMMIT;
SELECT key_vault.kek_destroy('keks random', 3);

--
-- The table guards itself against mistakes of superusers.
--
SELECT failure($$DELETE FROM key_vault.kek WHERE label = 'keks import'$$);
SELECT failure($$TRUNCATE key_vault.kek$$);
SELECT assignment, regexp_replace(failure(format($$UPDATE key_vault.kek SET %s WHERE label = 'keks import' AND version = 1$$, assignment)), ' / Failing row.*', '')
  FROM (VALUES ('kek_id = gen_random_uuid()'), ($$label = 'keks other'$$), ('version = 9'), ('key_bits = 256'),
               ($$kcv = '\x0000000000'$$), ($$created_at = 'epoch'$$), ($$sealed_material = '\x00'$$),
               ('state_changed_at = now()'), ($$state = 'active'$$), ($$state = 'used'$$), ($$state = 'destroyed'$$),
               ($$state = 'suspended'$$)) v (assignment);
SELECT failure($$UPDATE key_vault.kek SET state = 'active' WHERE label = 'keks random' AND version = 1$$);
SELECT failure($$UPDATE key_vault.kek SET state_changed_at = now() WHERE label = 'keks random' AND version = 1$$);
-- What is destroyed stays, so that its version is not used again.
SELECT failure($$DELETE FROM key_vault.kek WHERE label = 'keks random' AND version = 1$$);

--
-- Sealed material: bound to the row it was sealed for.
--
SELECT key_vault.kek_create('keks moved'), key_vault.kek_create('keks moved to');
CREATE TABLE keks_moved AS SELECT key_vault.generate_key('keks moved to') AS key;
SET session_replication_role = replica;
UPDATE key_vault.kek t SET sealed_material = f.sealed_material, kcv = f.kcv
  FROM key_vault.kek f WHERE f.label = 'keks moved' AND t.label = 'keks moved to';
RESET session_replication_role;
-- The session that ends may have its temporary tables for a moment still.
DROP TABLE keks_temp;
\c
SET default_transaction_isolation = 'read committed';
SELECT regexp_replace(failure(format('SELECT key_vault.unwrap(%L)', key)), 'key check value [0-9a-f]{10}', 'key check value KCV') FROM keks_moved;
SELECT regexp_replace(failure($$SELECT key_vault.generate_key('keks moved to')$$), 'key check value [0-9a-f]{10}', 'key check value KCV');
-- Each part of a row that the material is bound to, changed by itself: kek_id, label,
-- version; and the key check value.
SELECT key_vault.kek_create('keks bound 1'), key_vault.kek_create('keks bound 2'), key_vault.kek_create('keks bound 3'), key_vault.kek_create('keks bound 4');
SET session_replication_role = replica;
UPDATE key_vault.kek SET kek_id = gen_random_uuid() WHERE label = 'keks bound 1';
UPDATE key_vault.kek SET label = 'keks bound 5' WHERE label = 'keks bound 2';
UPDATE key_vault.kek SET version = 2 WHERE label = 'keks bound 3';
UPDATE key_vault.kek SET kcv = set_bit(kcv, 0, 1 - get_bit(kcv, 0)) WHERE label = 'keks bound 4';
RESET session_replication_role;
SELECT label, left(failure(format('SELECT key_vault.generate_key(%L)', label)), 5) FROM key_vault.keks WHERE label LIKE 'keks bound %' ORDER BY label;
-- and one bit of it
SET session_replication_role = replica;
UPDATE key_vault.kek SET sealed_material = set_bit(sealed_material, 200, 1 - get_bit(sealed_material, 200)) WHERE label = 'keks moved';
RESET session_replication_role;
SELECT regexp_replace(failure($$SELECT key_vault.generate_key('keks moved')$$), 'key check value [0-9a-f]{10}', 'key check value KCV');
SELECT key_vault.kek_suspend('keks moved', 1), key_vault.kek_suspend('keks moved to', 1);
SELECT key_vault.kek_destroy('keks moved', 1);
DELETE FROM keks_moved;
SELECT key_vault.kek_destroy('keks moved to', 1);

-- NULLs are refused, and nothing done.
SELECT failure(call) FROM unnest(ARRAY[
    $$SELECT key_vault.kek_create(NULL)$$,
    $$SELECT key_vault.kek_create('keks other', NULL)$$,
    $$SELECT key_vault.kek_import(NULL, '\x00')$$,
    $$SELECT key_vault.kek_import('keks other', NULL)$$,
    $$SELECT key_vault.kek_import_wrapped('keks other', '\x00', NULL)$$,
    $$SELECT key_vault.kek_rotate(NULL)$$,
    $$SELECT key_vault.kek_suspend('keks other', NULL)$$,
    $$SELECT key_vault.kek_resume(NULL, 1)$$,
    $$SELECT key_vault.kek_compromise(NULL, 1)$$,
    $$SELECT key_vault.kek_destroy('keks other', 1, NULL)$$,
    $$SELECT key_vault.kek_grant('keks other', NULL, 'wrap')$$,
    $$SELECT key_vault.kek_revoke('keks other', 'pg_monitor', NULL)$$]) call;
SELECT count(*) FROM keks_seen WHERE label = 'keks other';

--
-- Rolled back, it never was.
--
BEGIN;
SELECT key_vault.kek_rotate('keks random 256');
SAVEPOINT s;
SELECT key_vault.kek_compromise('keks random 256', 1);
SELECT * FROM keks_seen WHERE label = 'keks random 256';
ROLLBACK TO s;
SELECT * FROM keks_seen WHERE label = 'keks random 256';
ROLLBACK;
SELECT * FROM keks_seen WHERE label = 'keks random 256';

DROP MATERIALIZED VIEW keks_materialized;
DROP TABLE keks_plain, keks_heir, keks_domains, keks_arrays, keks_parted, keks_composite, keks_nested, keks_moved, "keks ""Odd";
DROP TYPE keks_session, keks_range;
DROP DOMAIN keks_domain, keks_keyring;
DROP VIEW keks_seen;
