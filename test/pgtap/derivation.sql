--
-- Derived keys: join server keys, and the keys of multicast, FUOTA and relays.
--
-- The expected values are computed with pgcrypto's AES, or were published.
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT no_plan();
SET LOCAL search_path = public, key_vault;

CREATE FUNCTION pg_temp.derived(key bytea, first integer, data bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT public.encrypt(substr(set_byte('\x00', 0, first) || data || '\x00000000000000000000000000000000', 1, 16), key, 'aes-ecb/pad:none')$$;
CREATE FUNCTION pg_temp.reversed(bytes bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT coalesce(string_agg(substr(bytes, i, 1), ''::bytea ORDER BY i DESC), '') FROM generate_series(1, length(bytes)) i$$;

SELECT kek_create('a'), kek_create('b') \g /dev/null

--
-- Published keys: lora-packet, __tests__/key_gen_test.ts; Lora-net/LoRaMac-node,
-- src/apps/LoRaMac/fuota-test-01/readme.md; The Things Stack (ce07...)
--
SELECT is(unwrap(key), expected, name) FROM (VALUES
    ('JSIntKey', lorawan_derive_js_int_key(wrap('\x089234b089c2d8490edf8c9f9b8e8f9c', 'a'), '\x0123456789abcdef', 'a'), '\xbd147194430d6fec1351a327ee40e264'::bytea),
    ('JSEncKey', lorawan_derive_js_enc_key(wrap('\x089234b089c2d8490edf8c9f9b8e8f9c', 'a'), '\x0123456789abcdef', 'a'), '\x8c61658dc01ee8add0c0becf90d2dc50'),
    ('JSIntKey', lorawan_derive_js_int_key(wrap('\x01010101010101010101010101010101', 'a'), '\x0000000000000001', 'a'), '\x6b9cc9b000daebb610f1e39758cf69df'),
    ('JSEncKey', lorawan_derive_js_enc_key(wrap('\x01010101010101010101010101010101', 'a'), '\x0000000000000001', 'a'), '\xc31fa11abb646ee1c21d5835815528ea'),
    ('RootWorSKey', lorawan_derive_root_wor_s_key(wrap('\x987b94c9e254bee0546bb23403492d34', 'a'), 'a'), '\xdf6c096ba343b7a38a32bec967f03453'),
    ('RootWorSKey', lorawan_derive_root_wor_s_key(wrap('\xce07a009a3970ac0519a099ed53e550b', 'a'), 'a'), '\xee91dc1a6666c06e8277de6db4db945f'),
    ('WorSIntKey', lorawan_derive_wor_s_int_key(wrap('\x4576856befa0832347560cb120a01f43', 'a'), '\x01234567', 'a'), '\xc43c318072edabc1e06fe5e93e7d663d'),
    ('WorSEncKey', lorawan_derive_wor_s_enc_key(wrap('\x4576856befa0832347560cb120a01f43', 'a'), '\x01234567', 'a'), '\x6bcb83f1ac19644c692b0276cff8ce9d'),
    ('McKey', lorawan_derive_mc_key(wrap('\x2c578f7927a949d3b511ae8fb69145c6', 'a'), '\x015e85f4b99dc0b944066cd07498330b', 'a'), '\x0102030405060708090a0b0c0d0e0f10'),
    ('McAppSKey', lorawan_derive_mc_app_s_key(wrap('\x0102030405060708090a0b0c0d0e0f10', 'a'), '\x01ffffff', 'a'), '\xc3f6c39b6b6496c29629f7e7e9b0cd29'),
    ('McNwkSKey', lorawan_derive_mc_nwk_s_key(wrap('\x0102030405060708090a0b0c0d0e0f10', 'a'), '\x01ffffff', 'a'), '\xbb75c362588f5d65fcc61c080b76dba3')
    ) v (name, key, expected);

--
-- Random keys
--
CREATE TEMP TABLE parent AS
SELECT plain, wrap(plain, 'a') AS key, substr(sha256(plain), 1, 8) AS eui, substr(sha256(plain), 9, 4) AS addr
  FROM (SELECT public.gen_random_bytes(16) AS plain FROM generate_series(1, 100)) p;
CREATE TEMP VIEW derivation AS
SELECT parent.*, v.* FROM parent, LATERAL (VALUES
    ('js_int_key', lorawan_derive_js_int_key(key, eui, 'a'), 6, pg_temp.reversed(eui), false),
    ('js_enc_key', lorawan_derive_js_enc_key(key, eui, 'a'), 5, pg_temp.reversed(eui), false),
    ('mc_root_key_1_0', lorawan_derive_mc_root_key_1_0(key, 'a'), 0, '', false),
    ('mc_root_key_1_1', lorawan_derive_mc_root_key_1_1(key, 'a'), 32, '', false),
    ('mc_ke_key', lorawan_derive_mc_ke_key(key, 'a'), 0, '', false),
    ('mc_app_s_key', lorawan_derive_mc_app_s_key(key, addr, 'a'), 1, pg_temp.reversed(addr), true),
    ('mc_nwk_s_key', lorawan_derive_mc_nwk_s_key(key, addr, 'a'), 2, pg_temp.reversed(addr), true),
    ('data_block_int_key', lorawan_derive_data_block_int_key(key, 'a'), 48, '', false),
    ('root_wor_s_key', lorawan_derive_root_wor_s_key(key, 'a'), 1, '', false),
    ('wor_s_int_key', lorawan_derive_wor_s_int_key(key, addr, 'a'), 1, pg_temp.reversed(addr), true),
    ('wor_s_enc_key', lorawan_derive_wor_s_enc_key(key, addr, 'a'), 2, pg_temp.reversed(addr), true)) v (name, derived, first, data, binds);
SELECT is(count(*), 1100::bigint, '11 keys of each of 100') FROM derivation;
SELECT is(count(*) FILTER (WHERE unwrap(derived) = pg_temp.derived(plain, first, data)), 100::bigint, name) FROM derivation GROUP BY name ORDER BY name;
SELECT is_empty('SELECT name FROM derivation WHERE bound_dev_addr(derived) IS DISTINCT FROM CASE WHEN binds THEN addr END', 'bound where there is an address');
SELECT is_empty('SELECT name FROM derivation WHERE (kek_label(derived), kek_version(derived)) IS DISTINCT FROM (''a'', 1)', 'under the label');
SELECT is_empty($$SELECT key FROM parent WHERE unwrap(lorawan_derive_mc_key(key, substr(sha256(plain), 5, 16), 'a')) <> encrypt(substr(sha256(plain), 5, 16), plain, 'aes-ecb/pad:none')$$, 'mc_key');
-- A McKey that was encrypted with AES decryption comes out as it was.
SELECT is_empty($$SELECT key FROM parent WHERE unwrap(lorawan_derive_mc_key(key, decrypt('\x0102030405060708090a0b0c0d0e0f10', plain, 'aes-ecb/pad:none'), 'a')) <> '\x0102030405060708090a0b0c0d0e0f10'$$, 'mc_key back');

-- From the root key to the keys of the group, in one statement
SELECT is(unwrap(lorawan_derive_mc_app_s_key(lorawan_derive_mc_key(lorawan_derive_mc_ke_key(lorawan_derive_mc_root_key_1_0(key, 'a'), 'a'), '\x00112233445566778899aabbccddeeff', 'a'), addr, 'a')),
          pg_temp.derived(encrypt('\x00112233445566778899aabbccddeeff', pg_temp.derived(pg_temp.derived(plain, 0, ''), 0, ''), 'aes-ecb/pad:none'), 1, pg_temp.reversed(addr)),
          'a multicast group''s McAppSKey from a GenAppKey') FROM parent LIMIT 1;

--
-- Bindings: a key that is derived from a bound key is bound to the same DevAddr.
--
CREATE TEMP TABLE bound AS SELECT bind(key, '\x260b1234') AS key FROM parent LIMIT 1;
SELECT is(bound_dev_addr(derived), '\x260b1234'::bytea, name || ' of a bound key') FROM bound, LATERAL (VALUES
    ('root_wor_s_key', lorawan_derive_root_wor_s_key(key, 'a')),
    ('wor_s_int_key', lorawan_derive_wor_s_int_key(key, '\x260b1234', 'a')),
    ('wor_s_enc_key', lorawan_derive_wor_s_enc_key(lorawan_derive_root_wor_s_key(key, 'a'), '\x260b1234', 'a')),
    ('root_wor_s_key, to another label', lorawan_derive_root_wor_s_key(key, 'b')),
    ('mc_key', lorawan_derive_mc_key(key, '\x00112233445566778899aabbccddeeff', 'a'))) v (name, derived);
SELECT throws_ok(format('SELECT %s(%L, %L, %L)', f, key, '\x260b1235', 'a'), 'KV005', 'wrapped key is bound to another DevAddr', f || ' of a key bound to another DevAddr')
  FROM bound, unnest('{lorawan_derive_wor_s_int_key,lorawan_derive_wor_s_enc_key,lorawan_derive_mc_app_s_key,lorawan_derive_mc_nwk_s_key}'::text[]) f;
SELECT throws_ok(format('SELECT lorawan_derive_wor_s_int_key(lorawan_derive_root_wor_s_key(%L, %L), %L, %L)', key, 'a', '\x260b1235', 'a'), 'KV005', 'wrapped key is bound to another DevAddr', 'the binding goes from key to key') FROM bound;

--
-- Lengths, NULLs
--
SELECT throws_ok(format('SELECT %s(%L, substr(%L::bytea, 1, %s), %L)', f, key, '\x000102030405060708', len, 'a'), '22023', format('%s must have %s bytes, not %s', argument, bytes, len), format('%s with %s bytes', f, len))
  FROM (SELECT key FROM parent LIMIT 1) p,
       (VALUES ('lorawan_derive_js_int_key', 'dev_eui', 8), ('lorawan_derive_js_enc_key', 'dev_eui', 8), ('lorawan_derive_mc_app_s_key', 'mc_addr', 4),
               ('lorawan_derive_mc_nwk_s_key', 'mc_addr', 4), ('lorawan_derive_wor_s_int_key', 'dev_addr', 4), ('lorawan_derive_wor_s_enc_key', 'dev_addr', 4)) v (f, argument, bytes),
       unnest(ARRAY[0, bytes - 1, bytes + 1]) len;
SELECT throws_ok(format('SELECT lorawan_derive_mc_key(%L, substr(sha256(%L), 1, %s), %L)', key, '', len, 'a'), '22023', format('mc_key_encrypted must have 16 bytes, not %s', len), 'an encrypted McKey of ' || len)
  FROM (SELECT key FROM parent LIMIT 1) p, unnest('{0,15,17,32}'::integer[]) len;
SELECT throws_ok(format('SELECT lorawan_derive_mc_root_key_1_1(%L, %L)', wrap(substr(sha256(''), 1, len), 'a'), 'a'), 'KV006', 'wrapped key is not a LoRaWAN key', 'a parent key of ' || len)
  FROM unnest('{1,15,24,32}'::integer[]) len;
SELECT is(d, NULL, 'NULL in, NULL out') FROM (SELECT key FROM parent LIMIT 1) p, LATERAL (VALUES
    (lorawan_derive_mc_ke_key(NULL, 'a')), (lorawan_derive_mc_ke_key(key, NULL)), (lorawan_derive_mc_key(key, NULL, 'a')),
    (lorawan_derive_js_int_key(key, NULL, 'a')), (lorawan_derive_wor_s_int_key(key, NULL, 'a'))) v (d);

--
-- Privileges
--
CREATE ROLE kv_derivation;
CREATE FUNCTION pg_temp.attempt(f text, label text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    call text;
BEGIN
    SELECT format('SELECT %s(%L, %s%L)', f, key,
                  CASE WHEN f ~ 'js_' THEN '''\x0001020304050607'', ' WHEN f ~ 'wor_s_(int|enc)|mc_(app|nwk)' THEN '''\x00010203'', '
                       WHEN f ~ 'mc_key' THEN '''\x00112233445566778899aabbccddeeff'', ' ELSE '' END, label)
      INTO call FROM parent LIMIT 1;
    SET LOCAL ROLE kv_derivation;
    EXECUTE call;
    RESET ROLE;
    RETURN 'ok';
EXCEPTION WHEN insufficient_privilege THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RESET ROLE;
    RETURN regexp_replace(coalesce(nullif(detail, ''), sqlerrm), 'Role "kv_derivation" lacks privilege ', '') || substring(sqlerrm FROM ' for KEK.*');
END
$$;
CREATE TEMP VIEW functions AS SELECT proname::text AS f FROM pg_proc WHERE pronamespace = 'key_vault'::regnamespace AND proname ~ '^lorawan_derive_';
SELECT is(count(*), 12::bigint, '12 functions') FROM functions;
SELECT kek_grant('b', 'kv_derivation', 'decrypt') \g /dev/null
SELECT is(pg_temp.attempt(f, 'a'), '"wrap" on the label. for KEK label "a"', f || ' without privilege') FROM functions;
SELECT kek_grant('a', 'kv_derivation', 'derive') \g /dev/null
SELECT is(pg_temp.attempt(f, 'a'), '"wrap" on the label. for KEK label "a"', f || ' with derive') FROM functions;
SELECT kek_revoke('a', 'kv_derivation', 'derive'), kek_grant('a', 'kv_derivation', 'wrap') \g /dev/null
SELECT is(pg_temp.attempt(f, 'a'), '"derive" on the label. for KEK label "a"', f || ' with wrap') FROM functions;
SELECT kek_grant('a', 'kv_derivation', p) FROM unnest('{unwrap,decrypt,rewrap,admin}'::text[]) p \g /dev/null
SELECT is(pg_temp.attempt(f, 'a'), '"derive" on the label. for KEK label "a"', f || ' with all but derive') FROM functions;
SELECT kek_revoke('a', 'kv_derivation', p) FROM unnest('{unwrap,decrypt,rewrap,admin}'::text[]) p \g /dev/null
SELECT kek_grant('a', 'kv_derivation', 'derive') \g /dev/null
SELECT is(pg_temp.attempt(f, 'a'), 'ok', f || ' with derive and wrap') FROM functions;
SELECT kek_grant('b', 'kv_derivation', 'wrap'), kek_grant('b', 'kv_derivation', 'unwrap') \g /dev/null
SELECT is(pg_temp.attempt(f, 'b'), '"unwrap" on the label. for KEK label "a"', f || ' to a label that the role can unwrap') FROM functions;
SELECT kek_grant('a', 'kv_derivation', 'unwrap') \g /dev/null
SELECT is(pg_temp.attempt(f, 'b'), 'ok', f || ' to another label with unwrap') FROM functions;

SELECT * FROM finish();
ROLLBACK;
