--
-- The type wrapped_key: input and output, comparison, accessors.
--
-- Nothing in here opens a key: the kek_ids are of no KEK.
--
\pset format unaligned
\pset tuples_only
\pset null (null)
SET search_path = public, key_vault, key_vault_internal;

-- The wrapped bytes of RFC 3394, section 4.1.
\set w 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'

-- Text form: self-describing; either case comes in, lower case goes out.
SELECT :'w'::wrapped_key;
SELECT upper(:'w')::wrapped_key;
SELECT upper(:'w')::wrapped_key = :'w'::wrapped_key;
SELECT :'w'::wrapped_key::text = :'w';

-- Binary form: format version 1, algorithm 1, kek_id, wrapped bytes.
SELECT wrapped_key_send(:'w') =
       '\x01 01 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'::bytea;
-- The algorithms are 1, 2 and 3 for ever.
SELECT get_byte(wrapped_key_send(replace(:'w', 'aes-kw', 'aes-kwp')::wrapped_key), 1),
       get_byte(wrapped_key_send((replace(:'w', 'aes-kw', 'aes-kw-bound') || repeat('00', 8))::wrapped_key), 1);

-- Malformed text: an error, and the value is not in it, since it might be a key.
SELECT name, failure(format('SELECT %L::wrapped_key', value))
  FROM (VALUES
    (1, 'empty', ''),
    (2, 'no colon', 'kv1'),
    (3, 'two fields', 'kv1:aes-kw'),
    (4, 'three fields', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff'),
    (5, 'five fields', :'w' || ':'),
    (6, 'other format version', replace(:'w', 'kv1', 'kv2')),
    (7, 'longer format version', replace(:'w', 'kv1', 'kv11')),
    (8, 'shorter format version', replace(:'w', 'kv1', 'kv')),
    (9, 'leading space', ' ' || :'w'),
    (10, 'trailing space', :'w' || ' '),
    (11, 'trailing line end', :'w' || E'\n'),
    (12, 'empty algorithm', replace(:'w', 'aes-kw', '')),
    (13, 'other algorithm', replace(:'w', 'aes-kw', 'aes-gcm')),
    (14, 'half an algorithm', replace(:'w', 'aes-kw', 'aes-k')),
    (15, 'empty kek_id', replace(:'w', '00112233-4455-6677-8899-aabbccddeeff', '')),
    (16, 'short kek_id', replace(:'w', 'ddeeff', 'ddeef')),
    (17, 'long kek_id', replace(:'w', 'ddeeff', 'ddeeff0')),
    (18, 'kek_id without dashes', replace(:'w', '00112233-4455-6677-8899-aabbccddeeff', '00112233445566778899aabbccddeeff')),
    (19, 'kek_id with a dash elsewhere', replace(:'w', '00112233-4455', '0011223-34455')),
    (20, 'kek_id in braces', replace(:'w', '00112233-4455-6677-8899-aabbccddeeff', '{00112233-4455-6677-8899-aabbccddeeff}')),
    (21, 'no digit in kek_id', replace(:'w', '00112233', '0011223g')),
    (22, 'no wrapped bytes', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:'),
    (23, 'odd number of digits', :'w' || '0'),
    (24, 'no digit at the end', left(:'w', -1) || 'g'),
    (25, 'no digit, high half', left(:'w', -2) || 'g0'),
    (26, 'space within', left(:'w', -2) || ' 0'),
    (27, 'as bytea', replace(:'w', ':1fa6', ':\x1fa6')),
    (28, 'a plaintext key', 'ec925802ae430ca77fd3dd73cb2cc588'),
    (29, 'AES-KW of 8 bytes', left(:'w', -16)),
    (30, 'no multiple of 8', :'w' || '00'),
    (31, 'kek_id with digits for dashes', replace(:'w', '00112233-4455-6677-8899-aabbccddeeff', '001122330445506677088990aabbccddeeff'))
  ) AS v (n, name, value) ORDER BY n;

-- The hint tells what is expected.
SELECT 'ec925802ae430ca77fd3dd73cb2cc588'::wrapped_key;

-- Lengths of the wrapped bytes: n of the key, 8 of the wrapping, 8 of a context.
-- AES-KW takes multiples of 8 from 16 to 4096, AES-KWP 1 to 4096.
SELECT algorithm, size,
       failure(format('SELECT %L::wrapped_key', 'kv1:' || algorithm || ':00112233-4455-6677-8899-aabbccddeeff:' || repeat('5a', size)))
  FROM (VALUES ('aes-kw', 0), ('aes-kw', 8), ('aes-kw', 16), ('aes-kw', 23), ('aes-kw', 24), ('aes-kw', 25),
               ('aes-kw', 32), ('aes-kw', 4104), ('aes-kw', 4105), ('aes-kw', 4112), ('aes-kw', 1000000),
               ('aes-kwp', 8), ('aes-kwp', 15), ('aes-kwp', 16), ('aes-kwp', 17), ('aes-kwp', 24), ('aes-kwp', 4104), ('aes-kwp', 4112),
               ('aes-kw-bound', 24), ('aes-kw-bound', 31), ('aes-kw-bound', 32), ('aes-kw-bound', 40), ('aes-kw-bound', 4104), ('aes-kw-bound', 4112)
       ) AS v (algorithm, size);

-- NULL in, NULL out.
SELECT NULL::wrapped_key;

--
-- COPY
--
CREATE TABLE type_key (key wrapped_key);
COPY type_key FROM STDIN;
kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5
\N
KV1:AES-KWP:00112233-4455-6677-8899-AABBCCDDEEFF:AFBEB0F07DFBF5419200F2CCB50BB24F
\.
COPY type_key TO STDOUT;
COPY type_key TO STDOUT (FORMAT csv);
COPY type_key FROM STDIN;
kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5
kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cf
\.
\echo :LAST_ERROR_SQLSTATE
COPY type_key FROM STDIN (FORMAT csv);
kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:""
\.
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM type_key;

-- Many keys, of every algorithm and length, as a dump and restore moves them.
CREATE TABLE type_many AS
SELECT n, format('kv1:%s:%s:%s', a.name, md5(n::text)::uuid,
                 left(repeat(md5('wrapped' || n), 300), 2 * (a.minimum + 8 * (n % 9) * CASE WHEN n % 50 = 0 THEN 32 ELSE 1 END)))::wrapped_key AS key
  FROM generate_series(1, 300) n,
       LATERAL (SELECT * FROM (VALUES ('aes-kw', 24), ('aes-kwp', 16), ('aes-kw-bound', 32)) v (name, minimum) OFFSET n % 3 LIMIT 1) a;
SELECT count(DISTINCT key::text), min(octet_length(wrapped_key_send(key))), max(octet_length(wrapped_key_send(key))) FROM type_many;
\copy (SELECT n, key FROM type_many) TO 'results/type.text'
\copy (SELECT n, key FROM type_many) TO 'results/type.csv' (FORMAT csv)
\copy (SELECT n, key FROM type_many) TO 'results/type.binary' (FORMAT binary)
CREATE TABLE type_copied (LIKE type_many);
\copy type_copied FROM 'results/type.text'
\copy type_copied FROM 'results/type.csv' (FORMAT csv)
\copy type_copied FROM 'results/type.binary' (FORMAT binary)
SELECT count(*), count(*) FILTER (WHERE c.key = m.key AND c.key::text = m.key::text) FROM type_copied c JOIN type_many m USING (n);

-- The binary form of a bytea is its bytes: so malformed keys can be sent.
CREATE TABLE type_bytes (bytes bytea);
\set header '01 01 00112233445566778899aabbccddeeff '
TRUNCATE type_key;
INSERT INTO type_bytes VALUES (('\x' || :'header' || '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')::bytea);
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
SELECT key FROM type_key;
-- no byte at all
UPDATE type_bytes SET bytes = '';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
-- within the header
UPDATE type_bytes SET bytes = '\x01 01 00112233445566778899aabbccddee';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
-- format version 0 and 2
UPDATE type_bytes SET bytes = '\x00 01 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
UPDATE type_bytes SET bytes = '\x02 01 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
-- algorithm 0 and 4
UPDATE type_bytes SET bytes = '\x01 00 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
UPDATE type_bytes SET bytes = '\x01 04 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
-- header only, and too short for each algorithm
UPDATE type_bytes SET bytes = '\x01 01 00112233445566778899aabbccddeeff';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
UPDATE type_bytes SET bytes = '\x01 02 00112233445566778899aabbccddeeff 1fa68b0a8112b447';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
UPDATE type_bytes SET bytes = '\x01 03 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
-- no multiple of 8, and too long
UPDATE type_bytes SET bytes = '\x01 01 00112233445566778899aabbccddeeff 1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe500';
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
UPDATE type_bytes SET bytes = ('\x' || :'header' || repeat('5a', 4112))::bytea;
\copy type_bytes TO 'results/type.bytes' (FORMAT binary)
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
\set VERBOSITY sqlstate
\copy type_key FROM 'results/type.bytes' (FORMAT binary)
\set VERBOSITY default
SELECT count(*) FROM type_key;

--
-- Comparison: all operators, against those of bytea over the same bytes.
--
SELECT count(*),
       bool_and((a.key = b.key) = (a.bytes = b.bytes)) AS eq,
       bool_and((a.key <> b.key) = (a.bytes <> b.bytes)) AS ne,
       bool_and((a.key < b.key) = (a.bytes < b.bytes)) AS lt,
       bool_and((a.key <= b.key) = (a.bytes <= b.bytes)) AS le,
       bool_and((a.key > b.key) = (a.bytes > b.bytes)) AS gt,
       bool_and((a.key >= b.key) = (a.bytes >= b.bytes)) AS ge,
       bool_and(sign(wrapped_key_cmp(a.key, b.key)) = CASE WHEN a.bytes < b.bytes THEN -1 WHEN a.bytes > b.bytes THEN 1 ELSE 0 END) AS cmp,
       bool_and((a.key <> b.key) OR wrapped_key_hash(a.key) = wrapped_key_hash(b.key)) AS hash,
       bool_and((a.key <> b.key) OR wrapped_key_hash_extended(a.key, 42) = wrapped_key_hash_extended(b.key, 42)) AS hash_extended
  FROM (SELECT key, wrapped_key_send(key) AS bytes FROM type_many) a,
       (SELECT key::text::wrapped_key AS key, wrapped_key_send(key) AS bytes FROM type_many) b;
-- Keys differ in any one part: format and algorithm, kek_id, wrapped bytes, length.
SELECT bool_and(:'w'::wrapped_key <> other), bool_and(:'w'::wrapped_key < other), bool_and(other > :'w'::wrapped_key)
  FROM (VALUES (replace(:'w', 'aes-kw', 'aes-kwp')::wrapped_key),
               (replace(:'w', ':0011', ':0111')::wrapped_key),
               (replace(:'w', 'eeff:', 'ef00:')::wrapped_key),
               ((left(:'w', -1) || '6')::wrapped_key),
               ((:'w' || repeat('0', 16))::wrapped_key)) v (other);
-- Hashes spread: 300 keys have (nearly) as many values of 32 and of 64 bits.
SELECT count(DISTINCT wrapped_key_hash(key)) > 295, count(DISTINCT wrapped_key_hash_extended(key, 0)) = 300,
       count(*) FILTER (WHERE wrapped_key_hash_extended(key, 0) = wrapped_key_hash_extended(key, 1)) = 0 FROM type_many;
SELECT :'w'::wrapped_key = NULL::wrapped_key;
-- Long ones, stored out of line, that differ in the last byte.
CREATE TABLE type_long AS
SELECT n, (regexp_replace(:'w', '[0-9a-f]*$', '') || repeat('5a', 4103) || to_hex(64 + n))::wrapped_key AS key FROM generate_series(1, 3) n;
SELECT a.n, b.n, a.key = b.key, a.key < b.key, wrapped_key_hash(a.key) = wrapped_key_hash(b.key) FROM type_long a, type_long b ORDER BY 1, 2;

-- ORDER BY, DISTINCT, GROUP BY, UNION, IN
SELECT array_agg(n ORDER BY key) = array_agg(n ORDER BY wrapped_key_send(key)),
       array_agg(n ORDER BY key DESC) = array_agg(n ORDER BY wrapped_key_send(key) DESC) FROM type_many;
SELECT count(*), count(DISTINCT key) FROM type_copied;
SET enable_hashagg = off;
SELECT count(*) FROM (SELECT key FROM type_copied GROUP BY key HAVING count(*) = 3) g;
SELECT count(*) FROM (SELECT key FROM type_copied UNION SELECT key FROM type_many) u;
RESET enable_hashagg;
SET enable_sort = off;
SELECT count(*) FROM (SELECT key FROM type_copied GROUP BY key HAVING count(*) = 3) g;
SELECT count(*) FROM (SELECT key FROM type_copied UNION SELECT key FROM type_many) u;
RESET enable_sort;
SELECT n FROM type_many WHERE key IN (SELECT key FROM type_copied WHERE n = 77);

-- joins
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM type_many a JOIN type_copied b ON a.key = b.key;
SELECT count(*), bool_and(a.n = b.n) FROM type_many a JOIN type_copied b ON a.key = b.key;
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM type_many a JOIN type_copied b ON a.key = b.key;
SELECT count(*), bool_and(a.n = b.n) FROM type_many a JOIN type_copied b ON a.key = b.key;
RESET enable_nestloop;
RESET enable_hashjoin;

-- indexes: found by each what a sequential scan finds
SELECT key AS sought FROM type_many WHERE n = 33 \gset
CREATE INDEX type_many_btree ON type_many (key);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT n FROM type_many WHERE key = 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
SELECT n FROM type_many WHERE key = :'sought';
SELECT count(*) FROM type_many WHERE key < :'sought' \gset btree_
SELECT count(*) FROM type_many WHERE wrapped_key_send(key) < wrapped_key_send(:'sought') \gset bytea_
SELECT :btree_count > 0, :btree_count = :bytea_count;
DROP INDEX type_many_btree;
CREATE INDEX type_many_hash ON type_many USING hash (key);
EXPLAIN (COSTS OFF) SELECT n FROM type_many WHERE key = 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
SELECT count(*) FROM type_many m WHERE n = (SELECT i.n FROM type_many i WHERE i.key = m.key);
RESET enable_seqscan;
RESET enable_bitmapscan;
CREATE UNIQUE INDEX type_many_unique ON type_many (key);
SELECT failure('INSERT INTO type_many SELECT 0, upper(key::text)::wrapped_key FROM type_many WHERE n = 33') LIKE '23505 / %';

-- partitions by hash
CREATE TABLE type_parted (n integer, key wrapped_key) PARTITION BY HASH (key);
CREATE TABLE type_parted_0 PARTITION OF type_parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE type_parted_1 PARTITION OF type_parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO type_parted SELECT * FROM type_many;
SELECT (SELECT count(*) FROM type_parted_0) > 100, (SELECT count(*) FROM type_parted_1) > 100;
SELECT n FROM type_parted WHERE key = :'sought';

--
-- Accessors
--
SELECT kek_id(:'w'), algorithm(:'w');
SELECT algorithm(replace(:'w', 'aes-kw', 'aes-kwp')::wrapped_key), algorithm((replace(:'w', 'aes-kw', 'aes-kw-bound') || repeat('0', 16))::wrapped_key);
SELECT bool_and(kek_id(key) = md5(n::text)::uuid) FROM type_many;
-- The KEK is not known here, so its label and version are not.
SELECT kek_label(:'w'), kek_version(:'w'), bound_dev_addr(:'w');
-- Only opening it would tell what a bound key is bound to.
SELECT failure(format('SELECT bound_dev_addr(%L)', replace(:'w', 'aes-kw', 'aes-kw-bound') || repeat('0', 16)));
SELECT kek_id(NULL), kek_label(NULL), kek_version(NULL), algorithm(NULL), bound_dev_addr(NULL);

-- A damaged value in a table is an error, not a key: 17 bytes of the 18 of a header.
CREATE CAST (bytea AS wrapped_key) WITHOUT FUNCTION;
SELECT failure($$SELECT kek_id('\x0101112233445566778899aabbccddeeff'::bytea::wrapped_key)$$);
SELECT failure($$SELECT '\x0101112233445566778899aabbccddeeff'::bytea::wrapped_key::text$$);
SELECT failure($$SELECT wrapped_key_send('\x'::bytea::wrapped_key)$$);
DROP CAST (bytea AS wrapped_key);

DROP TABLE type_key, type_many, type_long, type_copied, type_bytes, type_parted;
