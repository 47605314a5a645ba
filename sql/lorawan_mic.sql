--
-- LoRaWAN: FOpts and message integrity codes.
--
-- Frames and keys are published ones, each named with its source: "brocaar" is
-- github.com/brocaar/lorawan, phypayload_test.go; "stack" is
-- github.com/TheThingsNetwork/lorawan-stack, pkg/crypto/*_test.go; "lora-packet" is its
-- __tests__/mic_test.ts.  test/oracle has random ones.
--
\pset format unaligned
\pset tuples_only
\pset null (null)

SELECT key_vault.kek_create('mic');
CREATE FUNCTION mic_key(plain bytea) RETURNS key_vault.wrapped_key LANGUAGE sql AS
$$SELECT key_vault.wrap(plain, 'mic')$$;
-- A frame with its MIC, and what is before it.
CREATE FUNCTION mic_message(phy_payload bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$SELECT substr(phy_payload, 1, length(phy_payload) - 4)$$;

--
-- FOpts
--
CREATE TABLE mic_f_opts (source text, direction text, f_port integer, key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, plain bytea, encrypted bytea);
INSERT INTO mic_f_opts VALUES
    ('brocaar, AFCntDown', 'downlink', 1, mic_key('\x01010101010101010101010101010200'), '\x01020304', 0, '\x020701', '\x22ac0a'),
    ('brocaar, NFCntDown', 'downlink', NULL, mic_key('\x02020202020202020202020202020204'), '\x01020304', 0, '\x020701', '\xdfb4f1'),
    ('brocaar, NFCntDown, FPort 0', 'downlink', 0, mic_key('\x02020202020202020202020202020204'), '\x01020304', 0, '\x020701', '\xdfb4f1'),
-- python3-cryptography: AES(key, 01 | 00 00 00 | 01 up or 02 | direction | DevAddr LE | FCnt LE | 00 | 01)
    ('full length, FCnt 2^32 - 1', 'uplink', NULL, mic_key('\x000102030405060708090a0b0c0d0e0f'), '\x260b1234', 4294967295, '\x000000000000000000000000000000', '\x0334d1354cf0d746bc067a57a2ac1e'),
    ('full length, FCnt 2^16', 'downlink', 255, mic_key('\x000102030405060708090a0b0c0d0e0f'), '\x260b1234', 65536, '\x000000000000000000000000000000', '\x39cd249769070812aaffabbe0e345f');
SELECT source, CASE direction
           WHEN 'uplink' THEN key_vault.lorawan_encrypt_uplink_f_opts(key, dev_addr, f_cnt, plain) = encrypted
                          AND key_vault.lorawan_decrypt_uplink_f_opts(key, dev_addr, f_cnt, encrypted) = plain
           ELSE key_vault.lorawan_encrypt_downlink_f_opts(key, dev_addr, f_cnt, plain, f_port) = encrypted
            AND key_vault.lorawan_decrypt_downlink_f_opts(key, dev_addr, f_cnt, encrypted, f_port) = plain END
  FROM mic_f_opts ORDER BY source;
SELECT key AS f_opts_key FROM mic_f_opts WHERE source = 'brocaar, AFCntDown' \gset
-- Lengths, counters, ports
SELECT key_vault.lorawan_encrypt_uplink_f_opts(:'f_opts_key', '\x01020304', 0, '');
SELECT failure(format('SELECT key_vault.lorawan_%s_f_opts(%L, %L, %s, %L%s)', f, :'f_opts_key', dev_addr, f_cnt, f_opts, CASE WHEN f ~ 'down' THEN ', ' || f_port END))
  FROM (VALUES ('encrypt_uplink'), ('decrypt_downlink')) f (f),
       (VALUES ('\x01020304'::bytea, 0, '\x00010203040506070809101112131415'::bytea, 1), ('\x010203', 0, '\x00', 1), ('\x01020304', 4294967296, '\x00', 1),
               ('\x01020304', -1, '\x00', 1), ('\x01020304', 4294967295, '\x00', 256), ('\x01020304', 0, '\x00', -1)) v (dev_addr, f_cnt, f_opts, f_port)
 ORDER BY f, dev_addr, f_cnt, f_opts, f_port;
SELECT key_vault.lorawan_encrypt_uplink_f_opts(NULL, '\x01020304', 0, '\x00'), key_vault.lorawan_encrypt_downlink_f_opts(NULL, '\x01020304', 0, '\x00', 1),
       key_vault.lorawan_encrypt_downlink_f_opts(:'f_opts_key', NULL, 0, '\x00', 1), key_vault.lorawan_encrypt_downlink_f_opts(:'f_opts_key', '\x01020304', NULL, '\x00', 1),
       key_vault.lorawan_encrypt_downlink_f_opts(:'f_opts_key', '\x01020304', 0, NULL, 1);
SELECT failure(format('SELECT key_vault.lorawan_decrypt_downlink_f_opts(%L, %L, 0, %L, NULL)', key_vault.bind(:'f_opts_key', '\x01020304'), '\x01020305', '\x00'));

--
-- Data frames of LoRaWAN 1.0
--
CREATE TABLE mic_data (source text, key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea);
INSERT INTO mic_data VALUES
    ('brocaar, up', mic_key('\x02020202020202020202020202020202'), 1, '\x400403020180010001a694642615d6c3b582'),
    ('brocaar, confirmed up', mic_key('\x0102030405060708090a0b0c0d0e0f10'), 0, '\x80040302010000000ae264d4f7b56a0e75'),
    ('lora-packet, up', mic_key('\x44024241ed4ce9a68c6a8bc055233fd3'), 2, '\x40f17dbe4900020001954378762b11ff0d'),
    ('lora-packet, FPort without payload', mic_key('\x44024241ed4ce9a68c6a8bc055233fd3'), 3, '\x40f17dbe49000300012a3518af'),
    ('lora-packet, down, ACK', mic_key('\x44024241ed4ce9a68c6a8bc055233fd3'), 2, '\x60f17dbe4920020001f9d65d27'),
    ('stack, up', mic_key('\x01010101010101010101010101010101'), 1, '\x400403020100010001010203043b073182');
SELECT source, CASE WHEN source ~ 'down' THEN key_vault.lorawan_verify_downlink(key, f_cnt, phy_payload) ELSE key_vault.lorawan_verify_uplink(key, f_cnt, phy_payload) END,
       mic_message(phy_payload) || CASE WHEN source ~ 'down' THEN key_vault.lorawan_downlink_mic(key, f_cnt, mic_message(phy_payload)) ELSE key_vault.lorawan_uplink_mic(key, f_cnt, mic_message(phy_payload)) END = phy_payload
  FROM mic_data ORDER BY source;
SELECT key AS mic_key, phy_payload AS frame, mic_message(phy_payload) AS message, key_vault.bind(key, '\x49be7df1') AS bound, key_vault.bind(key, '\x49be7df2') AS other FROM mic_data WHERE source = 'lora-packet, up' \gset
-- No bit of a frame can be changed.  Those of MType, Major and FCnt make it another kind of frame, or
-- one of another counter: an error.
SELECT result, count(*) FROM (
    SELECT failure(format('SELECT 1 / CASE WHEN key_vault.lorawan_verify_uplink(%L, 2, %L) THEN 0 ELSE 1 END', :'mic_key', set_bit(:'frame'::bytea, bit, 1 - get_bit(:'frame'::bytea, bit)))) AS result
      FROM generate_series(0, 135) bit) r GROUP BY result ORDER BY result COLLATE "C";
-- Nor can the upper half of the counter, from 2^16 to 2^32 - 1.
SELECT f_cnt, key_vault.lorawan_verify_uplink(:'mic_key', f_cnt, :'frame') FROM (VALUES (2), (65538), (2147483650), (4294901762)) v (f_cnt);
SELECT f_cnt, failure(format('SELECT key_vault.lorawan_verify_uplink(%L, %s, %L)', :'mic_key', f_cnt, :'frame')), failure(format('SELECT key_vault.lorawan_uplink_mic(%L, %s, %L)', :'mic_key', f_cnt, :'message'))
  FROM (VALUES (-1), (0), (1), (3), (4294967295), (4294967296)) v (f_cnt);
-- FCnt 2^32 - 1: the MIC is python3-cryptography's, CMAC(NwkSKey, 49 | 00 00 00 00 | 00 | DevAddr LE | FCnt LE | 00 | len | message).
SELECT key_vault.lorawan_uplink_mic(:'mic_key', 4294967295, '\x40f17dbe4900ffff0195437876') = '\x7af12013';
-- Directions are told by MType, and not taken for each other.
SELECT failure(format('SELECT key_vault.lorawan_verify_downlink(%L, 2, %L)', :'mic_key', :'frame')), failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 2, %L)', :'mic_key', '\x60f17dbe4920020001f9d65d27'));
SELECT m_hdr, failure(format('SELECT key_vault.lorawan_uplink_mic(%L, 2, %L)', :'mic_key', set_byte(:'message', 0, m_hdr))), failure(format('SELECT key_vault.lorawan_downlink_mic(%L, 2, %L)', :'mic_key', set_byte(:'message', 0, m_hdr)))
  FROM (VALUES (x'00'::int), (x'20'::int), (x'40'::int), (x'60'::int), (x'80'::int), (x'a0'::int), (x'c0'::int), (x'e0'::int), (x'41'::int), (x'5c'::int)) v (m_hdr);
-- Confirmed frames have another MIC.
SELECT key_vault.lorawan_uplink_mic(:'mic_key', 2, set_byte(:'message', 0, x'80'::int)) <> key_vault.lorawan_uplink_mic(:'mic_key', 2, :'message');
-- Lengths: a message has 8 bytes and more, a PHYPayload 255 at most.
SELECT size, failure(format('SELECT key_vault.lorawan_uplink_mic(%L, 0, %L)', :'mic_key', substr(decode('40' || repeat('00', 300), 'hex'), 1, size))),
       failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 0, %L)', :'mic_key', substr(decode('40' || repeat('00', 300), 'hex'), 1, size)))
  FROM (VALUES (0), (1), (7), (8), (11), (12), (251), (252), (255), (256)) v (size);
-- Bound keys: for frames of their DevAddr alone.
SELECT key_vault.lorawan_verify_uplink(:'bound', 2, :'frame');
SELECT failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 2, %L)', :'other', :'frame')), failure(format('SELECT key_vault.lorawan_uplink_mic(%L, 2, %L)', :'other', :'message'));
SELECT failure(format('SELECT key_vault.lorawan_downlink_mic(%L, 2, %L)', :'other', set_byte(:'message', 0, x'60'::int)));
-- NULLs, and keys that are none
SELECT key_vault.lorawan_verify_uplink(NULL, 2, :'frame'), key_vault.lorawan_verify_uplink(:'mic_key', NULL, :'frame'), key_vault.lorawan_verify_uplink(:'mic_key', 2, NULL),
       key_vault.lorawan_uplink_mic(NULL, 2, :'message'), key_vault.lorawan_downlink_mic(:'mic_key', 2, NULL);
SELECT failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 2, %L)', key_vault.generate_key('mic', size), :'frame')) FROM (VALUES (15), (17), (24), (32)) v (size);

--
-- Data frames of LoRaWAN 1.1: brocaar, with ConfFCnt 1, TxDr 2, TxCh 3
--
SELECT mic_key('\x02020202020202020202020202020202') AS s_nwk, mic_key('\x02020202020202020202020202020203') AS f_nwk \gset
CREATE TABLE mic_data_1_1 (source text, f_cnt bigint, phy_payload bytea);
INSERT INTO mic_data_1_1 VALUES
    ('up', 1, '\x400403020180010001a6946426157612366a'), ('up, ACK', 1, '\x4004030201a0010001a694642615f842c4b9'), ('up, FPort 0', 0, '\x40040302010000000069369efa931bd7'),
    ('down, NFCntDown', 0, '\x6004030201030000dfb4f1e24f1f9f'), ('down, AFCntDown', 0, '\x60040302010300000207010177701ea3');
SELECT source, CASE WHEN source ~ 'down' THEN key_vault.lorawan_verify_downlink(:'s_nwk', f_cnt, 1, phy_payload) ELSE key_vault.lorawan_verify_uplink(:'f_nwk', :'s_nwk', f_cnt, 1, 2, 3, phy_payload) END,
       mic_message(phy_payload) || CASE WHEN source ~ 'down' THEN key_vault.lorawan_downlink_mic(:'s_nwk', f_cnt, 1, mic_message(phy_payload)) ELSE key_vault.lorawan_uplink_mic(:'f_nwk', :'s_nwk', f_cnt, 1, 2, 3, mic_message(phy_payload)) END = phy_payload
  FROM mic_data_1_1 ORDER BY source;
-- Each argument counts, ConfFCnt where the frame has ACK: then its low 16 bits.
SELECT source, v.*, key_vault.lorawan_verify_uplink(:'f_nwk', :'s_nwk', f_cnt, conf_f_cnt, tx_dr, tx_ch, phy_payload)
  FROM mic_data_1_1, (VALUES (1, 2, 3), (0, 2, 3), (65537, 2, 3), (4294901761, 2, 3), (1, 3, 3), (1, 2, 2)) v (conf_f_cnt, tx_dr, tx_ch)
 WHERE source IN ('up', 'up, ACK') ORDER BY 1, 2, 3, 4;
SELECT key_vault.lorawan_verify_uplink(:'s_nwk', :'f_nwk', 1, 1, 2, 3, phy_payload), key_vault.lorawan_verify_uplink(:'f_nwk', :'f_nwk', 1, 1, 2, 3, phy_payload), key_vault.lorawan_verify_uplink(:'s_nwk', :'s_nwk', 1, 1, 2, 3, phy_payload),
       key_vault.lorawan_verify_uplink(:'f_nwk', 1, phy_payload)
  FROM mic_data_1_1 WHERE source = 'up';
-- Without ACK and B1's fields a 1.1 downlink has the MIC of a 1.0 one; with ACK and ConfFCnt it has not.
SELECT key_vault.lorawan_downlink_mic(:'s_nwk', 0, 7, m) = key_vault.lorawan_downlink_mic(:'s_nwk', 0, m), key_vault.lorawan_downlink_mic(:'s_nwk', 0, 7, a) = key_vault.lorawan_downlink_mic(:'s_nwk', 0, a),
       key_vault.lorawan_downlink_mic(:'s_nwk', 0, 0, a) = key_vault.lorawan_downlink_mic(:'s_nwk', 0, a), key_vault.lorawan_downlink_mic(:'s_nwk', 0, 65543, a) = key_vault.lorawan_downlink_mic(:'s_nwk', 0, 7, a)
  FROM (VALUES ('\x6004030201000000'::bytea, '\x6004030201200000'::bytea)) v (m, a);
SELECT failure(format('SELECT key_vault.lorawan_verify_uplink(%L, %L, 1, %s, %s, %s, %L)', :'f_nwk', :'s_nwk', conf_f_cnt, tx_dr, tx_ch, '\x400403020180010001a6946426157612366a'))
  FROM (VALUES (-1, 2, 3), (4294967296, 2, 3), (1, -1, 3), (1, 256, 3), (1, 2, -1), (1, 2, 256)) v (conf_f_cnt, tx_dr, tx_ch);
SELECT failure(format('SELECT key_vault.lorawan_downlink_mic(%L, 0, %s, %L)', :'s_nwk', conf_f_cnt, '\x6004030201000000')) FROM (VALUES (-1), (4294967296)) v (conf_f_cnt);
-- Either key, bound to another DevAddr
SELECT failure(format('SELECT key_vault.lorawan_verify_uplink(%L, %L, 1, 1, 2, 3, %L)', f, s, '\x400403020180010001a6946426157612366a'))
  FROM (VALUES (key_vault.bind(:'f_nwk', '\x01020304'), key_vault.bind(:'s_nwk', '\x01020304')), (key_vault.bind(:'f_nwk', '\x01020305'), :'s_nwk'), (:'f_nwk', key_vault.bind(:'s_nwk', '\x01020305'))) v (f, s);
SELECT failure(format('SELECT key_vault.lorawan_verify_downlink(%L, 0, 1, %L)', key_vault.bind(:'s_nwk', '\x01020305'), '\x6004030201030000dfb4f1e24f1f9f'));

--
-- Which session sent it: several share a DevAddr.
--
CREATE TABLE mic_session (id integer PRIMARY KEY, dev_addr bytea, nwk_s_key key_vault.wrapped_key, last_f_cnt bigint);
INSERT INTO mic_session SELECT n, '\x49be7df1', CASE n WHEN 70 THEN :'bound'::key_vault.wrapped_key ELSE key_vault.generate_key('mic') END, 0 FROM generate_series(1, 100) n;
-- keys that cannot be used do not keep the right one from being found
INSERT INTO mic_session VALUES
    (101, '\x49be7df1', :'other', 0), (102, '\x49be7df1', key_vault.generate_key('mic', 32), 0), (103, '\x49be7df1', NULL, 0),
    (104, '\x49be7df1', 'kv1:aes-kw:00112233-4455-6677-8899-aabbccddeeff:1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5', 0),
    (105, '\x49be7df1', (left(:'bound', -1) || CASE right(:'bound', 1) WHEN '0' THEN '1' ELSE '0' END)::key_vault.wrapped_key, 0);
CREATE TABLE mic_uplink (id integer PRIMARY KEY, dev_addr bytea, phy_payload bytea);
INSERT INTO mic_uplink VALUES (1, '\x49be7df1', :'frame'), (2, '\x49be7df1', '\x40f17dbe49000300012a3518af'), (3, '\x49be7df1', '\x40f17dbe49000300012a3518ae'), (4, '\x00000001', '\x40010000000003000100000000');
-- The statement of docs/lorawan.md; the last frame is past 65535.
INSERT INTO mic_session SELECT 200, '\x49be7df3', key_vault.bind(:'mic_key', '\x49be7df3'), 65530;
INSERT INTO mic_uplink SELECT 5, '\x49be7df3', m || key_vault.lorawan_uplink_mic(:'mic_key', 65538, m) FROM (VALUES ('\x40f37dbe490002000195437876'::bytea)) v (m);
SELECT u.id, key_vault.lorawan_find_session(s.id, s.nwk_s_key, key_vault.lorawan_full_f_cnt(s.last_f_cnt, f.f_cnt16), u.phy_payload)
  FROM mic_uplink u CROSS JOIN key_vault.lorawan_parse(u.phy_payload) AS f LEFT JOIN mic_session s ON s.dev_addr = f.dev_addr GROUP BY u.id ORDER BY u.id;
DELETE FROM mic_session WHERE id = 200;
-- whatever the type of what tells sessions apart, and in any order
SELECT key_vault.lorawan_find_session(s.id::text, s.nwk_s_key, 2, :'frame' ORDER BY s.id DESC), key_vault.lorawan_find_session(s, s.nwk_s_key, 2, :'frame' ORDER BY s.id) = (SELECT t FROM mic_session t WHERE id = 70) FROM mic_session s;
-- a counter that is unknown, another counter's, no session at all
SELECT key_vault.lorawan_find_session(s.id, s.nwk_s_key, NULL, :'frame'), key_vault.lorawan_find_session(s.id, s.nwk_s_key, 65538, :'frame'), key_vault.lorawan_find_session(s.id, s.nwk_s_key, 2, NULL),
       key_vault.lorawan_find_session(NULL::integer, s.nwk_s_key, 2, :'frame') FROM mic_session s;
SELECT key_vault.lorawan_find_session(s.id, s.nwk_s_key, 2, :'frame') FROM mic_session s WHERE false;
SELECT failure(format('SELECT key_vault.lorawan_find_session(s.id, s.nwk_s_key, 3, %L) FROM mic_session s', :'frame')),
       failure(format('SELECT key_vault.lorawan_find_session(s.id, s.nwk_s_key, 2, %L) FROM mic_session s', '\x60f17dbe4920020001f9d65d27'));
-- the same session twice, and two sessions with one key
SELECT key_vault.lorawan_find_session(s.id, s.nwk_s_key, 2, :'frame') FROM mic_session s, generate_series(1, 2);
SELECT key_vault.lorawan_find_session(s.id::text, s.nwk_s_key, 2, :'frame') FROM mic_session s, generate_series(1, 2);
SELECT failure(format('SELECT key_vault.lorawan_find_session(s.id + n, s.nwk_s_key, 2, %L) FROM mic_session s, generate_series(1, 2) n', :'frame')),
       failure(format('SELECT key_vault.lorawan_find_session(s.id || %L || n, s.nwk_s_key, 2, %L) FROM mic_session s, generate_series(1, 2) n', ' ', :'frame'));
-- LoRaWAN 1.1
SELECT source, key_vault.lorawan_find_session(s.name, s.f, s.s, u.f_cnt, 1, 2, 3, u.phy_payload)
  FROM mic_data_1_1 u, (VALUES ('both', :'f_nwk'::key_vault.wrapped_key, :'s_nwk'::key_vault.wrapped_key), ('first alone', :'f_nwk', :'other'), ('second alone', :'other', :'s_nwk'), ('neither', :'other', :'other'),
                               ('other first', :'s_nwk', :'s_nwk'), ('other second', :'f_nwk', :'f_nwk'), ('none', NULL, :'s_nwk')) s (name, f, s)
 WHERE source ~ 'up' GROUP BY source ORDER BY source;
-- One that fits, of many that do not, in parallel workers too
CREATE TABLE mic_many AS SELECT s.* FROM mic_session s, generate_series(1, 20);
ALTER TABLE mic_many SET (parallel_workers = 2);
ANALYZE mic_many;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT count(*), min(id) FROM mic_many WHERE id <= 100 AND key_vault.lorawan_verify_uplink(nwk_s_key, 2, :'frame');
SELECT key_vault.lorawan_find_session(id, nwk_s_key, 2, :'frame') FROM mic_many;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

--
-- Join-requests, rejoin-requests, join-accepts
--
CREATE TABLE mic_join (source text, kind text, key key_vault.wrapped_key, phy_payload bytea);
INSERT INTO mic_join VALUES
    ('brocaar', 'join_request', mic_key('\x01010101010101010101010101010101'), '\x00040302010403020105040302050403022d106a990e12'),
    ('lora-packet', 'join_request', mic_key('\x98929b92c49edba9676d646d3b612456'), '\x0039363463336913aa05693574323831330489c65b1304'),
    ('stack, type 0', 'rejoin_request', mic_key('\x01010101010101010101010101010101'), '\xc0000302010807060504030201020111da47bd'),
    ('stack, type 1', 'rejoin_request', mic_key('\x01010101010101010101010101010101'), '\xc00108070605040302010807060504030201020167f9abe7'),
    ('stack, type 2', 'rejoin_request', mic_key('\x01010101010101010101010101010101'), '\xc002030201080706050403020102012b459cf0'),
    ('brocaar, type 1', 'rejoin_request', mic_key('\x00000000000000000000000000000000'), '\xc0010807060504030201100f0e0d0c0b0a09db00eac31072');
SELECT kind, source, CASE kind WHEN 'join_request' THEN key_vault.lorawan_verify_join_request(key, phy_payload) ELSE key_vault.lorawan_verify_rejoin_request(key, phy_payload) END,
       mic_message(phy_payload) || CASE kind WHEN 'join_request' THEN key_vault.lorawan_join_request_mic(key, mic_message(phy_payload)) ELSE key_vault.lorawan_rejoin_request_mic(key, mic_message(phy_payload)) END = phy_payload
  FROM mic_join ORDER BY kind, source;
SELECT count(*) FROM mic_join, generate_series(8, 8 * length(phy_payload) - 1) bit
 WHERE CASE kind WHEN 'join_request' THEN key_vault.lorawan_verify_join_request(key, set_bit(phy_payload, bit, 1 - get_bit(phy_payload, bit)))
                 ELSE bit >= 16 AND key_vault.lorawan_verify_rejoin_request(key, set_bit(phy_payload, bit, 1 - get_bit(phy_payload, bit))) END;
-- MIC in the clear (lora-packet, stack); as on the air, encrypted (brocaar, the third with OptNeg set:
-- LoRaWAN 1.1, DevNonce 258).
SELECT mic_key('\x98929b92c49edba9676d646d3b612456') AS lp_key, mic_key('\x00112233445566778899aabbccddeeff') AS b_key, mic_key('\x0102030405060708090a0b0c0d0e0f10') AS b11_key, mic_key('\x01010101010101010101010101010101') AS s_key \gset
SELECT key_vault.lorawan_join_accept_mic(:'lp_key', '\x20386337ccbbaae7cd2c010000'), key_vault.lorawan_join_accept_mic(:'s_key', '\x20030201030201040302010001'),
       key_vault.lorawan_join_accept_mic(:'s_key', 255, '\x0807060504030201', x'0201'::int, '\x20030201030201040302010001');
SELECT key_vault.lorawan_verify_join_accept(:'b_key', '\x20493eeb51fba2116f810edb3742975142'), key_vault.lorawan_verify_join_accept(:'b11_key', '\x2023cf335489aae3183c0be0baa8dee5f3'),
       key_vault.lorawan_verify_join_accept(:'b11_key', :'b11_key', 255, '\x0807060504030201', 258, '\x207abeea06b02920f11c02d0348fcf1815'), key_vault.lorawan_verify_join_accept(:'b11_key', '\x207abeea06b02920f11c02d0348fcf1815');
-- JoinNonce 5704647 (570bc7), NetID 221101, DevAddr 02031980
SELECT key_vault.lorawan_encrypt_join_accept(:'b_key', '\x20c70b57011122801903020000'),
       key_vault.lorawan_encrypt_join_accept(:'b11_key', :'b11_key', 255, '\x0807060504030201', 258, '\x20010101020202040302018000');
SELECT v.*, key_vault.lorawan_verify_join_accept(:'b11_key', :'b11_key', kind, eui, nonce, '\x207abeea06b02920f11c02d0348fcf1815')
  FROM (VALUES (255, '\x0807060504030201'::bytea, 258), (0, '\x0807060504030201', 258), (1, '\x0807060504030201', 258), (2, '\x0807060504030201', 258), (255, '\x0102030405060708', 258), (255, '\x0807060504030201', 513)) v (kind, eui, nonce);
-- Two keys, a CFList, an answer to a rejoin-request
SELECT key_vault.lorawan_verify_join_accept(:'b_key', :'lp_key', 2, '\x0807060504030201', 65535, f), key_vault.lorawan_verify_join_accept(:'lp_key', :'b_key', 2, '\x0807060504030201', 65535, f),
       key_vault.lorawan_verify_join_accept(:'b_key', :'lp_key', 2, '\x0807060504030201', 0, f), length(f)
  FROM key_vault.lorawan_encrypt_join_accept(:'b_key', :'lp_key', 2, '\x0807060504030201', 65535, '\x20010101020202040302018000000102030405060708090a0b0c0d0e0f') f;
SELECT count(*) FROM generate_series(8, 135) bit WHERE key_vault.lorawan_verify_join_accept(:'b_key', set_bit('\x20493eeb51fba2116f810edb3742975142'::bytea, bit, 1 - get_bit('\x20493eeb51fba2116f810edb3742975142'::bytea, bit)));
-- Bound keys are for the DevAddr that a join-accept gives; where none is known they do.
SELECT key_vault.lorawan_verify_join_accept(key_vault.bind(:'b_key', '\x02031980'), '\x20493eeb51fba2116f810edb3742975142');
SELECT failure(format('SELECT key_vault.lorawan_verify_join_accept(%L, %L)', key_vault.bind(:'b_key', '\x02031981'), '\x20493eeb51fba2116f810edb3742975142')),
       failure(format('SELECT key_vault.lorawan_join_accept_mic(%L, %L)', key_vault.bind(:'b_key', '\x02031981'), '\x20c70b57011122801903020000')),
       failure(format('SELECT key_vault.lorawan_encrypt_join_accept(%L, %L)', key_vault.bind(:'b_key', '\x02031981'), '\x20c70b57011122801903020000'));
SELECT key_vault.lorawan_verify_join_accept(key_vault.bind(:'lp_key', '\x02031981'), '\x20493eeb51fba2116f810edb3742975142');
SELECT key_vault.lorawan_verify_rejoin_request(key_vault.bind(key, '\x01020304'), phy_payload) FROM mic_join WHERE source = 'stack, type 0';
-- What is no such frame
SELECT f, size, failure(format('SELECT key_vault.lorawan_%s(%L, %L)', f, :'s_key', substr(decode(m_hdr || repeat('00', 60), 'hex'), 1, size)))
  FROM (VALUES ('join_request_mic', '00', '{0,18,19,20}'::int[]), ('verify_join_request', '00', '{22,23,24}'), ('join_request_mic', 'c0', '{19}'), ('rejoin_request_mic', 'c000', '{0,1,14,15,16,20}'),
               ('rejoin_request_mic', 'c001', '{15,19,20,21}'), ('rejoin_request_mic', 'c003', '{15}'), ('verify_rejoin_request', 'c002', '{18,19,20,24}'), ('rejoin_request_mic', '00', '{15}'),
               ('join_accept_mic', '20', '{0,12,13,14,28,29,30}'), ('join_accept_mic', '21', '{13}'), ('verify_join_accept', '20', '{0,1,13,16,17,18,32,33,34}'), ('verify_join_accept', '60', '{17}'), ('encrypt_join_accept', '20', '{13,17}')) v (f, m_hdr, sizes), unnest(sizes) size
 WHERE (f, size) NOT IN (('encrypt_join_accept', 13));
SELECT failure(format('SELECT key_vault.lorawan_join_accept_mic(%L, %s, %L, %s, %L)', :'s_key', kind, eui, nonce, '\x20030201030201040302010001'))
  FROM (VALUES (3, '\x0807060504030201', 1), (-1, '\x0807060504030201', 1), (256, '\x0807060504030201', 1), (0, '\x08070605040302', 1), (0, '\x080706050403020100', 1), (0, '\x0807060504030201', -1), (0, '\x0807060504030201', 65536)) v (kind, eui, nonce);
SELECT key_vault.lorawan_join_request_mic(NULL, '\x00'), key_vault.lorawan_verify_join_accept(:'s_key', NULL), key_vault.lorawan_join_accept_mic(:'s_key', 255, NULL, 1, '\x00'), key_vault.lorawan_encrypt_join_accept(NULL, '\x00');

--
-- Who may: derive for MICs, decrypt for FOpts and sealed values, and neither for the other
--
CREATE ROLE regress_kv_mic;
SELECT key_vault.kek_grant('mic', 'regress_kv_mic', 'derive');
GRANT SELECT ON mic_session TO regress_kv_mic;
SET ROLE regress_kv_mic;
SELECT key_vault.lorawan_verify_uplink(:'bound', 2, :'frame'), key_vault.lorawan_verify_join_accept(:'b_key', '\x20493eeb51fba2116f810edb3742975142');
SELECT key_vault.lorawan_find_session(id, nwk_s_key, 2, :'frame') FROM mic_session;
SELECT failure(format('SELECT key_vault.lorawan_decrypt_uplink_f_opts(%L, %L, 0, %L)', :'f_opts_key', '\x01020304', '\x00')), failure(format('SELECT key_vault.lorawan_decrypt_uplink(%L, %L, 0, %L)', :'bound', '\x49be7df1', '\x00'));
RESET ROLE;
SELECT key_vault.kek_revoke('mic', 'regress_kv_mic', 'derive'), key_vault.kek_grant('mic', 'regress_kv_mic', 'decrypt');
SET ROLE regress_kv_mic;
SELECT key_vault.lorawan_decrypt_downlink_f_opts(:'f_opts_key', '\x01020304', 0, '\x22ac0a', 1);
-- a privilege that is missing stays an error in the aggregate
SELECT failure(format('SELECT key_vault.lorawan_find_session(id, nwk_s_key, 2, %L) FROM mic_session WHERE id = 1', :'frame')), failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 2, %L)', :'bound', :'frame')),
       failure(format('SELECT key_vault.lorawan_join_request_mic(%L, %L)', :'s_key', '\x00080706050403020108070605040302010201'));
RESET ROLE;
REVOKE SELECT ON mic_session FROM regress_kv_mic;
SELECT key_vault.kek_revoke('mic', 'regress_kv_mic', 'decrypt');
DROP ROLE regress_kv_mic;

-- A KEK that is suspended: an error in the functions, a candidate that does not fit in the aggregate.
SELECT key_vault.kek_suspend('mic', 1);
SELECT failure(format('SELECT key_vault.lorawan_verify_uplink(%L, 2, %L)', :'bound', :'frame'));
SELECT key_vault.lorawan_find_session(id, nwk_s_key, 2, :'frame') FROM mic_session;
SELECT key_vault.kek_resume('mic', 1);

DROP TABLE mic_f_opts, mic_data, mic_data_1_1, mic_session, mic_uplink, mic_many, mic_join;
DROP FUNCTION mic_key, mic_message;
