-- LoRaWAN
------------------------------------------------------------------------------

CREATE FUNCTION key_vault.lorawan_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_uplink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_encrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'lorawan_crypt_downlink'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_try_decrypt_uplink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

CREATE FUNCTION key_vault.lorawan_try_decrypt_downlink(key key_vault.wrapped_key, dev_addr bytea, f_cnt bigint, frm_payload bytea)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;

DO $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT oid::regprocedure AS name, proname FROM pg_proc
              WHERE pronamespace = 'key_vault'::regnamespace AND proname ~ '^lorawan_(try_)?(de|en)crypt_(up|down)link$'
    LOOP
        EXECUTE format('COMMENT ON FUNCTION %s IS %L', f.name,
            format('%s an FRMPayload of an %s (LoRaWAN L2 1.0.4 and 1.1, section 4.3.3) of at most 255 bytes; dev_addr: 4 bytes, big-endian; f_cnt: the full 32-bit counter, 0 to 4294967295; %sNULL if an argument is; takes the privilege decrypt',
                CASE WHEN f.proname ~ 'encrypt' THEN 'encrypts' ELSE 'decrypts' END,
                CASE WHEN f.proname ~ 'uplink' THEN 'uplink' ELSE 'downlink' END,
                CASE WHEN f.proname ~ 'try' THEN
                    'NULL for a key whose KEK is unknown, suspended or destroyed, that fails its integrity check, is bound to another DevAddr or is no session key (see key_status); '
                ELSE '' END));
    END LOOP;
END
$$;

CREATE FUNCTION key_vault.key_status(key key_vault.wrapped_key, dev_addr bytea)
RETURNS text AS 'MODULE_PATHNAME', 'key_vault_key_status'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.key_status(key_vault.wrapped_key, bytea) IS
'whether a session key can be used for a DevAddr (4 bytes, big-endian): ok, KEK unknown, KEK suspended, KEK destroyed, integrity failure, other DevAddr or not a session key; takes the privilege decrypt';

------------------------------------------------------------------------------
