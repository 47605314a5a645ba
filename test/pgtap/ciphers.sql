--
-- Keyed ciphers: there are fewer of them than keys, so a cipher goes from one key to another.
--
-- This file sets the cache settings that it tests with.  The expected values come from pgcrypto: a payload of 16 zero
-- bytes becomes the first block of the keystream, AES(K, A_1), with A_1 = 01 | 00 00 00 00 | 00 | DevAddr LE4 | FCnt
-- LE4 | 00 | 01.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();

LOAD 'key_vault';
SET key_vault.cache = on;
SET key_vault.cache_max_age = 0;
SET key_vault.cache_max_uses = 0;
SELECT key_vault.kek_create('ciphers') \g /dev/null

CREATE TEMP TABLE device AS
SELECT n, key_vault.wrap(plain, 'ciphers') AS key, plain
  FROM (SELECT n, decode(md5('device ' || n), 'hex') AS plain FROM generate_series(1, 10) n) d;

CREATE TEMP VIEW uplink AS
SELECT n, key, f_cnt,
       encrypt(decode('010000000000da1b0126' || lpad(to_hex(f_cnt), 2, '0') || '0000000001', 'hex'),
               plain, 'aes-ecb/pad:none') AS expected
  FROM device, generate_series(0, 255) f_cnt;

-- The uplinks in a mixed order, and device by device.  OFFSET 0 keeps PostgreSQL from decrypting before it sorts.
CREATE TEMP VIEW wrong_mixed AS
SELECT count(*) AS payloads
  FROM (SELECT * FROM uplink ORDER BY md5(n || ' ' || f_cnt) OFFSET 0) u
 WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, '\x00000000000000000000000000000000')
       IS DISTINCT FROM expected;
CREATE TEMP VIEW wrong_by_device AS
SELECT count(*) AS payloads
  FROM (SELECT * FROM uplink ORDER BY n, f_cnt OFFSET 0) u
 WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, '\x00000000000000000000000000000000')
       IS DISTINCT FROM expected;

-- The cache has room for four ciphers, and for all the keys.
SET key_vault.cache_size = '4kB';
SELECT is((SELECT payloads FROM wrong_mixed), 0::bigint, 'right with more keys than ciphers');
SELECT is((SELECT payloads FROM wrong_by_device), 0::bigint, 'right when ciphers go to the keys in use');
SELECT is((SELECT payloads FROM wrong_mixed), 0::bigint, 'and again');
SELECT is((SELECT entries FROM key_vault.cache_stats()), 10::bigint, 'the keys stay meanwhile');
SELECT is((SELECT misses FROM key_vault.cache_stats()), 10::bigint, 'each was unwrapped once');

-- Ciphers count in the size of the cache: 496 bytes each, beside the 64 bytes of secure memory of each key.
SELECT key_vault.cache_flush();
SET key_vault.cache_size = '16MB';
SELECT is((SELECT payloads FROM wrong_mixed), 0::bigint, 'right with a cipher for each key');
SELECT cmp_ok((SELECT bytes FROM key_vault.cache_stats()), '>=', (10 * (496 + 64))::bigint, 'ciphers count in the size');

-- Keys whose ciphers are in use move to other places in the table, when keys come in and go, and when the table grows.
CREATE TEMP TABLE many AS
SELECT n, key_vault.wrap(plain, 'ciphers') AS key, plain
  FROM (SELECT n, decode(md5('many ' || n), 'hex') AS plain FROM generate_series(1, 600) n) d;
CREATE TEMP VIEW wrong_of_many AS
SELECT count(*) AS payloads
  FROM (SELECT key, f_cnt, encrypt(decode('010000000000da1b0126' || lpad(to_hex(f_cnt), 2, '0') || '0000000001', 'hex'),
                                   plain, 'aes-ecb/pad:none') AS expected
          FROM many, generate_series(0, 5) f_cnt
         WHERE n <= CASE WHEN f_cnt < 3 THEN 600 ELSE 100 END
         ORDER BY n / 50 + f_cnt, md5(n || ' ' || f_cnt) OFFSET 0) u
 WHERE key_vault.lorawan_decrypt_uplink(key, '\x26011bda', f_cnt, '\x00000000000000000000000000000000')
       IS DISTINCT FROM expected;
SELECT key_vault.cache_flush();
SELECT is((SELECT payloads FROM wrong_of_many), 0::bigint, 'right while the table grows');
SELECT is((SELECT payloads FROM wrong_of_many), 0::bigint, 'and when it has its size');
SELECT is((SELECT entries FROM key_vault.cache_stats()), 600::bigint, 'with all keys there');
SET key_vault.cache_size = '20kB';
SELECT is((SELECT payloads FROM wrong_of_many), 0::bigint, 'right in a table that became smaller');
SELECT is((SELECT payloads FROM wrong_of_many), 0::bigint, 'and where keys come and go');
SELECT cmp_ok((SELECT bytes FROM key_vault.cache_stats()), '<=', 20480::bigint, 'with as much memory as is allowed');
SET key_vault.cache_size = '16MB';

-- Keys that are not session keys: changed in any part, they are not those in the cache.
SELECT key_vault.kek_create('ciphers 2') \g /dev/null
SELECT key_vault.generate_key('ciphers', 32) AS longer, key_vault.generate_key('ciphers', 20) AS padded,
       key_vault.bind(key_vault.generate_key('ciphers'), '\x26011bda') AS bound,
       (SELECT kek_id FROM key_vault.keks WHERE label = 'ciphers') AS kek_id,
       (SELECT kek_id FROM key_vault.keks WHERE label = 'ciphers 2') AS other_kek_id \gset
SELECT is(key_vault.key_status(key, '\x26011bda'), status, status || ': ' || left(key::text, 12))
  FROM (VALUES (:'longer'::key_vault.wrapped_key, 'not a session key'), (:'padded', 'not a session key'), (:'bound', 'ok')) v (key, status),
       generate_series(1, 2);
CREATE TEMP TABLE changed AS
SELECT what, key::key_vault.wrapped_key, status FROM (VALUES
    ('cut short', left(:'longer', -16), 'integrity failure'),
    ('with another last byte', overlay(:'longer' placing translate(right(:'longer', 1), '0123456789abcdef', '123456789abcdef0') from length(:'longer')), 'integrity failure'),
    ('with another algorithm', replace(:'longer', ':aes-kw:', ':aes-kwp:'), 'integrity failure'),
    ('said to be bound', replace(:'longer', ':aes-kw:', ':aes-kw-bound:'), 'integrity failure'),
    ('under another KEK', replace(:'longer', :'kek_id', :'other_kek_id'), 'integrity failure'),
    ('under an unknown KEK', replace(:'longer', :'kek_id', '00000000-0000-4000-8000-000000000000'), 'KEK unknown'),
    ('of 20 bytes, with another algorithm', replace(:'padded', ':aes-kwp:', ':aes-kw:'), 'integrity failure'),
    ('bound, with another last byte', overlay(:'bound' placing translate(right(:'bound', 1), '0123456789abcdef', '123456789abcdef0') from length(:'bound')), 'integrity failure'),
    ('bound, under another KEK', replace(:'bound', :'kek_id', :'other_kek_id'), 'integrity failure'),
    ('bound, said not to be', replace(:'bound', ':aes-kw-bound:', ':aes-kw:'), 'not a session key')) v (what, key, status);
SELECT is(key_vault.key_status(key, '\x26011bda'), status, 'a key ' || what) FROM changed;

-- They have a share of the cache: a sixty-fourth.
SELECT key_vault.cache_flush();
SET key_vault.cache_size = '1MB';
CREATE TEMP TABLE long AS SELECT n, key_vault.generate_key('ciphers', 1000) AS key FROM generate_series(1, 100) n;
SELECT key_vault.cache_flush();
SELECT count(key_vault.key_status(key, '\x26011bda')) FROM long \g /dev/null
SELECT cmp_ok(entries, '<=', 7::bigint, 'at most 7 keys of 1000 bytes, each with as many wrapped bytes, fit into 16 kB') FROM key_vault.cache_stats();
SELECT cmp_ok(entries, '>', 3::bigint, 'and some do') FROM key_vault.cache_stats();
SELECT cmp_ok(bytes, '>', entries * 2008, 'whose memory is counted') FROM key_vault.cache_stats();
SELECT is(count(*), 100::bigint, 'all are right') FROM long WHERE key_vault.key_status(key, '\x26011bda') = 'not a session key';
SELECT key_vault.cache_flush();
SELECT is(entries || ' ' || bytes, '0 0', 'a flush wipes them') FROM key_vault.cache_stats();

SELECT * FROM finish();
ROLLBACK;
