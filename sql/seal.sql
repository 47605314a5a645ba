--
-- Values that are sealed at rest.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

SELECT key_vault.kek_create('seal'), key_vault.kek_create('seal other');
-- Key 00 01 ... 1f; what python3-cryptography's AESGCM made of it, with the format, 01, as associated data and
-- the nonce 00 01 ... 0b: of nothing, of 00, of "hello".
SELECT key_vault.wrap(decode('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex'), 'seal') AS key, key_vault.generate_key('seal', 32) AS other \gset
SELECT key_vault.open(:'key', sealed), length(sealed)
  FROM (VALUES (1, '\x01000102030405060708090a0b021c41a565ec06057d1731aa725debe8'::bytea), (2, '\x01000102030405060708090a0b4779d72a6f53da72568a4d364ac7f50186'), (3, '\x01000102030405060708090a0b2f67ba77aabc5ea34e96d1ce6b9479978b53be0144')) v (n, sealed) ORDER BY n;
SELECT key_vault.seal(:'key', 'hello') AS sealed \gset
SELECT length(:'sealed'::bytea), substr(:'sealed'::bytea, 1, 1), key_vault.open(:'key', :'sealed');
-- Each time another nonce
SELECT count(DISTINCT key_vault.seal(:'key', 'hello')), count(DISTINCT substr(key_vault.seal(:'key', 'hello'), 2, 12)) FROM generate_series(1, 100);
-- Lengths, from none to some that are not stored in line
SELECT size, key_vault.open(:'key', key_vault.seal(:'key', v)) = v, length(key_vault.seal(:'key', v)) - size
  FROM (SELECT size, decode(repeat('5a', size), 'hex') FROM unnest('{0,1,15,16,17,255,256,65535,65536,1000000}'::int[]) size) s (size, v);
CREATE TABLE seal_value AS SELECT n, key_vault.seal(:'key', decode(repeat(md5(n::text), 1 + n * 50), 'hex')) AS sealed FROM generate_series(1, 50) n;
SELECT count(*) FROM seal_value WHERE key_vault.open(:'key', sealed) = decode(repeat(md5(n::text), 1 + n * 50), 'hex');
-- No bit can be changed, none cut off, none put on.
SELECT result, count(*) FROM (SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', set_bit(:'sealed'::bytea, bit, 1 - get_bit(:'sealed'::bytea, bit)))) AS result
  FROM generate_series(0, 8 * 34 - 1) bit) r GROUP BY result ORDER BY result COLLATE "C";
SELECT count(*) FROM generate_series(0, 33) size WHERE failure(format('SELECT key_vault.open(%L, %L)', :'key', substr(:'sealed'::bytea, 1, size))) LIKE 'KV501 / %';
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', :'sealed'::bytea || '\x00')), failure(format('SELECT key_vault.open(%L, %L)', :'key', '')), failure(format('SELECT key_vault.open(%L, %L)', :'key', substr(:'sealed'::bytea, 1, 28)));
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'other', :'sealed'));
-- The same key rewrapped, under another label, or bound is the same key.
SELECT key_vault.kek_rotate('seal');
SELECT key_vault.open(key_vault.rewrap(:'key'), :'sealed'), key_vault.open(key_vault.rewrap(:'key', 'seal other'), :'sealed'), key_vault.open(key_vault.bind(:'key', '\x01020304'), :'sealed');
-- Keys of other lengths
SELECT size, failure(format('SELECT key_vault.seal(%L, %L)', key_vault.generate_key('seal', size), '\x00')), failure(format('SELECT key_vault.open(%L, %L)', key_vault.generate_key('seal', size), :'sealed'))
  FROM unnest('{1,16,24,31,33,64}'::int[]) size;
SELECT key_vault.seal(NULL, '\x00'), key_vault.seal(:'key', NULL), key_vault.open(NULL, :'sealed'), key_vault.open(:'key', NULL);
-- With a context: what python3-cryptography's AESGCM made with the same key and nonce, and as associated data 02 and the
-- context: an empty one, 00, "row 1", 00 01 ... ff twice.
SELECT n, key_vault.open(:'key', sealed, context) FROM (VALUES
  (1, '\x02000102030405060708090a0b2f67ba77aa0afaf6e55ca4ed612b9684e7edd9895b'::bytea, ''::bytea),
  (2, '\x02000102030405060708090a0b2f67ba77aad20547c2613d90605096994000738e44', '\x00'),
  (3, '\x02000102030405060708090a0b2f67ba77aadd0ccdcfb593cb6a4bc88db8087ace27', 'row 1'),
  (4, '\x02000102030405060708090a0b2f67ba77aa28f24bea5cfbd5f932bd35f087d80669', (SELECT string_agg(set_byte('\x00', 0, b % 256), '' ORDER BY b) FROM generate_series(0, 511) b)),
  (5, '\x02000102030405060708090a0b8e4ceac6bbf580c3ce3141a49a8bd9e9', 'row 1')) v (n, sealed, context) ORDER BY n;
SELECT key_vault.seal(:'key', 'hello', 'row 1') AS of_row, key_vault.seal(:'key', 'hello', '') AS of_empty \gset
SELECT length(:'of_row'::bytea), substr(:'of_row'::bytea, 1, 1), key_vault.open(:'key', :'of_row', 'row 1'), key_vault.open(:'key', :'of_empty', '');
SELECT count(DISTINCT key_vault.seal(:'key', 'hello', 'row 1')) FROM generate_series(1, 100);
SELECT size, key_vault.open(:'key', key_vault.seal(:'key', 'hello', v), v) FROM (SELECT size, decode(repeat('5a', size), 'hex') FROM unnest('{0,1,15,16,17,255,65536,1000000}'::int[]) size) s (size, v);
-- Another context, none, or one where there was none: each an error.
SELECT context, failure(format('SELECT key_vault.open(%L, %L, %L)', :'key', :'of_row', context)) FROM unnest('{"row 2","row 10","row ","ow 1","","\\x02726f772031"}'::bytea[]) context;
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', :'of_row')), failure(format('SELECT key_vault.open(%L, %L)', :'key', :'of_empty'));
SELECT failure(format('SELECT key_vault.open(%L, %L, %L)', :'key', :'sealed', context)) FROM unnest('{"","row 1"}'::bytea[]) context;
-- Nor does it help to change the format
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', set_byte(:'of_row'::bytea, 0, 1))), failure(format('SELECT key_vault.open(%L, %L)', :'key', set_byte(:'of_empty'::bytea, 0, 1)));
SELECT failure(format('SELECT key_vault.open(%L, %L, %L)', :'key', set_byte(:'sealed'::bytea, 0, 2), ''));
SELECT result, count(*) FROM (SELECT failure(format('SELECT key_vault.open(%L, %L, %L)', :'key', set_bit(:'of_row'::bytea, bit, 1 - get_bit(:'of_row'::bytea, bit)), 'row 1')) AS result
  FROM generate_series(0, 8 * 34 - 1) bit) r GROUP BY result ORDER BY result COLLATE "C";
-- A NULL in place of a context is an error; it does not seal without one.
SELECT failure(format('SELECT key_vault.seal(%L, %L, NULL)', :'key', 'hello')), failure(format('SELECT key_vault.open(%L, %L, NULL)', :'key', :'of_row'));
SELECT key_vault.seal(NULL, '\x00', '\x01'), key_vault.seal(:'key', NULL, '\x01'), key_vault.seal(:'key', NULL, NULL), key_vault.open(NULL, :'of_row', 'row 1'), key_vault.open(:'key', NULL, 'row 1');
-- Two rows change places.
CREATE TABLE seal_row AS SELECT n, key_vault.seal(:'key', decode(md5(n::text), 'hex'), int4send(n)) AS sealed FROM generate_series(1, 3) n;
SELECT n, key_vault.open(:'key', sealed, int4send(n)) = decode(md5(n::text), 'hex') FROM seal_row ORDER BY n;
UPDATE seal_row SET n = 3 - n WHERE n < 3;
SELECT failure(format('SELECT key_vault.open(%L, %L, %L)', :'key', sealed, int4send(n))) FROM seal_row ORDER BY n;
DROP TABLE seal_row;
-- Who may
CREATE ROLE regress_kv_seal;
SELECT key_vault.kek_grant('seal', 'regress_kv_seal', 'derive');
SET ROLE regress_kv_seal;
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', :'sealed')), failure(format('SELECT key_vault.seal(%L, %L)', :'key', '\x00'));
RESET ROLE;
SELECT key_vault.kek_revoke('seal', 'regress_kv_seal', 'derive'), key_vault.kek_grant('seal', 'regress_kv_seal', 'decrypt');
SET ROLE regress_kv_seal;
SELECT key_vault.open(:'key', key_vault.seal(:'key', '\x0102')), failure(format('SELECT key_vault.unwrap(%L)', :'key'));
RESET ROLE;
SELECT key_vault.kek_revoke('seal', 'regress_kv_seal', 'decrypt');
DROP ROLE regress_kv_seal;
SELECT key_vault.kek_suspend('seal', 1);
SELECT failure(format('SELECT key_vault.open(%L, %L)', :'key', :'sealed'));
SELECT key_vault.kek_resume('seal', 1);
-- The hint
SELECT key_vault.seal(key_vault.generate_key('seal'), '\x00');
DROP TABLE seal_value;
