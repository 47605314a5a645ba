--
-- The key cache, as its statistics show it.
--
-- This file sets the cache settings that it tests with.  The counters are those of this session.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();

LOAD 'key_vault';
SET key_vault.cache = on;
SET key_vault.cache_size = '16MB';
SET key_vault.cache_max_age = 0;
SET key_vault.cache_max_uses = 0;
SET key_vault.cache_verify_rate = 1;

SELECT key_vault.kek_import('cache', '\x000102030405060708090a0b0c0d0e0f') AS version \gset
CREATE TEMP TABLE key AS
SELECT n, key_vault.generate_key('cache') AS key FROM generate_series(1, 2000) n;
ALTER TABLE key ADD PRIMARY KEY (n);
-- Session keys of two devices, and what one payload decrypts to with each of them: see sql/incident.sql.
CREATE TEMP TABLE device AS
SELECT name, format('kv1:aes-kw:%s:%s', kek_id, wrapped)::key_vault.wrapped_key AS key, expected
  FROM key_vault.keks, (VALUES ('a', 'eea0081cf43da05a22fcc7f0aa4585ae2c18bd5d1b6cebe8', '\x0167010e02684a'::bytea),
                               ('b', '0aaa94d7521c3faf98e5bcc88d18e73c5d0f32c8d30fa800', '\xd3acabad76d801')) v (name, wrapped, expected)
 WHERE label = 'cache';

-- Decrypts a payload with each of the keys from number "first" to "last", "times" times with each.
CREATE FUNCTION pg_temp.use_keys(first integer, last integer DEFAULT NULL, times integer DEFAULT 1)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    k key_vault.wrapped_key;
    payload bytea;
BEGIN
    FOR k IN SELECT key FROM key WHERE n BETWEEN first AND coalesce(last, first) ORDER BY n LOOP
        FOR i IN 1 .. times LOOP
            payload := key_vault.lorawan_decrypt_uplink(k, '\x260B1234', 1, '\x00');
        END LOOP;
    END LOOP;
END
$$;
-- Decrypts with the keys of the two devices in turn, and returns the number of wrong payloads.
CREATE FUNCTION pg_temp.use_devices(times integer DEFAULT 1)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    d record;
    wrong bigint := 0;
BEGIN
    FOR i IN 1 .. times LOOP
        FOR d IN SELECT * FROM device ORDER BY name LOOP
            IF key_vault.lorawan_decrypt_uplink(d.key, '\x260B1234', 65538, '\x2e115ed9a45c99') IS DISTINCT FROM d.expected THEN
                wrong := wrong + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN wrong;
END
$$;
-- The counters that are not zero, counted since the last call of this function.
CREATE FUNCTION pg_temp.counted() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    text text;
BEGIN
    SELECT coalesce(string_agg(format('%s %s', v.name, v.count), ', '), 'nothing') INTO text
      FROM key_vault.cache_stats() s,
           LATERAL (VALUES ('hits', s.hits), ('misses', s.misses), ('unwraps', s.unwraps), ('evictions', s.evictions),
                           ('expirations', s.expirations), ('withdrawals', s.withdrawals), ('flushes', s.flushes),
                           ('verifications', s.verifications), ('mismatches', s.mismatches)) v (name, count)
     WHERE v.count <> 0;
    PERFORM key_vault.cache_stats_reset();
    RETURN text;
END
$$;
CREATE FUNCTION pg_temp.entries() RETURNS bigint LANGUAGE sql AS 'SELECT entries FROM key_vault.cache_stats()';
CREATE FUNCTION pg_temp.bytes() RETURNS bigint LANGUAGE sql AS 'SELECT bytes FROM key_vault.cache_stats()';

-- Resetting
SELECT is(stats_reset, NULL, 'never reset so far') FROM key_vault.cache_stats();
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
SELECT ok(stats_reset BETWEEN now() AND clock_timestamp(), 'the reset is dated') FROM key_vault.cache_stats();
SELECT is(pg_temp.counted(), 'nothing', 'all counters are zero after a reset');
SELECT is(pg_temp.entries(), 0::bigint, 'no entries after a flush');
SELECT is(pg_temp.bytes(), 0::bigint, 'no bytes after a flush');

-- Hits and misses
SELECT pg_temp.use_keys(1) \g /dev/null
SELECT is(pg_temp.counted(), 'misses 1, unwraps 1', 'the first use is a miss and an unwrapping');
SELECT is(pg_temp.entries(), 1::bigint, 'and leaves an entry');
SELECT cmp_ok(pg_temp.bytes(), '>=', 16::bigint, 'which takes memory');
SELECT pg_temp.use_keys(1, 1, 10) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 10', 'further uses are hits');
SELECT is(pg_temp.entries(), 1::bigint, 'of that entry');
SELECT pg_temp.use_keys(1, 200) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 1, misses 199, unwraps 199', 'each other key is a miss');
SELECT pg_temp.use_keys(1, 200) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 200', 'and then a hit');
SELECT is(pg_temp.entries(), 200::bigint, '200 keys, 200 entries');
SELECT is(pg_temp.use_devices(500), 0::bigint, 'two devices in turn, 1000 uplinks: each is right');
SELECT is(pg_temp.counted(), 'hits 998, misses 2, unwraps 2', 'of which two were unwrapped');

-- What the cache does not keep: keys that unwrap() returned, and failures
SELECT key_vault.unwrap(key) FROM key WHERE n = 1001 \g /dev/null
SELECT is(pg_temp.counted(), 'misses 1, unwraps 1', 'unwrap() of a key that is not cached unwraps it');
SELECT is(pg_temp.entries(), 202::bigint, 'and does not leave it in the cache');
SELECT key_vault.unwrap(key) FROM key WHERE n = 1 \g /dev/null
SELECT is(pg_temp.counted(), 'hits 1', 'unwrap() of a cached key takes it from there');
CREATE TEMP TABLE changed AS
SELECT (left(key::text, -1) || CASE right(key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key AS key FROM device WHERE name = 'a';
SELECT throws_ok('SELECT key_vault.lorawan_decrypt_uplink(key, ''\x260B1234'', 65538, ''\x00'') FROM changed', 'KV004', NULL, 'a changed key fails');
SELECT throws_ok('SELECT key_vault.lorawan_decrypt_uplink(key, ''\x260B1234'', 65538, ''\x00'') FROM changed', 'KV004', NULL, 'and fails again');
SELECT is(pg_temp.counted(), 'misses 2, unwraps 2', 'failures are not cached: each is tried');
SELECT is(pg_temp.entries(), 202::bigint, 'and none left an entry');
SELECT is(pg_temp.use_devices(), 0::bigint, 'the unchanged key next to it is right');
SELECT is(pg_temp.counted(), 'hits 2', 'and still cached');

-- The cache entry of a bound key serves its own DevAddr only.
CREATE TEMP TABLE bound AS SELECT key_vault.bind(key, '\x260B1234') AS key FROM device WHERE name = 'a';
SELECT pg_temp.counted() \g /dev/null
SELECT is(key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99'), '\x0167010e02684a'::bytea, 'a bound key, unwrapped') FROM bound;
SELECT is(key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99'), '\x0167010e02684a'::bytea, 'a bound key, from the cache') FROM bound;
SELECT throws_ok('SELECT key_vault.lorawan_decrypt_uplink(key, ''\x260B1235'', 65538, ''\x2e115ed9a45c99'') FROM bound', 'KV005', NULL, 'a bound key from the cache, for another DevAddr');
SELECT is(key_vault.key_status(key, '\x260B1235'), 'other DevAddr', 'key_status says so too') FROM bound;
SELECT is(key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99'), '\x0167010e02684a'::bytea, 'and is right again for its own') FROM bound;
SELECT is(pg_temp.counted(), 'hits 4, misses 1, unwraps 1', 'all but the first from the cache');

-- Flushing
SELECT key_vault.cache_flush() \g /dev/null
SELECT is(pg_temp.counted(), 'flushes 1', 'a flush is counted');
SELECT is(pg_temp.entries() + pg_temp.bytes(), 0::bigint, 'and leaves nothing');
SELECT key_vault.cache_flush() \g /dev/null
SELECT is(pg_temp.counted(), 'nothing', 'a flush of nothing is none');
SELECT is(pg_temp.use_devices(2), 0::bigint, 'after a flush all is right');
SELECT is(pg_temp.counted(), 'hits 2, misses 2, unwraps 2', 'and unwrapped anew');

-- One entry
SET key_vault.cache_size = 0;
SELECT is(pg_temp.entries(), 0::bigint, 'what no longer fits goes at once');
SELECT is(pg_temp.counted(), 'evictions 2', 'and counts as evicted');
SELECT pg_temp.use_keys(1, 1, 5) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 4, misses 1, unwraps 1', 'size 0 is room for one key');
SELECT is(pg_temp.use_devices(5), 0::bigint, 'two keys in turn with room for one: each is right');
SELECT is(pg_temp.counted(), 'misses 10, unwraps 10, evictions 10', 'and each evicts the one before');
SELECT is(pg_temp.entries(), 1::bigint, 'one is there');
SET key_vault.cache_size = '16MB';

-- cache_max_uses: a key is used so many times after one unwrapping, and the first use counts.
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
SELECT pg_temp.use_keys(1, 1, 1) \g /dev/null
SET key_vault.cache_max_uses = 3;
SELECT is(pg_temp.entries(), 0::bigint, 'a limit where there was none: no key stays whose uses were not counted');
SELECT pg_temp.counted() \g /dev/null
SELECT pg_temp.use_keys(1, 1, 3) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 2, misses 1, unwraps 1', '3 uses of 3 allowed: one unwrapping');
SELECT pg_temp.use_keys(1, 1, 1) \g /dev/null
SELECT is(pg_temp.counted(), 'misses 1, unwraps 1, expirations 1', 'the 4th unwraps again');
SELECT pg_temp.use_keys(1, 1, 9) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 6, misses 3, unwraps 3, expirations 3', '9 more: with the 4th, 10 uses, 4 unwrappings');
SELECT pg_temp.use_keys(1, 10, 10) \g /dev/null
-- Key 1 has one use of its third unwrapping: 2 + 3 + 3 + 2, so 3 unwrappings; the other nine: 3 + 3 + 3 + 1, so 4.
SELECT is(pg_temp.counted(), 'hits 61, misses 39, unwraps 39, expirations 30', 'counted for each key by itself');
SET key_vault.cache_max_uses = 1;
SELECT pg_temp.use_keys(20, 20, 5) \g /dev/null
SELECT is(pg_temp.counted(), 'misses 5, unwraps 5, expirations 4', 'one use: each unwraps');
SET key_vault.cache_max_uses = 0;
SELECT pg_temp.use_keys(21, 21, 1000) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 999, misses 1, unwraps 1', 'none: no limit');

-- cache_max_age
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
SET key_vault.cache_max_age = '1s';
-- Uses key 1 until it is unwrapped a second time, which must not happen before a second has passed.
CREATE FUNCTION pg_temp.age_of_key() RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
    born timestamptz := clock_timestamp();
BEGIN
    PERFORM pg_temp.use_keys(1);
    PERFORM pg_temp.use_keys(2, 10);
    LOOP
        PERFORM pg_temp.use_keys(1);
        EXIT WHEN (SELECT unwraps > 10 FROM key_vault.cache_stats()) OR clock_timestamp() > born + '20 s';
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN clock_timestamp() - born;
END
$$;
-- 0.98 s instead of 1 s, since the clock moves in steps of some milliseconds.
SELECT ok(age >= '0.98 s' AND age < '20 s', 'a key of max_age 1 s is unwrapped again after 1 s: ' || age) FROM pg_temp.age_of_key() age;
SELECT ok(misses = 11 AND unwraps = 11 AND hits > 0, '10 keys, one of them twice') FROM key_vault.cache_stats();
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
SET key_vault.cache_max_age = '20ms';
SELECT ok(age < '20 s', 'a key of max_age 20 ms is unwrapped again: ' || age) FROM pg_temp.age_of_key() age;
SET key_vault.cache_max_age = '1s';
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
SELECT pg_temp.age_of_key() \g /dev/null
-- Keys that nobody uses again expire too.
DO $$
DECLARE
    start timestamptz := clock_timestamp();
BEGIN
    WHILE pg_temp.entries() > 1 AND clock_timestamp() < start + '20 s' LOOP
        PERFORM pg_temp.use_keys(1);
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
SELECT cmp_ok(pg_temp.entries(), '<=', 1::bigint, 'keys that are not used again are wiped as well');
SELECT cmp_ok(expirations, '>=', 10::bigint, 'and counted') FROM key_vault.cache_stats();
-- A pause within a statement does not make a key live longer, however quickly its uses before the pause followed each
-- other.
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset() \g /dev/null
CREATE FUNCTION pg_temp.use_pause_use() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
BEGIN
    PERFORM pg_temp.use_keys(1, 1, 50);
    start := clock_timestamp();
    WHILE clock_timestamp() < start + '1.1 s' LOOP
        PERFORM pg_sleep(0.1);
    END LOOP;
    PERFORM pg_temp.use_keys(1);
    RETURN (SELECT unwraps FROM key_vault.cache_stats());
END
$$;
SELECT is(pg_temp.use_pause_use(), 2::bigint, 'after a pause of 1.1 s within a statement it is unwrapped again');
-- PostgreSQL stops all timeouts after an error, even if the transaction goes on after a savepoint.  The test uses key
-- 2 until key 3, which is not used again, is wiped.
CREATE FUNCTION pg_temp.await_expiration() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz := clock_timestamp();
BEGIN
    WHILE (SELECT expirations = 0 FROM key_vault.cache_stats()) AND clock_timestamp() < start + '20 s' LOOP
        PERFORM pg_temp.use_keys(2);
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN (SELECT expirations > 0 FROM key_vault.cache_stats());
END
$$;
SAVEPOINT outermost;
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset(), pg_temp.use_keys(2, 3) \g /dev/null
SAVEPOINT inner_one;
\set ON_ERROR_STOP 0
SELECT 1 / (n - 1) FROM key WHERE n = 1;
SELECT 'refused until the savepoint';
\set ON_ERROR_STOP 1
ROLLBACK TO SAVEPOINT inner_one;
SELECT ok(pg_temp.await_expiration(), 'keys expire after an error and ROLLBACK TO SAVEPOINT');
SELECT key_vault.cache_flush(), key_vault.cache_stats_reset(), pg_temp.use_keys(2, 3) \g /dev/null
SAVEPOINT innermost;
\set ON_ERROR_STOP 0
SELECT nonsense;
\set ON_ERROR_STOP 1
ROLLBACK TO SAVEPOINT outermost;
SELECT ok(pg_temp.await_expiration(), 'and after one that an outer savepoint ends');
SET key_vault.cache_max_age = 0;

-- The cache stays within cache_size, however many keys there are and however they are used.
CREATE FUNCTION pg_temp.most_bytes(kilobytes integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    most bigint := 0;
BEGIN
    PERFORM set_config('key_vault.cache_size', kilobytes || 'kB', false);
    PERFORM key_vault.cache_flush(), key_vault.cache_stats_reset();
    FOR i IN 1 .. 200 LOOP
        PERFORM pg_temp.use_keys(10 * i - 9, 10 * i, 1 + i % 3);
        PERFORM pg_temp.use_keys(1, 3, 2);
        most := greatest(most, pg_temp.bytes());
    END LOOP;
    PERFORM pg_temp.use_keys(1, 2000);
    RETURN greatest(most, pg_temp.bytes());
END
$$;
SELECT ok(most <= 1024 * size AND most > 512 * size, format('at most %s kB used: %s bytes', size, most)) FROM (VALUES (16), (64), (256)) v (size), LATERAL pg_temp.most_bytes(size) most ORDER BY size;
SELECT is(evictions, misses - entries, 'what was taken in and is not there was evicted') FROM key_vault.cache_stats();
SELECT cmp_ok(evictions, '>', 0::bigint, 'and there were some') FROM key_vault.cache_stats();
SELECT ok(pg_temp.most_bytes(16384) <= 16384 * 1024, 'with 16 MB too');
SELECT ok(entries = 2000 AND evictions = 0, 'where all fit, all stay') FROM key_vault.cache_stats();
SET key_vault.cache_size = '64kB';
SELECT cmp_ok(pg_temp.bytes(), '<=', 65536::bigint, 'a smaller size holds at once');
SELECT ok(entries > 0 AND evictions = 2000 - entries, 'by evicting no more than it must, or all') FROM key_vault.cache_stats();
SELECT is(pg_temp.use_devices(100), 0::bigint, 'and all is right');
SET key_vault.cache_size = '16MB';

-- Modes, changed at run time
SELECT key_vault.cache_stats_reset() \g /dev/null
SET key_vault.cache = off;
SELECT is(pg_temp.counted(), 'flushes 1', 'off flushes');
SELECT is(pg_temp.entries() + pg_temp.bytes(), 0::bigint, 'and leaves nothing');
SELECT is(pg_temp.use_devices(10), 0::bigint, 'off: right');
SELECT is(pg_temp.counted(), 'unwraps 20', 'off: each use unwraps, and nothing is looked up');
SELECT is(pg_temp.entries(), 0::bigint, 'off: nothing is kept');
SET key_vault.cache = on;
SELECT is(pg_temp.use_devices(10), 0::bigint, 'on again: right');
SELECT is(pg_temp.counted(), 'hits 18, misses 2, unwraps 2', 'on again: from the cache');
SET key_vault.cache = verify;
SELECT is(pg_temp.entries(), 2::bigint, 'verify keeps what is there');
SELECT is(pg_temp.use_devices(10), 0::bigint, 'verify: right');
SELECT is(pg_temp.counted(), 'hits 20, unwraps 20, verifications 20', 'verify: each hit is unwrapped again and compared');
SELECT pg_temp.use_keys(1, 5, 3) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 10, misses 5, unwraps 15, verifications 10', 'verify: a miss is unwrapped once');
SELECT is(key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, '\x2e115ed9a45c99'), '\x0167010e02684a'::bytea, 'verify: a bound key') FROM bound, generate_series(1, 2);
SELECT is(pg_temp.counted(), 'hits 1, misses 1, unwraps 2, verifications 1', 'verify: a bound key, with its context');
SET key_vault.cache_verify_rate = 0;
SELECT pg_temp.use_keys(1, 5, 2) \g /dev/null
SELECT is(pg_temp.counted(), 'hits 10', 'verify, but none of the hits');
SET key_vault.cache_verify_rate = 0.5;
SELECT pg_temp.use_keys(1, 1, 2000) \g /dev/null
-- Each of the 2000 hits is verified with a probability of one half.  One standard deviation is 22, so the bounds are
-- 13 of them away from 1000.
SELECT ok(verifications BETWEEN 700 AND 1300, 'verify about half of the hits') FROM key_vault.cache_stats();
SET key_vault.cache_verify_rate = 1;
SELECT key_vault.cache_stats_reset() \g /dev/null

-- A setting that is rolled back
SAVEPOINT mode;
SET LOCAL key_vault.cache = off;
SELECT is(pg_temp.use_devices(3), 0::bigint, 'off within a subtransaction');
SELECT is(pg_temp.counted(), 'unwraps 6, flushes 1', 'is off');
ROLLBACK TO mode;
SELECT is(current_setting('key_vault.cache'), 'verify', 'rolled back');
SELECT is(pg_temp.use_devices(3), 0::bigint, 'is as before');
SELECT is(regexp_replace(pg_temp.counted(), ', flushes 1', ''), 'hits 4, misses 2, unwraps 6, verifications 4', 'but for what was wiped');

-- Superusers only
CREATE ROLE key_vault_pgtap;
SELECT throws_ok(format('DO $do$ BEGIN SET LOCAL ROLE key_vault_pgtap; SET %s = %s; END $do$', name, value), '42501', NULL, 'only superusers set ' || name)
  FROM (VALUES ('key_vault.cache', 'off'), ('key_vault.cache_size', '0'), ('key_vault.cache_max_age', '1'), ('key_vault.cache_max_uses', '0'), ('key_vault.cache_verify_rate', '0')) v (name, value);
SELECT throws_ok(format('SET %s = %s', name, value), '22023', NULL, format('%s is not for %s', value, name))
  FROM (VALUES ('key_vault.cache', 'sometimes'), ('key_vault.cache_size', '-1'), ('key_vault.cache_max_age', '-1'), ('key_vault.cache_max_uses', '-1'), ('key_vault.cache_verify_rate', '1.1'), ('key_vault.cache_verify_rate', '-0.1')) v (name, value);
-- 0 means no limit.  A value of less than a second is not rounded to 0.
SELECT is(set_config('key_vault.cache_max_age', value, true), shown, 'cache_max_age = ' || value)
  FROM (VALUES ('0', '0'), ('1ms', '1ms'), ('500ms', '500ms'), ('0.4', '400ms'), ('10us', '10us'), ('600', '10min')) v (value, shown);

SELECT * FROM finish();
ROLLBACK;
