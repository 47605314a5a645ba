-- Decoders: functions that make values of the payloads in a storage.

CREATE OR REPLACE FUNCTION key_vault_internal.storage_decode(
    application regclass, application_id text, f_port integer, payload bytea,
    OUT decoded jsonb, OUT status text, OUT decoder_error text)
RETURNS record AS 'MODULE_PATHNAME', 'key_vault_storage_decode'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE COST 1000;
COMMENT ON FUNCTION key_vault_internal.storage_decode(regclass, text, integer, bytea) IS
'decodes a payload by the decoder that a storage''s table application names for an application; takes SELECT on that table. It runs the decoder as the owner of the table, in a subtransaction, which PostgreSQL 15 does not allow in parallel plans. The status is decoded, nothing decoded (the decoder returned NULL), decoder failed, or no decoder';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_check_decoder()
RETURNS trigger AS 'MODULE_PATHNAME', 'key_vault_storage_check_decoder'
LANGUAGE C;
COMMENT ON FUNCTION key_vault_internal.storage_check_decoder() IS
'the trigger of a storage''s table application: only its owner names a decoder, and only a function that can be one';
