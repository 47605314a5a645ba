-- Values that are sealed: encrypted and authenticated, to be stored.

CREATE OR REPLACE FUNCTION key_vault.seal(key key_vault.wrapped_key, plaintext bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_seal'
LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.seal(key_vault.wrapped_key, bytea) IS
'encrypts plaintext that is to be stored, with AES-256-GCM and a random nonce: 29 bytes more. key: of 32 bytes, from generate_key(label, 32); not for more than 2^32 values. Each call gives another value. NULL if an argument is NULL. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.open(key key_vault.wrapped_key, sealed bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_open'
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.open(key_vault.wrapped_key, bytea) IS
'decrypts what seal made; an error (KV501) if it was changed, or sealed with another key or with a context. NULL if an argument is NULL. Takes the privilege decrypt';

-- Not strict: a context that is NULL must be an error, since NULL in place of a sealed value would lose the value.

CREATE OR REPLACE FUNCTION key_vault.seal(key key_vault.wrapped_key, plaintext bytea, context bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_seal'
LANGUAGE C VOLATILE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.seal(key_vault.wrapped_key, bytea, bytea) IS
'as seal(key, plaintext), for one place alone: open() must be given the same context, such as the primary key of the row, so that a value that was moved to another row is an error. The context is not stored and not secret; an empty one is another one than none. NULL if key or plaintext is NULL; an error (22004) if context is. Takes the privilege decrypt';

CREATE OR REPLACE FUNCTION key_vault.open(key key_vault.wrapped_key, sealed bytea, context bytea)
RETURNS bytea AS 'MODULE_PATHNAME', 'key_vault_open'
LANGUAGE C STABLE PARALLEL SAFE COST 20;
COMMENT ON FUNCTION key_vault.open(key_vault.wrapped_key, bytea, bytea) IS
'decrypts what seal made with the same context; an error (KV501) if it was changed, or sealed with another key, another context or none. NULL if key or sealed is NULL; an error (22004) if context is. Takes the privilege decrypt';
