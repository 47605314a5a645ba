-- Message integrity codes (MICs) of data frames, and finding the session that has sent a frame.

-- For data frames of LoRaWAN 1.0 the functions have one key; for 1.1 they have the keys and values that its MICs need.
CREATE OR REPLACE FUNCTION key_vault.lorawan_uplink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_uplink_mic(key_vault.wrapped_key, bigint, bytea) IS
'the MIC, 4 bytes, of an uplink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4); of a device of LoRaWAN 1.1 in a network of 1.0 with FNwkSIntKey. message: the PHYPayload from MHDR on, without the MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_uplink_mic(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_uplink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_uplink_mic(key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea) IS
'the MIC, 4 bytes, of an uplink of LoRaWAN 1.1: half of it CMAC(SNwkSIntKey, B1 | message), half CMAC(FNwkSIntKey, B0 | message) (L2 1.1, section 4.4). message: the PHYPayload from MHDR on, without the MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which the low 16 bits are used; it is used only if the frame''s ACK bit is set, and may be 0 otherwise. tx_dr, tx_ch: data rate and channel index of the transmission, 0 to 255. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_downlink_mic(nwk_s_key key_vault.wrapped_key, f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_downlink_mic(key_vault.wrapped_key, bigint, bytea) IS
'the MIC, 4 bytes, of a downlink of LoRaWAN 1.0: CMAC(NwkSKey, B0 | message) (L2 1.0.4, section 4.4). message: the PHYPayload from MHDR on, without the MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_downlink_mic(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_downlink_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_downlink_mic(key_vault.wrapped_key, bigint, bigint, bytea) IS
'the MIC, 4 bytes, of a downlink of LoRaWAN 1.1: CMAC(SNwkSIntKey, B0 | message) (L2 1.1, section 4.4). message: the PHYPayload from MHDR on, without the MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which the low 16 bits are used; it is used only if the frame''s ACK bit is set, and may be 0 otherwise. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_uplink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_verify_uplink(key_vault.wrapped_key, bigint, bytea) IS
'whether the MIC of an uplink of LoRaWAN 1.0 fits; see lorawan_uplink_mic. phy_payload: the whole PHYPayload, from MHDR to MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_uplink(
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_uplink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_verify_uplink(key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea) IS
'whether the MIC of an uplink of LoRaWAN 1.1 fits; see lorawan_uplink_mic. phy_payload: the whole PHYPayload, from MHDR to MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which the low 16 bits are used; it is used only if the frame''s ACK bit is set, and may be 0 otherwise. tx_dr, tx_ch: data rate and channel index of the transmission, 0 to 255. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_downlink(nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_verify_downlink(key_vault.wrapped_key, bigint, bytea) IS
'whether the MIC of a downlink of LoRaWAN 1.0 fits; see lorawan_downlink_mic. phy_payload: the whole PHYPayload, from MHDR to MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_downlink(s_nwk_s_int_key key_vault.wrapped_key, f_cnt bigint, conf_f_cnt bigint, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_downlink_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_verify_downlink(key_vault.wrapped_key, bigint, bigint, bytea) IS
'whether the MIC of a downlink of LoRaWAN 1.1 fits; see lorawan_downlink_mic. phy_payload: the whole PHYPayload, from MHDR to MIC. f_cnt: the full 32-bit counter, 0 to 4294967295, an error if its low 16 bits are not those of the frame. conf_f_cnt: the counter of the confirmed frame that this one acknowledges, of which the low 16 bits are used; it is used only if the frame''s ACK bit is set, and may be 0 otherwise. NULL if an argument is NULL. Takes the privilege derive';

-- Finding which of the sessions that share a DevAddr has sent a frame.
CREATE OR REPLACE FUNCTION key_vault_internal.lorawan_find_session_step(found anyelement, session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME'
LANGUAGE C STABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault_internal.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, bigint, bytea) IS
'step of the aggregate lorawan_find_session for LoRaWAN 1.0: session if the uplink fits its key, found if it does not; an error (21000) if both fit and differ. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault_internal.lorawan_find_session_step(
    found anyelement, session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea)
RETURNS anyelement AS 'MODULE_PATHNAME', 'lorawan_find_session_step_1_1'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault_internal.lorawan_find_session_step(anyelement, anyelement, key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea) IS
'step of the aggregate lorawan_find_session for LoRaWAN 1.1: session if the uplink fits its key, found if it does not; an error (21000) if both fit and differ. Takes the privilege derive';

CREATE OR REPLACE AGGREGATE key_vault.lorawan_find_session(session anyelement, nwk_s_key key_vault.wrapped_key, f_cnt bigint, phy_payload bytea) (
    SFUNC = key_vault_internal.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE key_vault.lorawan_find_session(anyelement, key_vault.wrapped_key, bigint, bytea) IS
'aggregate: which of the sessions that share a DevAddr has sent an uplink of LoRaWAN 1.0: the first argument of the row for which lorawan_verify_uplink is true. NULL if there is none, an error if there are several that differ. Rows with a NULL, and those whose key cannot be used (see key_status), do not fit. Takes the privilege derive';

CREATE OR REPLACE AGGREGATE key_vault.lorawan_find_session(
    session anyelement,
    f_nwk_s_int_key key_vault.wrapped_key, s_nwk_s_int_key key_vault.wrapped_key,
    f_cnt bigint, conf_f_cnt bigint, tx_dr integer, tx_ch integer, phy_payload bytea) (
    SFUNC = key_vault_internal.lorawan_find_session_step,
    STYPE = anyelement,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE key_vault.lorawan_find_session(anyelement, key_vault.wrapped_key, key_vault.wrapped_key, bigint, bigint, integer, integer, bytea) IS
'aggregate: which of the sessions that share a DevAddr has sent an uplink of LoRaWAN 1.1: the first argument of the row for which lorawan_verify_uplink is true. NULL if there is none, an error if there are several that differ. Rows with a NULL, and those whose key cannot be used (see key_status), do not fit. Takes the privilege derive';
