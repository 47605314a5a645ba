-- Functions that compare values of type wrapped_key, byte by byte.  They open no key: if two KEKs
-- wrap the same key, the two values are different.

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_eq(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_eq(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator =: whether two wrapped keys have the same bytes';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_ne(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_ne(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator <>: whether two wrapped keys have different bytes';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_lt(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_lt(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator <: compares two wrapped keys byte by byte, without opening them';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_le(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_le(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator <=: compares two wrapped keys byte by byte, without opening them';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_gt(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_gt(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator >: compares two wrapped keys byte by byte, without opening them';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_ge(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS boolean AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_ge(key_vault.wrapped_key, key_vault.wrapped_key) IS
'operator >=: compares two wrapped keys byte by byte, without opening them';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_cmp(key_vault.wrapped_key, key_vault.wrapped_key) IS
'for btree indexes and sorting: less than 0, 0 or more than 0, by the bytes of two wrapped keys';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_hash(key_vault.wrapped_key)
RETURNS integer AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_hash(key_vault.wrapped_key) IS
'for hash indexes and hash joins: 32-bit hash of the bytes of a wrapped key';

CREATE OR REPLACE FUNCTION key_vault_internal.wrapped_key_hash_extended(key_vault.wrapped_key, bigint)
RETURNS bigint AS 'MODULE_PATHNAME'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION key_vault_internal.wrapped_key_hash_extended(key_vault.wrapped_key, bigint) IS
'for hash partitioning and the like: 64-bit hash of the bytes of a wrapped key, with a seed';
