-- LoRaWAN joins, and keys that are derived from others.

CREATE OR REPLACE FUNCTION key_vault.lorawan_join_1_0(
    app_key key_vault.wrapped_key, join_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT nwk_s_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_join_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 60;
COMMENT ON FUNCTION key_vault.lorawan_join_1_0(key_vault.wrapped_key, bytea, bytea, text) IS
'the fields of a join-accept, and the session keys of its join, NwkSKey and AppSKey, bound to its DevAddr (LoRaWAN L2 1.0.4, sections 6.2.5 and 6.2.6; of a LoRaWAN 1.1 device in a 1.0 network with the NwkKey). join_request, join_accept: whole PHYPayloads of 23, and 17 or 33 bytes. If the MIC of one of them is wrong the error is KV009, whatever the reason. The caller must know that the join-accept answers this join-request and not another one of the same device, since its MIC does not cover the DevNonce. join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4, big-endian; rx_delay: 0 to 15, seconds, 0 meaning 1; cf_list: 16 bytes as they are sent, or NULL. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_join_1_1(
    nwk_key key_vault.wrapped_key, app_key key_vault.wrapped_key,
    join_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT f_nwk_s_int_key key_vault.wrapped_key, OUT s_nwk_s_int_key key_vault.wrapped_key,
    OUT nwk_s_enc_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_join_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.lorawan_join_1_1(key_vault.wrapped_key, key_vault.wrapped_key, bytea, bytea, text) IS
'the fields of a join-accept, and the session keys of its join, FNwkSIntKey, SNwkSIntKey and NwkSEncKey (from the NwkKey) and AppSKey (from the AppKey), bound to its DevAddr (LoRaWAN L2 1.1, sections 6.2.2 and 6.2.3). join_request, join_accept: whole PHYPayloads of 23, and 17 or 33 bytes. If they do not fit the NwkKey and each other, or OptNeg is not set, the error is KV009, whatever the reason. No MIC covers the AppKey, so the caller must know that it is the device''s. join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4, big-endian; rx_delay: 0 to 15, seconds, 0 meaning 1; cf_list: 16 bytes as they are sent, or NULL. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_rejoin_1_1(
    nwk_key key_vault.wrapped_key, app_key key_vault.wrapped_key, join_eui bytea,
    rejoin_request bytea, join_accept bytea, label text,
    OUT join_nonce integer, OUT net_id bytea, OUT dev_addr bytea,
    OUT rx1_dr_offset integer, OUT rx2_data_rate integer, OUT rx_delay integer, OUT cf_list bytea,
    OUT f_nwk_s_int_key key_vault.wrapped_key, OUT s_nwk_s_int_key key_vault.wrapped_key,
    OUT nwk_s_enc_key key_vault.wrapped_key, OUT app_s_key key_vault.wrapped_key)
AS 'MODULE_PATHNAME', 'key_vault_lorawan_rejoin_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.lorawan_rejoin_1_1(key_vault.wrapped_key, key_vault.wrapped_key, bytea, bytea, bytea, text) IS
'does the same as lorawan_join_1_1 for a join-accept that answers a rejoin-request of type 0, 1 or 2 (LoRaWAN L2 1.1, sections 6.2.3 and 6.2.4) and is encrypted with JSEncKey. join_eui: 8 bytes, big-endian, of the device (types 0 and 2 do not carry it). rejoin_request: a whole PHYPayload of 19 bytes (types 0 and 2) or 24 (type 1). The MIC of types 0 and 2 is not checked, since its key is the SNwkSIntKey of the session before. join_nonce: 0 to 16777215; net_id: 3 bytes, dev_addr: 4, big-endian; rx_delay: 0 to 15, seconds, 0 meaning 1; cf_list: 16 bytes as they are sent, or NULL. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_js_int_key(nwk_key key_vault.wrapped_key, dev_eui bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_js_int_key(key_vault.wrapped_key, bytea, text) IS
'JSIntKey, for the MICs of rejoin-requests of type 1 and of join-accepts: AES(NwkKey, 06 | DevEUI) (LoRaWAN L2 1.1, section 6.1.1.4). dev_eui: 8 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_js_enc_key(nwk_key key_vault.wrapped_key, dev_eui bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_js_enc_key(key_vault.wrapped_key, bytea, text) IS
'JSEncKey, which encrypts join-accepts that answer rejoin-requests: AES(NwkKey, 05 | DevEUI) (LoRaWAN L2 1.1, section 6.1.1.4). dev_eui: 8 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_root_key_1_0(gen_app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_root_key_1_0(key_vault.wrapped_key, text) IS
'McRootKey of a LoRaWAN 1.0 device: AES(GenAppKey, 00) (TS005, section 4.3). label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_root_key_1_1(app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_root_key_1_1(key_vault.wrapped_key, text) IS
'McRootKey of a LoRaWAN 1.1 device: AES(AppKey, 20) (TS005, section 4.3). label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_ke_key(mc_root_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_ke_key(key_vault.wrapped_key, text) IS
'McKEKey, which encrypts McKeys on their way to a device: AES(McRootKey, 00) (TS005, section 4.3). label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_key(mc_ke_key key_vault.wrapped_key, mc_key_encrypted bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_key(key_vault.wrapped_key, bytea, text) IS
'McKey of a multicast group: AES(McKEKey, McKey_encrypted) (TS005, section 4.3). mc_key_encrypted: the 16 bytes of McGroupSetupReq as they are. Whether they were encrypted with this McKEKey cannot be checked; if they were not, the result is a wrong McKey. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_app_s_key(mc_key key_vault.wrapped_key, mc_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_app_s_key(key_vault.wrapped_key, bytea, text) IS
'McAppSKey, bound to the McAddr: AES(McKey, 01 | McAddr) (TS005, section 4.3). mc_addr: 4 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_mc_nwk_s_key(mc_key key_vault.wrapped_key, mc_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_mc_nwk_s_key(key_vault.wrapped_key, bytea, text) IS
'McNwkSKey, bound to the McAddr: AES(McKey, 02 | McAddr) (TS005, section 4.3). mc_addr: 4 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_data_block_int_key(app_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_data_block_int_key(key_vault.wrapped_key, text) IS
'DataBlockIntKey, for the MICs of data blocks such as firmware: AES(GenAppKey (LoRaWAN 1.0) or AppKey (1.1), 30) (TS004, section 3.3). label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_root_wor_s_key(nwk_s_enc_key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_root_wor_s_key(key_vault.wrapped_key, text) IS
'RootWorSKey of a session: AES(NwkSEncKey (LoRaWAN 1.1) or NwkSKey (1.0), 01) (TS011, section 4.4). It is bound to the same DevAddr as the session key, if that is bound. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_wor_s_int_key(root_wor_s_key key_vault.wrapped_key, dev_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_wor_s_int_key(key_vault.wrapped_key, bytea, text) IS
'WorSIntKey, bound to the DevAddr: AES(RootWorSKey, 01 | DevAddr) (TS011, section 4.5). dev_addr: 4 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';

CREATE OR REPLACE FUNCTION key_vault.lorawan_derive_wor_s_enc_key(root_wor_s_key key_vault.wrapped_key, dev_addr bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 30;
COMMENT ON FUNCTION key_vault.lorawan_derive_wor_s_enc_key(key_vault.wrapped_key, bytea, text) IS
'WorSEncKey, bound to the DevAddr: AES(RootWorSKey, 02 | DevAddr) (TS011, section 4.5). dev_addr: 4 bytes, big-endian. label: the KEK label of the result, whose active KEK wraps it. NULL if an argument is NULL. Takes the privilege derive on the label of the key and wrap on the label of the result; if these are two labels, also unwrap on the first';
