--
-- More keys in use than the cache has room for.
--
-- This file sets the cache settings that it tests with.  Each statement is a transaction of its own.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();

LOAD 'key_vault';
SELECT key_vault.kek_create('many') \g /dev/null
SET key_vault.cache = off;
CREATE TEMP TABLE uplink AS
SELECT n, key, int4send(n) AS payload, key_vault.lorawan_encrypt_uplink(key, '\x260B1234', 1, int4send(n)) AS frm_payload
  FROM (SELECT n, key_vault.generate_key('many') AS key FROM generate_series(1, 25000) n) k;
SET key_vault.cache = on;
SET key_vault.cache_max_age = 0;
SET key_vault.cache_max_uses = 0;

-- Decrypts with the keys of a range, one after the other, in so many passes; returns the number of wrong payloads.
CREATE FUNCTION pg_temp.wrong(first integer, last integer, passes integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FILTER (WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 1, frm_payload) IS DISTINCT FROM payload)
      FROM (SELECT u.* FROM generate_series(1, passes) pass, uplink u WHERE n BETWEEN first AND last ORDER BY pass, n OFFSET 0) u
$$;

-- 1 MB has room for fewer than 11,000 entries of 96 bytes.  If the cache took in every key, the key that is needed
-- next would always have been evicted just before, and no key would ever be found.
SET key_vault.cache_size = '1MB';
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 20000, 2), 0::bigint, 'twice around more keys than there is room for');
SELECT cmp_ok(hits, '>', 5000::bigint, 'many are found the second time') FROM key_vault.cache_stats();
SELECT cmp_ok(evictions, '<', 5000::bigint, 'few had to leave for that') FROM key_vault.cache_stats();
SELECT cmp_ok(entries, '>', 8000::bigint, 'the cache is full') FROM key_vault.cache_stats();

-- The next transaction uses other keys, which fit: it takes in all of them again.
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(20001, 25000, 2), 0::bigint, 'twice around keys that fit');
SELECT results_eq('SELECT hits, misses FROM key_vault.cache_stats()', 'VALUES (5000::bigint, 5000::bigint)', 'all are found the second time');

-- All keys are also taken in where no key in the full cache was ever found there.
SELECT key_vault.cache_flush() \g /dev/null
SELECT is(pg_temp.wrong(1, 20000, 1), 0::bigint, 'once around more keys than there is room for');
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(20001, 25000, 2), 0::bigint, 'then twice around keys that fit');
SELECT results_eq('SELECT hits, misses FROM key_vault.cache_stats()', 'VALUES (5000::bigint, 5000::bigint)', 'all are found the second time');

-- In a small cache it costs little to replace a key, so every key is taken in.
SELECT key_vault.cache_flush() \g /dev/null
SET key_vault.cache_size = '64kB';
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 5000, 2), 0::bigint, 'around keys that a small cache has no room for');
SELECT results_eq('SELECT hits, evictions FROM key_vault.cache_stats()', 'SELECT 0::bigint, misses - entries FROM key_vault.cache_stats()', 'each takes another one''s place');

SELECT * FROM finish();
