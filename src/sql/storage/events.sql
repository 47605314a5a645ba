-- Messages of network servers, read into rows of key_vault.storage_event.

CREATE OR REPLACE FUNCTION key_vault.storage_events(message jsonb)
RETURNS SETOF key_vault.storage_event AS 'MODULE_PATHNAME', 'key_vault_storage_events'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.storage_events(jsonb) IS
'the uplink, join or downlink events of a message of a network server (in JSON, as it comes by MQTT or webhooks), or of one with a member storage_event; an error if a field is missing or wrong. A counter that is left out is 0, a payload without a key is plain';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_read_events(message jsonb)
RETURNS SETOF key_vault.storage_event AS 'MODULE_PATHNAME', 'key_vault_storage_read_events'
LANGUAGE C VOLATILE STRICT COST 100;
COMMENT ON FUNCTION key_vault_internal.storage_read_events(jsonb) IS
'as key_vault.storage_events(), but by the function read_message() of the storage in the first schema of search_path, if there is one; f_cnt of an uplink is NULL where a field mask may have left it out, and encrypted is NULL where the message does not say';

CREATE OR REPLACE FUNCTION key_vault_internal.storage_time_of_1_0(message jsonb)
RETURNS timestamptz AS 'MODULE_PATHNAME', 'key_vault_storage_time_of_1_0'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.storage_time_of_1_0(jsonb) IS
'the time that version 1.0 read from a message, if it is another one than storage_read_events() reads; otherwise NULL';
