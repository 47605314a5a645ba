--
-- Keys: wrapping, unwrapping, rewrapping, binding, key envelopes.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

-- The KEKs of the RFCs.
SELECT key_vault.kek_import('keys rfc3394 128', '\x000102030405060708090a0b0c0d0e0f'),
       key_vault.kek_import('keys rfc3394 192', '\x000102030405060708090a0b0c0d0e0f1011121314151617'),
       key_vault.kek_import('keys rfc3394 256', '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'),
       key_vault.kek_import('keys rfc5649', '\x5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8');
-- The wrapped bytes of a key, its kek_id masked.
CREATE FUNCTION masked(key key_vault.wrapped_key) RETURNS text LANGUAGE sql AS
$$SELECT regexp_replace(key::text, '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', 'UUID')$$;
-- A wrapped key from an algorithm, a label's active KEK and wrapped bytes.
CREATE FUNCTION wrapped(algorithm text, label text, bytes bytea) RETURNS key_vault.wrapped_key LANGUAGE sql AS
$$SELECT format('kv1:%s:%s:%s', algorithm, kek_id, encode(bytes, 'hex'))::key_vault.wrapped_key FROM key_vault.keks k WHERE k.label = wrapped.label AND state = 'active'$$;

--
-- RFC 3394, sections 4.1 to 4.6
--
CREATE TABLE rfc3394 (section text, label text, key bytea, wrapped bytea);
INSERT INTO rfc3394 VALUES
    ('4.1', 'keys rfc3394 128', '\x00112233445566778899aabbccddeeff', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'),
    ('4.2', 'keys rfc3394 192', '\x00112233445566778899aabbccddeeff', '\x96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d'),
    ('4.3', 'keys rfc3394 256', '\x00112233445566778899aabbccddeeff', '\x64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7'),
    ('4.4', 'keys rfc3394 192', '\x00112233445566778899aabbccddeeff0001020304050607', '\x031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2'),
    ('4.5', 'keys rfc3394 256', '\x00112233445566778899aabbccddeeff0001020304050607', '\xa8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1'),
    ('4.6', 'keys rfc3394 256', '\x00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f', '\x28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21');
SELECT section, key_vault.wrap(key, label) OPERATOR(key_vault.=) wrapped('aes-kw', label, wrapped) AS wrap,
       key_vault.unwrap(wrapped('aes-kw', label, wrapped)) = key AS unwrap
  FROM rfc3394 ORDER BY section;
SELECT masked(key_vault.wrap('\x00112233445566778899aabbccddeeff', 'keys rfc3394 128'));

--
-- RFC 5649, section 6
--
SELECT masked(key_vault.wrap('\xc37b7e6492584340bed12207808941155068f738', 'keys rfc5649')) = 'kv1:aes-kwp:UUID:138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a';
SELECT masked(key_vault.wrap('\x466f7250617369', 'keys rfc5649')) = 'kv1:aes-kwp:UUID:afbeb0f07dfbf5419200f2ccb50bb24f';
SELECT key_vault.unwrap(wrapped('aes-kwp', 'keys rfc5649', '\x138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a'));
SELECT key_vault.unwrap(wrapped('aes-kwp', 'keys rfc5649', '\xafbeb0f07dfbf5419200f2ccb50bb24f'));

--
-- Lengths.  KEK 00..1f, keys 00 01 02 ...; wrapped by python3-cryptography
-- (aes_key_wrap_with_padding, aes_key_wrap), the long ones as their SHA-256.
--
CREATE FUNCTION counting(size integer) RETURNS bytea LANGUAGE sql AS
$$SELECT coalesce(string_agg(set_byte('\x00', 0, i % 256), ''::bytea ORDER BY i), '') FROM generate_series(0, size - 1) i$$;
SELECT size, encode(sha256(wrapped), 'hex') = expected AS wrapped, key_vault.unwrap(key) = counting(size) AS unwrapped, key_vault.algorithm(key)
  FROM (VALUES (1, 'dff4abde569b2d076b1a22d763175db59f06ab23c591b6e05966a6116aee7434'),
               (8, '614b97cf7f42c3e977b200b3e72235fc4de76014f78b27ed32f0b8c216f86c11'),
               (9, '6fd228cd460d0324ca90039e9e8cbb09b568b3a44452ce1d2f5ed1baef0c2ec5'),
               (15, '75bd2affd623e584a94dd72a4d6f07060537801970287d632694edca60dccf7d'),
               (17, 'b8f7f80b253924ad9cda5f81f9046d76dec951aee79b2ba945bd916fed23d479'),
               (4095, 'e4aceb3fc3b04dfc72c5073931334885235e6e0d93ec1c8ad89b23290f91a432'),
               (4096, '2a8b5fa754097fff1afa5ee8e90c7120ebc234cdb9cad262a42adaee67c3d294')) v (size, expected),
       LATERAL (SELECT key_vault.wrap(counting(size), 'keys rfc3394 256') AS key OFFSET 0) k,
       LATERAL (SELECT substr(key_vault_internal.wrapped_key_send(key), 19) AS wrapped) w
 ORDER BY size;
SELECT size, failure(format('SELECT key_vault.wrap(%L, %L)', counting(size), 'keys rfc3394 256')) FROM (VALUES (0), (4097), (5000)) v (size);
SELECT bool_and(key_vault.unwrap(key_vault.wrap(counting(size), 'keys rfc3394 128')) = counting(size)) FROM generate_series(1, 100) size;
SELECT failure($$SELECT key_vault.wrap('\x00', 'keys nowhere')$$);
SELECT failure($$SELECT key_vault.wrap('\x00', '')$$);

--
-- generate_key
--
SELECT key_vault.algorithm(key), length(key_vault.unwrap(key)) FROM key_vault.generate_key('keys rfc3394 256') key;
SELECT size, key_vault.algorithm(key), length(key_vault.unwrap(key))
  FROM (VALUES (1), (8), (16), (20), (24), (32), (4096)) v (size), LATERAL key_vault.generate_key('keys rfc3394 256', size) key ORDER BY size;
SELECT size, failure(format('SELECT key_vault.generate_key(%L, %s)', 'keys rfc3394 256', size)) FROM (VALUES (-1), (0), (4097), (2147483647)) v (size);
SELECT failure($$SELECT key_vault.generate_key('keys nowhere')$$);
-- Each is another; also in one query, and no byte of them is constant.
SELECT count(DISTINCT k), count(DISTINCT key_vault.unwrap(k)) FROM (SELECT key_vault.generate_key('keys rfc3394 128') AS k FROM generate_series(1, 100)) g;
SELECT min(n) > 20 FROM (SELECT i, count(DISTINCT get_byte(key_vault.unwrap(k), i)) AS n
  FROM (SELECT key_vault.generate_key('keys rfc3394 128') AS k FROM generate_series(1, 100)) g, generate_series(0, 15) i GROUP BY i) c;

--
-- What does not open is an error that names label and version.
--
SELECT bit, failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw', 'keys rfc3394 128', set_bit(w, bit, 1 - get_bit(w, bit)))))
  FROM (VALUES (0), (63), (64), (100), (191)) v (bit), (VALUES ('\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'::bytea)) t (w);
-- every single bit
SELECT count(*) FROM generate_series(0, 191) bit, (VALUES ('\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'::bytea)) t (w)
 WHERE failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw', 'keys rfc3394 128', set_bit(w, bit, 1 - get_bit(w, bit))))) LIKE
       'KV004 / wrapped key does not open with KEK label "keys rfc3394 128" version 1 / %';
-- another KEK, which gives the same error
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw', 'keys rfc3394 192', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')));
-- another algorithm: AES-KW is not AES-KWP, nor the other way round
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kwp', 'keys rfc3394 128', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')));
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw', 'keys rfc5649', '\x138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a')));
-- AES-KW of 24 bytes that do not begin with 01 00 00 00 is no bound key (RFC 3394, section 4.4).
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw-bound', 'keys rfc3394 192', '\x031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2')));
-- Nor is 02 00 00 00, 260B1234 and a key (python3-cryptography).
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw-bound', 'keys rfc3394 128', '\x218c3d4d02e8863c68a35bd2f4967c293c738b6839602f6f6a6f049945ac2dea')));
-- a KEK that is not here
SELECT failure($$SELECT key_vault.unwrap('kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5')$$);
-- An error leaves nothing that makes the next one right.
SELECT key_vault.unwrap(wrapped('aes-kw', 'keys rfc3394 128', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5'));
SELECT failure(format('SELECT key_vault.unwrap(%L)', wrapped('aes-kw', 'keys rfc3394 128', '\x1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe4')));

--
-- Key check values (python3-cryptography)
--
SELECT key_vault.key_check_value(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 256')) = '\x2e291aefdd',
       key_vault.key_check_value(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc580', 'keys rfc3394 256')) = '\xeac4a751f4',
       key_vault.key_check_value(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f1011121314151617', 'keys rfc3394 256')) = '\xf6b85cb9ea',
       key_vault.key_check_value(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'keys rfc3394 128')) = '\xd8bd746a8a';
SELECT key_vault.key_check_value(key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 256'), '\x260B1234')) = '\x2e291aefdd';
SELECT size, failure(format('SELECT key_vault.key_check_value(%L)', key_vault.wrap(counting(size), 'keys rfc3394 256'))) FROM (VALUES (1), (15), (17), (40)) v (size);

--
-- bind: AES-KW over 01 00 00 00, the DevAddr and the key (python3-cryptography)
--
SELECT masked(key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 128'), '\x260B1234')) =
       'kv1:aes-kw-bound:UUID:a9a8e05840af6f83406bce3d2cdabe8fc6aba10a1b3f4693bbf3af2ad703a633';
SELECT masked(key_vault.bind(key_vault.wrap('\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'keys rfc3394 128'), '\x260B1234')) =
       'kv1:aes-kw-bound:UUID:2e5234d6d2c636e93000ce5b15e873361a6285548a637c7fab140019aaf8b5699961646e41e4c6f8a2dc0b2c9c9f8e22';
SELECT key_vault.bound_dev_addr(key), key_vault.unwrap(key), key_vault.algorithm(key), key_vault.kek_label(key), key_vault.kek_version(key)
  FROM wrapped('aes-kw-bound', 'keys rfc3394 128', '\xa9a8e05840af6f83406bce3d2cdabe8fc6aba10a1b3f4693bbf3af2ad703a633') key;
-- Bound again to the same it is the same; to another it is refused.
SELECT key_vault.bind(key, '\x260B1234') OPERATOR(key_vault.=) key FROM wrapped('aes-kw-bound', 'keys rfc3394 128', '\xa9a8e05840af6f83406bce3d2cdabe8fc6aba10a1b3f4693bbf3af2ad703a633') key;
SELECT failure(format('SELECT key_vault.bind(%L, %L)', key, '\x260B1235'))
  FROM wrapped('aes-kw-bound', 'keys rfc3394 128', '\xa9a8e05840af6f83406bce3d2cdabe8fc6aba10a1b3f4693bbf3af2ad703a633') key;
SELECT dev_addr, failure(format('SELECT key_vault.bind(%L, %L)', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 128'), dev_addr))
  FROM (VALUES (''::bytea), ('\x260B12'), ('\x260B123400')) v (dev_addr);
SELECT size, failure(format('SELECT key_vault.bind(%L, %L)', key_vault.wrap(counting(size), 'keys rfc3394 128'), '\x260B1234'))
  FROM (VALUES (8), (15), (17), (4088), (4096)) v (size);

--
-- rewrap
--
CREATE TABLE keys_kept (name text, key key_vault.wrapped_key);
INSERT INTO keys_kept VALUES ('kw', key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 128')),
    ('kwp', key_vault.wrap('\x466f7250617369', 'keys rfc3394 128')),
    ('bound', key_vault.bind(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 128'), '\x260B1234'));
-- under the active version already: the same bytes
SELECT name, key_vault.rewrap(key) OPERATOR(key_vault.=) key FROM keys_kept ORDER BY name;
SELECT key_vault.kek_import('keys rfc3394 128', '\x000102030405060708090a0b0c0d0e0f1011121314151617');
-- ec92...c588 under 00..17 (python3-cryptography)
SELECT masked(key_vault.rewrap(key)) = 'kv1:aes-kw:UUID:064d0b38539ba6e2ffb5e43893506cd6b0bbb6836fcc5888' FROM keys_kept WHERE name = 'kw';
SELECT name, key_vault.kek_version(key), key_vault.kek_version(r), key_vault.algorithm(r), key_vault.bound_dev_addr(r), key_vault.unwrap(r) = key_vault.unwrap(key), key_vault.unwrap(r)
  FROM keys_kept, LATERAL key_vault.rewrap(key) r ORDER BY name;
-- to another label; ec92...c588 under 00..1f (python3-cryptography)
SELECT masked(key_vault.rewrap(key, 'keys rfc3394 256')) = 'kv1:aes-kw:UUID:9b04af7b0985f2cd848213fdc34d0b944f1c466eca95340c' FROM keys_kept WHERE name = 'kw';
SELECT name, key_vault.kek_label(r), key_vault.algorithm(r), key_vault.bound_dev_addr(r), key_vault.unwrap(r) FROM keys_kept, LATERAL key_vault.rewrap(key, 'keys rfc3394 256') r ORDER BY name;
SELECT failure(format('SELECT key_vault.rewrap(%L, %L)', key, 'keys nowhere')) FROM keys_kept WHERE name = 'kw';
-- A KEK that only unwraps is enough; one that is suspended is not, on either side.
SELECT key_vault.kek_compromise('keys rfc3394 128', 1);
SELECT key_vault.unwrap(key_vault.rewrap(key)) FROM keys_kept ORDER BY name;
SELECT key_vault.kek_suspend('keys rfc3394 128', 1);
SELECT failure(format('SELECT key_vault.rewrap(%L)', key)) FROM keys_kept ORDER BY name;
SELECT failure(format('SELECT key_vault.unwrap(%L)', key)) FROM keys_kept ORDER BY name;
SELECT key_vault.kek_resume('keys rfc3394 128', 1);
SELECT key_vault.kek_suspend('keys rfc3394 128', 2);
SELECT failure(format('SELECT key_vault.rewrap(%L)', key)) FROM keys_kept ORDER BY name;
SELECT failure($$SELECT key_vault.wrap('\x00', 'keys rfc3394 128')$$);
SELECT key_vault.unwrap(key) FROM keys_kept ORDER BY name;
SELECT key_vault.kek_resume('keys rfc3394 128', 2);

--
-- Key envelopes of a network server
--
SELECT key_vault.kek_import('keys transport', '\x000102030405060708090a0b0c0d0e0f');
SELECT key_vault.unwrap(key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256'));
SELECT key_vault.unwrap(key_vault.import_envelope('keys transport', decode('CqqU11IcP6+Y5bzIjRjnPF0PMsjTD6gA', 'base64'), 'keys rfc3394 256'));
SELECT masked(key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256')) =
       'kv1:aes-kw:UUID:9b04af7b0985f2cd848213fdc34d0b944f1c466eca95340c';
-- bound on the way in
SELECT key_vault.algorithm(key), key_vault.bound_dev_addr(key), key_vault.unwrap(key), key_vault.kek_label(key)
  FROM key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256', '\x260B1234') key;
SELECT failure($$SELECT key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256', '\x260B12')$$);
-- An empty label: the 16 bytes are the key.  Of other lengths it is none.
SELECT key_vault.unwrap(key_vault.import_envelope('', '\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 256'));
SELECT size, failure(format($$SELECT key_vault.import_envelope('', %L, 'keys rfc3394 256')$$, counting(size))) FROM (VALUES (0), (15), (17), (24), (32)) v (size);
-- With a label they are not.
SELECT size, failure(format($$SELECT key_vault.import_envelope('keys transport', %L, 'keys rfc3394 256')$$, counting(size)))
  FROM (VALUES (0), (16), (23), (24), (25), (4104), (4112)) v (size);
SELECT failure($$SELECT key_vault.import_envelope('keys nowhere', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256')$$);
SELECT failure($$SELECT key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys nowhere')$$);
SELECT failure($$SELECT key_vault.import_envelope('', '\xec925802ae430ca77fd3dd73cb2cc588', '')$$);
-- an envelope of before the transport KEK was rotated
SELECT key_vault.kek_rotate('keys transport');
SELECT key_vault.unwrap(key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256'));
SELECT key_vault.kek_suspend('keys transport', 1);
SELECT failure($$SELECT key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256')$$);
-- and one whose version is destroyed
BEGIN;
SELECT key_vault.kek_resume('keys transport', 1), key_vault.kek_destroy('keys transport', 1, force => true);
SELECT failure($$SELECT key_vault.import_envelope('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'keys rfc3394 256')$$);
ROLLBACK;
SELECT key_vault.kek_resume('keys transport', 1);
-- NULL
SELECT key_vault.import_envelope(NULL, '\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 256') IS NULL,
       key_vault.import_envelope('', NULL, 'keys rfc3394 256') IS NULL,
       key_vault.import_envelope('', '\xec925802ae430ca77fd3dd73cb2cc588', NULL) IS NULL,
       key_vault.algorithm(key_vault.import_envelope('', '\xec925802ae430ca77fd3dd73cb2cc588', 'keys rfc3394 256', NULL));
-- As it came: its own bytes, under the version that opens it.
SELECT key_vault.algorithm(k), key_vault.kek_label(k), key_vault.kek_version(k), key_vault.unwrap(k),
       right(k::text, 48) = encode(decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64'), 'hex') AS same_bytes
  FROM key_vault.try_envelope_key('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64')) k;
SELECT key_vault.kek_suspend('keys transport', 1);
SELECT key_vault.try_envelope_key('keys transport', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64')) IS NULL AS suspended;
SELECT key_vault.kek_resume('keys transport', 1);
SELECT key_vault.try_envelope_key('keys rfc3394 256', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64')) IS NULL AS other_kek,
       key_vault.try_envelope_key('keys nowhere', decode('7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo', 'base64')) IS NULL AS no_label,
       key_vault.try_envelope_key(NULL, '\x00') IS NULL AND key_vault.try_envelope_key('keys transport', NULL) IS NULL AS null;
SELECT size, key_vault.try_envelope_key('keys transport', counting(size)) IS NULL AS none
  FROM (VALUES (0), (7), (8), (16), (23), (24), (25), (4104), (4105), (4112)) v (size);

-- and out again: ec92...c588 under 00..0f is the envelope that came in
SELECT key_vault.kek_import('keys partner', '\x000102030405060708090a0b0c0d0e0f');
SELECT (e).kek_label, encode((e).encrypted_key, 'base64') = '7qAIHPQ9oFoi/MfwqkWFriwYvV0bbOvo'
  FROM (SELECT key_vault.export_envelope(key, 'keys partner') AS e FROM keys_kept WHERE name = 'kw') x;
SELECT name, failure(format('SELECT key_vault.export_envelope(%L, %L)', key, 'keys partner')) FROM keys_kept ORDER BY name;
-- A bound key goes out without its binding.
SELECT encode((e).encrypted_key, 'base64') FROM (SELECT key_vault.export_envelope(key, 'keys partner') AS e FROM keys_kept WHERE name = 'bound') x;
SELECT failure(format('SELECT key_vault.export_envelope(%L, %L)', key, 'keys nowhere')) FROM keys_kept WHERE name = 'kw';
SELECT failure(format('SELECT key_vault.export_envelope(%L, %L)', key, '')) FROM keys_kept WHERE name = 'kw';

-- NULL in, NULL out.
SELECT key_vault.wrap(NULL, 'keys partner'), key_vault.wrap('\x00', NULL), key_vault.unwrap(NULL), key_vault.generate_key(NULL), key_vault.rewrap(NULL),
       key_vault.rewrap(NULL, 'keys partner'), key_vault.bind(NULL, '\x00000000'), key_vault.key_check_value(NULL), key_vault.export_envelope(NULL, 'keys partner');

DROP TABLE rfc3394, keys_kept;
DROP FUNCTION masked, wrapped, counting;
