--
-- The cache gives the same answers as no cache does, only faster.
--
-- 200 random keys, in each mode of the cache.  The expected values are computed with pgcrypto's AES, from the block
-- A_i of LoRaWAN L2 1.0.4, section 4.3.3.
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

-- A number as little-endian bytes.
CREATE FUNCTION pg_temp.le32(value bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$SELECT decode(lpad(to_hex(value % 256), 2, '0') || lpad(to_hex(value / 256 % 256), 2, '0') || lpad(to_hex(value / 65536 % 256), 2, '0') || lpad(to_hex(value / 16777216), 2, '0'), 'hex')$$;
CREATE FUNCTION pg_temp.reversed(bytes bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$SELECT string_agg(substr(bytes, i, 1), ''::bytea ORDER BY i DESC) FROM generate_series(1, length(bytes)) i$$;
CREATE FUNCTION pg_temp.expected(key bytea, direction integer, dev_addr bytea, f_cnt bigint, payload bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    stream bytea := '';
    result bytea := payload;
BEGIN
    FOR i IN 1 .. (length(payload) + 15) / 16 LOOP
        stream := stream || encrypt('\x0100000000'::bytea || set_byte('\x00', 0, direction) || pg_temp.reversed(dev_addr)
                                    || pg_temp.le32(f_cnt) || '\x00'::bytea || set_byte('\x00', 0, i), key, 'aes-ecb/pad:none');
    END LOOP;
    FOR i IN 0 .. length(payload) - 1 LOOP
        result := set_byte(result, i, get_byte(payload, i) # get_byte(stream, i));
    END LOOP;
    RETURN result;
END
$$;
-- The computation of the expected values, checked with lora-packet's example
SELECT is(pg_temp.expected('\xec925802ae430ca77fd3dd73cb2cc588', 0, '\x49be7df1', 2, '\x95437876'), convert_to('test', 'UTF8'), 'the oracle knows lora-packet''s example');

-- Keys of 16 bytes and payloads of 0 to 64 bytes, all random.  The keys are under three labels, of which one was
-- rotated; a third of them is bound; the last ten have a wrong length, another DevAddr, damage, or an unknown KEK.
SELECT key_vault.kek_create('modes a', 128), key_vault.kek_create('modes b', 192), key_vault.kek_create('modes c', 256) \g /dev/null
CREATE TEMP TABLE uplink AS
SELECT n, (n % 2) AS direction, public.gen_random_bytes(16) AS plain, public.gen_random_bytes(4) AS dev_addr,
       (random() * 4294967295)::bigint AS f_cnt,
       substr(public.gen_random_bytes(64), 1, n % 65) AS frm_payload,
       NULL::key_vault.wrapped_key AS key, NULL::bytea AS expected
  FROM generate_series(1, 200) n;
UPDATE uplink SET key = key_vault.wrap(plain, 'modes ' || substr('abc', 1 + n % 3, 1)), expected = pg_temp.expected(plain, direction, dev_addr, f_cnt, frm_payload) WHERE n <= 100;
SELECT key_vault.kek_rotate('modes b') \g /dev/null
UPDATE uplink SET key = key_vault.wrap(plain, 'modes ' || substr('abc', 1 + n % 3, 1)), expected = pg_temp.expected(plain, direction, dev_addr, f_cnt, frm_payload) WHERE n > 100;
UPDATE uplink SET key = key_vault.bind(key, dev_addr) WHERE n % 3 = 2;
UPDATE uplink SET key = key_vault.wrap(plain || '\x00'::bytea, 'modes a'), expected = NULL WHERE n IN (191, 192);
UPDATE uplink SET key = key_vault.bind(key_vault.wrap(plain, 'modes a'), '\x00000000'), expected = NULL WHERE n IN (193, 194);
UPDATE uplink SET key = (left(key::text, -1) || CASE right(key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key, expected = NULL WHERE n IN (195, 196, 197);
UPDATE uplink SET key = regexp_replace(key::text, ':[-0-9a-f]{36}:', ':00112233-4455-6677-8899-aabbccddeeff:')::key_vault.wrapped_key, expected = NULL WHERE n IN (198, 199, 200);
SELECT is(count(*), 190::bigint, '190 of 200 uplinks can be decrypted') FROM uplink WHERE expected IS NOT NULL;
SELECT is(count(*), 4::bigint, 'under 4 KEKs') FROM (SELECT DISTINCT key_vault.kek_id(key) FROM uplink WHERE n <= 197) k;

-- The payloads that differ from the expected ones, for several orders of the keys
CREATE FUNCTION pg_temp.differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    u record;
    payload bytea;
BEGIN
    FOR u IN SELECT 1 AS pass, n AS place, * FROM uplink UNION ALL SELECT 2, -n, * FROM uplink UNION ALL SELECT 3, (n * 7919) % 211, * FROM uplink ORDER BY 1, 2 LOOP
        payload := CASE u.direction WHEN 0 THEN key_vault.lorawan_try_decrypt_uplink(u.key, u.dev_addr, u.f_cnt, u.frm_payload)
                                    ELSE key_vault.lorawan_try_decrypt_downlink(u.key, u.dev_addr, u.f_cnt, u.frm_payload) END;
        IF payload IS DISTINCT FROM u.expected THEN
            RETURN NEXT format('pass %s, key %s: %s, not %s', u.pass, u.n, payload, u.expected);
        END IF;
        IF (key_vault.key_status(u.key, u.dev_addr) = 'ok') <> (u.expected IS NOT NULL) THEN
            RETURN NEXT format('pass %s, key %s: status %s', u.pass, u.n, key_vault.key_status(u.key, u.dev_addr));
        END IF;
        IF u.expected IS NOT NULL AND key_vault.unwrap(u.key) <> u.plain THEN
            RETURN NEXT format('pass %s, key %s: wrong key', u.pass, u.n);
        END IF;
    END LOOP;
END
$$;

SELECT is_empty('SELECT pg_temp.differences()', 'as the server is set: ' || current_setting('key_vault.cache') || ', ' || current_setting('key_vault.cache_size'));
SET key_vault.cache = on;
SELECT is_empty('SELECT pg_temp.differences()', 'on');
SET key_vault.cache = off;
SELECT is_empty('SELECT pg_temp.differences()', 'off');
SET key_vault.cache = on;
SET key_vault.cache_size = 0;
SELECT is_empty('SELECT pg_temp.differences()', 'one entry');
SET key_vault.cache_size = '16kB';
SELECT is_empty('SELECT pg_temp.differences()', 'a few entries');
SET key_vault.cache_size = '16MB';
SET key_vault.cache = verify;
SELECT is_empty('SELECT pg_temp.differences()', 'verify');
SELECT is(mismatches, 0::bigint, 'no mismatch') FROM key_vault.cache_stats();
SET key_vault.cache = on;
SET key_vault.cache_max_uses = 2;
SELECT is_empty('SELECT pg_temp.differences()', 'at most 2 uses');
SET key_vault.cache_max_uses = 0;

-- The comparison finds a difference where there is one.
UPDATE uplink SET expected = set_bit(expected, 7, 1 - get_bit(expected, 7)) WHERE n = 50;
SELECT is(count(*), 3::bigint, 'one wrong bit in one of 200 is found, in each pass') FROM pg_temp.differences();

SELECT * FROM finish();
ROLLBACK;
