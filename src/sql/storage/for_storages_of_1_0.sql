-- What the storages of version 1.0 call.  Their functions were copied into them, and stay as they are until
-- key_vault.update_storage() replaces them.  Nothing else uses what is in this file.

CREATE OR REPLACE FUNCTION key_vault.storage_seal(line text, label text)
RETURNS key_vault.wrapped_key[] LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT key_vault_internal.storage_seal(line, label)
$$;
COMMENT ON FUNCTION key_vault.storage_seal(text, text) IS
'for storages of version 1.0: a text, wrapped in pieces of up to 4096 bytes of UTF-8; takes the privilege wrap';

CREATE OR REPLACE FUNCTION key_vault.storage_wrap_keys(INOUT message jsonb, label text,
                                                       INOUT keys key_vault.wrapped_key[] DEFAULT '{}',
                                                       in_key boolean DEFAULT false)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT w.message, w.keys FROM key_vault_internal.storage_wrap_keys(message, label, keys, in_key) w
$$;
COMMENT ON FUNCTION key_vault.storage_wrap_keys(jsonb, text, key_vault.wrapped_key[], boolean) IS
'for storages of version 1.0: the message with the number of a wrapped key in place of each plaintext key, and those keys; takes the privilege wrap where there is one';

CREATE OR REPLACE FUNCTION key_vault.storage_outage(state text)
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
SELECT key_vault_internal.storage_outage(state)
$$;
COMMENT ON FUNCTION key_vault.storage_outage(text) IS
'for storages of version 1.0: whether an SQLSTATE tells of an outage of the server, the root key or a token';

CREATE OR REPLACE FUNCTION key_vault.storage_refuse(sqlstate text, message text, detail text, hint text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_storage_refuse'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.storage_refuse(text, text, text, text) IS
'for storages of version 1.0: raises an error of which the server logs neither the statement nor the context';
