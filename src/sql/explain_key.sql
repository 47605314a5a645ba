-- Explains why one row does not decrypt.

CREATE OR REPLACE FUNCTION key_vault.explain_key(key key_vault.wrapped_key, dev_addr bytea)
RETURNS text LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    IF key IS NULL THEN
        RETURN 'There is no key: the wrapped key is NULL, so that the payload stays encrypted.';
    ELSIF dev_addr IS NULL THEN
        RETURN 'There is no DevAddr: it is NULL, and a payload is decrypted for its DevAddr.';
    END IF;
    -- Views do the same with a row.  Any payload shows whether the key can be used.
    PERFORM key_vault.lorawan_decrypt_uplink(key, dev_addr, 0, '\x00');
    RETURN format('Role "%s" can decrypt with this key for DevAddr %s: it is wrapped with KEK label "%s" version %s%s. '
                  'If a payload is not what the device sent, then f_cnt is not the full 32-bit counter, the direction is the other one, '
                  'or the key is of another session.',
                  current_user, encode(dev_addr, 'hex'), key_vault.kek_label(key), key_vault.kek_version(key),
                  CASE WHEN key_vault.algorithm(key) LIKE '%-bound' THEN ' and bound to this DevAddr' ELSE ', and bound to none' END);
EXCEPTION WHEN OTHERS THEN
    -- Other errors, such as a lack of memory, are about the server and not about the key.
    IF SQLSTATE !~ '^(KV|22|42501)' THEN
        RAISE;
    END IF;
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' ', upper(left(message, 1)) || substr(message, 2) || '.', nullif(detail, ''), nullif(hint, ''));
END
$$;
COMMENT ON FUNCTION key_vault.explain_key(key_vault.wrapped_key, bytea) IS
'says in words whether the current role can decrypt payloads with a key for a DevAddr (4 bytes, big-endian) and, if not, why, and what to do: an unknown, suspended or destroyed KEK, a damaged key, another DevAddr, a missing privilege, an unavailable root key. The words are for people, and may change; programs should use key_status. It shows no key, and takes no privilege';
