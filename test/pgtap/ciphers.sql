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
SELECT plan(8);

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

-- A wrapped key that is the beginning of a longer one; the longer one is in the cache.
SELECT key_vault.generate_key('ciphers', 24) AS longer \gset
SELECT key_vault.key_status(:'longer', '\x26011bda') \g /dev/null
SELECT is(key_vault.key_status(left(:'longer', -16)::key_vault.wrapped_key, '\x26011bda'), 'integrity failure',
          'a wrapped key cut short is not the one in the cache');

SELECT * FROM finish();
ROLLBACK;
