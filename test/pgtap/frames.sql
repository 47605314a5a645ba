--
-- LoRaWAN frames, MAC commands and frame counters.  Keys are needed only where a counter is used to decrypt.
--
-- The frames and their contents are from the tests of lora-packet
-- (github.com/anthonykirby/lora-packet, README.md, __tests__/parse_test.ts) and lorawan
-- (github.com/brocaar/lorawan, phypayload_test.go, payload_test.go, mac_commands_test.go).
--
\set ECHO none
\set QUIET 1
SET client_min_messages = error;
-- Frames are compared as text.
SET bytea_output = hex;
BEGIN;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS key_vault;
SELECT plan(79);

-- The message of an error, with its detail
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' / ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;

--
-- Frames
--
CREATE TEMP TABLE frame (name text, phy_payload bytea);
INSERT INTO frame VALUES
    ('README', '\x40F17DBE4900020001954378762B11FF0D'),
    ('empty payload', '\x40F17DBE49000300012A3518AF'),
    ('FOpts', '\x4004030201030000020305016a3798f5b64dc039'),
    ('FPort 0', '\x40040302010000000069369eee6aa508'),
    ('no port', '\x6004030201030000dfb4f1e24f1f9f'),
    ('all bits up', '\x8004030201f0ffffaabbccdd'),
    ('all bits down', '\xa004030201b0ffffaabbccdd'),
    ('join-request', '\x0039363463336913AA05693574323831338EF1C1D5EC6C'),
    ('join-accept', '\x20493eeb51fba2116f810edb3742975142'),
    ('rejoin 0', '\xc000030201100f0e0d0c0b0a09db0000000000'),
    ('rejoin 1', '\xc0010807060504030201100f0e0d0c0b0a09db00eac31072'),
    ('rejoin 2', '\xc0020302010807060504030201db003c8642ae'),
    ('proprietary', '\xe3010203');

CREATE FUNCTION pg_temp.parsed(frame text) RETURNS text LANGUAGE sql AS
$$SELECT key_vault.lorawan_parse(phy_payload)::text FROM frame f WHERE f.name = $1$$;

-- mtype, uplink, confirmed, dev_addr, adr, adr_ack_req, ack, class_b, f_pending,
-- f_cnt16, f_opts, f_port, frm_payload, mic, join_eui, dev_eui, dev_nonce,
-- rejoin_type, net_id, rj_count, body
SELECT is(pg_temp.parsed('README'), '("unconfirmed data uplink",t,f,"\\x49be7df1",f,f,f,f,,2,"\\x",1,"\\x95437876","\\x2b11ff0d",,,,,,,)', 'data uplink');
SELECT is(pg_temp.parsed('empty payload'), '("unconfirmed data uplink",t,f,"\\x49be7df1",f,f,f,f,,3,"\\x",1,"\\x","\\x2a3518af",,,,,,,)', 'FPort and an empty payload');
SELECT is(pg_temp.parsed('FOpts'), '("unconfirmed data uplink",t,f,"\\x01020304",f,f,f,f,,0,"\\x020305",1,"\\x6a3798f5","\\xb64dc039",,,,,,,)', 'FOpts');
SELECT is(pg_temp.parsed('FPort 0'), '("unconfirmed data uplink",t,f,"\\x01020304",f,f,f,f,,0,"\\x",0,"\\x69369e","\\xee6aa508",,,,,,,)', 'FPort 0');
SELECT is(pg_temp.parsed('no port'), '("unconfirmed data downlink",f,f,"\\x01020304",f,,f,,f,0,"\\xdfb4f1",,,"\\xe24f1f9f",,,,,,,)', 'data downlink, no FPort');
SELECT is(pg_temp.parsed('all bits up'), '("confirmed data uplink",t,t,"\\x01020304",t,t,t,t,,65535,"\\x",,,"\\xaabbccdd",,,,,,,)', 'bits of an uplink');
SELECT is(pg_temp.parsed('all bits down'), '("confirmed data downlink",f,t,"\\x01020304",t,,t,,t,65535,"\\x",,,"\\xaabbccdd",,,,,,,)', 'bits of a downlink');
SELECT is(pg_temp.parsed('join-request'), '(join-request,t,,,,,,,,,,,,"\\xc1d5ec6c","\\xaa13693363343639","\\x3331383274356905",61838,,,,)', 'join-request');
SELECT is(pg_temp.parsed('join-accept'), '(join-accept,f,,,,,,,,,,,,,,,,,,,"\\x493eeb51fba2116f810edb3742975142")', 'join-accept');
SELECT is(pg_temp.parsed('rejoin 0'), '(rejoin-request,t,,,,,,,,,,,,"\\x00000000",,"\\x090a0b0c0d0e0f10",,0,"\\x010203",219,)', 'rejoin-request of type 0');
SELECT is(pg_temp.parsed('rejoin 1'), '(rejoin-request,t,,,,,,,,,,,,"\\xeac31072","\\x0102030405060708","\\x090a0b0c0d0e0f10",,1,,219,)', 'rejoin-request of type 1');
SELECT is(pg_temp.parsed('rejoin 2'), '(rejoin-request,t,,,,,,,,,,,,"\\x3c8642ae",,"\\x0102030405060708",,2,"\\x010203",219,)', 'rejoin-request of type 2');
SELECT is(pg_temp.parsed('proprietary'), '(proprietary,,,,,,,,,,,,,,,,,,,,"\\x010203")', 'proprietary frame');
SELECT is(key_vault.lorawan_parse(NULL), NULL, 'NULL');

SELECT is(pg_temp.failure(format('SELECT key_vault.lorawan_parse(%L)', frame)), expected, name)
  FROM (VALUES
    ('empty', '\x', 'KV301 / malformed LoRaWAN frame: MHDR at offset 0 / It is cut off by the frame''s end.'),
    ('one byte', '\x40', 'KV301 / malformed LoRaWAN frame: DevAddr at offset 1 / It is cut off by the frame''s end.'),
    ('one byte less', '\x4004030201000000aabbcc', 'KV301 / malformed LoRaWAN frame: MIC at offset 8 / It is cut off by the frame''s end.'),
    ('another Major', '\x4104030201000000aabbccdd', 'KV301 / malformed LoRaWAN frame: MHDR at offset 0 / It has a Major other than 0, LoRaWAN R1.'),
    ('FOptsLen', '\x40040302010f0000aabbccdd', 'KV301 / malformed LoRaWAN frame: FOpts at offset 8 / It is cut off by the frame''s end.'),
    ('MAC commands in two places', '\x400403020101000002000102030405', 'KV301 / malformed LoRaWAN frame: FPort at offset 9 / It is 0, for MAC commands in FRMPayload, but there are MAC commands in FOpts, too.'),
    ('long join-request', '\x0039363463336913AA05693574323831338EF1C1D5EC6C00', 'KV301 / malformed LoRaWAN frame: PHYPayload at offset 23 / It goes on after the MIC.'),
    ('join-accept', '\x20493eeb51fba2116f810edb374297514242', 'KV301 / malformed LoRaWAN frame: MACPayload at offset 1 / It has neither the 16 nor the 32 bytes of a join-accept.'),
    ('rejoin type 3', '\xc003030201100f0e0d0c0b0a09db0000000000', 'KV301 / malformed LoRaWAN frame: RejoinType at offset 1 / It is not 0, 1 or 2.'),
    ('too long', '\x40' || repeat('00', 255), 'KV301 / malformed LoRaWAN frame: PHYPayload at offset 255 / It goes beyond 255 bytes, the longest PHYPayload.')) v (name, frame, expected);
SELECT is(length((key_vault.lorawan_parse(decode('40' || repeat('00', 254), 'hex'))).frm_payload), 242, 'the longest frame');
SELECT is(pg_temp.failure($$SELECT key_vault.lorawan_parse(decode(repeat('40', 1000000), 'hex'))$$) LIKE 'KV301 / % offset 255 / %', true, 'a million bytes');

-- Frames that are read from tables: short ones, compressed ones, ones stored out of line; with an index; in parallel
-- workers.
CREATE TABLE stored (n serial, phy_payload bytea,
                     dev_addr bytea GENERATED ALWAYS AS ((key_vault.lorawan_parse(phy_payload)).dev_addr) STORED);
INSERT INTO stored (phy_payload) SELECT phy_payload FROM frame, generate_series(1, 2000);
CREATE INDEX ON stored (((key_vault.lorawan_parse(phy_payload)).f_cnt16));
SELECT is(count(*), 4000::bigint, 'a generated column') FROM stored WHERE dev_addr = '\x49be7df1';
ANALYZE stored;
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL max_parallel_workers_per_gather = 2;
CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
        plan := plan || line || E'\n';
    END LOOP;
    RETURN plan;
END
$$;
SELECT matches(pg_temp.plan_of('SELECT count(*) FROM stored, key_vault.lorawan_parse(phy_payload) f WHERE f.f_cnt16 = 65535'), 'Parallel Seq Scan', 'parsing runs in parallel workers');
SELECT is((SELECT count(*) FROM stored, key_vault.lorawan_parse(phy_payload) f WHERE f.f_cnt16 = 65535), 4000::bigint, 'of many rows');

--
-- Frames built from their fields
--
SELECT is(array_agg(name ORDER BY name) FILTER (WHERE built IS DISTINCT FROM phy_payload), NULL, 'frames are built again')
  FROM (SELECT name, phy_payload,
               CASE WHEN f.rejoin_type IS NOT NULL THEN
                        key_vault.lorawan_build_rejoin_request(f.rejoin_type, f.net_id, f.join_eui, f.dev_eui, f.rj_count)
                    WHEN f.dev_nonce IS NOT NULL THEN
                        key_vault.lorawan_build_join_request(f.join_eui, f.dev_eui, f.dev_nonce)
                    WHEN f.uplink THEN
                        key_vault.lorawan_build_uplink(f.dev_addr, f.f_cnt16, f.f_port, f.frm_payload, f.f_opts, f.confirmed, f.adr, f.ack, f.adr_ack_req, f.class_b)
                    ELSE
                        key_vault.lorawan_build_downlink(f.dev_addr, f.f_cnt16, f.f_port, f.frm_payload, f.f_opts, f.confirmed, f.adr, f.ack, f.f_pending)
               END || f.mic AS built
          FROM frame, key_vault.lorawan_parse(phy_payload) f
         WHERE f.mic IS NOT NULL) b;
SELECT is(key_vault.lorawan_build_uplink('\x49be7df1', 2, 1, '\x95437876'), '\x40F17DBE490002000195437876', 'an uplink up to its MIC');
SELECT is(key_vault.lorawan_build_uplink('\x49be7df1', 65538, 1, '\x95437876'), '\x40F17DBE490002000195437876', 'of a full counter the low half is sent');
SELECT is(key_vault.lorawan_build_uplink('\x49be7df1', 4294967295), '\x40F17DBE4900ffff', 'without FPort');
SELECT is(key_vault.lorawan_build_uplink('\x49be7df1', 0, 255, ''), '\x40F17DBE49000000ff', 'an empty payload');
SELECT is(key_vault.lorawan_build_uplink('\x49be7df1', 0, 1, NULL), NULL, 'a payload that is NULL gives no frame');
SELECT is(key_vault.lorawan_build_downlink('\x49be7df1', 0, f_pending => NULL), NULL, 'NULL');
SELECT is(length(key_vault.lorawan_build_uplink('\x49be7df1', 0, 1, decode(repeat('00', 242), 'hex'))), 251, 'the longest message');
-- payload_test.go
SELECT is(key_vault.lorawan_build_join_accept(65793, '\x020202', '\x01020304', 6, 7, 9), '\x20010101020202040302016709', 'join-accept');
SELECT is(key_vault.lorawan_build_join_accept(65793, '\x020202', '\x01020304', 6, 7, 9, '\x184f84e85684b85e84886684586e8400'),
          '\x20010101020202040302016709184f84e85684b85e84886684586e8400', 'join-accept with a CFList');
SELECT is(key_vault.lorawan_build_join_accept(3615544, '\xaabbcc', '\x012ccde7', 7, 15, 0, opt_neg => true), '\x20382b37ccbbaae7cd2c01ff00', 'join-accept of LoRaWAN 1.1');

SELECT is(pg_temp.failure('SELECT key_vault.lorawan_build_' || call), expected, call)
  FROM (VALUES
    ($$uplink('\x49be7d', 0)$$, '22023 / dev_addr must have 4 bytes, not 3'),
    ($$uplink('\x49be7df1', -1)$$, '22003 / f_cnt must be from 0 to 4294967295, not -1'),
    ($$uplink('\x49be7df1', 4294967296)$$, '22003 / f_cnt must be from 0 to 4294967295, not 4294967296'),
    ($$uplink('\x49be7df1', 0, 256, '')$$, '22003 / f_port must be from 0 to 255, not 256'),
    ($$uplink('\x49be7df1', 0, NULL, '\x00')$$, '22004 / f_port must not be NULL where there is an frm_payload'),
    ($$uplink('\x49be7df1', 0, 0, '\x02', '\x02')$$, '22023 / no such LoRaWAN frame: FPort at offset 9 / It is 0, for MAC commands in FRMPayload, but there are MAC commands in FOpts, too.'),
    ($$downlink('\x49be7df1', 0, f_opts => '\x00112233445566778899aabbccddeeff')$$, '22023 / no such LoRaWAN frame: FOpts at offset 8 / It has more than 15 bytes.'),
    ($$downlink('\x49be7df1', 0, 1, decode(repeat('00', 243), 'hex'))$$, '22023 / no such LoRaWAN frame: FRMPayload at offset 9 / It goes beyond 255 bytes, the longest PHYPayload.'),
    ($$join_request('\x00', '\x0102030405060708', 1)$$, '22023 / join_eui must have 8 bytes, not 1'),
    ($$join_request('\x0102030405060708', '\x0102030405060708', 65536)$$, '22003 / dev_nonce must be from 0 to 65535, not 65536'),
    ($$rejoin_request(3, '\x010203', NULL, '\x0102030405060708', 1)$$, '22003 / rejoin_type must be from 0 to 2, not 3'),
    ($$rejoin_request(0, '\x010203', '\x0102030405060708', '\x0102030405060708', 1)$$, '22023 / a rejoin-request of type 0 has no join_eui'),
    ($$rejoin_request(1, '\x010203', '\x0102030405060708', '\x0102030405060708', 1)$$, '22023 / a rejoin-request of type 1 has no net_id'),
    ($$join_accept(16777216, '\x010203', '\x01020304')$$, '22003 / join_nonce must be from 0 to 16777215, not 16777216'),
    ($$join_accept(1, '\x010203', '\x01020304', 8)$$, '22003 / rx1_dr_offset must be from 0 to 7, not 8'),
    ($$join_accept(1, '\x010203', '\x01020304', cf_list => '\x00')$$, '22023 / cf_list must have 16 bytes, not 1')) v (call, expected);

--
-- MAC commands
--
SELECT results_eq(
    $$SELECT n, "offset", cid, name, fields FROM key_vault.lorawan_mac_commands('\x0312040045060d0100000002053b010204', false)$$,
    $$VALUES (1, 0, 3, 'LinkADRReq', '{"data_rate": 1, "tx_power": 2, "ch_mask": 4, "ch_mask_cntl": 4, "nb_trans": 5}'::jsonb),
             (2, 5, 6, 'DevStatusReq', NULL),
             (3, 6, 13, 'DeviceTimeAns', '{"gps_seconds": 1, "fraction": 2}'),
             (4, 12, 5, 'RXParamSetupReq', '{"rx1_dr_offset": 3, "rx2_data_rate": 11, "frequency": 26265700}')$$,
    'MAC commands of a downlink');
SELECT results_eq(
    $$SELECT name, fields FROM key_vault.lorawan_mac_commands('\x030206002202', true)$$,
    $$VALUES ('LinkADRAns', '{"channel_mask_ack": false, "data_rate_ack": true, "power_ack": false}'::jsonb),
             ('DevStatusAns', '{"battery": 0, "margin": -30}'), ('LinkCheckReq', NULL)$$,
    'MAC commands of an uplink');
SELECT is((SELECT count(*) FROM key_vault.lorawan_mac_commands('', true)), 0::bigint, 'no MAC commands');
SELECT is((SELECT count(*) FROM key_vault.lorawan_mac_commands(NULL, true)), 0::bigint, 'MAC commands: NULL');
SELECT is(pg_temp.failure($$SELECT * FROM key_vault.lorawan_mac_commands('\x0206ff', true)$$), 'KV301 / malformed MAC commands: DevStatusAns at offset 1 / It is cut off by the end of the commands.', 'a command cut off');
SELECT is(pg_temp.failure($$SELECT * FROM key_vault.lorawan_mac_commands('\x0280', true)$$), 'KV301 / malformed MAC commands: CID at offset 1 / It is none of LoRaWAN 1.0 or 1.1 in this direction.', 'an unknown command');

--
-- Counters
--
SELECT results_eq(
    $$SELECT key_vault.lorawan_full_f_cnt(65535, 0), key_vault.lorawan_full_f_cnt(65530, 16379), key_vault.lorawan_full_f_cnt(65530, 16379, 16385),
             key_vault.lorawan_full_f_cnt(4294967295, 65535), key_vault.lorawan_full_f_cnt(4294967295, 0), key_vault.lorawan_full_f_cnt(NULL, 0)$$,
    $$VALUES (65536::bigint, NULL::bigint, 81915::bigint, 4294967295::bigint, NULL::bigint, NULL::bigint)$$,
    'full counters');
SELECT is(pg_temp.failure('SELECT key_vault.lorawan_full_f_cnt(4294967296, 0)'), '22003 / last must be from 0 to 4294967295, not 4294967296', 'last');
SELECT is(pg_temp.failure('SELECT key_vault.lorawan_full_f_cnt(0, 65536)'), '22003 / f_cnt16 must be from 0 to 65535, not 65536', 'f_cnt16');
SELECT is(pg_temp.failure('SELECT key_vault.lorawan_full_f_cnt(0, 0, -1)'), '22003 / max_gap must be from 0 to 65535, not -1', 'max_gap');

CREATE TEMP TABLE received (session text, n integer, f_cnt16 integer, expected bigint);
INSERT INTO received VALUES
    ('a', 1, 65000, 65000), ('a', 2, 65535, 65535), ('a', 3, 65535, 65535), ('a', 4, NULL, NULL), ('a', 5, 2, 65538),
    ('a', 6, 65535, NULL), ('a', 7, 3, 65539), ('a', 8, 16388, NULL), ('a', 9, 16387, 81923),
    ('b', 1, 5, 5), ('b', 2, 4, NULL), ('b', 3, 6, 6),
    ('c', 1, NULL, NULL), ('c', 2, 7, 7);
SELECT is((SELECT count(*) FROM (SELECT *, key_vault.lorawan_f_cnt(f_cnt16) OVER (PARTITION BY session ORDER BY n) AS f_cnt FROM received) f WHERE f_cnt IS DISTINCT FROM expected),
          0::bigint, 'full counters of stored frames');
-- A row's own counter depends neither on the frame clause of the window nor on rows received at the same time.
SELECT is((SELECT array_agg(DISTINCT f_cnt - f_cnt16) FROM (SELECT f_cnt16, key_vault.lorawan_f_cnt(f_cnt16) OVER (ORDER BY n / 100) AS f_cnt
                                                          FROM (SELECT n, n % 65536 AS f_cnt16 FROM generate_series(0, 199999) n ORDER BY n) s) f),
          '{0,65536,131072,196608}'::bigint[], 'rows received at the same time');
SELECT is((SELECT count(*) FROM (SELECT n, key_vault.lorawan_f_cnt(n % 65536) OVER (ORDER BY n ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS f_cnt FROM generate_series(0, 199999) n) f WHERE f_cnt IS DISTINCT FROM n),
          0::bigint, 'any frame clause');
SELECT is((SELECT array_agg(f_cnt ORDER BY n) FROM (SELECT n, key_vault.lorawan_f_cnt(f_cnt16, last => 131071) OVER (ORDER BY n) AS f_cnt FROM (VALUES (1, 5), (2, 6)) v (n, f_cnt16)) f),
          '{131077,131078}', 'the last counter before the first row');
SELECT is((SELECT array_agg(f_cnt ORDER BY n) FROM (SELECT n, key_vault.lorawan_f_cnt(f_cnt16, 10) OVER (ORDER BY n) AS f_cnt FROM (VALUES (1, 5), (2, 15), (3, 26)) v (n, f_cnt16)) f),
          '{5,15,NULL}', 'the gap');
SELECT is(pg_temp.failure('SELECT key_vault.lorawan_f_cnt(65536) OVER ()'), '22003 / f_cnt16 must be from 0 to 65535, not 65536', 'f_cnt16 of a window');
SELECT is(pg_temp.failure('SELECT key_vault.lorawan_f_cnt(1, last => -1) OVER ()'), '22003 / last must be from 0 to 4294967295, not -1', 'last of a window');

-- Past 65535, payloads that are decrypted with the 16 bits of the frame are garbage; with full counters they are
-- right.
SELECT key_vault.kek_create('frames') \g /dev/null
CREATE TEMP TABLE session AS SELECT '\x260b1234'::bytea AS dev_addr, key_vault.generate_key('frames') AS key;
CREATE TEMP TABLE uplink AS
SELECT n, key_vault.lorawan_build_uplink(dev_addr, n, 2, key_vault.lorawan_encrypt_uplink(key, dev_addr, n, int4send(n))) || '\x00000000' AS phy_payload
  FROM session, generate_series(65530, 65545) n;
CREATE TEMP VIEW reading AS
SELECT u.n, key_vault.lorawan_decrypt_uplink(s.key, f.dev_addr, f.f_cnt16, f.frm_payload) AS with_16_bits,
       key_vault.lorawan_decrypt_uplink(s.key, f.dev_addr, f.f_cnt, f.frm_payload) AS payload
  FROM (SELECT u.n, f.*, key_vault.lorawan_f_cnt(f.f_cnt16) OVER (PARTITION BY f.dev_addr ORDER BY u.n) AS f_cnt
          FROM uplink u, key_vault.lorawan_parse(u.phy_payload) f) f
  JOIN uplink u USING (n) JOIN session s USING (dev_addr);
SELECT is((SELECT count(*) FROM reading WHERE payload IS DISTINCT FROM int4send(n)), 0::bigint, 'full counters decrypt past 65535');
SELECT is((SELECT min(n) FROM reading WHERE with_16_bits IS DISTINCT FROM int4send(n)), 65536, '16 bits do not');

-- A whole frame, made of its payload: the frame of lora-packet's README, with its keys and the payload "test".
SELECT is((SELECT m.message || key_vault.lorawan_uplink_mic(key_vault.wrap('\x44024241ed4ce9a68c6a8bc055233fd3', 'frames'), 2, m.message)
             FROM key_vault.lorawan_build_uplink('\x49be7df1', 2, 1,
                      key_vault.lorawan_encrypt_uplink(key_vault.wrap('\xec925802ae430ca77fd3dd73cb2cc588', 'frames'), '\x49be7df1', 2, 'test')) AS m (message)),
          '\x40F17DBE4900020001954378762B11FF0D', 'a whole frame');

--
-- Everyone may call all of these functions, with any search_path.
--
CREATE ROLE key_vault_nobody;
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.length(bytea) RETURNS integer LANGUAGE sql AS 'SELECT 1/0';
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
SET LOCAL search_path = hostile, public, pg_catalog;
SET LOCAL ROLE key_vault_nobody;
SELECT is((key_vault.lorawan_parse('\x40F17DBE4900020001954378762B11FF0D')).f_cnt16, 2, 'for everyone: lorawan_parse');
SELECT is((SELECT pg_catalog.count(*) FROM key_vault.lorawan_mac_commands('\x02', true)), 1::bigint, 'for everyone: lorawan_mac_commands');
SELECT is(key_vault.lorawan_f_cnt(1) OVER (), 1::bigint, 'for everyone: lorawan_f_cnt');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
