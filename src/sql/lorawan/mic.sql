-- LoRaWAN: FOpts and message integrity codes
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.lorawan_decrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

-- Not strict: f_port is NULL in frames without an FPort.
CREATE FUNCTION key_vault.lorawan_decrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

-- Data frames: of LoRaWAN 1.0 with one key, of 1.1 with the keys and values that its MICs take.
CREATE FUNCTION key_vault.lorawan_uplink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_uplink_mic(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_uplink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_downlink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_downlink_mic(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_downlink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_uplink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_uplink(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_uplink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_verify_downlink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_downlink(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_downlink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

-- Which of the sessions that share a DevAddr sent a frame.
CREATE FUNCTION key_vault.lorawan_find_session_step(found anyelement, session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME'
LANGUAGE C STABLE PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_find_session_step(
    found anyelement, session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME', 'lorawan_find_session_step_1_1'
LANGUAGE C STABLE PARALLEL SAFE COST 20;

CREATE AGGREGATE key_vault.lorawan_find_session(session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea) (
    SFUNC = key_vault.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);

CREATE AGGREGATE key_vault.lorawan_find_session(
    session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea) (
    SFUNC = key_vault.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);

-- Joins and rejoins
CREATE FUNCTION key_vault.lorawan_join_request_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_join_request(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_rejoin_request_mic(key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_rejoin_request(key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_join_accept_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_join_accept_mic(js_int_key key_vault.wrapped_key, join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_verify_join_accept(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_verify_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_encrypt_join_accept(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

CREATE FUNCTION key_vault.lorawan_encrypt_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_encrypt_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;

-- What many of them have in common is written once.
DO $$
DECLARE
    f record;
    f_cnt constant text := '. f_cnt: the full 32-bit counter, 0 to 4294967295, an error where its low 16 bits are not the frame''s';
    v1_1 constant text := '. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which 16 bits go in; it counts only where the frame''s ACK bit is set, so that 0 will do elsewhere';
    tx constant text := '. tx_dr, tx_ch: data rate and channel index of the transmission, 0 to 255';
    accept constant text := '. join_req_type: 255 where it answers a join-request, else the type of the rejoin-request, 0 to 2; join_eui: 8 bytes, big-endian; dev_nonce: 0 to 65535, DevNonce of the join-request or RJcount of the rejoin-request';
    message constant text := '. message: the PHYPayload from MHDR on, without the MIC; phy_payload: with it';
BEGIN
    FOR f IN SELECT p.oid::regprocedure AS name, p.prokind, c.comment
               FROM pg_proc p
               JOIN (VALUES
                    ('lorawan_decrypt_uplink_f_opts', 4, 'decrypts the FOpts of an uplink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295'),
                    ('lorawan_encrypt_uplink_f_opts', 4, 'encrypts FOpts as lorawan_decrypt_uplink_f_opts decrypts them'),
                    ('lorawan_decrypt_downlink_f_opts', 5, 'decrypts the FOpts of a downlink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; f_port: the frame''s FPort, NULL if it has none, which tells AFCntDown (above 0) from NFCntDown'),
                    ('lorawan_encrypt_downlink_f_opts', 5, 'encrypts FOpts as lorawan_decrypt_downlink_f_opts decrypts them'),
                    ('lorawan_uplink_mic', 3, 'the MIC, 4 bytes, of an uplink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4); of a device of LoRaWAN 1.1 in a network of 1.0 with FNwkSIntKey' || message || f_cnt),
                    ('lorawan_uplink_mic', 7, 'the MIC, 4 bytes, of an uplink of LoRaWAN 1.1: half of it CMAC(SNwkSIntKey, B1 | message), half CMAC(FNwkSIntKey, B0 | message) (L2 1.1, section 4.4)' || message || f_cnt || v1_1 || tx),
                    ('lorawan_downlink_mic', 3, 'the MIC, 4 bytes, of a downlink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4)' || message || f_cnt),
                    ('lorawan_downlink_mic', 4, 'the MIC, 4 bytes, of a downlink of LoRaWAN 1.1: CMAC(SNwkSIntKey, B0 | message) (L2 1.1, section 4.4)' || message || f_cnt || v1_1),
                    ('lorawan_verify_uplink', 3, 'whether the MIC of an uplink of LoRaWAN 1.0 fits; see lorawan_uplink_mic' || message || f_cnt),
                    ('lorawan_verify_uplink', 7, 'whether the MIC of an uplink of LoRaWAN 1.1 fits; see lorawan_uplink_mic' || message || f_cnt || v1_1 || tx),
                    ('lorawan_verify_downlink', 3, 'whether the MIC of a downlink of LoRaWAN 1.0 fits; see lorawan_downlink_mic' || message || f_cnt),
                    ('lorawan_verify_downlink', 4, 'whether the MIC of a downlink of LoRaWAN 1.1 fits; see lorawan_downlink_mic' || message || f_cnt || v1_1),
                    ('lorawan_find_session', 4, 'aggregate: the session, of those that share a DevAddr, that an uplink of LoRaWAN 1.0 fits: the first argument of the row for which lorawan_verify_uplink is true. NULL if there is none, an error if there are several that differ. Rows with a NULL, and those whose key cannot be used (see key_status), do not fit'),
                    ('lorawan_find_session', 8, 'aggregate: the same for uplinks of LoRaWAN 1.1'),
                    ('lorawan_find_session_step', 5, 'the step of the aggregate lorawan_find_session for LoRaWAN 1.0'),
                    ('lorawan_find_session_step', 9, 'the step of the aggregate lorawan_find_session for LoRaWAN 1.1'),
                    ('lorawan_join_request_mic', 2, 'the MIC, 4 bytes, of a join-request: CMAC(AppKey (LoRaWAN 1.0) or NwkKey (1.1), message) (L2 1.0.4 and 1.1, section 6.2). message: 19 bytes, the PHYPayload without the MIC'),
                    ('lorawan_verify_join_request', 2, 'whether the MIC of a join-request fits; see lorawan_join_request_mic. phy_payload: 23 bytes'),
                    ('lorawan_rejoin_request_mic', 2, 'the MIC, 4 bytes, of a rejoin-request: CMAC(key, message), the key being SNwkSIntKey for types 0 and 2, JSIntKey for type 1 (L2 1.1, section 6.2.4). message: the PHYPayload without the MIC, 15 bytes, 20 of type 1. It has no DevAddr that a bound key could be checked against'),
                    ('lorawan_verify_rejoin_request', 2, 'whether the MIC of a rejoin-request fits; see lorawan_rejoin_request_mic. phy_payload: 19 bytes, 24 of type 1'),
                    ('lorawan_join_accept_mic', 2, 'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.0: CMAC(AppKey, message) (L2 1.0.4, section 6.2); with NwkKey where the device is of LoRaWAN 1.1 and OptNeg not set. message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList'),
                    ('lorawan_join_accept_mic', 5, 'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.1: CMAC(JSIntKey, join_req_type | JoinEUI | DevNonce | message) (L2 1.1, section 6.2.3). message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList' || accept),
                    ('lorawan_verify_join_accept', 2, 'whether the MIC of a join-accept of LoRaWAN 1.0, encrypted as on the air, fits; see lorawan_join_accept_mic. phy_payload: 17 bytes, 33 with a CFList'),
                    ('lorawan_verify_join_accept', 6, 'whether the MIC of a join-accept of LoRaWAN 1.1, encrypted as on the air, fits; see lorawan_join_accept_mic. encryption_key: NwkKey, or JSEncKey where it answers a rejoin-request; phy_payload: 17 bytes, 33 with a CFList' || accept),
                    ('lorawan_encrypt_join_accept', 2, 'the PHYPayload on the air of a join-accept of LoRaWAN 1.0: with its MIC, and encrypted (L2 1.0.4, section 6.2). message: as for lorawan_join_accept_mic'),
                    ('lorawan_encrypt_join_accept', 6, 'the PHYPayload on the air of a join-accept of LoRaWAN 1.1: with its MIC, and encrypted (L2 1.1, section 6.2.3). encryption_key: NwkKey, or JSEncKey where it answers a rejoin-request; message: as for lorawan_join_accept_mic' || accept)
                    ) AS c (name, arguments, comment) ON c.name = p.proname AND c.arguments = p.pronargs
              WHERE p.pronamespace = 'key_vault'::regnamespace
    LOOP
        EXECUTE format('COMMENT ON %s %s IS %L', CASE f.prokind WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END, f.name,
            f.comment || CASE WHEN f.prokind = 'a' THEN '' ELSE '; NULL if an argument is' || CASE WHEN f.comment ~ 'f_port' THEN ' (f_port excepted)' ELSE '' END END
                      || '; takes the privilege ' || CASE WHEN f.name::text ~ 'f_opts' THEN 'decrypt' ELSE 'derive' END);
    END LOOP;
END
$$;

------------------------------------------------------------------------------
