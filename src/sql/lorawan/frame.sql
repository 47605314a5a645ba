-- LoRaWAN frames and counters.  These functions use no key, and need no privilege.

CREATE OR REPLACE FUNCTION key_vault.lorawan_parse(phy_payload bytea)
RETURNS key_vault.lorawan_frame AS 'MODULE_PATHNAME', 'key_vault_lorawan_parse'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_parse(bytea) IS
'parses a LoRaWAN frame, a PHYPayload of at most 255 bytes with its MIC (LoRaWAN L2 1.0.4 and 1.1, sections 4 and 6.2); nothing is decrypted, and no MIC is checked. Reserved bits are ignored. Error KV301, with the field and its offset, for a malformed frame. Call it in FROM, so that it runs once for each row: FROM uplink, key_vault.lorawan_parse(phy_payload) AS f';

CREATE OR REPLACE FUNCTION key_vault.lorawan_mac_commands(
    commands bytea, uplink boolean,
    OUT n integer, OUT "offset" integer, OUT cid integer, OUT name text, OUT fields jsonb)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'key_vault_lorawan_mac_commands'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10 ROWS 3;
COMMENT ON FUNCTION key_vault.lorawan_mac_commands(bytea, boolean) IS
'lists the MAC commands of FOpts or of an FRMPayload with FPort 0, in the clear (LoRaWAN L2 1.0.x and 1.1, section 5, and 1.1, sections 14 and 18), of an uplink or of a downlink: number from 1, offset in bytes, CID, name, and fields, NULL if it has none; frequencies are in Hz, gps_seconds since 1980-01-06 00:00:00 UTC in GPS time, fraction in 1/256 s. Error KV301 for an unknown or cut off command';

CREATE OR REPLACE FUNCTION key_vault.lorawan_build_uplink(
    dev_addr bytea, f_cnt bigint, f_port integer DEFAULT NULL, frm_payload bytea DEFAULT NULL,
    f_opts bytea DEFAULT '', confirmed boolean DEFAULT false, adr boolean DEFAULT false,
    ack boolean DEFAULT false, adr_ack_req boolean DEFAULT false, class_b boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_uplink'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_uplink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean, boolean) IS
'makes a data uplink up to its MIC (LoRaWAN L2 1.0.4 and 1.1, sections 4.2 and 4.3), at most 251 bytes: what the MIC is calculated over, and appended to; dev_addr: 4 bytes, big-endian; f_cnt: the full counter, 0 to 4294967295, whose low 16 bits are sent; frm_payload: encrypted, and f_port 0 to 255, or both NULL for a frame without them; f_opts: 0 to 15 bytes, encrypted in LoRaWAN 1.1. NULL if another argument is, or frm_payload where f_port is not';

CREATE OR REPLACE FUNCTION key_vault.lorawan_build_downlink(
    dev_addr bytea, f_cnt bigint, f_port integer DEFAULT NULL, frm_payload bytea DEFAULT NULL,
    f_opts bytea DEFAULT '', confirmed boolean DEFAULT false, adr boolean DEFAULT false,
    ack boolean DEFAULT false, f_pending boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_downlink'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_downlink(bytea, bigint, integer, bytea, bytea, boolean, boolean, boolean, boolean) IS
'makes a data downlink up to its MIC (LoRaWAN L2 1.0.4 and 1.1, sections 4.2 and 4.3), at most 251 bytes: what the MIC is calculated over, and appended to; dev_addr: 4 bytes, big-endian; f_cnt: the full counter, 0 to 4294967295, whose low 16 bits are sent; frm_payload: encrypted, and f_port 0 to 255, or both NULL for a frame without them; f_opts: 0 to 15 bytes, encrypted in LoRaWAN 1.1. NULL if another argument is, or frm_payload where f_port is not';

CREATE OR REPLACE FUNCTION key_vault.lorawan_build_join_request(join_eui bytea, dev_eui bytea, dev_nonce integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_join_request'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_join_request(bytea, bytea, integer) IS
'makes a join-request up to its MIC, 19 bytes (LoRaWAN L2 1.0.4, 6.2.5; 1.1, 6.2.2); EUIs: 8 bytes, big-endian; dev_nonce: 0 to 65535';

CREATE OR REPLACE FUNCTION key_vault.lorawan_build_rejoin_request(
    rejoin_type integer, net_id bytea, join_eui bytea, dev_eui bytea, rj_count integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_rejoin_request'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_rejoin_request(integer, bytea, bytea, bytea, integer) IS
'makes a rejoin-request up to its MIC (LoRaWAN L2 1.1, 6.2.4): types 0 and 2 with net_id (3 bytes), 15 bytes in all; type 1 with join_eui (8 bytes), 20 in all; the other one is NULL; big-endian; rj_count: 0 to 65535. NULL if an argument that the type needs is NULL';

CREATE OR REPLACE FUNCTION key_vault.lorawan_build_join_accept(
    join_nonce integer, net_id bytea, dev_addr bytea, rx1_dr_offset integer DEFAULT 0,
    rx2_data_rate integer DEFAULT 0, rx_delay integer DEFAULT 1, cf_list bytea DEFAULT '',
    opt_neg boolean DEFAULT false)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_lorawan_build_join_accept'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_build_join_accept(integer, bytea, bytea, integer, integer, integer, bytea, boolean) IS
'makes a join-accept up to its MIC and before its encryption, 13 bytes, or 29 with a CFList (LoRaWAN L2 1.0.4, 6.2.6; 1.1, 6.2.3); join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4 bytes, both big-endian; rx1_dr_offset: 0 to 7; rx2_data_rate, rx_delay: 0 to 15; cf_list: 16 bytes as they are sent, or empty; opt_neg: LoRaWAN 1.1';

CREATE OR REPLACE FUNCTION key_vault.lorawan_full_f_cnt(last bigint, f_cnt16 integer, max_gap integer DEFAULT 16384)
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_lorawan_full_f_cnt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_full_f_cnt(bigint, integer, integer) IS
'the full 32-bit counter of a frame that carries f_cnt16 and comes after one with the counter last, or repeats it (LoRaWAN L2 1.0.x, 4.3.1.5). NULL if that is more than max_gap above last (0 to 65535; by default MAX_FCNT_GAP of LoRaWAN 1.0.x), as it is for a frame that is older than last, too, or if it is beyond 4294967295';

CREATE OR REPLACE FUNCTION key_vault.lorawan_f_cnt(f_cnt16 integer, max_gap integer DEFAULT 16384, last bigint DEFAULT NULL)
RETURNS bigint AS 'MODULE_PATHNAME', 'key_vault_lorawan_f_cnt'
LANGUAGE C IMMUTABLE WINDOW PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.lorawan_f_cnt(integer, integer, bigint) IS
'window function: the full 32-bit counters of stored frames. From the counter of the row before and the f_cnt16 of a row it finds the row''s counter, as lorawan_full_f_cnt does: lorawan_f_cnt(f_cnt16) OVER (PARTITION BY session, direction ORDER BY received_at). The first row of a partition comes after the counter last or, without it, is taken to be one of the first 65536 frames. NULL for a row that is too far ahead; such a row does not count as the row before';
