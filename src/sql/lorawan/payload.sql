-- Encrypting and decrypting LoRaWAN payloads.

CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of an uplink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of a downlink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'encrypts an FRMPayload of an uplink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'encrypts an FRMPayload of a downlink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_try_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_try_decrypt_uplink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of an uplink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; NULL for a key whose KEK is unknown, suspended or destroyed, that fails its integrity check, is bound to another DevAddr or is no session key (see key_status). NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_try_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_try_decrypt_downlink(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of a downlink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; NULL for a key whose KEK is unknown, suspended or destroyed, that fails its integrity check, is bound to another DevAddr or is no session key (see key_status). NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_uplink_status(
    key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea, OUT payload bytea, OUT status text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_lorawan_decrypt_uplink_status'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_uplink_status(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of an uplink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes, and returns the status with it: decrypted, or with a payload that is NULL, KEK unknown, KEK suspended, KEK destroyed, integrity failure, other DevAddr or not a session key. dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. For each row of a query the key is looked up once, however many columns are selected. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_downlink_status(
    key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea, OUT payload bytea, OUT status text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_lorawan_decrypt_downlink_status'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_downlink_status(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts an FRMPayload of a downlink (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes, and returns the status with it: decrypted, or with a payload that is NULL, KEK unknown, KEK suspended, KEK destroyed, integrity failure, other DevAddr or not a session key. dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. For each row of a query the key is looked up once, however many columns are selected. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.key_status(key key_vault.wrapped_key, dev_addr bytea)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_key_status'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.key_status(key_vault.wrapped_key, bytea) IS
'whether a session key can be used for a DevAddr (4 bytes, big-endian): ok, KEK unknown, KEK suspended, KEK destroyed, integrity failure, other DevAddr or not a session key. Takes the privilege decrypt';
