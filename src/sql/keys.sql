-- Functions of wrapped keys: their parts, wrapping and unwrapping.

CREATE OR REPLACE FUNCTION key_vault.kek_id(key key_vault.wrapped_key)
RETURNS uuid AS 'MODULE_PATHNAME', 'wrapped_key_kek_id'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_id(key_vault.wrapped_key) IS
'kek_id of the KEK that wraps the key';

CREATE OR REPLACE FUNCTION key_vault.kek_label(key key_vault.wrapped_key)
RETURNS text AS 'MODULE_PATHNAME', 'wrapped_key_kek_label'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_label(key_vault.wrapped_key) IS
'label of the KEK that wraps the key; NULL if this database does not have the KEK';

CREATE OR REPLACE FUNCTION key_vault.kek_version(key key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME', 'wrapped_key_kek_version'
LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.kek_version(key_vault.wrapped_key) IS
'version of the KEK that wraps the key; NULL if this database does not have the KEK';

CREATE OR REPLACE FUNCTION key_vault.algorithm(key key_vault.wrapped_key)
RETURNS text AS 'MODULE_PATHNAME', 'wrapped_key_algorithm'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault.algorithm(key_vault.wrapped_key) IS
'aes-kw (RFC 3394), aes-kwp (RFC 5649) or aes-kw-bound (RFC 3394 over 01 00 00 00, the DevAddr and the key)';

CREATE OR REPLACE FUNCTION key_vault.bound_dev_addr(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'wrapped_key_bound_dev_addr'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION key_vault.bound_dev_addr(key_vault.wrapped_key) IS
'the DevAddr (4 bytes, big-endian) that a key is bound to, NULL if it is not bound. Takes unwrap, decrypt, derive or rewrap';

CREATE OR REPLACE FUNCTION key_vault.generate_key(label text, length integer DEFAULT 16)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_generate_key'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.generate_key(text, integer) IS
'a new random key of 1 to 4096 bytes, wrapped with the label''s active KEK. Takes the privilege wrap';

CREATE OR REPLACE FUNCTION key_vault.wrap(key bytea, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_wrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.wrap(bytea, text) IS
'a key of 1 to 4096 bytes, wrapped with the label''s active KEK: with AES-KW, or with AES-KWP if AES-KW cannot wrap that length. Takes the privilege wrap. Text of 32, 48 or 64 hexadecimal digits, also with separators, and a key of 16 or 32 bytes in base64 are refused (22023) unless key_vault.allow_hexadecimal_keys is on: such a key was not decoded. The key passes through SQL in the clear: pass it as a parameter of a prepared statement, never as a literal, with log_parameter_max_length and log_parameter_max_length_on_error = 0 and without auto_explain.log_verbose';

CREATE OR REPLACE FUNCTION key_vault.unwrap(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_unwrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.unwrap(key_vault.wrapped_key) IS
'the key in the clear, without the context of a bound key. Takes the privilege unwrap. Not for daily work: the result must be kept as secret as any key';

CREATE OR REPLACE FUNCTION key_vault.rewrap(key key_vault.wrapped_key)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_rewrap'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.rewrap(key_vault.wrapped_key) IS
'the same key, wrapped with the active KEK of the same label; keeps the binding. Takes the privilege rewrap';

CREATE OR REPLACE FUNCTION key_vault.rewrap(key key_vault.wrapped_key, label text)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_rewrap_to'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.rewrap(key_vault.wrapped_key, text) IS
'the same key, wrapped with the active KEK of another label; keeps the binding. Takes unwrap on the old label and wrap on the new';

CREATE OR REPLACE FUNCTION key_vault.bind(key key_vault.wrapped_key, dev_addr bytea)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_bind'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.bind(key_vault.wrapped_key, bytea) IS
'the same key, bound to a DevAddr (4 bytes, big-endian): using it for another DevAddr is an error. Takes the privilege rewrap';

CREATE OR REPLACE FUNCTION key_vault.key_check_value(key key_vault.wrapped_key)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_key_check_value'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.key_check_value(key_vault.wrapped_key) IS
'first 5 bytes of AES-CMAC(key, "key_vault key check value"), for keys of 16, 24 or 32 bytes. Takes unwrap, decrypt, derive or rewrap';

CREATE OR REPLACE FUNCTION key_vault.import_envelope(kek_label text, encrypted_key bytea, at_rest_label text,
                                          dev_addr bytea DEFAULT NULL)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_import_envelope'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.import_envelope(text, bytea, text, bytea) IS
'the key of a KeyEnvelope (LoRaWAN Backend Interfaces), wrapped with the active KEK of at_rest_label and, if dev_addr is not NULL (4 bytes, big-endian), bound to it. All versions of kek_label are tried; an empty kek_label means that the 16 bytes are the key itself, which is then checked as by wrap(). NULL if another argument than dev_addr is NULL. Takes unwrap on kek_label and wrap on at_rest_label';

CREATE OR REPLACE FUNCTION key_vault.try_envelope_key(kek_label text, encrypted_key bytea)
RETURNS key_vault.wrapped_key AS 'MODULE_PATHNAME', 'key_vault_try_envelope_key'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION key_vault.try_envelope_key(text, bytea) IS
'a KeyEnvelope (LoRaWAN Backend Interfaces) as a wrapped key, with the same KEK and wrapped bytes, and not bound: to decrypt payloads before it is imported; NULL if the label does not exist or none of its versions opens the envelope. Takes the privilege decrypt on kek_label';

CREATE OR REPLACE FUNCTION key_vault.export_envelope(key key_vault.wrapped_key, transport_label text)
RETURNS key_vault.key_envelope AS 'MODULE_PATHNAME', 'key_vault_export_envelope'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.export_envelope(key_vault.wrapped_key, text) IS
'the key as a KeyEnvelope (LoRaWAN Backend Interfaces), wrapped with the active KEK of transport_label; drops the binding. Takes unwrap on the key''s label and wrap on transport_label';
