-- Sealing values for storage: encrypting and authenticating them.

CREATE OR REPLACE FUNCTION key_vault.seal(key key_vault.wrapped_key, plaintext bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_seal'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.seal(key_vault.wrapped_key, bytea) IS
'encrypts plaintext for storage, with AES-256-GCM and a random nonce; the result has 29 bytes more. key: of 32 bytes, from generate_key(label, 32); do not seal more than 2^32 values with one key. Each call gives another value. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.open(key key_vault.wrapped_key, sealed bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_open'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.open(key_vault.wrapped_key, bytea) IS
'decrypts what seal made; an error (KV501) if the value was changed, or sealed with another key or with a context. NULL if an argument is NULL. Takes the privilege decrypt';

-- The functions with a context are not strict, so that a context that is NULL is an error.  If seal() returned NULL, the
-- value would be lost.

CREATE OR REPLACE FUNCTION key_vault.seal(key key_vault.wrapped_key, plaintext bytea, context bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_seal'
LANGUAGE C VOLATILE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.seal(key_vault.wrapped_key, bytea, bytea) IS
'does the same as seal(key, plaintext), but open() needs the same context. With the primary key of the row as context, for example, a value that was moved to another row does not open. The context is not stored and need not be secret; an empty context is not the same as none. NULL if key or plaintext is NULL; an error (22004) if context is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.open(key key_vault.wrapped_key, sealed bytea, context bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_open'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.open(key_vault.wrapped_key, bytea, bytea) IS
'decrypts what seal made with the same context; an error (KV501) if the value was changed, or sealed with another key, another context or none. NULL if key or sealed is NULL; an error (22004) if context is NULL. Takes the privilege decrypt';
