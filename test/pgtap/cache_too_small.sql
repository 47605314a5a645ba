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

-- 1 MB has room for fewer than 11,000 entries of 96 bytes, or for 8,000 and the AES contexts of those that are used most.  If the cache took in every key, the key that is needed
-- next would always have been evicted just before, and no key would ever be found.
SET key_vault.cache_size = '1MB';
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 20000, 2), 0::bigint, 'twice around more keys than there is room for');
SELECT cmp_ok(hits, '>', 8000::bigint, 'those that are in the cache are found the second time') FROM key_vault.cache_stats();
SELECT cmp_ok(evictions, '<', 3000::bigint, 'few had to leave, for AES contexts') FROM key_vault.cache_stats();
SELECT cmp_ok(entries, '>', 8000::bigint, 'the cache is full') FROM key_vault.cache_stats();

-- The same in transactions of their own: they do not begin anew.
SELECT is(sum(pg_temp.wrong(1, 20000, 1)), 0::numeric, format('around them, query %s', n)) FROM generate_series(1, 3) n GROUP BY n ORDER BY n;
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 20000, 1), 0::bigint, 'around them once more');
SELECT cmp_ok(hits, '>', 8000::bigint, 'the keys in the cache are found') FROM key_vault.cache_stats();
SELECT cmp_ok(evictions, '<', 500::bigint, 'and stay') FROM key_vault.cache_stats();

-- Keys that come once evict none that are in use.
SELECT key_vault.cache_flush() \g /dev/null
SELECT is(pg_temp.wrong(1, 10000, 2), 0::bigint, 'keys that fit');
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(10001, 25000, 1), 0::bigint, 'then others, each of which comes once');
SELECT cmp_ok(evictions, '<', 750::bigint, 'few of these take the place of a key') FROM key_vault.cache_stats();
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 10000, 1), 0::bigint, 'the first ones again');
SELECT cmp_ok(hits, '>', 7750::bigint, 'are still there') FROM key_vault.cache_stats();

-- Keys that come again take the places of keys that do not.
SELECT is(sum(pg_temp.wrong(1, 2000, 1) + pg_temp.wrong(20001, 25000, 1)), 0::numeric, format('some of the keys, and others, query %s', n)) FROM generate_series(1, 5) n GROUP BY n ORDER BY n;
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(20001, 25000, 1), 0::bigint, 'other keys once more');
SELECT cmp_ok(hits, '>', 4000::bigint, 'they are found') FROM key_vault.cache_stats();

-- If a table's next row has the same key, it is taken in at once.  The keys before have been used, and the cache is full.
CREATE TABLE in_order AS
SELECT n, key, payload, frm_payload FROM (SELECT * FROM uplink WHERE n BETWEEN 14001 AND 18000) u, generate_series(1, 3) ORDER BY n;
SELECT is(pg_temp.wrong(4001, 25000, 1), 0::bigint, 'many keys');
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(count(*), 12000::bigint, 'rows in the order of their keys, three for each')
  FROM in_order WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 1, frm_payload) = payload;
SELECT cmp_ok(hits, '>=', 7500::bigint, 'the second and the third are found') FROM key_vault.cache_stats();

-- In a small cache it costs little to replace a key, so every key is taken in.
SELECT key_vault.cache_flush() \g /dev/null
SET key_vault.cache_size = '64kB';
SELECT key_vault.cache_stats_reset() \g /dev/null
SELECT is(pg_temp.wrong(1, 5000, 2), 0::bigint, 'around keys that a small cache has no room for');
SELECT results_eq('SELECT hits, evictions FROM key_vault.cache_stats()', 'SELECT 0::bigint, misses - entries FROM key_vault.cache_stats()', 'each takes another one''s place');

SELECT * FROM finish();
