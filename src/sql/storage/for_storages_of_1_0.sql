-- Functions that only storages of version 1.0 call.  Each of these storages has copies of the code of version 1.0,
-- which stay as they are until key_vault.update_storage() replaces them.

CREATE OR REPLACE FUNCTION key_vault.storage_seal(line text, label text)
RETURNS key_vault.wrapped_key[] AS 'MODULE_PATHNAME', 'key_vault_storage_seal'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.storage_seal(text, text) IS
'for storages of version 1.0: wraps a text in pieces of up to 4096 bytes of UTF-8; takes the privilege wrap';

CREATE OR REPLACE FUNCTION key_vault.storage_wrap_keys(INOUT message jsonb, label text,
                                                       INOUT keys key_vault.wrapped_key[] DEFAULT '{}',
                                                       in_key boolean DEFAULT false)
AS 'MODULE_PATHNAME', 'key_vault_storage_wrap_keys'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.storage_wrap_keys(jsonb, text, key_vault.wrapped_key[], boolean) IS
'for storages of version 1.0: puts a number in place of each plaintext key of a message; returns the message and the keys, wrapped; takes the privilege wrap if there is a key';

CREATE OR REPLACE FUNCTION key_vault.storage_outage(state text)
RETURNS boolean AS 'MODULE_PATHNAME', 'key_vault_storage_outage'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.storage_outage(text) IS
'for storages of version 1.0: whether an SQLSTATE means that the server, the root key or a token fails';

CREATE OR REPLACE FUNCTION key_vault.storage_refuse(sqlstate text, message text, detail text, hint text)
RETURNS void AS 'MODULE_PATHNAME', 'key_vault_storage_refuse'
LANGUAGE C VOLATILE PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.storage_refuse(text, text, text, text) IS
'for storages of version 1.0: raises an error; the server logs neither the statement nor the context';
