-- Message integrity codes (MICs) of join-requests, rejoin-requests and join-accepts.

CREATE OR REPLACE FUNCTION key_vault.lorawan_join_request_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_join_request_mic(key_vault.wrapped_key, bytea) IS
'the MIC, 4 bytes, of a join-request: CMAC(AppKey (LoRaWAN 1.0) or NwkKey (1.1), message) (L2 1.0.4 and 1.1, section 6.2). message: 19 bytes, the PHYPayload without the MIC. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_join_request(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_verify_join_request(key_vault.wrapped_key, bytea) IS
'whether the MIC of a join-request fits; see lorawan_join_request_mic. phy_payload: 23 bytes. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_rejoin_request_mic(key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_rejoin_request_mic(key_vault.wrapped_key, bytea) IS
'the MIC, 4 bytes, of a rejoin-request: CMAC(key, message), the key being SNwkSIntKey for types 0 and 2, JSIntKey for type 1 (L2 1.1, section 6.2.4). message: the PHYPayload without the MIC, 15 bytes, 20 of type 1. It has no DevAddr that a bound key could be checked against. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_rejoin_request(key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_verify_rejoin_request(key_vault.wrapped_key, bytea) IS
'whether the MIC of a rejoin-request fits; see lorawan_rejoin_request_mic. phy_payload: 19 bytes, 24 of type 1. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_join_accept_mic(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_0'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_join_accept_mic(key_vault.wrapped_key, bytea) IS
'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.0: CMAC(AppKey, message) (L2 1.0.4, section 6.2); with the NwkKey if the device is of LoRaWAN 1.1 and OptNeg is not set. message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_join_accept_mic(js_int_key key_vault.wrapped_key, join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_join_accept_mic_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_join_accept_mic(key_vault.wrapped_key, integer, bytea, integer, bytea) IS
'the MIC, 4 bytes, of a join-accept of LoRaWAN 1.1: CMAC(JSIntKey, join_req_type | JoinEUI | DevNonce | message) (L2 1.1, section 6.2.3). message: the PHYPayload in the clear without the MIC, 13 bytes, 29 with a CFList. join_req_type: 255 if it answers a join-request, otherwise the type of the rejoin-request, 0 to 2; join_eui: 8 bytes, big-endian; dev_nonce: 0 to 65535, DevNonce of the join-request or RJcount of the rejoin-request. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_join_accept(root_key key_vault.wrapped_key, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_verify_join_accept(key_vault.wrapped_key, bytea) IS
'whether the MIC of a join-accept of LoRaWAN 1.0, encrypted as it is sent, fits; see lorawan_join_accept_mic. phy_payload: 17 bytes, 33 with a CFList. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_verify_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, phy_payload bytea)
RETURNS boolean AS 'MODULE_PATHNAME', 'lorawan_verify_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_verify_join_accept(key_vault.wrapped_key, key_vault.wrapped_key, integer, bytea, integer, bytea) IS
'whether the MIC of a join-accept of LoRaWAN 1.1, encrypted as it is sent, fits; see lorawan_join_accept_mic. encryption_key: NwkKey, or JSEncKey if it answers a rejoin-request; phy_payload: 17 bytes, 33 with a CFList. join_req_type: 255 if it answers a join-request, otherwise the type of the rejoin-request, 0 to 2; join_eui: 8 bytes, big-endian; dev_nonce: 0 to 65535, DevNonce of the join-request or RJcount of the rejoin-request. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_join_accept(root_key key_vault.wrapped_key, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_join_accept(key_vault.wrapped_key, bytea) IS
'the PHYPayload of a join-accept of LoRaWAN 1.0 as it is sent: with its MIC, and encrypted (L2 1.0.4, section 6.2). message: as for lorawan_join_accept_mic. NULL if an argument is NULL. Takes the privilege derive';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_join_accept(
    encryption_key key_vault.wrapped_key, js_int_key key_vault.wrapped_key,
    join_req_type integer, join_eui bytea, dev_nonce integer, message bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_encrypt_join_accept_1_1'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_join_accept(key_vault.wrapped_key, key_vault.wrapped_key, integer, bytea, integer, bytea) IS
'the PHYPayload of a join-accept of LoRaWAN 1.1 as it is sent: with its MIC, and encrypted (L2 1.1, section 6.2.3). encryption_key: NwkKey, or JSEncKey if it answers a rejoin-request; message: as for lorawan_join_accept_mic. join_req_type: 255 if it answers a join-request, otherwise the type of the rejoin-request, 0 to 2; join_eui: 8 bytes, big-endian; dev_nonce: 0 to 65535, DevNonce of the join-request or RJcount of the rejoin-request. NULL if an argument is NULL. Takes the privilege derive';
