-- Text and binary forms of the type wrapped_key.

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_in(cstring)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_in(cstring) IS
'input of type wrapped_key: reads kv1:ALGORITHM:KEK_ID:HEX; error 22P02 for any other text. The error does not show the text, which may be a plaintext key';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_out(key_vault.wrapped_key)
RETURNS cstring AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_out(key_vault.wrapped_key) IS
'output of type wrapped_key: writes kv1:ALGORITHM:KEK_ID:HEX, in lower case';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_recv(internal)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_recv(internal) IS
'binary input of type wrapped_key; error 22P03 if the bytes are not a wrapped key';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_send(key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_send(key_vault.wrapped_key) IS
'binary output of type wrapped_key: format version (1 byte), algorithm (1 byte), kek_id (16 bytes), wrapped key';
