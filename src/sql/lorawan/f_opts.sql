-- Encrypting and decrypting FOpts of LoRaWAN 1.1.

CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_uplink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea) IS
'decrypts the FOpts of an uplink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_uplink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink_f_opts'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_uplink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea) IS
'encrypts FOpts as lorawan_decrypt_uplink_f_opts decrypts them. NULL if an argument is NULL. Takes the privilege decrypt';

-- The functions for downlinks are not strict, since f_port is NULL for frames without an FPort.
CREATE OR REPLACE FUNCTION key_vault.lorawan_decrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_decrypt_downlink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea, integer) IS
'decrypts the FOpts of a downlink of LoRaWAN 1.1, 0 to 15 bytes, with NwkSEncKey (L2 1.1, section 4.3.1.6, with the errata about FCntDwn). dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; f_port: the frame''s FPort, or NULL if it has none: if it is above 0, f_cnt is the AFCntDown, otherwise the NFCntDown. NULL if an argument other than f_port is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.lorawan_encrypt_downlink_f_opts(nwk_s_enc_key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, f_opts bytea, f_port integer)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink_f_opts'
LANGUAGE C STABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.lorawan_encrypt_downlink_f_opts(key_vault.wrapped_key, bytea, bigint, bytea, integer) IS
'encrypts FOpts as lorawan_decrypt_downlink_f_opts decrypts them. NULL if an argument is NULL. Takes the privilege decrypt';
