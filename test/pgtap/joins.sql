--
-- Joins: session keys from wrapped root keys.
--
-- The expected values are computed with pgcrypto's AES from the blocks of LoRaWAN L2 1.0.4,
-- sections 6.2.5 and 6.2.6, and 1.1, sections 6.1.1.4 and 6.2.2 to 6.2.4.
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

--
-- The oracle
--
CREATE FUNCTION pg_temp.aes(key bytea, data bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT public.encrypt(data, key, 'aes-ecb/pad:none')$$;
CREATE FUNCTION pg_temp.reversed(bytes bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT coalesce(string_agg(substr(bytes, i, 1), ''::bytea ORDER BY i DESC), '') FROM generate_series(1, length(bytes)) i$$;
CREATE FUNCTION pg_temp.xored(a bytea, b bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT string_agg(set_byte('\x00', 0, get_byte(a, i) # get_byte(b, i)), ''::bytea ORDER BY i) FROM generate_series(0, length(a) - 1) i$$;
CREATE FUNCTION pg_temp.padded(bytes bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT substr(bytes || '\x00000000000000000000000000000000', 1, 16)$$;
-- RFC 4493, section 2.3: the bytes are shifted left by one bit, and XORed with 87 if a bit fell out
CREATE FUNCTION pg_temp.doubled(bytes bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT string_agg(set_byte('\x00', 0, (get_byte(bytes, i) << 1 & 255) | CASE WHEN i < 15 THEN get_byte(bytes, i + 1) >> 7 ELSE 0 END
                    # CASE WHEN i = 15 AND get_byte(bytes, 0) > 127 THEN 135 ELSE 0 END), ''::bytea ORDER BY i) FROM generate_series(0, 15) i$$;
CREATE FUNCTION pg_temp.cmac(key bytea, message bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    blocks integer := greatest((length(message) + 15) / 16, 1);
    last bytea := substr(message, (blocks - 1) * 16 + 1);
    subkey bytea := pg_temp.doubled(pg_temp.aes(key, pg_temp.padded('')));
    state bytea := pg_temp.padded('');
BEGIN
    IF length(last) < 16 THEN
        subkey := pg_temp.doubled(subkey);
        last := pg_temp.padded(last || '\x80'::bytea);
    END IF;
    FOR i IN 1 .. blocks - 1 LOOP
        state := pg_temp.aes(key, pg_temp.xored(state, substr(message, i * 16 - 15, 16)));
    END LOOP;
    RETURN pg_temp.aes(key, pg_temp.xored(pg_temp.xored(state, last), subkey));
END
$$;
CREATE FUNCTION pg_temp.derived(key bytea, first integer, data bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT pg_temp.aes(key, pg_temp.padded(set_byte('\x00', 0, first) || data))$$;
-- A frame with its MIC, and a join-accept encrypted: AES decryption, by pgcrypto.
CREATE FUNCTION pg_temp.with_mic(key bytea, prefix bytea, frame bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT frame || substr(pg_temp.cmac(key, prefix || frame), 1, 4)$$;
CREATE FUNCTION pg_temp.encrypted(key bytea, accept bytea) RETURNS bytea LANGUAGE sql AS
$$SELECT substr(accept, 1, 1) || public.decrypt(substr(accept, 2), key, 'aes-ecb/pad:none')$$;

SELECT is(pg_temp.cmac('\x2b7e151628aed2a6abf7158809cf4f3c', substr('\x6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52ef'::bytea, 1, n)), mac, 'the oracle knows RFC 4493, ' || n)
  FROM (VALUES (0, '\xbb1d6929e95937287fa37d129b756746'::bytea), (16, '\x070a16b46b4d4144f79bdd9dd04a287c'), (40, '\xdfa66747de9ae63030ca32611497c827')) v (n, mac);
SELECT is(pg_temp.derived('\x98929b92c49edba9676d646d3b612456', n, pg_temp.reversed('\x376338') || pg_temp.reversed('\xaabbcc') || pg_temp.reversed('\xf18e')), key,
          'and lora-packet''s session keys, ' || n)
  FROM (VALUES (1, '\x4e3d6e6afbcc67af2ba3c8e8ec4acf4b'::bytea), (2, '\x610897aa6f1460623443b527d3ac6a9d')) v (n, key);

--
-- Random joins: kind 10 for LoRaWAN 1.0, 255 for 1.1, 0 to 2 for rejoins; every
-- other one has a CFList.
--
SELECT kek_create('root'), kek_create('session') \g /dev/null
CREATE FUNCTION pg_temp.random_bytes(n integer) RETURNS bytea LANGUAGE sql VOLATILE AS
$$SELECT public.gen_random_bytes(n)$$;
CREATE TEMP TABLE device AS
SELECT n, (ARRAY[10, 255, 0, 1, 2])[1 + n % 5] AS kind, pg_temp.random_bytes(16) AS nwk, pg_temp.random_bytes(16) AS app,
       pg_temp.random_bytes(8) AS join_eui, pg_temp.random_bytes(8) AS dev_eui, pg_temp.random_bytes(2) AS dev_nonce,
       pg_temp.random_bytes(3) AS join_nonce, pg_temp.random_bytes(3) AS net_id, pg_temp.random_bytes(4) AS dev_addr,
       (random() * 127)::integer AS dl_settings, (random() * 255)::integer AS rx_delay, CASE WHEN n % 2 = 0 THEN pg_temp.random_bytes(16) END AS cf_list
  FROM generate_series(1, 50) n;
-- Frames built from their fields.  key_vault cannot check the MIC of rejoin-requests of types 0 and 2.
CREATE FUNCTION pg_temp.request(d device) RETURNS bytea LANGUAGE sql AS $$
SELECT CASE WHEN d.kind IN (10, 255) THEN
    pg_temp.with_mic(d.nwk, '', '\x00'::bytea || pg_temp.reversed(d.join_eui) || pg_temp.reversed(d.dev_eui) || pg_temp.reversed(d.dev_nonce))
WHEN d.kind = 1 THEN
    pg_temp.with_mic(pg_temp.derived(d.nwk, 6, pg_temp.reversed(d.dev_eui)), '',
                     '\xc001'::bytea || pg_temp.reversed(d.join_eui) || pg_temp.reversed(d.dev_eui) || pg_temp.reversed(d.dev_nonce))
ELSE '\xc0'::bytea || set_byte('\x00', 0, d.kind) || pg_temp.reversed(d.net_id) || pg_temp.reversed(d.dev_eui) || pg_temp.reversed(d.dev_nonce) || '\x00000000'::bytea
END $$;
CREATE FUNCTION pg_temp.accept(d device) RETURNS bytea LANGUAGE sql AS $$
SELECT CASE d.kind WHEN 10 THEN pg_temp.encrypted(d.nwk, pg_temp.with_mic(d.nwk, '', body))
       ELSE pg_temp.encrypted(CASE WHEN d.kind = 255 THEN d.nwk ELSE pg_temp.derived(d.nwk, 5, pg_temp.reversed(d.dev_eui)) END,
                              pg_temp.with_mic(pg_temp.derived(d.nwk, 6, pg_temp.reversed(d.dev_eui)),
                                               set_byte('\x00', 0, d.kind) || pg_temp.reversed(d.join_eui) || pg_temp.reversed(d.dev_nonce), body)) END
  FROM (SELECT '\x20'::bytea || pg_temp.reversed(d.join_nonce) || pg_temp.reversed(d.net_id) || pg_temp.reversed(d.dev_addr)
               || set_byte('\x00', 0, CASE d.kind WHEN 10 THEN d.dl_settings ELSE d.dl_settings | 128 END) || set_byte('\x00', 0, d.rx_delay)
               || coalesce(d.cf_list, '') AS body) b $$;
CREATE FUNCTION pg_temp.session_key(d device, first integer) RETURNS bytea LANGUAGE sql AS $$
SELECT pg_temp.derived(CASE WHEN first = 2 AND d.kind <> 10 THEN d.app ELSE d.nwk END, first, pg_temp.reversed(d.join_nonce)
                       || pg_temp.reversed(CASE d.kind WHEN 10 THEN d.net_id ELSE d.join_eui END) || pg_temp.reversed(d.dev_nonce)) $$;
CREATE TEMP TABLE frame AS
SELECT d.n, d.kind, wrap(nwk, 'root') AS nwk_key, wrap(app, 'root') AS app_key, join_eui, dev_addr, pg_temp.request(d) AS request, pg_temp.accept(d) AS accept
  FROM device d;

-- What a join function returns, as one row for all kinds of joins
CREATE FUNCTION pg_temp.joined(kind integer, nwk_key wrapped_key, app_key wrapped_key, join_eui bytea, request bytea, accept bytea, label text)
RETURNS TABLE (join_nonce integer, net_id bytea, dev_addr bytea, rx1_dr_offset integer, rx2_data_rate integer, rx_delay integer, cf_list bytea,
               k1 wrapped_key, k2 wrapped_key, k3 wrapped_key, k4 wrapped_key) LANGUAGE plpgsql AS $$
BEGIN
    IF kind = 10 THEN
        RETURN QUERY SELECT j.join_nonce, j.net_id, j.dev_addr, j.rx1_dr_offset, j.rx2_data_rate, j.rx_delay, j.cf_list, j.nwk_s_key, j.app_s_key, NULL::wrapped_key, NULL::wrapped_key
                       FROM lorawan_join_1_0(nwk_key, request, accept, label) j;
    ELSIF kind = 255 THEN
        RETURN QUERY SELECT j.join_nonce, j.net_id, j.dev_addr, j.rx1_dr_offset, j.rx2_data_rate, j.rx_delay, j.cf_list, j.f_nwk_s_int_key, j.app_s_key, j.s_nwk_s_int_key, j.nwk_s_enc_key
                       FROM lorawan_join_1_1(nwk_key, app_key, request, accept, label) j;
    ELSE
        RETURN QUERY SELECT j.join_nonce, j.net_id, j.dev_addr, j.rx1_dr_offset, j.rx2_data_rate, j.rx_delay, j.cf_list, j.f_nwk_s_int_key, j.app_s_key, j.s_nwk_s_int_key, j.nwk_s_enc_key
                       FROM lorawan_rejoin_1_1(nwk_key, app_key, join_eui, request, accept, label) j;
    END IF;
END
$$;
CREATE TEMP TABLE joined AS
SELECT f.n, f.kind, j.* FROM frame f, LATERAL pg_temp.joined(kind, nwk_key, app_key, join_eui, request, accept, 'root') j;

SELECT is(count(*), 10::bigint, 'ten joins of kind ' || kind) FROM joined GROUP BY kind ORDER BY kind;
SELECT is_empty($$
    SELECT d.n, d.kind FROM device d JOIN joined j USING (n)
     WHERE j.join_nonce IS DISTINCT FROM get_byte(d.join_nonce, 0) * 65536 + get_byte(d.join_nonce, 1) * 256 + get_byte(d.join_nonce, 2)
        OR (j.net_id, j.dev_addr, j.rx1_dr_offset, j.rx2_data_rate, j.rx_delay) IS DISTINCT FROM (d.net_id, d.dev_addr, d.dl_settings / 16, d.dl_settings % 16, d.rx_delay % 16)
        OR j.cf_list IS DISTINCT FROM d.cf_list
$$, 'what the join-accepts say, with and without CFList');
SELECT is_empty($$
    SELECT d.n, d.kind FROM device d JOIN joined j USING (n)
     WHERE unwrap(k1) IS DISTINCT FROM pg_temp.session_key(d, 1) OR unwrap(k2) IS DISTINCT FROM pg_temp.session_key(d, 2)
        OR (d.kind <> 10 AND (unwrap(k3) IS DISTINCT FROM pg_temp.session_key(d, 3) OR unwrap(k4) IS DISTINCT FROM pg_temp.session_key(d, 4)))
$$, 'the session keys');
SELECT is_empty($$
    SELECT j.n, j.kind FROM joined j, LATERAL (VALUES (k1), (k2), (k3), (k4)) v (key)
     WHERE key IS NOT NULL AND (bound_dev_addr(key), algorithm(key), kek_label(key)) IS DISTINCT FROM (j.dev_addr, 'aes-kw-bound', 'root')
$$, 'are bound to the DevAddr, under the label');
SELECT results_eq('SELECT DISTINCT pg_typeof(join_nonce)::text FROM joined', ARRAY['integer'], 'JoinNonce is a number');

-- A session key serves its own DevAddr only, also after a rewrap; an envelope does not keep the binding.
SELECT is_empty($$SELECT n FROM joined WHERE lorawan_decrypt_uplink(k2, dev_addr, 1, lorawan_encrypt_uplink(k2, dev_addr, 1, '\x0102')) <> '\x0102'$$, 'AppSKeys are keys');
SELECT throws_ok(format('SELECT lorawan_decrypt_uplink(%L, %L, 1, %L)', k2, '\x01020304', '\x01'), 'KV005', 'wrapped key is bound to another DevAddr', 'but for no other DevAddr')
  FROM joined WHERE n = 1;
SELECT kek_rotate('root') \g /dev/null
SELECT is_empty($$SELECT n FROM joined WHERE (bound_dev_addr(rewrap(k1)), kek_version(rewrap(k1)), unwrap(rewrap(k1))) IS DISTINCT FROM (dev_addr, 2, unwrap(k1))$$, 'rewrap keeps the binding');
SELECT is_empty($$SELECT n FROM joined WHERE (bound_dev_addr(rewrap(k2, 'session')), unwrap(rewrap(k2, 'session'))) IS DISTINCT FROM (dev_addr, unwrap(k2))$$, 'to another label, too');
SELECT is_empty($$SELECT n FROM joined, LATERAL export_envelope(k2, 'session') e
                   WHERE (bound_dev_addr(import_envelope((e).kek_label, (e).encrypted_key, 'root')), unwrap(import_envelope((e).kek_label, (e).encrypted_key, 'root'))) IS DISTINCT FROM (NULL, unwrap(k2))$$,
                'an envelope drops it');

-- The KEK of the root keys has been rotated meanwhile: new session keys are under its new version.
SELECT is_empty($$SELECT f.n FROM frame f JOIN joined USING (n), LATERAL pg_temp.joined(f.kind, nwk_key, app_key, join_eui, request, accept, 'root') j
                   WHERE kek_version(f.nwk_key) <> 1 OR (unwrap(j.k1), unwrap(j.k2), kek_version(j.k1), kek_version(j.k2)) IS DISTINCT FROM (unwrap(joined.k1), unwrap(joined.k2), 2, 2)$$,
                'after a rotation the same keys come under the new version');
SELECT is_empty($$SELECT f.n FROM frame f JOIN joined USING (n), LATERAL pg_temp.joined(f.kind, rewrap(nwk_key), rewrap(app_key), join_eui, request, accept, 'session') j
                   WHERE (unwrap(j.k1), unwrap(j.k2), kek_label(j.k1)) IS DISTINCT FROM (unwrap(joined.k1), unwrap(joined.k2), 'session')$$,
                'of root keys rewrapped, and to another label, too');

-- lora-packet's README: a join-accept with a CFList; the join-request is made here.
CREATE TEMP TABLE published AS
SELECT wrap('\xb6b53f4a168a7a88bdf7ea135ce9cfca', 'root') AS key,
       pg_temp.with_mic('\xb6b53f4a168a7a88bdf7ea135ce9cfca', '', '\x0001020304050607080102030405060708cc85') AS request,
       '\x204dd85ae608b87fc4889970b7d2042c9e72959b0057aed6094b16003df12de145'::bytea AS accept;
SELECT results_eq('SELECT join_nonce, net_id, dev_addr, rx1_dr_offset, rx2_data_rate, rx_delay, cf_list FROM published, lorawan_join_1_0(key, request, accept, ''root'')',
                  $$VALUES (15009338, '\x000013'::bytea, '\x26012e43'::bytea, 0, 3, 1, '\x184f84e85684b85e84886684586e8400'::bytea)$$, 'lora-packet''s join-accept');

--
-- Frames and keys that do not fit together: the error is the same whatever the reason.
--
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' / ', sqlstate, sqlerrm, nullif(detail, ''), nullif(hint, ''));
END
$$;
CREATE FUNCTION pg_temp.join_failure(kind integer, nwk_key wrapped_key, app_key wrapped_key, join_eui bytea, request bytea, accept bytea, label text DEFAULT 'root')
RETURNS text LANGUAGE sql AS $$SELECT pg_temp.failure(format('SELECT * FROM pg_temp.joined(%L, %L, %L, %L, %L, %L, %L)', kind, nwk_key, app_key, join_eui, request, accept, label))$$;
CREATE TEMP TABLE mismatch AS SELECT 'KV009 / join-accept does not fit the key and the request / The key, the request or the join-accept is another device''s or another join''s, or was changed.' AS text;

SELECT is((SELECT DISTINCT pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, set_bit(accept, bit, 1 - get_bit(accept, bit)))
             FROM generate_series(8, length(accept) * 8 - 1) bit), m.text, 'any bit of a join-accept changed, kind ' || kind || ', ' || length(accept) || ' bytes')
  FROM frame, mismatch m WHERE n <= 10 ORDER BY n;
SELECT is((SELECT DISTINCT pg_temp.join_failure(kind, nwk_key, app_key, join_eui, set_bit(request, bit, 1 - get_bit(request, bit)), accept)
             FROM generate_series(CASE kind WHEN 1 THEN 16 ELSE 8 END, length(request) * 8 - 1) bit), m.text, 'any bit of a request changed, kind ' || kind)
  FROM frame, mismatch m WHERE n <= 10 AND kind IN (10, 255, 1) ORDER BY n;
SELECT is((SELECT DISTINCT pg_temp.join_failure(kind, nwk_key, app_key, join_eui, set_bit(request, bit, 1 - get_bit(request, bit)), accept)
             FROM generate_series(40, 119) bit), m.text, 'DevEUI or RJcount0 of a rejoin-request changed, kind ' || kind)
  FROM frame, mismatch m WHERE n <= 10 AND kind IN (0, 2) ORDER BY n;
SELECT is((SELECT DISTINCT pg_temp.join_failure(kind, nwk_key, app_key, set_bit(join_eui, bit, 1 - get_bit(join_eui, bit)), request, accept)
             FROM generate_series(0, 63) bit), m.text, 'another JoinEUI than the device''s, kind ' || kind)
  FROM frame, mismatch m WHERE n <= 5 AND kind <= 2 ORDER BY n;
SELECT is(pg_temp.join_failure(a.kind, b.nwk_key, a.app_key, a.join_eui, a.request, a.accept), m.text, 'another device''s NwkKey, kind ' || a.kind)
  FROM frame a JOIN frame b ON b.n = a.n + 5, mismatch m WHERE a.n <= 5 ORDER BY a.n;
SELECT is(pg_temp.join_failure(a.kind, a.nwk_key, a.app_key, a.join_eui, a.request, b.accept), m.text, 'another device''s join-accept, kind ' || a.kind)
  FROM frame a JOIN frame b ON b.n = a.n + 5, mismatch m WHERE a.n <= 5 ORDER BY a.n;
SELECT is(pg_temp.join_failure(a.kind, a.nwk_key, a.app_key, a.join_eui, b.request, a.accept), m.text, 'another device''s request, kind ' || a.kind)
  FROM frame a JOIN frame b ON b.n = a.n + 5, mismatch m WHERE a.n <= 5 ORDER BY a.n;
SELECT is(pg_temp.join_failure(255, app_key, nwk_key, join_eui, request, accept), m.text, 'NwkKey and AppKey exchanged')
  FROM frame, mismatch m WHERE kind = 255 ORDER BY n LIMIT 1;
SELECT is(pg_temp.join_failure(CASE kind WHEN 10 THEN 255 ELSE 10 END, nwk_key, app_key, join_eui, request, accept), m.text, 'the other version of LoRaWAN than kind ' || kind)
  FROM frame, mismatch m WHERE n <= 2 AND kind IN (10, 255) ORDER BY n;

-- The join-accept of the same device's next join, which has another DevNonce.  LoRaWAN 1.1 finds that out.
SELECT is(pg_temp.join_failure(d.kind, f.nwk_key, f.app_key, d.join_eui, pg_temp.request(d), f.accept), m.text, 'a request of the same device with another DevNonce, kind ' || d.kind)
  FROM (SELECT (jsonb_populate_record(d, jsonb_build_object('dev_nonce', set_byte(d.dev_nonce, 1, get_byte(d.dev_nonce, 1) # 1)))).* FROM device d) d JOIN frame f USING (n), mismatch m
 WHERE d.kind <> 10 AND n <= 5 ORDER BY n;
-- The join-accept is for the JoinEUI that is given, but the rejoin-request names another one.
SELECT is(pg_temp.join_failure(1, f.nwk_key, f.app_key, d.join_eui, f.request, pg_temp.accept(d)), m.text, 'another JoinEUI than the rejoin-request''s')
  FROM (SELECT (jsonb_populate_record(d, jsonb_build_object('join_eui', set_byte(d.join_eui, 0, get_byte(d.join_eui, 0) # 1)))).* FROM device d) d JOIN frame f USING (n), mismatch m
 WHERE d.kind = 1 ORDER BY n LIMIT 1;
-- A server that has not negotiated 1.1 would have used the keys and the MIC of 1.0.
CREATE FUNCTION pg_temp.accept_without_opt_neg(d device) RETURNS bytea LANGUAGE sql AS $$
SELECT pg_temp.encrypted(d.nwk, pg_temp.with_mic(pg_temp.derived(d.nwk, 6, pg_temp.reversed(d.dev_eui)), '\xff'::bytea || pg_temp.reversed(d.join_eui) || pg_temp.reversed(d.dev_nonce),
       '\x20'::bytea || pg_temp.reversed(d.join_nonce) || pg_temp.reversed(d.net_id) || pg_temp.reversed(d.dev_addr) || set_byte('\x00', 0, d.dl_settings) || '\x01'::bytea)) $$;
SELECT is(pg_temp.join_failure(255, f.nwk_key, f.app_key, d.join_eui, f.request, pg_temp.accept_without_opt_neg(d)), m.text, 'no OptNeg')
  FROM device d JOIN frame f USING (n), mismatch m WHERE d.kind = 255 ORDER BY n LIMIT 1;

-- Wrong lengths and kinds of frames are reported as such, whatever the key is.
SELECT matches(pg_temp.join_failure(10, nwk_key, app_key, join_eui, substr(request || sha256('x') || sha256('y'), 1, len), accept), '^KV301 / malformed LoRaWAN frame: ', 'a join-request of ' || len)
  FROM frame, unnest('{0,1,3,4,19,22,24,33}'::integer[]) len WHERE n = 5;
SELECT matches(pg_temp.join_failure(10, nwk_key, app_key, join_eui, request, substr(accept || sha256('x') || sha256('y'), 1, len)), '^KV301 / malformed LoRaWAN frame: ', 'a join-accept of ' || len)
  FROM frame, unnest('{0,1,3,4,16,18,32,34,65}'::integer[]) len WHERE n = 5;
SELECT matches(pg_temp.join_failure(0, nwk_key, app_key, join_eui, set_byte(request, 1, 3), accept), '^KV301 / malformed LoRaWAN frame: RejoinType at offset 1', 'there is no rejoin-request of type 3')
  FROM frame WHERE kind = 0 ORDER BY n LIMIT 1;
SELECT is(pg_temp.join_failure(2, nwk_key, app_key, join_eui, request, accept), '22023 / LoRaWAN frame is not a rejoin-request / Its MType is 0.', 'a join-request is no rejoin-request')
  FROM frame WHERE kind = 255 ORDER BY n LIMIT 1;
SELECT is(pg_temp.join_failure(k, nwk_key, app_key, join_eui, request, accept), '22023 / LoRaWAN frame is not a join-request / Its MType is 6.', 'a rejoin-request is no join-request, kind ' || k)
  FROM frame, unnest('{10,255}'::integer[]) k WHERE kind = 1 AND n <= 5 ORDER BY k;
SELECT is(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, request), format('22023 / LoRaWAN frame is not a join-accept / Its MType is %s.', CASE WHEN kind < 3 THEN 6 ELSE 0 END), 'a request is no join-accept, kind ' || kind)
  FROM frame WHERE n <= 5 ORDER BY n;
SELECT is(pg_temp.join_failure(0, nwk_key, app_key, substr(join_eui, 1, len), request, accept), format('22023 / join_eui must have 8 bytes, not %s / An EUI is given as displayed (big-endian): ''\x0004A30B001C0530''.', len), 'a JoinEUI of ' || len)
  FROM frame, unnest('{0,7}'::integer[]) len WHERE kind = 0 AND n <= 5;

--
-- Values that are not usable keys
--
SELECT is(pg_temp.join_failure(kind, wrap(substr(sha256('x'), 1, len), 'root'), app_key, join_eui, request, accept),
          'KV006 / wrapped key is not a LoRaWAN key / A LoRaWAN key has 16 bytes.  The key is wrapped with KEK label "root" version 2.', format('a NwkKey of %s bytes, kind %s', len, kind))
  FROM frame, unnest('{15,24,32}'::integer[]) len WHERE n IN (1, 5) ORDER BY n, len;
SELECT is(left(pg_temp.join_failure(kind, nwk_key, wrap('\x00', 'root'), join_eui, request, accept), 5), 'KV006', 'an AppKey of 1 byte, kind ' || kind)
  FROM frame WHERE n <= 5 AND kind <> 10 ORDER BY n;
SELECT is(left(pg_temp.join_failure(kind, (left(nwk_key::text, -1) || CASE right(nwk_key::text, 1) WHEN '0' THEN '1' ELSE '0' END)::wrapped_key, app_key, join_eui, request, accept), 5), 'KV004', 'a damaged NwkKey, kind ' || kind)
  FROM frame WHERE n <= 5 ORDER BY n;
-- A bound root key gives session keys for its own DevAddr only.
SELECT is(left(pg_temp.join_failure(kind, bind(nwk_key, '\x00000001'), app_key, join_eui, request, accept), 5), 'KV005', 'a NwkKey bound to another DevAddr, kind ' || kind)
  FROM frame WHERE n <= 5 ORDER BY n;
SELECT is(left(pg_temp.join_failure(kind, nwk_key, bind(app_key, '\x00000001'), join_eui, request, accept), 5), 'KV005', 'an AppKey bound to another DevAddr, kind ' || kind)
  FROM frame WHERE n <= 5 AND kind <> 10 ORDER BY n;
SELECT is(pg_temp.join_failure(kind, bind(nwk_key, dev_addr), bind(app_key, dev_addr), join_eui, request, accept), 'no error', 'root keys bound to this DevAddr, kind ' || kind)
  FROM frame WHERE n <= 5 ORDER BY n;
SELECT is(j, NULL, 'NULL in, NULL out') FROM frame, LATERAL (VALUES
    (lorawan_join_1_0(NULL, request, accept, 'root')::text), (lorawan_join_1_0(nwk_key, NULL, accept, 'root')::text),
    (lorawan_join_1_0(nwk_key, request, NULL, 'root')::text), (lorawan_join_1_0(nwk_key, request, accept, NULL)::text),
    (lorawan_join_1_1(nwk_key, NULL, request, accept, 'root')::text), (lorawan_rejoin_1_1(nwk_key, app_key, NULL, request, accept, 'root')::text)) v (j)
 WHERE n = 5;

--
-- Privileges: a caller needs derive on the label of the root keys and wrap on the label of the session keys; if the
-- labels differ, also unwrap on the first.
--
CREATE ROLE kv_joins;
GRANT SELECT ON frame TO kv_joins;
SELECT kek_create('app root'), kek_create('elsewhere') \g /dev/null
-- A privilege on another label, which must not count
SELECT kek_grant('elsewhere', 'kv_joins', 'decrypt') \g /dev/null
CREATE FUNCTION pg_temp.as_role(kind integer, label text, other_app boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    f frame;
    result text;
BEGIN
    SELECT * INTO f FROM frame WHERE frame.kind = as_role.kind ORDER BY n LIMIT 1;
    IF other_app THEN
        f.app_key := rewrap(f.app_key, 'app root');
    END IF;
    SET LOCAL ROLE kv_joins;
    result := pg_temp.join_failure(f.kind, f.nwk_key, f.app_key, f.join_eui, f.request, f.accept, label);
    RESET ROLE;
    RETURN regexp_replace(result, ' / An administrator of the label .*', '');
END
$$;
CREATE FUNCTION pg_temp.lacks(label text, privilege text) RETURNS text LANGUAGE sql AS
$$SELECT format('42501 / permission denied for KEK label "%s" / Role "kv_joins" lacks privilege "%s" on the label.', label, privilege)$$;
CREATE TEMP TABLE kinds AS SELECT DISTINCT kind FROM frame;
SELECT is(pg_temp.as_role(kind, 'root'), pg_temp.lacks('root', 'wrap'), 'no privilege, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_grant('root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'root'), pg_temp.lacks('root', 'wrap'), 'derive alone, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_revoke('root', 'kv_joins', 'derive'), kek_grant('root', 'kv_joins', 'wrap') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'root'), pg_temp.lacks('root', 'derive'), 'wrap alone, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_grant('root', 'kv_joins', 'unwrap'), kek_grant('root', 'kv_joins', 'decrypt'), kek_grant('root', 'kv_joins', 'rewrap'), kek_grant('root', 'kv_joins', 'admin') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'root'), pg_temp.lacks('root', 'derive'), 'all but derive, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_revoke('root', 'kv_joins', p) FROM unnest('{unwrap,decrypt,rewrap,admin}'::text[]) p \g /dev/null
SELECT kek_grant('root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'root'), 'no error', 'derive and wrap, kind ' || kind) FROM kinds ORDER BY kind;
SELECT is(pg_temp.as_role(kind, 'session'), pg_temp.lacks('session', 'wrap'), 'but not under another label, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_grant('session', 'kv_joins', 'wrap') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session'), pg_temp.lacks('root', 'unwrap'), 'with wrap there neither, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_grant('root', 'kv_joins', 'unwrap') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session'), 'no error', 'with unwrap here, it is; kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_revoke('root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session'), pg_temp.lacks('root', 'derive'), 'unwrap does not stand for derive, kind ' || kind) FROM kinds ORDER BY kind;
-- The privilege is needed on the labels of both root keys.
SELECT kek_grant('root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session', true), pg_temp.lacks('app root', 'derive'), 'an AppKey of another label, kind ' || kind) FROM kinds WHERE kind <> 10 ORDER BY kind;
SELECT kek_grant('app root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session', true), pg_temp.lacks('app root', 'unwrap'), 'takes unwrap as well, kind ' || kind) FROM kinds WHERE kind <> 10 ORDER BY kind;
SELECT kek_grant('app root', 'kv_joins', 'unwrap') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session', true), 'no error', 'and then fits, kind ' || kind) FROM kinds WHERE kind <> 10 ORDER BY kind;
-- A caller that lacks a privilege learns nothing about the frames.
SELECT kek_revoke('session', 'kv_joins', 'wrap') \g /dev/null
UPDATE frame SET accept = set_byte(accept, 5, get_byte(accept, 5) # 1);
SELECT is(pg_temp.as_role(kind, 'session'), pg_temp.lacks('session', 'wrap'), 'frames that do not fit give the same, kind ' || kind) FROM kinds ORDER BY kind;
SELECT kek_grant('session', 'kv_joins', 'wrap'), kek_revoke('app root', 'kv_joins', 'derive') \g /dev/null
SELECT is(pg_temp.as_role(kind, 'session', true), pg_temp.lacks('app root', 'derive'), 'also where it lacks one for the AppKey, kind ' || kind) FROM kinds WHERE kind <> 10 ORDER BY kind;
UPDATE frame SET accept = set_byte(accept, 5, get_byte(accept, 5) # 1);

--
-- KEKs that cannot be used
--
SELECT is(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'nowhere'), 'KV001 / KEK label "nowhere" does not exist / The view key_vault.keks lists the labels.  Use key_vault.kek_create() or key_vault.kek_import() to make one.', 'no such label, kind ' || kind)
  FROM frame WHERE n <= 5 ORDER BY n;
SELECT kek_suspend('session', 1) \g /dev/null
SELECT is(left(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'session'), 5), 'KV007', 'the label''s KEK is suspended, kind ' || kind) FROM frame WHERE n <= 5 ORDER BY n;
SELECT kek_resume('session', 1), kek_suspend('root', 1) \g /dev/null
SELECT is(left(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'session'), 5), 'KV002', 'the root keys'' KEK is suspended, kind ' || kind) FROM frame WHERE n <= 5 ORDER BY n;
SELECT kek_resume('root', 1) \g /dev/null
SELECT is(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'session'), 'no error', 'and resumed, kind ' || kind) FROM frame WHERE n <= 5 ORDER BY n;
SELECT kek_compromise('root', 1) \g /dev/null
SELECT is(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'session'), 'no error', 'a compromised one unwraps, kind ' || kind) FROM frame WHERE n <= 5 ORDER BY n;
SELECT kek_destroy('root', 1, force => true) \g /dev/null
SELECT is(left(pg_temp.join_failure(kind, nwk_key, app_key, join_eui, request, accept, 'session'), 5), 'KV003', 'a destroyed one does not, kind ' || kind) FROM frame WHERE n <= 5 ORDER BY n;

SELECT * FROM finish();
ROLLBACK;
