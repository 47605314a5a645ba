--
-- LoRaWAN payloads.
--
-- Where a comment does not say otherwise, expected bytes were made with
-- python3-cryptography from the block A_i of LoRaWAN L2 1.0.4, section 4.3.3.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

SELECT key_vault.kek_import('lorawan transport', '\x000102030405060708090a0b0c0d0e0f'), key_vault.kek_create('lorawan');
-- The AppSKey of the messages, and the one of another device.
CREATE TABLE lorawan_key (name text, key key_vault.wrapped_key, plain bytea);
INSERT INTO lorawan_key VALUES
    ('right', key_vault.import_envelope('lorawan transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'lorawan'), '\xec925802ae430ca77fd3dd73cb2cc588'),
    ('other', key_vault.import_envelope('lorawan transport', decode('CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA', 'base64'), 'lorawan'), '\xec925802ae430ca77fd3dd73cb2cc580');
SELECT name, key_vault.unwrap(key) = plain FROM lorawan_key ORDER BY name;
SELECT key AS right_key FROM lorawan_key WHERE name = 'right' \gset
SELECT key AS other_key FROM lorawan_key WHERE name = 'other' \gset

-- Messages of The Things Stack and of ChirpStack.
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64'));
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x01fa8b2c', 1042, decode('BqiSEvuAbQ==', 'base64'));
-- The example of lora-packet's README: "test".
SELECT convert_from(key_vault.lorawan_decrypt_uplink(:'right_key', '\x49be7df1', 2, '\x95437876'), 'UTF8');
-- With another device's key they become something else: the incident.  A look-up
-- never takes one for the other, in whatever order they come.
SELECT key_vault.lorawan_decrypt_uplink(:'other_key', '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64'));
SELECT n, name, key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64'))
  FROM generate_series(1, 4) n, lorawan_key ORDER BY n, CASE WHEN n % 2 = 0 THEN name END DESC, name;
-- With the low 16 bits of the counter they become something else, too.
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', 65538 % 65536, decode('LhFe2aRcmQ==', 'base64'));
-- Encrypting is the same the other way round.
SELECT encode(key_vault.lorawan_encrypt_uplink(:'right_key', '\x260B1234', 65538, '\x0167010e02684a'), 'base64');

-- Counters, in both directions
SELECT f_cnt, up, down,
       key_vault.lorawan_encrypt_uplink(:'right_key', '\x260B1234', f_cnt, '\x0167010e02684a') = up AS encrypt_up,
       key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', f_cnt, up) = '\x0167010e02684a' AS decrypt_up,
       key_vault.lorawan_try_decrypt_uplink(:'right_key', '\x260B1234', f_cnt, up) = '\x0167010e02684a' AS try_up,
       key_vault.lorawan_encrypt_downlink(:'right_key', '\x260B1234', f_cnt, '\x0167010e02684a') = down AS encrypt_down,
       key_vault.lorawan_decrypt_downlink(:'right_key', '\x260B1234', f_cnt, down) = '\x0167010e02684a' AS decrypt_down,
       key_vault.lorawan_try_decrypt_downlink(:'right_key', '\x260B1234', f_cnt, down) = '\x0167010e02684a' AS try_down
  FROM (VALUES (0, '\x0fe1cde9682dd8'::bytea, '\x4b1a45c0764fa2'::bytea), (1, '\x3bd37b87a5d7a7', '\x99dba9505a010b'),
               (65535, '\x556478a6abe805', '\x944dc412743ae1'), (65536, '\x608c5726abd8f8', '\xf3cd7a9c5076ae'),
               (4294967295, '\x31be9d58386923', '\x37b7bad97b8b22')) v (f_cnt, up, down)
 ORDER BY f_cnt;
-- and what is none
SELECT function, f_cnt, failure(format('SELECT key_vault.%s(%L, %L, %s, %L)', function, :'right_key', '\x260B1234', f_cnt, '\x0167010e02684a'))
  FROM (VALUES ('lorawan_decrypt_uplink'), ('lorawan_decrypt_downlink'), ('lorawan_encrypt_uplink'), ('lorawan_encrypt_downlink'),
               ('lorawan_try_decrypt_uplink'), ('lorawan_try_decrypt_downlink')) f (function),
       (VALUES (-1), (4294967296), (9223372036854775807), (-9223372036854775808)) v (f_cnt)
 ORDER BY function, f_cnt;

-- DevAddr: 4 bytes as displayed.  Backwards it is another.
SELECT dev_addr, failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 1, %L)', :'right_key', dev_addr, '\x01'))
  FROM (VALUES (''::bytea), ('\x260B12'), ('\x260B1234'), ('\x260B123400')) v (dev_addr);
SELECT failure(format('SELECT key_vault.lorawan_try_decrypt_uplink(%L, %L, 1, %L)', :'right_key', '\x260B12', '\x01'));
SELECT failure(format('SELECT key_vault.key_status(%L, %L)', :'right_key', '\x260B123400'));
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x34120B26', 65538, decode('LhFe2aRcmQ==', 'base64')) = '\x0167010e02684a';
SELECT failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 1, %L)', :'right_key', '260B1234', '\x01'));

-- Lengths: 00 01 02 ... with counter 65538; the long ones as their SHA-256.
CREATE FUNCTION counting(size integer) RETURNS bytea LANGUAGE sql AS
$$SELECT coalesce(string_agg(set_byte('\x00', 0, i % 256), ''::bytea ORDER BY i), '') FROM generate_series(0, size - 1) i$$;
SELECT key_vault.lorawan_encrypt_uplink(:'right_key', '\x260B1234', 65538, counting(size))
  FROM (VALUES (0), (1), (15), (16), (17), (32), (33)) v (size) ORDER BY size;
SELECT size, encode(sha256(key_vault.lorawan_encrypt_uplink(:'right_key', '\x260B1234', 65538, counting(size))), 'hex') = expected
  FROM (VALUES (0, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'),
               (1, '8a5edab282632443219e051e4ade2d1d5bbc671c781051bf1437897cbdfea0f1'),
               (15, 'd22bd5fb36dad6ff83c9b463dd5b5918d37798f389293a594c310998b1b401f9'),
               (16, '9f9cee86b628726fa4ec6958289f608d3b7cb74c1312a9ca0acc98433d30fd6b'),
               (17, '30e1ab2d8bd4803de21d79eeec2a4669b610bb958bd163783e670bc7dacb4496'),
               (32, 'ea2342ef02fcf5b0cc0feb684cdda9546fb0d50fe3cd782081aa144f23537436'),
               (33, 'f14c3d7b24d4b4d118904d7eb2edcd6a3e48c41c39899cd4ae82fa3d9d7a84df'),
               (255, '5c1c18511b9707b6edecbc3a1eda5f943a89d84bc3b5326fae7f2aff11880913')) v (size, expected)
 ORDER BY size;
SELECT bool_and(key_vault.lorawan_decrypt_downlink(:'right_key', '\x260B1234', size, key_vault.lorawan_encrypt_downlink(:'right_key', '\x260B1234', size, counting(size))) = counting(size))
  FROM generate_series(0, 255) size;
SELECT size, failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 1, %L)', :'right_key', '\x260B1234', counting(size))),
       failure(format('SELECT key_vault.lorawan_try_decrypt_downlink(%L, %L, 1, %L)', :'right_key', '\x260B1234', counting(size)))
  FROM (VALUES (255), (256), (10000)) v (size) ORDER BY size;
-- The payload comes from a table, and stays as it was.
CREATE TABLE lorawan_frame AS SELECT size, counting(size) AS frm_payload FROM generate_series(0, 255) size;
SELECT count(DISTINCT key_vault.lorawan_encrypt_uplink(:'right_key', '\x260B1234', 1, frm_payload)), bool_and(frm_payload = counting(size)) FROM lorawan_frame;

-- NULL in any argument
SELECT key_vault.lorawan_decrypt_uplink(NULL, '\x260B1234', 1, '\x01'), key_vault.lorawan_decrypt_uplink(:'right_key', NULL, 1, '\x01'),
       key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', NULL, '\x01'), key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', 1, NULL);
SELECT key_vault.lorawan_encrypt_downlink(NULL, '\x260B1234', 1, '\x01'), key_vault.lorawan_encrypt_downlink(:'right_key', NULL, 1, '\x01'),
       key_vault.lorawan_encrypt_downlink(:'right_key', '\x260B1234', NULL, '\x01'), key_vault.lorawan_encrypt_downlink(:'right_key', '\x260B1234', 1, NULL);
SELECT key_vault.lorawan_try_decrypt_uplink(NULL, '\x260B1234', 1, '\x01'), key_vault.key_status(NULL, '\x260B1234'), key_vault.key_status(:'right_key', NULL);

--
-- Keys that cannot be used: an error that names the reason; with
-- lorawan_try_, NULL; and key_status tells it.
--
SELECT key_vault.kek_create('lorawan suspended'), key_vault.kek_create('lorawan destroyed');
INSERT INTO lorawan_key VALUES
    ('suspended', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'lorawan suspended')),
    ('destroyed', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'lorawan destroyed')),
    ('unknown', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'),
    ('15 bytes', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc5', 'lorawan')),
    ('17 bytes', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc58800', 'lorawan')),
    ('24 bytes', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc5880000000000000000', 'lorawan')),
    ('32 bytes', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588ec925802ae430ca77fd3dd73cb2cc588', 'lorawan')),
    ('bound', key_vault.bind(:'right_key', '\x260B1234')),
    ('bound to other', key_vault.bind(:'right_key', '\x260B1235')),
    ('bound, 24 bytes', key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc5880000000000000000', 'lorawan'), '\x260B1234'));
-- another device's wrapped bytes with one bit changed; a KEK's id changed to another's
INSERT INTO lorawan_key SELECT 'changed', (left(key::text, -1) || CASE right(key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key FROM lorawan_key WHERE name = 'right';
INSERT INTO lorawan_key SELECT 'other KEK', replace(r.key::text, key_vault.kek_id(r.key)::text, key_vault.kek_id(s.key)::text)::key_vault.wrapped_key
  FROM lorawan_key r, lorawan_key s WHERE r.name = 'right' AND s.name = 'destroyed';
-- AES-KWP of 16 bytes is as good a session key (ec92...c588 under 00..0f, python3-cryptography).
INSERT INTO lorawan_key SELECT 'AES-KWP', format('kv1:aes-kwp:%s:c673e247b82ed6ebb2b553edb8e1e7c3bb29fb02fd9a6f3b', kek_id)::key_vault.wrapped_key FROM key_vault.keks WHERE label = 'lorawan transport';
-- a bound key made out to be none, and a key of 24 bytes made out to be bound
INSERT INTO lorawan_key SELECT 'not bound', replace(key::text, 'aes-kw-bound', 'aes-kw')::key_vault.wrapped_key FROM lorawan_key WHERE name = 'bound';
INSERT INTO lorawan_key SELECT 'made bound', replace(key::text, 'aes-kw', 'aes-kw-bound')::key_vault.wrapped_key FROM lorawan_key WHERE name = '24 bytes';

-- usable still, and now in the cache
SELECT name, key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')), key_vault.key_status(key, '\x260B1234')
  FROM lorawan_key WHERE name IN ('suspended', 'destroyed') ORDER BY name;
SELECT key_vault.kek_suspend('lorawan suspended', 1), key_vault.kek_destroy('lorawan destroyed', 1, force => true);
SELECT name, failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 65538, %L)', key, '\x260B1234', decode('LhFe2aRcmQ==', 'base64'))) FROM lorawan_key ORDER BY name COLLATE "C";
SELECT name, key_vault.lorawan_try_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')), key_vault.key_status(key, '\x260B1234') FROM lorawan_key ORDER BY name COLLATE "C";
-- in the other order, and each twice (94a8... is what the other key makes of it)
SELECT name, key_vault.key_status(key, '\x260B1234'), key_vault.lorawan_try_decrypt_downlink(key, '\x260B1234', 65536, '\xf3cd7a9c5076ae'), key_vault.lorawan_try_decrypt_downlink(key, '\x260B1234', 65536, '\xf3cd7a9c5076ae')
  FROM lorawan_key ORDER BY name COLLATE "C" DESC;
-- A privilege that is missing stays an error.
CREATE ROLE regress_kv_lorawan;
SELECT key_vault.kek_grant('lorawan', 'regress_kv_lorawan', 'decrypt');
GRANT SELECT ON lorawan_key TO regress_kv_lorawan;
SET ROLE regress_kv_lorawan;
SELECT name, failure(format('SELECT key_vault.lorawan_try_decrypt_uplink(%L, %L, 65538, %L)', key, '\x260B1234', decode('LhFe2aRcmQ==', 'base64'))),
       failure(format('SELECT key_vault.key_status(%L, %L)', key, '\x260B1234'))
  FROM lorawan_key ORDER BY name COLLATE "C";
RESET ROLE;
SELECT key_vault.kek_revoke('lorawan', 'regress_kv_lorawan', 'decrypt');
REVOKE SELECT ON lorawan_key FROM regress_kv_lorawan;
DROP ROLE regress_kv_lorawan;

--
-- Bound keys: right for their DevAddr, an error for any other, also one bit away.
--
SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')) FROM lorawan_key WHERE name = 'bound';
SELECT count(*) FROM lorawan_key, generate_series(0, 31) bit
 WHERE name = 'bound' AND failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 65538, %L)', key, set_bit('\x260B1234'::bytea, bit, 1 - get_bit('\x260B1234'::bytea, bit)), decode('LhFe2aRcmQ==', 'base64')))
       = 'KV005 / wrapped key is bound to another DevAddr / It is wrapped with KEK label "lorawan" version 1.';
SELECT failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 65538, %L)', key, '\x34120B26', decode('LhFe2aRcmQ==', 'base64'))) FROM lorawan_key WHERE name = 'bound';
SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')) FROM lorawan_key WHERE name = 'bound';

-- After a rotation and a rewrapping all is as it was.
SELECT key_vault.kek_rotate('lorawan');
SELECT name, key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')), key_vault.kek_version(key) FROM lorawan_key WHERE name IN ('right', 'other', 'bound') ORDER BY name;
UPDATE lorawan_key SET key = key_vault.rewrap(key) WHERE name IN ('right', 'other', 'bound');
SELECT name, key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 65538, decode('LhFe2aRcmQ==', 'base64')), key_vault.kek_version(key) FROM lorawan_key WHERE name IN ('right', 'other', 'bound') ORDER BY name;

-- The hints
SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1234', 1, '\x01') FROM lorawan_key WHERE name = 'suspended';
SELECT key_vault.lorawan_decrypt_uplink(key, '\x260B1235', 1, '\x01') FROM lorawan_key WHERE name = 'bound';
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B12', 1, '\x01');
SELECT key_vault.lorawan_decrypt_uplink(:'right_key', '\x260B1234', -1, '\x01');

--
-- Parallel workers and plans of all kinds give the same.
--
CREATE TABLE lorawan_many AS
SELECT n, name, key, key_vault.lorawan_encrypt_uplink(key, '\x260B1234', n, decode(md5(n::text), 'hex')) AS frm_payload
  FROM generate_series(1, 2000) n, lorawan_key WHERE name IN ('right', 'other', 'bound');
ALTER TABLE lorawan_many SET (parallel_workers = 2);
ANALYZE lorawan_many;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM lorawan_many WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', n, frm_payload) = decode(md5(n::text), 'hex');
SELECT count(*) FROM lorawan_many WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', n, frm_payload) = decode(md5(n::text), 'hex');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM lorawan_many WHERE key_vault.lorawan_decrypt_uplink(key, '\x260B1234', n, frm_payload) = decode(md5(n::text), 'hex');
RESET max_parallel_workers_per_gather;

DROP TABLE lorawan_key, lorawan_frame, lorawan_many;
DROP FUNCTION counting;
